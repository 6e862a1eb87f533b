//! What the six Lambda functions share: AWS's events as the pipeline's types, and, behind the
//! feature `runtime`, what their `main.rs` run on.
