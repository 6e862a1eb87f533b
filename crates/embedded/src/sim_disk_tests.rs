//! Tests of `sim_disk.rs`.
