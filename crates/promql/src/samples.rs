//! Samples of one series that several hold at a time, without a copy.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use series::{Sample, join_samples};

/// Samples, mostly ascending in time. A clone is the same memory, and making some of a `Vec` copies nothing.
#[derive(Clone, Default, PartialEq)]
pub struct Samples(Arc<Vec<Sample>>);

impl Samples {
    /// As a set: ascending in time, and of those with the same timestamp [`series::winner`] stays.
    #[must_use]
    pub fn joined(mut samples: Vec<Sample>) -> Self {
        join_samples(&mut samples);
        samples.into()
    }

    /// The same as a set ([`Samples::joined`]).
    #[must_use]
    pub fn into_joined(self) -> Self {
        if is_joined(&self) { self } else { Self::joined(self.to_vec()) }
    }

    /// Whether both are the same memory.
    #[must_use]
    pub fn shares(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

fn is_joined(samples: &[Sample]) -> bool {
    samples.is_sorted_by(|a, b| a.at < b.at)
}

impl Deref for Samples {
    type Target = [Sample];
    fn deref(&self) -> &[Sample] {
        &self.0
    }
}

impl From<Vec<Sample>> for Samples {
    fn from(samples: Vec<Sample>) -> Self {
        Self(Arc::new(samples))
    }
}

impl From<&[Sample]> for Samples {
    fn from(samples: &[Sample]) -> Self {
        samples.to_vec().into()
    }
}

impl<const N: usize> From<[Sample; N]> for Samples {
    fn from(samples: [Sample; N]) -> Self {
        samples.to_vec().into()
    }
}

impl FromIterator<Sample> for Samples {
    fn from_iter<I: IntoIterator<Item = Sample>>(samples: I) -> Self {
        samples.into_iter().collect::<Vec<Sample>>().into()
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
