//! Events that wake it, and its answers.
