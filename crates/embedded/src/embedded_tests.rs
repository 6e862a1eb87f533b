//! Tests of `embedded.rs`.
