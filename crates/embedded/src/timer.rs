//! Wake-ups in the store: durable, by time, one for each (tenant, time, what).
//!
//! A wake-up stays until whoever handled it says so, and one that was asked for again meanwhile
//! stays after that: each asking has a number, and only the number that was handed out is removed.
//! It must not know what is woken.

use std::sync::Arc;

use async_trait::async_trait;
use ports::{PortError, TenantId, Timer, Timestamp, Wake};
use redb::{ReadableTable, ReadableTableMetadata};
use tokio::sync::Notify;

use crate::spelling::{time_bytes, time_of};
use crate::store::{Store, TIMERS};

/// Wake-ups handed out at once.
pub const WAKES_AT_ONCE_MAX: usize = 1_000;
/// Wake-ups that may wait; beyond, asking is a transient error.
pub const WAKES_MAX: u64 = 1_000_000;
/// Bytes of [`Wake::what`].
pub(crate) const WHAT_BYTES_MAX: usize = 1_000;
const PORT: &str = "timer";
const COUNTER: &str = "wake";

/// A wake-up that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What was asked for.
    pub wake: Wake,
    asking: u64,
}

/// The timer port. Clones are the same timers.
#[derive(Clone)]
pub struct Timers {
    store: Store,
    changed: Arc<Notify>,
    wakes_max: u64,
}

impl Timers {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, changed: Arc::new(Notify::new()), wakes_max: WAKES_MAX }
    }

    #[cfg(test)]
    pub(crate) fn with_limit(mut self, wakes_max: u64) -> Self {
        self.wakes_max = wakes_max;
        self
    }

    /// What is due at `now`, earliest first, at most [`WAKES_AT_ONCE_MAX`]. Comes again until it is
    /// [done](Timers::done).
    pub async fn due(&self, now: Timestamp) -> Result<Vec<Due>, PortError> {
        self.store
            .read(move |transaction| {
                let table = transaction.open_table(TIMERS)?;
                let mut found = Vec::new();
                for entry in table.range::<&[u8]>(..)?.take(WAKES_AT_ONCE_MAX) {
                    let (key, asking) = entry?;
                    let wake = wake_of(key.value())?;
                    if wake.at > now {
                        break;
                    }
                    found.push(Due { wake, asking: asking.value() });
                }
                Ok(found)
            })
            .await
    }

    /// These were handled, durably. One that was asked for again since it was handed out stays.
    pub async fn done(&self, handled: Vec<Due>) -> Result<(), PortError> {
        self.store
            .write(move |tables| {
                for due in handled {
                    let key = key_of(&due.wake);
                    let asking = tables.timers.get(key.as_slice())?.map(|guard| guard.value());
                    if asking == Some(due.asking) {
                        tables.timers.remove(key.as_slice())?;
                        tables.changed = true;
                    }
                }
                Ok(())
            })
            .await
    }

    /// When the earliest wake-up is due.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, PortError> {
        self.store
            .read(|transaction| {
                let table = transaction.open_table(TIMERS)?;
                let first = table.first()?;
                first.map(|(key, _)| wake_of(key.value()).map(|wake| wake.at)).transpose()
            })
            .await
    }

    /// Returns when a wake-up has been asked for after this future was made.
    pub fn changed(&self) -> impl Future<Output = ()> + use<> {
        Arc::clone(&self.changed).notified_owned()
    }
}

#[async_trait]
impl Timer for Timers {
    async fn wake(&self, wake: Wake) -> Result<(), PortError> {
        if wake.what.len() > WHAT_BYTES_MAX {
            let what = format!("a purpose of {} bytes, at most {WHAT_BYTES_MAX} are allowed", wake.what.len());
            return Err(PortError::permanent(PORT, what));
        }
        let wakes_max = self.wakes_max;
        let taken = self.store.write(move |tables| {
            let key = key_of(&wake);
            if tables.timers.len()? >= wakes_max && tables.timers.get(key.as_slice())?.is_none() {
                return Ok(false);
            }
            let asking = tables.next_number(COUNTER)?;
            tables.timers.insert(key.as_slice(), asking)?;
            Ok(true)
        });
        if !taken.await? {
            return Err(PortError::transient(PORT, format!("{wakes_max} wake-ups wait already")));
        }
        self.changed.notify_waiters();
        Ok(())
    }
}

fn key_of(wake: &Wake) -> Vec<u8> {
    let mut key = time_bytes(wake.at.ms()).to_vec();
    key.extend_from_slice(wake.tenant.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(wake.what.as_bytes());
    key
}

fn wake_of(key: &[u8]) -> Result<Wake, redb::Error> {
    let decoded = || {
        let (time, rest) = key.split_first_chunk::<8>()?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some(Wake {
            at: Timestamp(time_of(*time)),
            tenant: TenantId::new(std::str::from_utf8(&rest[..end]).ok()?).ok()?,
            what: std::str::from_utf8(&rest[end + 1..]).ok()?.to_owned(),
        })
    };
    decoded().ok_or_else(|| redb::Error::Corrupted("a wake-up cannot be read".to_owned()))
}
