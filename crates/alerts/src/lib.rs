//! Alerts: rules, their states, when to evaluate them, and what people are told.
//!
//! The way of an alert: [`rules`] (a file in Prometheus's format, checked) → [`closing`] (when a
//! bucket is evaluated) → [`instance`] (what was found) → [`state`] (inactive, pending, firing,
//! resolved) → [`routing`] and [`notify`] (to whom, and whether now) → [`message`] (in which
//! words). Each is a pure function of its arguments: live evaluation, `rules test`, backtests and
//! the simulator run the same ones.
//!
//! This crate never reads a clock, a file or the environment, and does not know how anything is
//! stored or sent.

pub mod closing;
pub mod duration;
mod fields;
pub mod instance;
pub mod message;
pub mod notify;
pub mod problem;
pub mod routing;
pub mod rules;
pub mod state;
pub mod template;
mod yaml;

/// The rules that a new installation starts with, in Prometheus's format.
pub const STARTER_RULES: &str = include_str!("../starter-rules.yml");
