//! daywatch
