//! The manifest's change stream: every put and delete in commit order, kept until the consumers
//! have seen it. At-least-once: what was not committed is given again. It must not know what a
//! manifest item says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ports::{PortError, TenantId};
use redb::{ReadableTable, ReadableTableMetadata};
use tokio::sync::Notify;

use crate::store::{CHANGES, NUMBERS, Store, Tables};

/// Changes of one batch.
pub const CHANGES_PER_BATCH_MAX: usize = 1_000;
/// Changes that are kept at most, whether or not somebody has seen them: a consumer that does not
/// run for ever must not fill the disk. The oldest go first.
pub const CHANGES_KEPT_MAX: u64 = 1_000_000;
const COUNTER: &str = "change";
const CHECKPOINT: &str = "checkpoint/changes/";

/// One change of a manifest item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Rises with each change.
    pub sequence: u64,
    /// Whose manifest.
    pub tenant: TenantId,
    /// The item's place in it.
    pub sort: String,
    /// The new value, `None` after a delete.
    pub new: Option<Bytes>,
}

/// The log. Clones are the same log.
#[derive(Clone)]
pub struct Changes {
    store: Store,
    arrival: Arc<Notify>,
}

impl Changes {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, arrival: Arc::new(Notify::new()) }
    }

    pub(crate) fn arrived(&self) {
        self.arrival.notify_waiters();
    }

    /// Changes after the sequence number `after`, at most `max`, without waiting.
    pub async fn next(&self, after: u64, max: usize) -> Result<Vec<Change>, PortError> {
        let max = max.min(CHANGES_PER_BATCH_MAX);
        self.store
            .read(move |transaction| {
                let table = transaction.open_table(CHANGES)?;
                let mut found = Vec::new();
                for entry in table.range(after.saturating_add(1)..)?.take(max) {
                    let (sequence, value) = entry?;
                    found.push(decode(sequence.value(), value.value())?);
                }
                Ok(found)
            })
            .await
    }

    /// The consumer of this name, where it last committed; a new one starts with the oldest change
    /// that is kept.
    pub async fn consumer(&self, name: &str) -> Result<ChangeConsumer, PortError> {
        let key = format!("{CHECKPOINT}{name}");
        let checkpoint = self.store.write(move |tables| {
            let known = tables.numbers.get(key.as_str())?.map(|guard| guard.value());
            if known.is_none() {
                tables.numbers.insert(key.as_str(), 0)?;
                tables.changed = true;
            }
            Ok(known.unwrap_or(0))
        });
        Ok(ChangeConsumer { changes: self.clone(), name: name.to_owned(), checkpoint: checkpoint.await? })
    }
}

/// One reader of the change log.
pub struct ChangeConsumer {
    changes: Changes,
    name: String,
    checkpoint: u64,
}

impl ChangeConsumer {
    /// Changes after the last commit, as soon as there is one; none if `max_wait` passes first.
    pub async fn next_batch(&self, max: usize, max_wait: Duration) -> Result<Vec<Change>, PortError> {
        let deadline = tokio::time::sleep(max_wait);
        tokio::pin!(deadline);
        loop {
            let arrival = self.changes.arrival.notified();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            let found = self.changes.next(self.checkpoint, max).await?;
            if !found.is_empty() {
                return Ok(found);
            }
            tokio::select! {
                () = &mut arrival => {}
                () = &mut deadline => return Ok(Vec::new()),
            }
        }
    }

    /// Everything up to and including `sequence` is done. Durable when it returns; what every
    /// consumer has done is removed.
    pub async fn commit(&mut self, sequence: u64) -> Result<(), PortError> {
        let key = format!("{CHECKPOINT}{}", self.name);
        let write = self.changes.store.write(move |tables| {
            let before = tables.numbers.get(key.as_str())?.map_or(0, |guard| guard.value());
            if sequence > before {
                tables.numbers.insert(key.as_str(), sequence)?;
                tables.changed = true;
                remove_done(tables)?;
            }
            Ok(())
        });
        write.await?;
        self.checkpoint = self.checkpoint.max(sequence);
        Ok(())
    }

    /// How many changes wait for this consumer.
    pub async fn backlog(&self) -> Result<u64, PortError> {
        let checkpoint = self.checkpoint;
        let newest = self.changes.store.read(|transaction| {
            let numbers = transaction.open_table(NUMBERS)?;
            Ok(numbers.get(COUNTER)?.map_or(0, |guard| guard.value()))
        });
        Ok(newest.await?.saturating_sub(checkpoint))
    }
}

fn remove_done(tables: &mut Tables<'_>) -> Result<(), redb::Error> {
    // '0' follows '/', so this is every name with the prefix.
    let end = format!("{}0", CHECKPOINT.trim_end_matches('/'));
    let mut done = u64::MAX;
    for entry in tables.numbers.range::<&str>(CHECKPOINT..end.as_str())? {
        done = done.min(entry?.1.value());
    }
    remove_to(tables, done)
}

fn remove_to(tables: &mut Tables<'_>, done: u64) -> Result<(), redb::Error> {
    let mut old = Vec::new();
    for entry in tables.changes.range(..=done)?.take(2 * CHANGES_PER_BATCH_MAX) {
        old.push(entry?.0.value());
    }
    for sequence in old {
        tables.changes.remove(sequence)?;
    }
    Ok(())
}

/// Adds a change to the transaction that makes it.
pub(crate) fn log_change(
    tables: &mut Tables<'_>,
    tenant: &TenantId,
    sort: &str,
    new: Option<&Bytes>,
) -> Result<(), redb::Error> {
    tables.next_number(&revision_name(tenant, sort.split('/').next().unwrap_or("")))?;
    let sequence = tables.next_number(COUNTER)?;
    tables.changes.insert(sequence, encode(tenant, sort, new).as_slice())?;
    if let Some(done) = too_old(tables.changes.len()?, sequence) {
        tracing::error!(kept = CHANGES_KEPT_MAX, "no consumer reads the manifest's changes; the oldest are dropped");
        remove_to(tables, done)?;
    }
    Ok(())
}

/// The number that counts changes of a manifest's items that begin with `part`.
pub(crate) fn revision_name(tenant: &TenantId, part: &str) -> String {
    format!("manifest/{tenant}/{part}")
}

/// The last change to drop when there are `kept` up to `newest`: a batch of them at once.
fn too_old(kept: u64, newest: u64) -> Option<u64> {
    (kept > CHANGES_KEPT_MAX).then(|| newest.saturating_sub(CHANGES_KEPT_MAX) + CHANGES_PER_BATCH_MAX as u64)
}

// tenant length (2 bytes), sort length (2), tenant, sort, 1 or 0 for put or delete, value
fn encode(tenant: &TenantId, sort: &str, new: Option<&Bytes>) -> Vec<u8> {
    let tenant = tenant.as_str();
    let mut bytes = Vec::with_capacity(5 + tenant.len() + sort.len() + new.map_or(0, Bytes::len));
    bytes.extend_from_slice(&(tenant.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&(sort.len() as u16).to_le_bytes());
    bytes.extend_from_slice(tenant.as_bytes());
    bytes.extend_from_slice(sort.as_bytes());
    bytes.push(u8::from(new.is_some()));
    bytes.extend_from_slice(new.map_or(&[], |value| value));
    bytes
}

fn decode(sequence: u64, bytes: &[u8]) -> Result<Change, redb::Error> {
    let decoded = || {
        let tenant_len = usize::from(u16::from_le_bytes(*bytes.first_chunk::<2>()?));
        let sort_len = usize::from(u16::from_le_bytes(*bytes.get(2..)?.first_chunk::<2>()?));
        let (tenant, rest) = bytes.get(4..)?.split_at_checked(tenant_len)?;
        let (sort, rest) = rest.split_at_checked(sort_len)?;
        let (put, value) = rest.split_first()?;
        Some(Change {
            sequence,
            tenant: TenantId::new(std::str::from_utf8(tenant).ok()?).ok()?,
            sort: std::str::from_utf8(sort).ok()?.to_owned(),
            new: (*put == 1).then(|| Bytes::copy_from_slice(value)),
        })
    };
    decoded().ok_or_else(|| redb::Error::Corrupted(format!("change {sequence} cannot be read")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_changes_go_past_the_limit() {
        assert_eq!(too_old(CHANGES_KEPT_MAX, CHANGES_KEPT_MAX + 500), None);
        assert_eq!(too_old(CHANGES_KEPT_MAX + 1, CHANGES_KEPT_MAX + 501), Some(501 + CHANGES_PER_BATCH_MAX as u64));
    }

    #[test]
    fn a_change_is_read_as_it_was_written() {
        let tenant = TenantId::new("a-b").unwrap();
        let value = Bytes::from_static(b"\0\x01value");
        for new in [Some(value), Some(Bytes::new()), None] {
            let bytes = encode(&tenant, "10m/0001/x", new.as_ref());
            let change = Change { sequence: 7, tenant: tenant.clone(), sort: "10m/0001/x".to_owned(), new };
            assert_eq!(decode(7, &bytes).unwrap(), change);
            for cut in 0..4 + 3 + 10 {
                assert!(decode(7, &bytes[..cut]).is_err(), "cut at {cut}");
            }
        }
    }
}
