//! The bill of a month on AWS, counted: simulated agents send through the real handlers over the
//! memory ports, on a manual clock, and every call that AWS would bill is counted by AWS's rules.
//!
//! [`units`] is what is billed and the counter; [`counted`] are the ports that count; [`fleet`] are the
//! agents; [`shift`] is an hour of a stack: what wakes which function; [`reconnect`] what a connection costs; [`month`] scales a few such hours
//! to any number of agents and puts prices on it. Prices are `daywatch cost`'s own, in one file.
//!
//! What cannot be counted here, because no AWS is asked, is named in [`units::ASSUMED`].

pub mod counted;
pub mod fleet;
pub mod metrics;
pub mod month;
#[path = "../../cli/src/commands/cost/prices.rs"]
#[expect(dead_code, reason = "one table for `daywatch cost` and for this; each leaves out what it cannot count")]
mod prices;
mod reconnect;
pub mod shift;
pub mod units;

pub use month::{Alerting, Bill, Measured, amp};
pub use shift::{Hour, Plan, hour};
