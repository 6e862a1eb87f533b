//! Tests of `stream.rs`.
