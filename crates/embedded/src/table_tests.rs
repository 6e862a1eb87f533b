//! Tests of `table.rs`.
