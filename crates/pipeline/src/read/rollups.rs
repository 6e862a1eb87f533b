//! Rollups in place of samples: where a selection is answered exactly by them, and where nothing else is
//! kept any more.
//!
//! An hour's or a day's item lists rollups of its block. They stand for its window, which never cuts a
//! bucket, unless another live item has samples there (late ones, not compacted yet). Whatever
//! time no such window covers is read as samples and rolled up on the way.

use std::collections::BTreeMap;

use blocks::{ManifestItem, RollupObject};
use ports::{TenantId, Timestamp};
use promql::Selection;
use series::{DAY_MS, HOUR_MS, Labels, Rollup, RollupSeries, Sample, Window, rollup_width, stale_marker};

use super::budget::Budget;
use super::parquet;
use crate::error::Fault;
use crate::manifest::Placed;
use crate::{Context, manifest};

/// A shorter selection is read as samples: they are few, and the newest are in memory.
pub const ROLLUP_SPAN_MS_MIN: i64 = 6 * HOUR_MS;

/// A selection longer than this has dear samples (60,000 a series at 10 s): where the step asks for no finer, it is
/// answered from rollups although its times are no multiples of their width.
pub const NEAR_SPAN_MS_MIN: i64 = 7 * DAY_MS;

/// Whether an answer from rollups is to be had although it is of up to a bucket earlier: the time is long, or
/// begins before `kept_from`, from when on samples are kept.
pub(super) fn are_samples_dear(selection: &Selection, kept_from: Timestamp) -> bool {
    let span_ms = selection.to.ms().saturating_sub(selection.from.ms());
    span_ms > NEAR_SPAN_MS_MIN || selection.from < kept_from
}

/// Which windows of a selection's time are read from rollups, and the stretches between them.
pub(super) struct Plan {
    pub(super) rolled: Vec<Placed>,
    pub(super) raw: Vec<(Timestamp, Timestamp)>,
}

/// `None`: there is nothing to be won.
pub(super) async fn plan(
    context: &Context,
    tenant: &TenantId,
    selection: &Selection,
    width_ms: i64,
) -> Result<Option<Plan>, Fault> {
    let (from, to) = (selection.from, selection.to);
    if to.ms().saturating_sub(from.ms()) < ROLLUP_SPAN_MS_MIN {
        return Ok(None);
    }
    let items = manifest::between(&context.ports, &context.blocks, tenant, (from, to)).await?;
    Ok(Some(split(items, (from, to), width_ms)).filter(|plan| !plan.rolled.is_empty()))
}

fn split(items: Vec<Placed>, (from, to): (Timestamp, Timestamp), width_ms: i64) -> Plan {
    // The first bucket begins where the selection does: a part of a window has whole buckets as well.
    let part = |window: Window| Window { start: window.start.max(from.plus_ms(-1)), end: window.end.min(to) };
    let (mut rolled, others): (Vec<Placed>, Vec<Placed>) =
        items.into_iter().partition(|placed| of_width(&placed.item, width_ms).next().is_some());
    rolled.retain(|placed| {
        let window = part(placed.item.window);
        // A late item of which this block holds everything that is of its window says nothing new.
        let adds = |other: &Placed| {
            other.item.overlaps(window.start.plus_ms(1), window.end)
                && !placed.item.includes.iter().any(|id| id == other.id())
        };
        window.start < window.end && !others.iter().any(adds)
    });
    rolled.sort_by_key(|placed| placed.item.window);
    // Where two speak of one time, only their samples together tell.
    let windows: Vec<Window> = rolled.iter().map(|placed| placed.item.window).collect();
    let met = |window: &Window| {
        windows.iter().filter(|other| other.start < window.end && window.start < other.end).count() > 1
    };
    rolled.retain(|placed| !met(&placed.item.window));
    let (mut raw, mut at) = (Vec::new(), from);
    for window in rolled.iter().map(|placed| part(placed.item.window)) {
        if at <= window.start {
            raw.push((at, window.start));
        }
        at = window.end.plus_ms(1);
    }
    if at <= to {
        raw.push((at, to));
    }
    Plan { rolled, raw }
}

/// The series' buckets, by labels and end.
#[derive(Default)]
pub(super) struct Buckets(BTreeMap<Labels, BTreeMap<Timestamp, Rollup>>);

impl Buckets {
    fn add(&mut self, series: RollupSeries) {
        let known = self.0.entry(series.labels).or_default();
        known.extend(series.rollups.iter().map(|rollup| (rollup.end, *rollup)));
    }

    /// Samples of whole buckets, rolled up here.
    pub(super) fn roll_up(&mut self, labels: Labels, samples: &[Sample], width_ms: i64) {
        let rollups = series::rollups(samples, width_ms).into();
        self.add(RollupSeries { labels, rollups });
    }

    pub(super) fn into_series(self) -> Vec<RollupSeries> {
        let one = |(labels, buckets): (Labels, BTreeMap<Timestamp, Rollup>)| RollupSeries {
            labels,
            rollups: buckets.into_values().collect(),
        };
        self.0.into_iter().map(one).collect()
    }
}

/// Reads the plan's rollups. `None`: one of the objects was swept meanwhile.
pub(super) async fn read(
    context: &Context,
    tenant: &TenantId,
    selection: &Selection,
    (plan, width_ms): (&Plan, i64),
    budget: &mut Budget<'_>,
) -> Result<Option<Buckets>, Fault> {
    let mut buckets = Buckets::default();
    for placed in &plan.rolled {
        let found = of_item(context, tenant, &placed.item, selection, (width_ms, budget)).await?;
        let Some(found) = found else { return Ok(None) };
        for series in found {
            budget.samples(series.rollups.len())?;
            buckets.add(series);
        }
    }
    Ok(Some(buckets))
}

async fn of_item(
    context: &Context,
    tenant: &TenantId,
    item: &ManifestItem,
    selection: &Selection,
    (width_ms, budget): (i64, &mut Budget<'_>),
) -> Result<Option<Vec<RollupSeries>>, Fault> {
    let mut all = Vec::new();
    for rollup in of_width(item, width_ms) {
        let object = parquet::Object { place: manifest::rollup_name(tenant, rollup), bytes: rollup.bytes };
        let Some(chosen) = parquet::choose(context, &object, std::slice::from_ref(selection)).await? else {
            return Ok(None);
        };
        let Some(found) = chosen.rollups(context, &object, budget).await? else { return Ok(None) };
        all.extend(found);
    }
    Ok(Some(all))
}

/// The last value of each bucket of an item whose samples have expired, and a stale marker where the
/// bucket ends with one: the nearest to samples that is kept. Answers the buckets' width as well.
pub(super) async fn last_values(
    context: &Context,
    tenant: &TenantId,
    placed: &Placed,
    selections: &[Selection],
    budget: &mut Budget<'_>,
) -> Result<Option<(i64, Vec<(Labels, Vec<Sample>)>)>, Fault> {
    let kept = rollup_width::ALL.into_iter().find(|width| of_width(&placed.item, *width).next().is_some());
    let Some(width_ms) = kept else { return Ok(None) };
    let mut all = Vec::new();
    for selection in selections {
        let found = of_item(context, tenant, &placed.item, selection, (width_ms, budget)).await?;
        let Some(found) = found else { return Ok(None) };
        for series in found {
            let samples = series.rollups.iter().flat_map(|rollup| {
                let last = (rollup.count > 0).then_some(Sample { at: rollup.last_at, value: rollup.last });
                let stale = rollup.stale_at_end && rollup.end > rollup.last_at;
                last.into_iter().chain(stale.then(|| Sample { at: rollup.end, value: stale_marker() }))
            });
            all.push((series.labels, samples.collect()));
        }
    }
    Ok(Some((width_ms, all)))
}

/// Whether only rollups are left of an item's time.
pub(super) fn is_all_that_is_left(item: &ManifestItem) -> bool {
    item.name.is_none() && !item.rollups.is_empty()
}

fn of_width(item: &ManifestItem, width_ms: i64) -> impl Iterator<Item = &RollupObject> {
    item.rollups.iter().filter(move |rollup| rollup.width_ms == width_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_dear_past_the_limit_and_where_they_have_expired() {
        let is_dear = |from: i64, span_ms: i64| {
            let (from, to) = (Timestamp(from), Timestamp(from + span_ms));
            are_samples_dear(&Selection { matchers: Vec::new(), from, to, rollup: None, near: None }, Timestamp(1_000))
        };
        assert!(!is_dear(1_000, NEAR_SPAN_MS_MIN) && is_dear(1_000, NEAR_SPAN_MS_MIN + 1));
        assert!(!is_dear(1_000, 1) && is_dear(999, 1));
    }
}
