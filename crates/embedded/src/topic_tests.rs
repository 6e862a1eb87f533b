//! Tests of `topic.rs`.
