//! How a [`Key`] is spelled in DynamoDB. No other file knows.
//!
//! Both tables have a partition key `pk` and a sort key `sk`, both text.
//!
//! - `pk` is `kind`, `kind#NN`, `kind/tenant` or `kind#NN/tenant`: the kind first, so that a policy
//!   may be confined by `dynamodb:LeadingKeys`; `NN` is a spread number in hexadecimal.
//! - `sk` is `/` and then the sort text, because a key attribute may not be empty. DynamoDB orders
//!   it by its UTF-8 bytes, as the port wants it.
//!
//! One `pk` takes 1,000 writes and 3,000 consistent 4 KB reads a second. Where all tenants or all
//! sources of a tenant share a partition and write at once (a reconnect storm: 500 new connections
//! a second, each some three writes), items are spread over several `pk` by a hash of the sort
//! text; a query asks them all and merges.
//!
//! | partition | `pk` | spread | who asks, how often |
//! |---|---|---|---|
//! | Tenants | `tenants` | 1 | a list each tick |
//! | Keys | `keys#NN` | 16 | one by id, each request that is not cached; a list by the operator |
//! | Tickets | `tickets#NN` | 16 | one by hash, twice in its life; never listed |
//! | Connections | `connections#NN` | 16 | one by id, 3 writes a connection; a list when a key is revoked |
//! | Pulses | `pulses` | 1 | one write a shard and pulse; a list each tick |
//! | Presence | `presence#NN/tenant` | 4 | 2 writes a connection; a list each tick and by the page |
//! | Subscriptions | `subscriptions/tenant` | 1 | a list each broadcast batch; by prefix of a connection |
//! | Config | `config/tenant` | 1 | one by kind and name; a list by kind |
//! | Manifest | `manifest/tenant`, own table | 1 | one write a block; stretches of level and time by every query |
//! | Checks | `checks#NN/tenant` | 4 | a write a source whose checks changed; a list by the page |
//! | Sources | `sources/tenant` | 1 | one read a push; a list by the page |
//! | RuleState | `rule-state/tenant` | 1 | a write a rule and bucket; a list each evaluation |
//! | NotificationGroups | `groups/tenant` | 1 | a write a notification; a list each dispatch |
//! | Outbox | `outbox/tenant` | 1 | a write a transition; a list each dispatch |
//! | Receivers | `receivers/tenant` | 1 | a write a delivery; one each by the page |
//! | Quarantine | `quarantine/tenant` | 1 | a write a poison record |
//! | (a wake-up's note) | `wakes/tenant` | 1 | a read and a write a wake-up, of the timer alone |

use ports::{Key, Partition, TenantId, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

/// Items of all tenants that come and go with connections and requests.
const SPREAD_ALL: u8 = 16;
/// Items of one tenant that come and go with its sources.
const SPREAD_TENANT: u8 = 4;

/// Which table an item lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Everything but the manifest.
    Main,
    /// The manifest's, with the change stream.
    Manifest,
}

/// A key as DynamoDB has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spelled {
    /// Which table.
    pub place: Place,
    /// The partition key.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

/// An item's key.
#[must_use]
pub fn spell(key: &Key) -> Spelled {
    let family = Family::of(&key.partition);
    let number = if family.spread > 1 { (xxh3_64(key.sort.as_bytes()) % u64::from(family.spread)) as u8 } else { 0 };
    Spelled { place: place(&key.partition), pk: family.pk(number), sk: spell_sort(&key.sort) }
}

/// Every `pk` over which a partition is spread.
#[must_use]
pub fn partition_keys(partition: &Partition) -> Vec<String> {
    let family = Family::of(partition);
    (0..family.spread).map(|number| family.pk(number)).collect()
}

/// Which table a partition lies in.
#[must_use]
pub fn place(partition: &Partition) -> Place {
    match partition {
        Partition::Manifest(_) => Place::Manifest,
        _ => Place::Main,
    }
}

/// The `sk` of a sort text.
#[must_use]
pub fn spell_sort(sort: &str) -> String {
    format!("/{sort}")
}

/// The sort text of an `sk`; `None` where this file has not spelled it.
#[must_use]
pub fn read_sort(sk: &str) -> Option<&str> {
    sk.strip_prefix('/')
}

/// Whose manifest has changed, by the key in a record of the change stream; `None` where it is not
/// a key of the manifest.
#[must_use]
pub fn manifest_of(pk: &str) -> Option<TenantId> {
    TenantId::new(pk.strip_prefix("manifest/")?).ok()
}

/// The note that a wake-up has been sent, in the main table. It is the timer's own, and no
/// partition of the port.
#[must_use]
pub fn spell_wake(tenant: &TenantId, at: Timestamp, what: &str) -> Spelled {
    Spelled { place: Place::Main, pk: format!("wakes/{tenant}"), sk: spell_sort(&format!("{:020}/{what}", at.ms())) }
}

struct Family<'a> {
    kind: &'static str,
    spread: u8,
    tenant: Option<&'a TenantId>,
}

impl<'a> Family<'a> {
    fn of(partition: &'a Partition) -> Self {
        let (kind, spread, tenant) = match partition {
            Partition::Tenants => ("tenants", 1, None),
            Partition::Keys => ("keys", SPREAD_ALL, None),
            Partition::Tickets => ("tickets", SPREAD_ALL, None),
            Partition::Connections => ("connections", SPREAD_ALL, None),
            Partition::Pulses => ("pulses", 1, None),
            Partition::Presence(tenant) => ("presence", SPREAD_TENANT, Some(tenant)),
            Partition::Subscriptions(tenant) => ("subscriptions", 1, Some(tenant)),
            Partition::Config(tenant) => ("config", 1, Some(tenant)),
            Partition::Manifest(tenant) => ("manifest", 1, Some(tenant)),
            Partition::Checks(tenant) => ("checks", SPREAD_TENANT, Some(tenant)),
            Partition::Sources(tenant) => ("sources", 1, Some(tenant)),
            Partition::RuleState(tenant) => ("rule-state", 1, Some(tenant)),
            Partition::NotificationGroups(tenant) => ("groups", 1, Some(tenant)),
            Partition::Outbox(tenant) => ("outbox", 1, Some(tenant)),
            Partition::Receivers(tenant) => ("receivers", 1, Some(tenant)),
            Partition::Quarantine(tenant) => ("quarantine", 1, Some(tenant)),
        };
        Self { kind, spread, tenant }
    }

    fn pk(&self, number: u8) -> String {
        let mut pk = self.kind.to_owned();
        if self.spread > 1 {
            pk.push_str(&format!("#{number:02x}"));
        }
        if let Some(tenant) = self.tenant {
            pk.push('/');
            pk.push_str(tenant.as_str());
        }
        pk
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
