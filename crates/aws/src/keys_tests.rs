use std::collections::BTreeSet;

use expect_test::expect;

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
        Partition::Pulses,
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
    ]
}

/// What stands in somebody's table: a change here orphans their data.
#[test]
fn spellings_never_change() {
    let tenant = tenant("team-a");
    let mut text = String::new();
    for partition in every_partition(&tenant) {
        let Spelled { place, pk, sk } = spell(&Key::new(partition, "a/ü b"));
        text.push_str(&format!("{place:?} {pk} {sk}\n"));
    }
    let Spelled { place, pk, sk } = spell_wake(&tenant, Timestamp(1_700_000_000_000), "rules/x");
    text.push_str(&format!("{place:?} {pk} {sk}\n"));
    expect![[r#"
        Main tenants /a/ü b
        Main keys#02 /a/ü b
        Main tickets#02 /a/ü b
        Main connections#02 /a/ü b
        Main pulses /a/ü b
        Main presence#02/team-a /a/ü b
        Main subscriptions/team-a /a/ü b
        Main config/team-a /a/ü b
        Manifest manifest/team-a /a/ü b
        Main checks#02/team-a /a/ü b
        Main sources/team-a /a/ü b
        Main rule-state/team-a /a/ü b
        Main groups/team-a /a/ü b
        Main outbox/team-a /a/ü b
        Main receivers/team-a /a/ü b
        Main quarantine/team-a /a/ü b
        Main wakes/team-a /00000001700000000000/rules/x
    "#]]
    .assert_eq(&text);
}

#[test]
fn no_partition_shares_a_partition_key() {
    let mut all = every_partition(&tenant("a"));
    all.extend(every_partition(&tenant("ab")).split_off(5));
    let mut seen = BTreeSet::new();
    for partition in &all {
        for pk in partition_keys(partition) {
            assert!(seen.insert((place(partition), pk.clone())), "{pk} stands for two partitions");
        }
    }
    assert!(!seen.contains(&(Place::Main, spell_wake(&tenant("a"), Timestamp(0), "x").pk)));
}

#[test]
fn an_item_lies_under_one_of_its_partitions_keys() {
    for partition in every_partition(&tenant("a")) {
        let keys = partition_keys(&partition);
        let mut used = BTreeSet::new();
        for n in 0..500 {
            let spelled = spell(&Key::new(partition.clone(), format!("web-{n}")));
            assert!(keys.contains(&spelled.pk), "{} is not among {keys:?}", spelled.pk);
            assert_eq!(spelled.place, place(&partition));
            used.insert(spelled.pk);
        }
        assert_eq!(used.len(), keys.len(), "{partition:?}: every partition key is used");
    }
}

#[test]
fn sort_texts_keep_their_order_and_come_back() {
    let sorts = ["", "\0", " ", "/", "a", "a/", "a/b", "ab", "ü", "\u{10ffff}"];
    assert!(sorts.windows(2).all(|pair| spell_sort(pair[0]).as_bytes() < spell_sort(pair[1]).as_bytes()));
    for sort in sorts {
        assert_eq!(read_sort(&spell_sort(sort)), Some(sort));
        assert!(!spell_sort(sort).is_empty(), "DynamoDB refuses an empty key");
    }
    assert_eq!(read_sort("no slash"), None);
    assert!(spell_sort(&"s".repeat(ports::SORT_BYTES_MAX)).len() <= 1_024, "DynamoDB's limit of a sort key");
}

#[test]
fn a_manifest_key_names_its_tenant() {
    let key = spell(&Key::new(Partition::Manifest(tenant("team-a")), "fresh/1/x"));
    assert_eq!(manifest_of(&key.pk), Some(tenant("team-a")));
    for other in ["manifest", "manifest/", "outbox/team-a", "", "manifest/no such/tenant"] {
        assert_eq!(manifest_of(other), None, "{other:?}");
    }
}
