//! The table port on the store: versions, conditions, expiry, pages, and the manifest's changes.
//!
//! An item is stored as version (8 bytes, little endian), expiry (8, `i64::MAX` for never), value.
//! Versions come from one counter over all items, so a key written again after a delete never gets
//! an old version back. Expired items are left out of every answer and removed by later commits,
//! a few at a time. It must not know what an item means, but for the manifest, whose changes
//! are logged in the same commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ports::{
    Clock, Condition, GotMany, Item, Key, Page, Partition, PortError, Table, TenantId, Timestamp, WRITE_ALL_BYTES_MAX,
    WRITES_AT_ONCE_MAX, Write, Written, WrittenAll, check_writes,
};
use redb::{ReadTransaction, ReadableTable};

use crate::changes::{Changes, log_change, revision_name};
use crate::spelling::{key_bytes, partition_bytes, partition_end, time_bytes, time_of};
use crate::store::{ITEMS, NUMBERS, Store, Tables};

/// Items of one page.
pub const PAGE_ITEMS_MAX: usize = 1_000;
/// Bytes of one page and of one answer to many keys: the item that reaches it is the last.
pub const PAGE_BYTES_MAX: usize = 1_000_000;
/// Expired items that one commit removes.
const PURGED_PER_COMMIT: usize = 64;
const PORT: &str = "table";
const NEVER: i64 = i64::MAX;
const HEADER_BYTES: usize = 16;

/// The table port.
#[derive(Clone)]
pub struct Documents {
    store: Store,
    clock: Arc<dyn Clock>,
    changes: Changes,
}

impl Documents {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, changes: Changes) -> Self {
        Self { store, clock, changes }
    }

    fn wake_consumers(&self, writes: &[Write]) {
        if writes.iter().any(|write| matches!(write.key().partition, Partition::Manifest(_))) {
            self.changes.arrived();
        }
    }
}

/// An item as stored.
struct Stored {
    version: u64,
    expires_ms: i64,
    value: Bytes,
}

impl Stored {
    fn decode(bytes: &[u8]) -> Result<Self, redb::Error> {
        let (Some(version), Some(expires), Some(value)) = (
            bytes.first_chunk::<8>(),
            bytes.get(8..).and_then(|rest| rest.first_chunk::<8>()),
            bytes.get(HEADER_BYTES..),
        ) else {
            return Err(redb::Error::Corrupted("an item is shorter than its header".to_owned()));
        };
        Ok(Self {
            version: u64::from_le_bytes(*version),
            expires_ms: i64::from_le_bytes(*expires),
            value: Bytes::copy_from_slice(value),
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.value.len());
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&self.expires_ms.to_le_bytes());
        bytes.extend_from_slice(&self.value);
        bytes
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_ms == NEVER || self.expires_ms > now.ms()
    }

    fn into_item(self, sort: &str) -> Item {
        let expires_at = (self.expires_ms != NEVER).then_some(Timestamp(self.expires_ms));
        Item { sort: sort.to_owned(), value: self.value, version: self.version, expires_at }
    }
}

fn alive(
    items: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
    now: Timestamp,
) -> Result<Option<Stored>, redb::Error> {
    let stored = items.get(key)?.map(|guard| Stored::decode(guard.value())).transpose()?;
    Ok(stored.filter(|stored| stored.is_alive(now)))
}

fn holds(condition: Condition, current: Option<&Stored>) -> bool {
    match condition {
        Condition::Always => true,
        Condition::Absent => current.is_none(),
        Condition::Version(version) => current.is_some_and(|stored| stored.version == version),
    }
}

/// The item as it is, where the write's condition does not hold.
fn refusal(tables: &Tables<'_>, write: &Write) -> Result<Option<Option<Item>>, redb::Error> {
    let (Write::Put { key, condition, .. } | Write::Delete { key, condition }) = write;
    if *condition == Condition::Always {
        return Ok(None);
    }
    let current = alive(&tables.items, &key_bytes(key), tables.now)?;
    if holds(*condition, current.as_ref()) {
        return Ok(None);
    }
    Ok(Some(current.map(|stored| stored.into_item(&key.sort))))
}

fn manifest_of(partition: &Partition) -> Option<&TenantId> {
    match partition {
        Partition::Manifest(tenant) => Some(tenant),
        _ => None,
    }
}

/// Makes the change; conditions have been looked at. Returns the new version, 0 after a delete.
fn apply(tables: &mut Tables<'_>, write: Write) -> Result<u64, redb::Error> {
    match write {
        Write::Put { key, value, expires_at, .. } => {
            let version = tables.next_number("version")?;
            let expires_ms = expires_at.map_or(NEVER, Timestamp::ms);
            let spelled = key_bytes(&key);
            if let Some(tenant) = manifest_of(&key.partition) {
                log_change(tables, tenant, &key.sort, Some(&value))?;
            }
            replace(tables, &spelled, Some(&Stored { version, expires_ms, value }))?;
            Ok(version)
        }
        Write::Delete { key, .. } => {
            let was_there = replace(tables, &key_bytes(&key), None)?;
            if let (true, Some(tenant)) = (was_there, manifest_of(&key.partition)) {
                log_change(tables, tenant, &key.sort, None)?;
            }
            Ok(0)
        }
    }
}

/// Keeps the items and the index of expiry in step. Returns whether something stood there.
fn replace(tables: &mut Tables<'_>, spelled: &[u8], new: Option<&Stored>) -> Result<bool, redb::Error> {
    let old = match new {
        Some(stored) => tables.items.insert(spelled, stored.encode().as_slice())?,
        None => tables.items.remove(spelled)?,
    };
    let old_expiry = old.map(|guard| Stored::decode(guard.value())).transpose()?.map(|stored| stored.expires_ms);
    tables.changed |= new.is_some() || old_expiry.is_some();
    if let Some(ms) = old_expiry.filter(|ms| *ms != NEVER) {
        tables.expiry.remove(expiry_key(ms, spelled).as_slice())?;
    }
    if let Some(stored) = new.filter(|stored| stored.expires_ms != NEVER) {
        tables.expiry.insert(expiry_key(stored.expires_ms, spelled).as_slice(), ())?;
    }
    Ok(old_expiry.is_some())
}

fn expiry_key(ms: i64, spelled: &[u8]) -> Vec<u8> {
    let mut key = time_bytes(ms).to_vec();
    key.extend_from_slice(spelled);
    key
}

/// Removes a few of the items that have expired.
pub(crate) fn purge_expired(tables: &mut Tables<'_>) -> Result<(), redb::Error> {
    let mut expired = Vec::new();
    for entry in tables.expiry.range::<&[u8]>(..)?.take(PURGED_PER_COMMIT) {
        let key = entry?.0.value().to_vec();
        match key.first_chunk::<8>() {
            Some(time) if time_of(*time) <= tables.now.ms() => expired.push(key),
            _ => break,
        }
    }
    for key in expired {
        tables.expiry.remove(key.as_slice())?;
        tables.items.remove(&key[8..])?;
    }
    Ok(())
}

fn read_many(transaction: &ReadTransaction, keys: Vec<Key>, now: Timestamp) -> Result<GotMany, redb::Error> {
    let table = transaction.open_table(ITEMS)?;
    let mut got = GotMany::default();
    let mut bytes = 0;
    for key in keys {
        if bytes >= PAGE_BYTES_MAX {
            got.unprocessed.push(key);
        } else if let Some(stored) = alive(&table, &key_bytes(&key), now)? {
            bytes += stored.value.len();
            let item = stored.into_item(&key.sort);
            got.items.push((key, item));
        }
    }
    Ok(got)
}

fn read_page(
    transaction: &ReadTransaction,
    partition: &Partition,
    from: &[u8],
    end: &[u8],
    now: Timestamp,
) -> Result<Page, redb::Error> {
    let mut page = Page::default();
    if from >= end {
        return Ok(page);
    }
    let table = transaction.open_table(ITEMS)?;
    let prefix = partition_bytes(partition).len();
    let mut bytes = 0;
    for entry in table.range(from..end)? {
        let (key, value) = entry?;
        if page.items.len() >= PAGE_ITEMS_MAX || bytes >= PAGE_BYTES_MAX {
            page.next = page.items.last().map(|item: &Item| item.sort.clone());
            break;
        }
        let stored = Stored::decode(value.value())?;
        if stored.is_alive(now) {
            let sort = std::str::from_utf8(&key.value()[prefix..])
                .map_err(|_| redb::Error::Corrupted("a sort text is not UTF-8".to_owned()))?;
            bytes += stored.value.len() + sort.len();
            page.items.push(stored.into_item(sort));
        }
    }
    Ok(page)
}

#[async_trait]
impl Table for Documents {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        let (key, now) = (key.clone(), self.clock.now());
        let is_key = key.partition == Partition::Keys;
        let read = move |transaction: &ReadTransaction| {
            let table = transaction.open_table(ITEMS)?;
            Ok(alive(&table, &key_bytes(&key), now)?.map(|stored| stored.into_item(&key.sort)))
        };
        // Every request asks for its key: few pages, which are in memory, and another thread costs more than the read.
        // (redb lets go of its lock while a commit is flushed.)
        if is_key { self.store.read_now(read) } else { self.store.read(read).await }
    }

    async fn get_many(&self, keys: &[Key]) -> Result<GotMany, PortError> {
        if keys.len() > WRITES_AT_ONCE_MAX {
            let what = format!("{} keys at once, at most {WRITES_AT_ONCE_MAX} are allowed", keys.len());
            return Err(PortError::permanent(PORT, what));
        }
        if keys.iter().collect::<BTreeSet<_>>().len() != keys.len() {
            return Err(PortError::permanent(PORT, "one key is asked for twice at once"));
        }
        let (keys, now) = (keys.to_vec(), self.clock.now());
        self.store.read(move |transaction| read_many(transaction, keys, now)).await
    }

    async fn query(&self, partition: &Partition, from: &str, to: &str, after: Option<&str>) -> Result<Page, PortError> {
        let spell = |sort: &str| key_bytes(&Key::new(partition.clone(), sort));
        let end = if to.is_empty() { partition_end(partition) } else { spell(to) };
        let mut start = spell(from);
        if let Some(after) = after {
            // A zero byte makes the smallest key that is greater.
            let mut next = spell(after);
            next.push(0);
            start = start.max(next);
        }
        let (partition, now) = (partition.clone(), self.clock.now());
        self.store.read(move |transaction| read_page(transaction, &partition, &start, &end, now)).await
    }

    async fn revision(&self, partition: &Partition, part: &str) -> Result<Option<u64>, PortError> {
        let Some(tenant) = manifest_of(partition) else { return Ok(None) };
        let name = revision_name(tenant, part);
        // On this thread: one small page that every commit writes, so it is in memory.
        let read = |transaction: &ReadTransaction| {
            let numbers = transaction.open_table(NUMBERS)?;
            Ok(numbers.get(name.as_str())?.map_or(0, |guard| guard.value()))
        };
        self.store.read_now(read).map(Some)
    }

    async fn write(&self, write: Write) -> Result<Written, PortError> {
        check_writes(std::slice::from_ref(&write))?;
        let manifest = [write.clone()];
        let written = self.store.write(move |tables| match refusal(tables, &write)? {
            Some(current) => Ok(Written::ConditionFailed(current)),
            None => Ok(Written::Done(apply(tables, write)?)),
        });
        let written = written.await?;
        self.wake_consumers(&manifest);
        Ok(written)
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<WrittenAll, PortError> {
        let bytes = check_writes(&writes)?;
        if bytes > WRITE_ALL_BYTES_MAX {
            let what = format!("{bytes} bytes all or nothing, at most {WRITE_ALL_BYTES_MAX} are allowed");
            return Err(PortError::permanent(PORT, what));
        }
        let manifest = writes.clone();
        let written = self.store.write(move |tables| {
            for (index, write) in writes.iter().enumerate() {
                if let Some(current) = refusal(tables, write)? {
                    return Ok(WrittenAll::ConditionFailed { index, current });
                }
            }
            for write in writes {
                apply(tables, write)?;
            }
            Ok(WrittenAll::Done)
        });
        let written = written.await?;
        self.wake_consumers(&manifest);
        Ok(written)
    }

    async fn write_many(&self, writes: Vec<Write>) -> Result<Vec<Write>, PortError> {
        check_writes(&writes)?;
        let conditional = |write: &Write| {
            let (Write::Put { condition, .. } | Write::Delete { condition, .. }) = write;
            *condition != Condition::Always
        };
        if writes.iter().any(conditional) {
            return Err(PortError::permanent(PORT, "a batch of writes takes no conditions"));
        }
        let manifest = writes.clone();
        let written = self.store.write(move |tables| {
            for write in writes {
                apply(tables, write)?;
            }
            Ok(Vec::new())
        });
        let unprocessed = written.await?;
        self.wake_consumers(&manifest);
        Ok(unprocessed)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
