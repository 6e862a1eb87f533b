//! Alerts.
pub mod duration;
mod fields;
pub mod problem;
pub mod rules;
pub mod state;
pub mod template;
pub mod yaml;
