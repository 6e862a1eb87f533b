//! The lane: which of 4,096 queues a record goes through. Constant for ever, because the order of
//! one source's records hangs on it.

use crate::ids::{SeriesId, SourceName, TenantId};

/// How many lanes there are.
pub const LANES: u16 = 4_096;
/// Pushed data (remote write, Graphite over HTTPS …) is spread over this many lane keys a key, and so are the series
/// of an agent that has very many.
pub const PUSH_SPREAD: u8 = 16;

/// A number below [`LANES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(u16);

impl Lane {
    /// The lane with this number, if there is one.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (number < LANES).then_some(Self(number))
    }

    /// An agent's lane: all its series stay together.
    #[must_use]
    pub fn of_source(tenant: &TenantId, source: &SourceName) -> Self {
        Self::of(&[b"source", tenant.as_str().as_bytes(), source.as_str().as_bytes()])
    }

    /// The lane of one part of an agent's series, where there are too many for one lane.
    #[must_use]
    pub fn of_source_part(tenant: &TenantId, source: &SourceName, part: u8) -> Self {
        Self::of(&[b"source", tenant.as_str().as_bytes(), source.as_str().as_bytes(), &[part]])
    }

    /// The lane of one pushed series. A body falls into at most 16 of them.
    #[must_use]
    pub fn of_pushed(tenant: &TenantId, key_id: &str, series: SeriesId) -> Self {
        Self::of_pushed_part(tenant, key_id, Self::part(series))
    }

    /// Which of the [`PUSH_SPREAD`] parts of a pushed body, or of a large agent's batch, a series falls into.
    #[must_use]
    pub fn part(series: SeriesId) -> u8 {
        (series.0 % u128::from(PUSH_SPREAD)) as u8
    }

    /// The lane of one part of what a key pushes.
    #[must_use]
    pub fn of_pushed_part(tenant: &TenantId, key_id: &str, part: u8) -> Self {
        Self::of(&[b"push", tenant.as_str().as_bytes(), key_id.as_bytes(), &[part]])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut text = Vec::with_capacity(96);
        for part in parts {
            text.extend_from_slice(&(part.len() as u32).to_le_bytes());
            text.extend_from_slice(part);
        }
        Self((xxhash_rust::xxh3::xxh3_64(&text) % u64::from(LANES)) as u16)
    }

    /// The lane's number, below [`LANES`].
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn lanes_never_change() {
        let tenant = TenantId::default();
        let web = SourceName::new("web-1").unwrap();
        // Golden values: a change here would reorder every running source's records.
        assert_eq!(Lane::of_source(&tenant, &web).number(), GOLDEN_SOURCE);
        assert_eq!(Lane::of_pushed(&tenant, "k1", SeriesId(17)).number(), GOLDEN_PUSHED);
    }
    #[test]
    fn a_large_agent_takes_at_most_sixteen_lanes_beside_its_own() {
        let (tenant, web) = (TenantId::default(), SourceName::new("web-1").unwrap());
        let of = |n: u128| Lane::of_source_part(&tenant, &web, Lane::part(SeriesId(n)));
        let lanes: BTreeSet<_> = (0..10_000).map(of).collect();
        assert!((2..=usize::from(PUSH_SPREAD)).contains(&lanes.len()), "{} lanes", lanes.len());
        assert_eq!(of(1), of(17));
        assert_eq!(of(1).number(), GOLDEN_SOURCE_PART);
    }
    const GOLDEN_SOURCE_PART: u16 = 3_597;

    const GOLDEN_SOURCE: u16 = 2_014;
    const GOLDEN_PUSHED: u16 = 4_047;

    #[test]
    fn a_pushed_body_takes_at_most_sixteen_lanes() {
        let tenant = TenantId::default();
        let lanes: BTreeSet<_> = (0..10_000).map(|n| Lane::of_pushed(&tenant, "k1", SeriesId(n))).collect();
        assert!(lanes.len() <= 16, "{} lanes", lanes.len());
    }

    #[test]
    fn only_numbers_below_the_count_are_lanes() {
        assert!(Lane::new(LANES - 1).is_some());
        assert!(Lane::new(LANES).is_none());
    }
}
