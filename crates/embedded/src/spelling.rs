//! How a [`Key`] is spelled in the store. No other file knows.
//!
//! A key is one tag byte, then for tenant partitions the tenant's text and a zero byte (a tenant's
//! name has none), then the sort text. So a partition is one stretch of keys, in sort order. The
//! tags are on disk and never change:
//!
//! | tag | partition | tenant |   | tag | partition | tenant |
//! |---|---|---|---|---|---|---|
//! | 1 | Tenants | | | 9 | Checks | yes |
//! | 2 | Keys | | | 10 | Sources | yes |
//! | 3 | Tickets | | | 11 | RuleState | yes |
//! | 4 | Connections | | | 12 | NotificationGroups | yes |
//! | 5 | Presence | yes | | 13 | Outbox | yes |
//! | 6 | Subscriptions | yes | | 14 | Receivers | yes |
//! | 7 | Config | yes | | 15 | Quarantine | yes |
//! | 8 | Manifest | yes | | 16 | Pulses | |

use ports::{Key, Partition, TenantId};

/// Ends a tenant's name.
const END_OF_TENANT: u8 = 0;

/// The bytes that every key of `partition` starts with, and no other key.
pub(crate) fn partition_bytes(partition: &Partition) -> Vec<u8> {
    let (tag, tenant): (u8, Option<&TenantId>) = match partition {
        Partition::Tenants => (1, None),
        Partition::Keys => (2, None),
        Partition::Tickets => (3, None),
        Partition::Connections => (4, None),
        Partition::Presence(tenant) => (5, Some(tenant)),
        Partition::Subscriptions(tenant) => (6, Some(tenant)),
        Partition::Config(tenant) => (7, Some(tenant)),
        Partition::Manifest(tenant) => (8, Some(tenant)),
        Partition::Checks(tenant) => (9, Some(tenant)),
        Partition::Sources(tenant) => (10, Some(tenant)),
        Partition::RuleState(tenant) => (11, Some(tenant)),
        Partition::NotificationGroups(tenant) => (12, Some(tenant)),
        Partition::Outbox(tenant) => (13, Some(tenant)),
        Partition::Receivers(tenant) => (14, Some(tenant)),
        Partition::Quarantine(tenant) => (15, Some(tenant)),
        Partition::Pulses => (16, None),
    };
    let mut bytes = vec![tag];
    if let Some(tenant) = tenant {
        bytes.extend_from_slice(tenant.as_str().as_bytes());
        bytes.push(END_OF_TENANT);
    }
    bytes
}

/// A key's bytes.
pub(crate) fn key_bytes(key: &Key) -> Vec<u8> {
    let mut bytes = partition_bytes(&key.partition);
    bytes.extend_from_slice(key.sort.as_bytes());
    bytes
}

/// Where a partition ends: the smallest bytes greater than all of its keys.
pub(crate) fn partition_end(partition: &Partition) -> Vec<u8> {
    let mut bytes = partition_bytes(partition);
    // The last byte is a tag or the tenant's end, both far below 255.
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
    bytes
}

/// Times as bytes in time order, before 1970 too.
pub(crate) fn time_bytes(ms: i64) -> [u8; 8] {
    ((ms as u64) ^ (1 << 63)).to_be_bytes()
}

/// The reverse of [`time_bytes`].
pub(crate) fn time_of(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn every_partition(tenant: &TenantId) -> Vec<Partition> {
        let of = |make: fn(TenantId) -> Partition| make(tenant.clone());
        vec![
            Partition::Tenants,
            Partition::Keys,
            Partition::Tickets,
            Partition::Connections,
            of(Partition::Presence),
            of(Partition::Subscriptions),
            of(Partition::Config),
            of(Partition::Manifest),
            of(Partition::Checks),
            of(Partition::Sources),
            of(Partition::RuleState),
            of(Partition::NotificationGroups),
            of(Partition::Outbox),
            of(Partition::Receivers),
            of(Partition::Quarantine),
            Partition::Pulses,
        ]
    }

    #[test]
    fn spellings_never_change() {
        let tags: Vec<u8> = every_partition(&tenant("a")).iter().map(|p| partition_bytes(p)[0]).collect();
        assert_eq!(tags, (1..=16).collect::<Vec<u8>>());
        assert_eq!(key_bytes(&Key::new(Partition::Keys, "k1")), b"\x02k1");
        assert_eq!(key_bytes(&Key::new(Partition::Checks(tenant("ab")), "web-1")), b"\x09ab\0web-1");
    }

    #[test]
    fn no_partition_reaches_into_another() {
        let mut all = every_partition(&tenant("a"));
        all.extend(every_partition(&tenant("ab")).split_off(4));
        for one in &all {
            for other in all.iter().filter(|other| *other != one) {
                for sort in ["", "b", "\u{10ffff}"] {
                    let key = key_bytes(&Key::new(other.clone(), sort));
                    let inside = key >= partition_bytes(one) && key < partition_end(one);
                    assert!(!inside || one == other, "{other:?} {sort:?} lies within {one:?}");
                }
            }
        }
    }

    #[test]
    fn times_sort_as_bytes() {
        let times = [i64::MIN, -1, 0, 1, 1_700_000_000_000, i64::MAX];
        assert!(times.windows(2).all(|pair| time_bytes(pair[0]) < time_bytes(pair[1])));
        assert!(times.iter().all(|ms| time_of(time_bytes(*ms)) == *ms));
    }
}
