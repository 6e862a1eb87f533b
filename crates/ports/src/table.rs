//! Small documents under typed keys, with conditional writes.
//!
//! A [`Key`] says what is meant; only the adapter spells it. Reads are consistent. Expired items
//! are never returned, even where the store deletes them days later.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use series::{TenantId, Timestamp};

use crate::PortError;

const PORT: &str = "table";

/// Bytes of one item's value (DynamoDB: 400 KB with keys and attribute names).
pub const ITEM_BYTES_MAX: usize = 300_000;
/// Items of one all-or-nothing write, and of one batch call.
pub const WRITES_AT_ONCE_MAX: usize = 100;
/// Bytes of all values of one all-or-nothing write (DynamoDB: 4 MB).
pub const WRITE_ALL_BYTES_MAX: usize = 3_900_000;
/// Bytes of a key's sort text (DynamoDB: 1,024 for the sort key).
pub const SORT_BYTES_MAX: usize = 1_000;

/// A family of items that are read together, in the order of their `sort` text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Partition {
    /// Tenants that exist; sort: tenant.
    Tenants,
    /// API keys of all tenants, because a request starts with only a key; sort: key id.
    Keys,
    /// One-time tickets for browsers; sort: the ticket's hash.
    Tickets,
    /// Open websocket connections of all tenants; sort: connection id.
    Connections,
    /// How far each shard's `aggregate` has come; sort: shard.
    Pulses,
    /// Who holds a source's name; sort: source.
    Presence(TenantId),
    /// What browsers watch; sort: connection id `/` subscription id.
    Subscriptions(TenantId),
    /// Rule files, routing, agent configuration; sort: kind `/` name.
    Config(TenantId),
    /// Blocks and what they replace; the only partition with a change stream. Sort:
    /// level `/` window start (ms, zero padded) `/` block name.
    Manifest(TenantId),
    /// Newest result of each check, an item a source; sort: source.
    Checks(TenantId),
    /// What pushing sources (not agents) are known; sort: source.
    Sources(TenantId),
    /// State of each rule's alerts; sort: group `/` rule.
    RuleState(TenantId),
    /// State of each notification group; sort: receiver `/` group key.
    NotificationGroups(TenantId),
    /// Notifications owed; sort: transition id.
    Outbox(TenantId),
    /// Answers of receivers: when did which one last take a notification; sort: receiver.
    Receivers(TenantId),
    /// Records that can never be processed, with bytes and reason; sort: time `/` content hash.
    Quarantine(TenantId),
}

/// Names one item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The family.
    pub partition: Partition,
    /// The place in it.
    pub sort: String,
}

impl Key {
    /// The item `sort` of `partition`.
    pub fn new(partition: Partition, sort: impl Into<String>) -> Self {
        Self { partition, sort: sort.into() }
    }
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its place within the partition.
    pub sort: String,
    /// Its content.
    pub value: Bytes,
    /// Rises with each write of this key; an item written again after a delete never gets an
    /// earlier incarnation's version back.
    pub version: u64,
    /// When it ceases to exist.
    pub expires_at: Option<Timestamp>,
}

/// What must hold for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Always,
    /// There is no (unexpired) item.
    Absent,
    /// The item has exactly this version.
    Version(u64),
}

/// A change of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Creates or replaces.
    Put {
        /// Which item.
        key: Key,
        /// The new content.
        value: Bytes,
        /// When it ceases to exist.
        expires_at: Option<Timestamp>,
        /// What must hold.
        condition: Condition,
    },
    /// Removes; removing what is not there is a success where the condition holds.
    Delete {
        /// Which item.
        key: Key,
        /// What must hold.
        condition: Condition,
    },
}

impl Write {
    /// A put without expiry.
    pub fn put(key: Key, value: impl Into<Bytes>, condition: Condition) -> Self {
        Self::Put { key, value: value.into(), expires_at: None, condition }
    }

    /// Which item it changes.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } => key,
        }
    }
}

/// What became of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Done; the item's new version (0 after a delete).
    Done(u64),
    /// The condition did not hold; the item as it is, so that the caller can see whether the
    /// write that it finds is its own.
    ConditionFailed(Option<Item>),
}

/// What became of an all-or-nothing write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrittenAll {
    /// All of them are done.
    Done,
    /// None is; the first write whose condition failed, and its item as it is.
    ConditionFailed {
        /// Index into the writes.
        index: usize,
        /// What stands there.
        current: Option<Item>,
    },
}

/// The answer to reading many keys at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GotMany {
    /// What was found.
    pub items: Vec<(Key, Item)>,
    /// What the store did not get to; ask for these again.
    pub unprocessed: Vec<Key>,
}

/// A page of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// In rising order of `sort`.
    pub items: Vec<Item>,
    /// Where to go on: pass it as `after`. `None` at the end.
    pub next: Option<String>,
}

/// Documents with conditions.
#[async_trait]
pub trait Table: Send + Sync {
    /// One item.
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError>;

    /// Up to [`WRITES_AT_ONCE_MAX`] items.
    async fn get_many(&self, keys: &[Key]) -> Result<GotMany, PortError>;

    /// Items whose sort text is in `[from, to)` (`to` empty: to the end) and, where given,
    /// greater than `after`. A page may end early.
    async fn query(&self, partition: &Partition, from: &str, to: &str, after: Option<&str>) -> Result<Page, PortError>;

    /// A number that is another one after each change of items of the partition whose sort text begins with
    /// `part` and a slash: who knows it may use again what was read since it was so. `None`: the store does not
    /// count, and nobody may.
    async fn revision(&self, _partition: &Partition, _part: &str) -> Result<Option<u64>, PortError> {
        Ok(None)
    }

    /// One conditional write.
    async fn write(&self, write: Write) -> Result<Written, PortError>;

    /// Up to [`WRITES_AT_ONCE_MAX`] writes of different items, all or none.
    async fn write_all(&self, writes: Vec<Write>) -> Result<WrittenAll, PortError>;

    /// Up to [`WRITES_AT_ONCE_MAX`] unconditional writes of different items, each by itself;
    /// returns those that the store did not get to.
    async fn write_many(&self, writes: Vec<Write>) -> Result<Vec<Write>, PortError>;
}

impl dyn Table + '_ {
    /// All items of a stretch, page by page.
    pub async fn query_all(&self, partition: &Partition, from: &str, to: &str) -> Result<Vec<Item>, PortError> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.query(partition, from, to, after.as_deref()).await?;
            items.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(items),
            }
        }
    }

    /// All items whose sort text starts with `prefix`.
    pub async fn query_prefix(&self, partition: &Partition, prefix: &str) -> Result<Vec<Item>, PortError> {
        let mut items = self.query_all(partition, prefix, &prefix_end(prefix)).await?;
        items.retain(|item| item.sort.starts_with(prefix));
        Ok(items)
    }
}

/// The smallest text greater than every text that starts with `prefix`.
fn prefix_end(prefix: &str) -> String {
    if prefix.is_empty() { String::new() } else { format!("{prefix}\u{10ffff}") }
}

/// Refuses a key that no adapter takes.
pub fn check_key(key: &Key) -> Result<(), PortError> {
    if key.sort.len() > SORT_BYTES_MAX {
        let what = format!("a sort text of {} bytes, at most {SORT_BYTES_MAX} are allowed", key.sort.len());
        return Err(PortError::permanent(PORT, what));
    }
    Ok(())
}

/// Refuses writes that no adapter takes. Returns the bytes of all values.
pub fn check_writes(writes: &[Write]) -> Result<usize, PortError> {
    if writes.len() > WRITES_AT_ONCE_MAX {
        let what = format!("{} writes at once, at most {WRITES_AT_ONCE_MAX} are allowed", writes.len());
        return Err(PortError::permanent(PORT, what));
    }
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    for write in writes {
        check_key(write.key())?;
        if !seen.insert(write.key()) {
            return Err(PortError::permanent(PORT, "one key is written twice at once"));
        }
        if let Write::Put { value, .. } = write {
            bytes += value.len();
            if value.len() > ITEM_BYTES_MAX {
                let what = format!("an item of {} bytes, at most {ITEM_BYTES_MAX} are allowed", value.len());
                return Err(PortError::permanent(PORT, what));
            }
        }
    }
    Ok(bytes)
}
