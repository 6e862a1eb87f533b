//! The commands other than `serve`, one file each.

pub(crate) mod apply;
pub(crate) mod cost;
pub(crate) mod keys;
pub(crate) mod load;
pub(crate) mod notify;
pub(crate) mod query;
pub(crate) mod rules;
pub(crate) mod stack;
pub(crate) mod trip;
