//! The table: conditions, versions, expiry, order, pages, batches, limits.

use bytes::Bytes;
use series::Timestamp;

use super::{Boxed, done, refused, some, tenant, together};
use crate::{
    Condition, GotMany, ITEM_BYTES_MAX, Item, Key, Partition, SORT_BYTES_MAX, Table, WRITE_ALL_BYTES_MAX,
    WRITES_AT_ONCE_MAX, Write, Written, WrittenAll,
};

/// Tries a store gets to work through a batch.
const ROUNDS_MAX: usize = 100;

/// Everything but durability. `now` is the time as the adapter's clock has it.
pub async fn run(table: &dyn Table, name: &str, now: Timestamp) {
    run_where_all_takes(WRITE_ALL_BYTES_MAX, table, name, now).await;
}

/// The same on a stand-in for a store that takes fewer than [`WRITE_ALL_BYTES_MAX`] bytes all or
/// nothing: what it takes must go through, and one byte past the port's limit is refused as ever.
pub async fn run_where_all_takes(bytes: usize, table: &dyn Table, name: &str, now: Timestamp) {
    what_is_written_is_read(table, name).await;
    conditions_decide(table, name).await;
    versions_never_come_back(table, name).await;
    expired_items_are_gone(table, name, now).await;
    partitions_are_apart(table, name).await;
    a_revision_tells_of_every_change(table, name).await;
    queries_are_ordered_and_paged(table, name).await;
    batches_are_worked_through(table, name).await;
    all_or_nothing(table, name).await;
    one_of_many_writers_wins(table, name).await;
    limits_hold(table, name, bytes).await;
}

/// Writes what [`find_what_must_last`] looks for after the store was closed and opened.
pub async fn write_what_must_last(table: &dyn Table, name: &str) -> Vec<Item> {
    let config = Partition::Config(tenant(name));
    for sort in ["a", "b", "c"] {
        put(table, &Key::new(config.clone(), sort), sort).await;
    }
    delete(table, &Key::new(config.clone(), "b")).await;
    done(table.query_all(&config, "", "").await, "reading before the store is closed")
}

/// See [`write_what_must_last`].
pub async fn find_what_must_last(table: &dyn Table, name: &str, expected: &[Item]) {
    let config = Partition::Config(tenant(name));
    let found = done(table.query_all(&config, "", "").await, "reading after the store was opened");
    assert_eq!(found, expected, "items must outlast the process");
    let version = put(table, &Key::new(config, "b"), "again").await;
    let newest = expected.iter().map(|item| item.version).max();
    assert!(Some(version) > newest, "a new version must be above the versions of an earlier process");
}

async fn put(table: &dyn Table, key: &Key, value: &str) -> u64 {
    let write = Write::put(key.clone(), value.to_owned(), Condition::Always);
    match done(table.write(write).await, "an unconditional put") {
        Written::Done(version) => version,
        Written::ConditionFailed(_) => some(None, "the success of an unconditional put"),
    }
}

async fn delete(table: &dyn Table, key: &Key) {
    let write = Write::Delete { key: key.clone(), condition: Condition::Always };
    assert_eq!(done(table.write(write).await, "an unconditional delete"), Written::Done(0));
}

async fn value(table: &dyn Table, key: &Key) -> Option<Bytes> {
    done(table.get(key).await, "a get").map(|item| item.value)
}

async fn what_is_written_is_read(table: &dyn Table, name: &str) {
    let key = Key::new(Partition::Config(tenant(&format!("{name}-read"))), "rules/a b/ü?%");
    assert_eq!(value(table, &key).await, None);
    let version = put(table, &key, "one").await;
    let item = some(done(table.get(&key).await, "a get"), "the item that was put");
    assert_eq!((item.sort.as_str(), &item.value[..], item.version), ("rules/a b/ü?%", &b"one"[..], version));
    assert_eq!(item.expires_at, None);
    put(table, &key, "two").await;
    assert_eq!(value(table, &key).await.as_deref(), Some(&b"two"[..]));
    let bytes: Vec<u8> = (0..=255).collect();
    done(table.write(Write::put(key.clone(), bytes.clone(), Condition::Always)).await, "a put of any bytes");
    assert_eq!(value(table, &key).await.as_deref(), Some(&bytes[..]), "a value is any bytes");
    done(table.write(Write::put(key.clone(), Bytes::new(), Condition::Always)).await, "a put of nothing");
    assert_eq!(value(table, &key).await, Some(Bytes::new()), "an empty value is a value");
    delete(table, &key).await;
    delete(table, &key).await;
    assert_eq!(value(table, &key).await, None);
}

async fn conditions_decide(table: &dyn Table, name: &str) {
    let key = Key::new(Partition::Presence(tenant(&format!("{name}-conditions"))), "web-1");
    let put_if = |value: &str, condition| Write::put(key.clone(), value.to_owned(), condition);
    let delete_if = |condition| Write::Delete { key: key.clone(), condition };

    let nothing = done(table.write(put_if("x", Condition::Version(1))).await, "a put that expects a version");
    assert_eq!(nothing, Written::ConditionFailed(None));
    let nothing = done(table.write(delete_if(Condition::Version(1))).await, "a delete that expects a version");
    assert_eq!(nothing, Written::ConditionFailed(None));
    assert_eq!(done(table.write(delete_if(Condition::Absent)).await, "deleting nothing"), Written::Done(0));

    let first = done(table.write(put_if("mine", Condition::Absent)).await, "a put that expects nothing");
    let Written::Done(version) = first else { return assert_eq!(first, Written::Done(1)) };
    let mine = some(done(table.get(&key).await, "a get"), "the first item");
    // A retry after a lost answer: what stands there is one's own, and the caller can see it.
    let again = done(table.write(put_if("mine", Condition::Absent)).await, "the same put again");
    assert_eq!(again, Written::ConditionFailed(Some(mine.clone())), "the refusal must show what stands there");
    let stale = done(table.write(put_if("x", Condition::Version(version + 1_000))).await, "a wrong version");
    assert_eq!(stale, Written::ConditionFailed(Some(mine)));

    let second = done(table.write(put_if("next", Condition::Version(version))).await, "the right version");
    let Written::Done(second) = second else { return assert_eq!(second, Written::Done(version + 1)) };
    assert!(second > version, "versions rise");
    let stale = done(table.write(delete_if(Condition::Version(version))).await, "deleting an old version");
    assert!(matches!(stale, Written::ConditionFailed(Some(_))));
    let deleted = done(table.write(delete_if(Condition::Version(second))).await, "deleting the right version");
    assert_eq!(deleted, Written::Done(0));
    assert_eq!(value(table, &key).await, None);
}

async fn versions_never_come_back(table: &dyn Table, name: &str) {
    let key = Key::new(Partition::Presence(tenant(&format!("{name}-versions"))), "web-1");
    let mut last = 0;
    for round in 0..5 {
        let version = put(table, &key, "x").await;
        assert!(version > last, "round {round}: version {version} after {last}");
        last = version;
        delete(table, &key).await;
    }
}

async fn expired_items_are_gone(table: &dyn Table, name: &str, now: Timestamp) {
    let tickets = Partition::Subscriptions(tenant(&format!("{name}-expiry")));
    let key = |sort: &str| Key::new(tickets.clone(), sort);
    let put_until = |sort: &str, expires_at| Write::Put {
        key: key(sort),
        value: Bytes::from_static(b"x"),
        expires_at: Some(expires_at),
        condition: Condition::Always,
    };
    let hour = 3_600_000;
    done(table.write(put_until("later", now.plus_ms(hour))).await, "a put that expires later");
    let gone = done(table.write(put_until("gone", now.plus_ms(-hour))).await, "a put that has expired");
    let Written::Done(gone) = gone else { return assert_eq!(gone, Written::Done(1)) };

    let later = some(done(table.get(&key("later")).await, "a get"), "an item that expires in an hour");
    assert_eq!(later.expires_at, Some(now.plus_ms(hour)));
    assert_eq!(value(table, &key("gone")).await, None, "get must not return what has expired");
    let sorts = |items: Vec<Item>| items.into_iter().map(|item| item.sort).collect::<Vec<_>>();
    let found = sorts(done(table.query_all(&tickets, "", "").await, "a query"));
    assert_eq!(found, ["later"], "query must not return what has expired");
    let many = get_each(table, vec![key("gone"), key("later")]).await;
    assert_eq!(many.len(), 1, "get_many must not return what has expired");

    let write = Write::put(key("gone"), "y", Condition::Version(gone));
    let failed = done(table.write(write).await, "a put that expects an expired version");
    assert_eq!(failed, Written::ConditionFailed(None), "an expired item has no version");
    let write = Write::put(key("gone"), "y", Condition::Absent);
    let taken = done(table.write(write).await, "a put where an expired item stands");
    assert!(matches!(taken, Written::Done(version) if version > gone), "an expired item is absent: {taken:?}");
    let back = some(done(table.get(&key("gone")).await, "a get"), "the item that was put again");
    assert_eq!(back.expires_at, None, "the old expiry must not stay");
}

/// Where the store counts at all.
async fn a_revision_tells_of_every_change(table: &dyn Table, name: &str) {
    let partition = Partition::Manifest(tenant(&format!("{name}-revisions")));
    let mut seen = Vec::new();
    for round in 0..2 {
        for sort in ["day/1", "day/2"] {
            seen.push(done(table.revision(&partition, "day").await, "a revision"));
            if round == 0 {
                put(table, &Key::new(partition.clone(), sort), "x").await;
            } else {
                delete(table, &Key::new(partition.clone(), sort)).await;
            }
        }
    }
    seen.push(done(table.revision(&partition, "day").await, "a revision"));
    let counted: Vec<u64> = seen.iter().flatten().copied().collect();
    assert!(counted.is_empty() || counted.len() == seen.len(), "a store counts always or never: {seen:?}");
    let different: std::collections::BTreeSet<u64> = counted.iter().copied().collect();
    assert_eq!(different.len(), counted.len(), "each change must give another revision");
    put(table, &Key::new(partition.clone(), "hour/1"), "x").await;
    let after = done(table.revision(&partition, "day").await, "a revision");
    assert_eq!(after, seen.last().copied().flatten(), "a change elsewhere is none here");
}

async fn partitions_are_apart(table: &dyn Table, name: &str) {
    let (one, two) = (tenant(&format!("{name}-a")), tenant(&format!("{name}-ab")));
    let partitions = [
        Partition::Checks(one.clone()),
        Partition::Checks(two.clone()),
        Partition::Sources(one.clone()),
        Partition::Manifest(two),
        Partition::Outbox(one),
    ];
    for (index, partition) in partitions.iter().enumerate() {
        put(table, &Key::new(partition.clone(), "same"), &index.to_string()).await;
        put(table, &Key::new(partition.clone(), "b/same"), &index.to_string()).await;
    }
    for (index, partition) in partitions.iter().enumerate() {
        let items = done(table.query_all(partition, "", "").await, "a query");
        let values: Vec<&[u8]> = items.iter().map(|item| &item.value[..]).collect();
        let own = index.to_string();
        assert_eq!(values, [own.as_bytes(), own.as_bytes()], "{partition:?} shows what is not its own");
    }
}

async fn queries_are_ordered_and_paged(table: &dyn Table, name: &str) {
    let partition = Partition::Manifest(tenant(&format!("{name}-pages")));
    // More than a page by count, then more than a page by bytes.
    let mut sorts: Vec<String> = (0..2_300).map(|n| format!("l/{n:05}")).collect();
    let big = Bytes::from(vec![7; ITEM_BYTES_MAX]);
    let small: Vec<Write> = sorts
        .iter()
        .map(|sort| Write::put(Key::new(partition.clone(), sort.clone()), sort.clone(), Condition::Always))
        .collect();
    for chunk in small.chunks(WRITES_AT_ONCE_MAX) {
        write_each(table, chunk.to_vec()).await;
    }
    for n in 0..7 {
        sorts.push(format!("m/{n}"));
        let write = Write::put(Key::new(partition.clone(), format!("m/{n}")), big.clone(), Condition::Always);
        done(table.write(write).await, "a put of a big item");
    }
    let found = done(table.query_all(&partition, "", "").await, "reading all pages");
    let found: Vec<String> = found.into_iter().map(|item| item.sort).collect();
    assert!(found == sorts, "pages must give every item once and in order: {} of {}", found.len(), sorts.len());

    let page = done(table.query(&partition, "m/", "", None).await, "a page of big items");
    let bytes: usize = page.items.iter().map(|item| item.value.len()).sum();
    assert!(page.next.is_some() && bytes <= 1_400_000, "a page of {bytes} bytes must have ended earlier");

    let stretch = |from: &'static str, to: &'static str, after: Option<&'static str>| {
        let partition = &partition;
        async move {
            let page = done(table.query(partition, from, to, after).await, "a query of a stretch");
            page.items.into_iter().map(|item| item.sort).collect::<Vec<_>>()
        }
    };
    assert_eq!(stretch("l/00001", "l/00004", None).await, ["l/00001", "l/00002", "l/00003"]);
    assert_eq!(stretch("l/00001", "l/00004", Some("l/00002")).await, ["l/00003"]);
    assert_eq!(stretch("l/00001", "l/00003", Some("k")).await, ["l/00001", "l/00002"]);
    assert_eq!(stretch("l/00004", "l/00004", None).await, [""; 0]);
    assert_eq!(stretch("z", "", None).await, [""; 0]);
    let prefixed = done(table.query_prefix(&partition, "l/0000").await, "a query by prefix");
    assert_eq!(prefixed.len(), 10);
}

/// Reads keys until none is unprocessed.
pub async fn get_each(table: &dyn Table, keys: Vec<Key>) -> Vec<(Key, Item)> {
    let (mut found, mut waiting) = (Vec::new(), keys);
    for _ in 0..ROUNDS_MAX {
        let GotMany { items, unprocessed } = done(table.get_many(&waiting).await, "a batch of gets");
        found.extend(items);
        if unprocessed.is_empty() {
            return found;
        }
        waiting = unprocessed;
    }
    some(None, "an end of unprocessed keys")
}

/// Writes until none is unprocessed.
pub async fn write_each(table: &dyn Table, writes: Vec<Write>) {
    let mut waiting = writes;
    for _ in 0..ROUNDS_MAX {
        waiting = done(table.write_many(waiting).await, "a batch of writes");
        if waiting.is_empty() {
            return;
        }
    }
    some(None, "an end of unprocessed writes")
}

async fn batches_are_worked_through(table: &dyn Table, name: &str) {
    let partition = Partition::Quarantine(tenant(&format!("{name}-batches")));
    let key = |n: usize| Key::new(partition.clone(), format!("{n:03}"));
    let big = Bytes::from(vec![1; ITEM_BYTES_MAX / 4]);
    let keys: Vec<Key> = (0..WRITES_AT_ONCE_MAX).map(key).collect();
    let puts = keys.iter().map(|key| Write::put(key.clone(), big.clone(), Condition::Always));
    write_each(table, puts.collect()).await;
    let mut wanted = keys[..WRITES_AT_ONCE_MAX - 1].to_vec();
    wanted.push(Key::new(partition.clone(), "never written"));
    let found = get_each(table, wanted).await;
    assert_eq!(found.len(), WRITES_AT_ONCE_MAX - 1, "every key but the one that was never written");
    assert!(found.iter().all(|(key, item)| key.sort == item.sort && item.value == big));
    let deletes = keys.iter().map(|key| Write::Delete { key: key.clone(), condition: Condition::Always });
    write_each(table, deletes.collect()).await;
    assert!(get_each(table, keys).await.is_empty(), "a batch deletes as well");
    assert_eq!(done(table.get_many(&[]).await, "a batch of no gets"), GotMany::default());
    assert_eq!(done(table.write_many(vec![]).await, "a batch of no writes"), []);
}

async fn all_or_nothing(table: &dyn Table, name: &str) {
    let tenant = tenant(&format!("{name}-all"));
    let state = Key::new(Partition::RuleState(tenant.clone()), "group/rule");
    let outbox = Key::new(Partition::Outbox(tenant.clone()), "t1");
    let other = Key::new(Partition::Outbox(tenant), "t2");
    let version = put(table, &state, "old").await;
    put(table, &other, "there").await;
    let put_if = |key: &Key, condition| Write::put(key.clone(), "new", condition);

    let writes = vec![
        put_if(&outbox, Condition::Absent),
        put_if(&state, Condition::Version(version)),
        put_if(&other, Condition::Absent),
    ];
    let refused = done(table.write_all(writes).await, "an all-or-nothing write");
    let WrittenAll::ConditionFailed { index, current } = refused else {
        return assert_eq!(refused, WrittenAll::ConditionFailed { index: 2, current: None });
    };
    assert_eq!(index, 2, "the index of the write whose condition failed");
    assert_eq!(current.map(|item| item.value), Some(Bytes::from_static(b"there")));
    assert_eq!(value(table, &outbox).await, None, "none of the writes may be done");
    assert_eq!(value(table, &state).await.as_deref(), Some(&b"old"[..]), "none of the writes may be done");

    let writes = vec![
        put_if(&outbox, Condition::Absent),
        put_if(&state, Condition::Version(version)),
        Write::Delete { key: other.clone(), condition: Condition::Always },
    ];
    assert_eq!(done(table.write_all(writes).await, "an all-or-nothing write"), WrittenAll::Done);
    assert_eq!(value(table, &outbox).await.as_deref(), Some(&b"new"[..]));
    assert_eq!(value(table, &state).await.as_deref(), Some(&b"new"[..]));
    assert_eq!(value(table, &other).await, None);
}

/// Counters in a store are only right if a lost race is seen.
async fn one_of_many_writers_wins(table: &dyn Table, name: &str) {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 10;
    let key = Key::new(Partition::Sources(tenant(&format!("{name}-race"))), "count");
    put(table, &key, "").await;
    let writer = || async {
        let mut won = 0;
        while won < ROUNDS {
            let item = some(done(table.get(&key).await, "a get in a race"), "the item of the race");
            let mut value = item.value.to_vec();
            value.push(b'x');
            let write = Write::put(key.clone(), value, Condition::Version(item.version));
            if let Written::Done(_) = done(table.write(write).await, "a write in a race") {
                won += 1;
            }
        }
    };
    let writers: Vec<Boxed<'_, ()>> = (0..WRITERS).map(|_| Box::pin(writer()) as Boxed<'_, ()>).collect();
    together(writers).await;
    let count = value(table, &key).await.map(|value| value.len());
    assert_eq!(count, Some(WRITERS * ROUNDS), "each write that was answered as done counts once");
}

async fn limits_hold(table: &dyn Table, name: &str, all_takes: usize) {
    let partition = Partition::Config(tenant(&format!("{name}-limits")));
    let key = |sort: String| Key::new(partition.clone(), sort);
    let put = |sort: String, bytes: usize| Write::put(key(sort), vec![1; bytes], Condition::Always);
    let put_n = |count: usize, bytes: usize| (0..count).map(|n| put(n.to_string(), bytes)).collect::<Vec<_>>();

    done(table.write(put("big".to_owned(), ITEM_BYTES_MAX)).await, "an item at the limit");
    refused(table.write(put("big".to_owned(), ITEM_BYTES_MAX + 1)).await, "an item past the limit");
    done(table.write(put("s".repeat(SORT_BYTES_MAX), 1)).await, "a sort text at the limit");
    refused(table.write(put("s".repeat(SORT_BYTES_MAX + 1), 1)).await, "a sort text past the limit");

    assert_eq!(
        done(table.write_all(put_n(WRITES_AT_ONCE_MAX, 1)).await, "as many writes as allowed"),
        WrittenAll::Done
    );
    refused(table.write_all(put_n(WRITES_AT_ONCE_MAX + 1, 1)).await, "one write too many");
    refused(table.write_many(put_n(WRITES_AT_ONCE_MAX + 1, 1)).await, "one write of a batch too many");
    let keys: Vec<Key> = (0..=WRITES_AT_ONCE_MAX).map(|n| key(n.to_string())).collect();
    refused(table.get_many(&keys).await, "one key too many");

    let at_limit = put_n(20, all_takes / 20);
    assert_eq!(done(table.write_all(at_limit).await, "as many bytes as allowed"), WrittenAll::Done);
    refused(table.write_all(put_n(20, WRITE_ALL_BYTES_MAX / 20 + 1)).await, "too many bytes all or nothing");

    let twice = || vec![put("a".to_owned(), 1), put("a".to_owned(), 2)];
    refused(table.write_all(twice()).await, "one key twice");
    refused(table.write_many(twice()).await, "one key twice in a batch");
    refused(table.get_many(&[key("a".to_owned()), key("a".to_owned())]).await, "one key asked for twice");
    let conditional = Write::put(key("a".to_owned()), "x", Condition::Absent);
    refused(table.write_many(vec![conditional]).await, "a condition in a batch");
}
