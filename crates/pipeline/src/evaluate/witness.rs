//! A series that was missing when a group was looked at last. Until it has reported, a bucket whose grace lasts cannot
//! close, and nothing else has to be read to know that. Agents flush in an order of their own that stays, so whoever
//! was among the last in one bucket is so in the next.

use alerts::closing::{Bucket, GRACE_MS, Selected};
use alerts::rules::Group;
use ports::{TenantId, Timestamp};
use promql::{Options, Series, all_match};

use super::bucket::everything;
use crate::error::Fault;
use crate::{Context, read};

/// A bucket of a group, and the series that it waits for.
pub(super) struct Asked<'a> {
    pub(super) group: &'a Group,
    /// The bucket's end, as its data has it.
    pub(super) end: Timestamp,
    pub(super) now: Timestamp,
    pub(super) selected: &'a [Selected],
}

/// Whether the bucket is open because the series that was missing before has not reported yet. False says nothing.
pub(super) async fn is_missing(
    context: &Context,
    tenant: &TenantId,
    asked: Asked<'_>,
    listed: &mut read::Listing,
) -> Result<bool, Fault> {
    let Asked { group, end, now, selected } = asked;
    if now >= end.plus_ms(GRACE_MS) {
        return Ok(false);
    }
    let Some(labels) = context.rules.witness(tenant, group) else { return Ok(false) };
    let id = labels.id();
    // What is not waited for any more is no witness.
    let Some(awaited) = selected.iter().find(|awaited| awaited.series == id) else { return Ok(false) };
    let mut selections: Vec<_> = Vec::new();
    for rule in &group.rules {
        selections.extend(promql::selections(&rule.expr, end, end, 0, &Options::default()));
    }
    let Some(mut selection) = selections.into_iter().find(|one| all_match(&one.matchers, &labels)) else {
        return Ok(false);
    };
    // Any sample that lets it have reported.
    (selection.from, selection.to) = (end.plus_ms(1 - awaited.step_ms), now.max(end));
    let found = match read::load_by(context, tenant, &[selection], listed).await {
        Ok(found) => found,
        // A limit is told where the rules themselves meet it.
        Err(Fault::Unprocessable(_)) => return Ok(false),
        Err(fault) => return Err(fault),
    };
    Ok(!everything(&found)?.iter().any(|series| series.labels == labels))
}

/// Remembers one that is missing in an open bucket.
pub(super) fn keep(context: &Context, tenant: &TenantId, group: &Group, (bucket, all): (&Bucket<'_>, &[Series])) {
    let Some(missing) = bucket.selected.iter().rfind(|series| !series.has_reported(bucket.end)) else { return };
    if let Some(series) = all.iter().find(|series| series.labels.id() == missing.series) {
        context.rules.keep_witness(tenant, group, series.labels.clone());
    }
}
