//! Tests of `faults.rs`.
