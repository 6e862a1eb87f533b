//! `up{instance, job="node"}`: 1 while an agent is present, 0 while it is not.
//!
//! Written by a tick through the stream like any other sample, so that rules and graphs see it.

use std::collections::BTreeMap;

use ports::{StreamRecord, TenantId};
use series::{Lane, Sample, SourceName, Timestamp};
use wire::SeriesColumn;

use crate::connect::{PRESENCE_LEASE_MS, Presence, presences};
use crate::error::Fault;
use crate::{Context, ingest, progress, sources};

/// An agent that has been away for this long is history, not an outage.
pub const FORGOTTEN_MS: i64 = 24 * 3_600_000;

/// An agent that is back this long after its connection ended was never down: connections are cut by
/// networks, and agents end their own as planned.
pub const RETURN_MS: i64 = 30_000;

/// Agents whose `up` is one record: at the longest names that a source may have, it is far below what a
/// record of the stream may be.
pub const SOURCES_PER_RECORD_MAX: usize = 500;

/// Whether a source is here, or may be on its way back. `silence_to` is the time up to which everything that the stream took
/// is known: a late pipeline makes nobody absent.
#[must_use]
pub fn is_present(presence: &Presence, last_seen: Option<Timestamp>, silence_to: Timestamp) -> bool {
    let since = presence.connected_at_ms.max(presence.expected_since_ms.unwrap_or(Timestamp(0)));
    let seen = last_seen.map_or(since, |seen| seen.max(since));
    let here = seen.plus_ms(PRESENCE_LEASE_MS) > silence_to;
    here && presence.gone_at_ms.is_none_or(|gone| gone.plus_ms(RETURN_MS) > silence_to)
}

/// Notes for each agent of a tenant whether it is here.
pub async fn note(context: &Context, tenant: &TenantId) -> Result<(), Fault> {
    let ports = &context.ports;
    let now = ports.clock.now();
    let silence_to = progress::silence_proven_to(ports).await?;
    let seen = sources::all_last_seen(ports, &context.blocks, tenant).await?;
    let mut parts: BTreeMap<u8, Vec<SeriesColumn>> = BTreeMap::new();
    for (source, presence) in presences(ports, tenant).await? {
        let last = seen.get(&source).copied();
        let newest = last.unwrap_or(presence.connected_at_ms).max(presence.gone_at_ms.unwrap_or(Timestamp(0)));
        if newest.plus_ms(FORGOTTEN_MS) < now {
            continue;
        }
        let column = column(&source, is_present(&presence, last, silence_to), now)?;
        parts.entry(Lane::part(column.labels.id())).or_default().push(column);
    }
    ingest::put(ports, records(context, tenant, parts)?).await
}

/// A few records for all agents: a series' samples always go the same way, as those of a pushed body do.
fn records(
    context: &Context,
    tenant: &TenantId,
    parts: BTreeMap<u8, Vec<SeriesColumn>>,
) -> Result<Vec<StreamRecord>, Fault> {
    let mut records = Vec::new();
    for (part, mut columns) in parts {
        let lane = Lane::of_pushed_part(tenant, ingest::OWN_SOURCE, part);
        while !columns.is_empty() {
            let rest = columns.split_off(columns.len().min(SOURCES_PER_RECORD_MAX));
            let data = ingest::own_samples(context, tenant, std::mem::replace(&mut columns, rest))?;
            records.push(StreamRecord { lane, data });
        }
    }
    Ok(records)
}

fn column(source: &SourceName, up: bool, now: Timestamp) -> Result<SeriesColumn, Fault> {
    let labels = series::Labels::from_pairs([
        ("__name__", "up"),
        ("instance", source.as_str()),
        ("job", "node"),
        ("source", source.as_str()),
    ])
    .map_err(|e| Fault::Internal(format!("labels of `up`: {e}")))?;
    Ok(SeriesColumn { labels, samples: vec![Sample { at: now, value: f64::from(u8::from(up)) }] })
}

#[cfg(test)]
mod tests {
    use ports::ConnectionId;
    use series::Epoch;

    use super::*;
    use crate::Settings;

    #[test]
    fn a_lease_ends_soon_after_the_connection_or_with_time() {
        let lease = Presence {
            connection: ConnectionId("c".to_owned()),
            run_id: String::new(),
            epoch: Epoch(1),
            host: String::new(),
            agent_version: String::new(),
            connected_at_ms: Timestamp(1_000),
            gone_at_ms: None,
            expected_since_ms: None,
            conflict: None,
            wish: None,
        };
        let end = 1_000 + PRESENCE_LEASE_MS;
        assert!(is_present(&lease, None, Timestamp(end - 1)));
        assert!(!is_present(&lease, None, Timestamp(end)));
        assert!(is_present(&lease, Some(Timestamp(2_000)), Timestamp(end)));
        let waited_for = Presence { expected_since_ms: Some(Timestamp(3_000)), ..lease.clone() };
        assert!(is_present(&waited_for, Some(Timestamp(2_000)), Timestamp(end + 1_999)));
        assert!(!is_present(&waited_for, Some(Timestamp(2_000)), Timestamp(end + 2_000)));
        let gone = Presence { gone_at_ms: Some(Timestamp(2_000)), ..lease };
        let end = 2_000 + RETURN_MS;
        assert!(is_present(&gone, Some(Timestamp(1_999)), Timestamp(end - 1)), "it may be on its way back");
        assert!(!is_present(&gone, Some(Timestamp(1_999)), Timestamp(end)));
    }

    #[test]
    fn agents_of_one_record_at_the_limit_and_one_past_it() {
        let settings = Settings { raw_retention_ms: 0, external_url: String::new(), websocket_url: String::new() };
        let context = Context::new(embedded::Embedded::memory(1).unwrap().embedded.ports(), settings);
        let name = |n: usize| SourceName::new(&format!("{n:0>100}")).unwrap();
        let of = |count: usize| {
            let columns = (0..count).map(|n| column(&name(n), true, Timestamp(1_000)).unwrap()).collect();
            let made = records(&context, &TenantId::default(), BTreeMap::from([(3, columns)])).unwrap();
            assert!(made.iter().all(|record| record.data.len() < ports::RECORD_BYTES_MAX / 2));
            made.len()
        };
        assert_eq!(of(0), 0);
        assert_eq!(of(1), 1);
        assert_eq!(of(SOURCES_PER_RECORD_MAX), 1);
        assert_eq!(of(SOURCES_PER_RECORD_MAX + 1), 2);
    }
}
