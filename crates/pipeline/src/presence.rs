//! `up{instance, job="node"}`: 1 while an agent is present, 0 while it is not.
//!
//! Written by a tick through the stream like any other sample, so that rules and graphs see it.

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
    let mut records = Vec::new();
    for (source, presence) in presences(ports, tenant).await? {
        let last = seen.get(&source).copied();
        let newest = last.unwrap_or(presence.connected_at_ms).max(presence.gone_at_ms.unwrap_or(Timestamp(0)));
        if newest.plus_ms(FORGOTTEN_MS) < now {
            continue;
        }
        records.push(record(context, tenant, &source, is_present(&presence, last, silence_to), now)?);
    }
    ingest::put(ports, records).await
}

fn record(
    context: &Context,
    tenant: &TenantId,
    source: &SourceName,
    up: bool,
    now: Timestamp,
) -> Result<StreamRecord, Fault> {
    let labels = series::Labels::from_pairs([
        ("__name__", "up"),
        ("instance", source.as_str()),
        ("job", "node"),
        ("source", source.as_str()),
    ])
    .map_err(|e| Fault::Internal(format!("labels of `up`: {e}")))?;
    let sample = Sample { at: now, value: f64::from(u8::from(up)) };
    let column = SeriesColumn { labels, samples: vec![sample] };
    Ok(StreamRecord {
        lane: Lane::of_source(tenant, source),
        data: ingest::own_samples(context, tenant, vec![column])?,
    })
}

#[cfg(test)]
mod tests {
    use ports::ConnectionId;
    use series::Epoch;

    use super::*;

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
}
