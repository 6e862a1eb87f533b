//! The table port on DynamoDB: two tables, consistent reads, versions and conditions as expressions.
//!
//! The parts: `table/item.rs` says how an item is stored, `table/write.rs` does single writes,
//! `table/all.rs` all-or-nothing ones, `table/many.rs` batches, `table/query.rs` stretches. It must
//! not know what an item means.

mod all;
mod conflict;
mod item;
mod many;
mod query;
mod write;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use ports::{
    Clock, GotMany, Item, Key, Page, Partition, PortError, Table, Timestamp, WRITE_ALL_BYTES_MAX, WRITES_AT_ONCE_MAX,
    Write, Written, WrittenAll, check_key, check_writes,
};

use crate::config::Config;
use crate::errors::Call;
use crate::keys::{Place, Spelled, spell};
use crate::missing;

pub(crate) use item::seconds_up;

const PORT: &str = "table";
const GET: Call = call("GetItem");

const fn call(operation: &'static str) -> Call {
    Call { port: PORT, service: "DynamoDB", operation }
}

/// The table port.
pub(crate) struct Documents {
    client: Client,
    table: Option<String>,
    manifest_table: Option<String>,
    clock: Arc<dyn Clock>,
    /// The last floor of a version that this process has made.
    last_floor: AtomicU64,
}

impl Documents {
    pub(crate) fn new(client: Client, config: &Config, clock: Arc<dyn Clock>) -> Self {
        let (table, manifest_table) = (config.table.clone(), config.manifest_table.clone());
        Self { client, table, manifest_table, clock, last_floor: AtomicU64::new(0) }
    }

    fn table(&self, place: Place) -> Result<&str, PortError> {
        let (name, missing) = match place {
            Place::Main => (&self.table, missing::TABLE),
            Place::Manifest => (&self.manifest_table, missing::MANIFEST),
        };
        name.as_deref().ok_or_else(|| missing.error())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// A key's two attributes.
fn key_attributes(spelled: &Spelled) -> HashMap<String, AttributeValue> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    HashMap::from([("pk".to_owned(), text(&spelled.pk)), ("sk".to_owned(), text(&spelled.sk))])
}

fn too_many(count: usize, what: &str) -> PortError {
    PortError::permanent(PORT, format!("{count} {what} at once, at most {WRITES_AT_ONCE_MAX} are allowed"))
}

#[async_trait]
impl Table for Documents {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        check_key(key)?;
        let spelled = spell(key);
        let request = self.client.get_item().table_name(self.table(spelled.place)?).consistent_read(true);
        let request = request.set_key(Some(key_attributes(&spelled)));
        let found = request.send().await.map_err(|error| GET.error(&error))?.item;
        found.map_or(Ok(None), |attributes| item::alive(attributes, self.now()))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<GotMany, PortError> {
        if keys.len() > WRITES_AT_ONCE_MAX {
            return Err(too_many(keys.len(), "keys"));
        }
        if keys.iter().collect::<BTreeSet<_>>().len() != keys.len() {
            return Err(PortError::permanent(PORT, "one key is asked for twice at once"));
        }
        keys.iter().try_for_each(check_key)?;
        if keys.is_empty() { Ok(GotMany::default()) } else { self.read_many(keys).await }
    }

    async fn query(&self, partition: &Partition, from: &str, to: &str, after: Option<&str>) -> Result<Page, PortError> {
        self.read_page(partition, from, to, after).await
    }

    async fn write(&self, write: Write) -> Result<Written, PortError> {
        check_writes(std::slice::from_ref(&write))?;
        self.write_one(write).await
    }

    async fn write_all(&self, writes: Vec<Write>) -> Result<WrittenAll, PortError> {
        let bytes = check_writes(&writes)?;
        if bytes > WRITE_ALL_BYTES_MAX {
            let what = format!("{bytes} bytes all or nothing, at most {WRITE_ALL_BYTES_MAX} are allowed");
            return Err(PortError::permanent(PORT, what));
        }
        if writes.is_empty() { Ok(WrittenAll::Done) } else { self.write_together(&writes).await }
    }

    async fn write_many(&self, writes: Vec<Write>) -> Result<Vec<Write>, PortError> {
        check_writes(&writes)?;
        let conditional = |write: &Write| {
            let (Write::Put { condition, .. } | Write::Delete { condition, .. }) = write;
            *condition != ports::Condition::Always
        };
        if writes.iter().any(conditional) {
            return Err(PortError::permanent(PORT, "a batch takes no conditions"));
        }
        if writes.is_empty() { Ok(writes) } else { self.write_each(writes).await }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
