//! Batches, each item by itself. What DynamoDB did not get to is a value.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::{DeleteRequest, KeysAndAttributes, WriteRequest};
use futures_util::{StreamExt, stream};
use ports::{GotMany, Key, PortError, Write, Written};

use super::item::{Attributes, Stored};
use super::{Documents, PORT, call, key_attributes};
use crate::errors::Call;
use crate::keys::{Place, Spelled, spell};

/// Deletes of one call.
pub(super) const DELETES_PER_CALL_MAX: usize = 25;
/// Puts that are under way at once. A batch call cannot raise a version, so each is an update.
const PUTS_UNDER_WAY_MAX: usize = 16;
const GET_MANY: Call = call("BatchGetItem");
const WRITE_MANY: Call = call("BatchWriteItem");

impl Documents {
    pub(super) async fn read_many(&self, keys: &[Key]) -> Result<GotMany, PortError> {
        let by_spelling: BTreeMap<Spelled, &Key> = keys.iter().map(|key| (spell(key), key)).collect();
        let mut asked: HashMap<String, Vec<Attributes>> = HashMap::new();
        for spelled in by_spelling.keys() {
            asked.entry(self.table(spelled.place)?.to_owned()).or_default().push(key_attributes(spelled));
        }
        let mut request = self.client.batch_get_item();
        for (table, keys) in asked {
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            request = request.request_items(table, keys.map_err(|error| PortError::permanent(PORT, error))?);
        }
        let answer = request.send().await.map_err(|error| GET_MANY.error(&error))?;
        let mut got = GotMany::default();
        let now = self.now();
        for (table, items) in answer.responses.unwrap_or_default() {
            for attributes in items {
                let key = self.key_of(&by_spelling, &table, &attributes)?;
                if let Some(item) = Stored::read(attributes)?.alive(now) {
                    got.items.push((key, item));
                }
            }
        }
        for (table, left) in answer.unprocessed_keys.unwrap_or_default() {
            for attributes in left.keys() {
                got.unprocessed.push(self.key_of(&by_spelling, &table, attributes)?);
            }
        }
        Ok(got)
    }

    /// The key that was asked for.
    fn key_of(
        &self,
        by_spelling: &BTreeMap<Spelled, &Key>,
        table: &str,
        attributes: &Attributes,
    ) -> Result<Key, PortError> {
        let place = if self.manifest_table.as_deref() == Some(table) { Place::Manifest } else { Place::Main };
        let text = |name: &str| attributes.get(name)?.as_s().ok().cloned();
        let spelled = text("pk").zip(text("sk")).map(|(pk, sk)| Spelled { place, pk, sk });
        let key = spelled.and_then(|spelled| by_spelling.get(&spelled).copied()).cloned();
        key.ok_or_else(|| PortError::transient(PORT, "a batch answered for a key that was not asked for"))
    }

    pub(super) async fn write_each(&self, writes: Vec<Write>) -> Result<Vec<Write>, PortError> {
        let (puts, deletes): (Vec<Write>, Vec<Write>) =
            writes.into_iter().partition(|write| matches!(write, Write::Put { .. }));
        let mut unprocessed = self.put_each(puts).await?;
        for chunk in deletes.chunks(DELETES_PER_CALL_MAX) {
            unprocessed.extend(self.delete_each(chunk).await?);
        }
        Ok(unprocessed)
    }

    /// A put that the table cannot take now is unprocessed; only what is wrong for good is an error.
    async fn put_each(&self, puts: Vec<Write>) -> Result<Vec<Write>, PortError> {
        let tries: Vec<_> = puts.into_iter().map(|write| self.try_put(write)).collect();
        let mut under_way = stream::iter(tries).buffer_unordered(PUTS_UNDER_WAY_MAX);
        let mut unprocessed = Vec::new();
        while let Some((write, answer)) = under_way.next().await {
            match answer {
                Ok(_) => {}
                Err(error) if error.class == ports::ErrorClass::Permanent => return Err(error),
                Err(_) => unprocessed.push(write),
            }
        }
        Ok(unprocessed)
    }

    async fn try_put(&self, write: Write) -> (Write, Result<Written, PortError>) {
        let answer = self.write_one(write.clone()).await;
        (write, answer)
    }

    async fn delete_each(&self, deletes: &[Write]) -> Result<Vec<Write>, PortError> {
        let by_spelling: BTreeMap<Spelled, &Key> =
            deletes.iter().map(|write| (spell(write.key()), write.key())).collect();
        let mut asked: HashMap<String, Vec<WriteRequest>> = HashMap::new();
        for spelled in by_spelling.keys() {
            let delete = DeleteRequest::builder().set_key(Some(key_attributes(spelled))).build();
            let delete = delete.map_err(|error| PortError::permanent(PORT, error))?;
            let request = WriteRequest::builder().delete_request(delete).build();
            asked.entry(self.table(spelled.place)?.to_owned()).or_default().push(request);
        }
        let request = self.client.batch_write_item().set_request_items(Some(asked));
        let answer = request.send().await.map_err(|error| WRITE_MANY.error(&error))?;
        let mut unprocessed = Vec::new();
        for (table, left) in answer.unprocessed_items.unwrap_or_default() {
            for request in left.iter().filter_map(WriteRequest::delete_request) {
                let key = self.key_of(&by_spelling, &table, request.key())?;
                unprocessed.push(Write::Delete { key, condition: ports::Condition::Always });
            }
        }
        Ok(unprocessed)
    }
}

#[cfg(test)]
#[path = "many_tests.rs"]
mod tests;
