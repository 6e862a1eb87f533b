//! The series that a group selected, as they are kept: which ones beside the group's item, and how
//! often they report within it.
//!
//! Which series a rule selects hardly ever changes, and 3,000 names are 48 KB. So the set is an item
//! of its own, written in one go with the group's item whenever it changes; the group's item names it by its hash and
//! stays within a write unit or two. How far each series has come is not kept: a bucket that is looked
//! at reads all samples that could make it close, and nothing is ever taken from what is stored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use series::{SeriesId, Timestamp};

use alerts::closing::{SELECTED_SERIES_MAX, Selected};

use crate::error::Fault;

const ID_BYTES: usize = size_of::<u128>();
const STEP_BYTES: usize = size_of::<u32>();
const ZSTD_LEVEL: i32 = 3;

/// What the group's item says of its series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The hash of the set of series.
    pub(super) set: String,
    /// Their steps in the set's order, ms, four bytes each, compressed.
    steps: String,
}

/// In the order in which they are kept. `None` where there are none.
pub(super) fn keep(selected: &mut [Selected]) -> Result<Option<Kept>, Fault> {
    if selected.is_empty() {
        return Ok(None);
    }
    selected.sort_unstable_by_key(|known| known.series.0);
    let steps: Vec<u8> =
        selected.iter().flat_map(|known| u32::try_from(known.step_ms).unwrap_or(u32::MAX).to_le_bytes()).collect();
    let packed = zstd::bulk::compress(&steps, ZSTD_LEVEL).map_err(|e| Fault::Internal(e.to_string()))?;
    Ok(Some(Kept { set: hash(&set(selected)), steps: STANDARD.encode(packed) }))
}

/// The item beside the group's.
pub(super) fn set(selected: &[Selected]) -> Vec<u8> {
    selected.iter().flat_map(|known| known.series.0.to_le_bytes()).collect()
}

/// Names a set.
pub(super) fn hash(set: &[u8]) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(set))
}

/// Both together again; how far each has come is to be seen.
pub(super) fn selected(kept: &Kept, set: &[u8]) -> Result<Vec<Selected>, Fault> {
    let broken = |what: &str| Fault::Internal(format!("the series that a group has selected cannot be read: {what}"));
    let (ids, rest) = set.as_chunks::<ID_BYTES>();
    if !rest.is_empty() || ids.len() > SELECTED_SERIES_MAX {
        return Err(broken("their number"));
    }
    let packed = STANDARD.decode(&kept.steps).map_err(|e| broken(&e.to_string()))?;
    let steps = zstd::bulk::decompress(&packed, ids.len() * STEP_BYTES).map_err(|e| broken(&e.to_string()))?;
    let (steps, rest) = steps.as_chunks::<STEP_BYTES>();
    if !rest.is_empty() || steps.len() != ids.len() {
        return Err(broken("their steps"));
    }
    let one = |(id, step): (&[u8; ID_BYTES], &[u8; STEP_BYTES])| Selected {
        series: SeriesId(u128::from_le_bytes(*id)),
        newest: Timestamp(i64::MIN),
        step_ms: i64::from(u32::from_le_bytes(*step)),
    };
    Ok(ids.iter().zip(steps).map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(count: usize, step: impl Fn(usize) -> i64) -> Vec<Selected> {
        let id = |n: usize| SeriesId(xxhash_rust::xxh3::xxh3_128(&n.to_le_bytes()));
        (0..count).map(|n| Selected { series: id(n), newest: Timestamp(i64::MIN), step_ms: step(n) }).collect()
    }

    #[test]
    fn what_is_kept_comes_back() {
        assert_eq!(keep(&mut []).unwrap(), None);
        for count in [1, 2, SELECTED_SERIES_MAX] {
            let mut all = many(count, |n| 1 + (n as i64 * 7_919) % 300_000);
            let kept = keep(&mut all).unwrap().unwrap();
            assert_eq!(selected(&kept, &set(&all)).unwrap(), all);
        }
    }

    #[test]
    fn the_set_at_the_limit_and_one_past_it() {
        let mut most = many(SELECTED_SERIES_MAX, |_| 10_000);
        let kept = keep(&mut most).unwrap().unwrap();
        assert!(selected(&kept, &set(&most)).is_ok());
        let mut past = many(SELECTED_SERIES_MAX + 1, |_| 10_000);
        let kept = keep(&mut past).unwrap().unwrap();
        assert!(selected(&kept, &set(&past)).is_err());
    }

    #[test]
    fn a_group_of_a_thousand_hosts_is_one_write_unit() {
        let mut steady = many(SELECTED_SERIES_MAX, |_| 10_000);
        let kept = serde_json::to_vec(&keep(&mut steady).unwrap()).unwrap();
        assert!(kept.len() < 200, "{}", kept.len());
        // Two paces among them.
        let mut mixed = many(SELECTED_SERIES_MAX, |n| if n % 3 == 0 { 60_000 } else { 10_000 });
        let kept = serde_json::to_vec(&keep(&mut mixed).unwrap()).unwrap();
        assert!(kept.len() < 1_500, "{}", kept.len());
    }

    #[test]
    fn another_set_has_another_name_and_another_pace_has_not() {
        let name = |all: &mut Vec<Selected>| keep(all).unwrap().unwrap().set;
        let first = name(&mut many(10, |_| 10_000));
        assert_eq!(first, name(&mut many(10, |_| 60_000)));
        assert_eq!(first, name(&mut many(10, |_| 10_000).into_iter().rev().collect()));
        assert_ne!(first, name(&mut many(11, |_| 10_000)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut all = many(3, |_| 10_000);
        let kept = keep(&mut all).unwrap().unwrap();
        let set = set(&all);
        assert!(selected(&kept, &set[1..]).is_err());
        assert!(selected(&kept, &set[ID_BYTES..]).is_err());
        assert!(selected(&Kept { steps: "?".to_owned(), ..kept.clone() }, &set).is_err());
        assert!(selected(&Kept { steps: String::new(), ..kept }, &set).is_err());
    }
}
