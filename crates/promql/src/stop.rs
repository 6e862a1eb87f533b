//! Ending an evaluation early. This crate has no clock: whoever calls it says when it is enough.

use std::fmt;
use std::sync::Arc;

/// Samples and points between two looks at whether to stop.
pub(crate) const LOOK_EVERY: u64 = 1 << 18;

/// Whether an evaluation is to stop; asked every now and then while it runs. Never, by default.
#[derive(Clone, Default)]
pub struct Stop(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Stop {
    /// Stops the evaluation soon after `enough` has turned true.
    pub fn when(enough: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(enough)))
    }

    /// Whether it is to stop.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.0.as_ref().is_some_and(|enough| enough())
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Stop(when asked)" } else { "Stop(never)" })
    }
}

impl PartialEq for Stop {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Stop {}
