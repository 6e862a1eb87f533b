//! What a Lambda's `main.rs` stands on.
