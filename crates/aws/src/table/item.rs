//! An item's attributes, and the conditions and updates that are made of them.
//!
//! | attribute | type | what |
//! |---|---|---|
//! | `pk`, `sk` | S | the key (`keys.rs`) |
//! | `val` | B | the value: binary, because numbers are refused NaN and texts their bytes |
//! | `ver` | N | the version |
//! | `wid` | B | the id of the write that made it, so that a repeated write knows its own work |
//! | `xms` | N | when it ends, in ms; missing where it does not |
//! | `exp` | N | the same in whole seconds, rounded up: DynamoDB's TTL, which deletes days late |
//!
//! A version is `if_not_exists(ver, floor) + 1`. The floor is made of the time and of randomness, so
//! an item that is written again after a delete starts above every version that it ever had: a key
//! would have to be written 2^20 times a millisecond to get there first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use ports::{Condition, Item, PortError, Timestamp};

use super::PORT;
use crate::clock::random_u64;
use crate::keys::read_sort;

pub(super) type Attributes = HashMap<String, AttributeValue>;

/// Low bits of a floor that are random; above them stand the milliseconds.
const RANDOM_BITS: u32 = 20;
/// Bytes of a write's id.
const WRITE_ID_BYTES: usize = 16;

/// DynamoDB's TTL counts whole seconds, and must not be early.
pub(crate) fn seconds_up(ms: i64) -> i64 {
    ms.div_euclid(1_000) + i64::from(ms.rem_euclid(1_000) > 0)
}

/// Names one write, through all its repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WriteId(pub(super) [u8; WRITE_ID_BYTES]);

impl WriteId {
    pub(super) fn new() -> Self {
        let mut bytes = [0; WRITE_ID_BYTES];
        bytes[..8].copy_from_slice(&random_u64().to_le_bytes());
        bytes[8..].copy_from_slice(&random_u64().to_le_bytes());
        Self(bytes)
    }

    /// As a transaction's token: 32 of the 36 characters that one may have.
    pub(super) fn token(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A floor above all that this process has given, and above those of the past everywhere.
pub(super) fn next_floor(last: &AtomicU64, now: Timestamp) -> u64 {
    let ms = u64::try_from(now.ms()).unwrap_or_default();
    let fresh = (ms << RANDOM_BITS) | (random_u64() & ((1 << RANDOM_BITS) - 1));
    let next = |last: u64| Some(fresh.max(last + 1));
    match last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
        Ok(before) => fresh.max(before + 1),
        Err(before) => before,
    }
}

/// An item as it is stored, expired or not.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stored {
    pub(super) item: Item,
    pub(super) written_by: Option<WriteId>,
}

impl Stored {
    pub(super) fn read(mut attributes: Attributes) -> Result<Self, PortError> {
        let broken = |what: &str| {
            PortError::permanent(PORT, format!("an item has no readable attribute {what}: Daywatch did not write it"))
        };
        let sort = attributes.get("sk").and_then(|value| read_sort(value.as_s().ok()?)).ok_or_else(|| broken("sk"))?;
        let sort = sort.to_owned();
        let number = |name: &str| attributes.get(name).and_then(|value| value.as_n().ok());
        let version = number("ver").and_then(|number| number.parse().ok()).ok_or_else(|| broken("ver"))?;
        let expires_at = match number("xms") {
            Some(number) => Some(Timestamp(number.parse().map_err(|_| broken("xms"))?)),
            None => None,
        };
        let id = attributes.get("wid").and_then(|value| value.as_b().ok());
        let written_by = id.and_then(|id| <[u8; WRITE_ID_BYTES]>::try_from(id.as_ref()).ok()).map(WriteId);
        let Some(AttributeValue::B(value)) = attributes.remove("val") else { return Err(broken("val")) };
        let item = Item { sort, value: Bytes::from(value.into_inner()), version, expires_at };
        Ok(Self { item, written_by })
    }

    pub(super) fn alive(self, now: Timestamp) -> Option<Item> {
        Some(self.item).filter(|item| item.expires_at.is_none_or(|ends| ends > now))
    }
}

/// The item, unless it has expired.
pub(super) fn alive(attributes: Attributes, now: Timestamp) -> Result<Option<Item>, PortError> {
    Ok(Stored::read(attributes)?.alive(now))
}

/// An expression with what it names.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Expression {
    pub(super) text: String,
    pub(super) values: Attributes,
}

impl Expression {
    fn value(&mut self, name: &str, value: AttributeValue) {
        self.values.insert(name.to_owned(), value);
    }
}

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Creates or replaces.
pub(super) fn update(value: &Bytes, expires_at: Option<Timestamp>, id: WriteId, floor: u64) -> Expression {
    let set = "SET ver = if_not_exists(ver, :floor) + :one, val = :val, wid = :wid";
    let mut update = Expression { text: set.to_owned(), values: Attributes::new() };
    update.value(":floor", number(floor));
    update.value(":one", number(1));
    update.value(":val", AttributeValue::B(Blob::new(value.to_vec())));
    update.value(":wid", AttributeValue::B(Blob::new(id.0.to_vec())));
    match expires_at {
        Some(ends) => {
            update.text.push_str(", xms = :xms, #exp = :exp");
            update.value(":xms", number(ends.ms()));
            update.value(":exp", number(seconds_up(ends.ms())));
        }
        None => update.text.push_str(" REMOVE xms, #exp"),
    }
    update
}

/// What must hold, where something must. An item that has expired is not there.
pub(super) fn condition(condition: Condition, now: Timestamp) -> Option<Expression> {
    let mut holds = Expression::default();
    match condition {
        Condition::Always => return None,
        Condition::Absent => "attribute_not_exists(pk) OR xms <= :now",
        Condition::Version(version) => {
            holds.value(":is", number(version));
            "ver = :is AND (attribute_not_exists(xms) OR xms > :now)"
        }
    }
    .clone_into(&mut holds.text);
    holds.value(":now", number(now.ms()));
    Some(holds)
}

#[cfg(test)]
#[path = "item_tests.rs"]
mod tests;
