//! How what is owed is cut into items.

use alerts::state::TransitionKind;
use series::Labels;

use super::*;

fn alert(disk: usize, at: i64, text_bytes: usize) -> Alert {
    Alert {
        transition_id: format!("{disk}-{at}"),
        kind: TransitionKind::Firing,
        labels: Labels::from_pairs([("disk", disk.to_string())]).unwrap(),
        annotations: BTreeMap::from([("text".to_owned(), "x".repeat(text_bytes))]),
        active_at: Timestamp(at),
        starts_at: Timestamp(at),
        ends_at: None,
        value: 1.0,
        bound: String::new(),
        note: String::new(),
        generator_url: String::new(),
    }
}

/// How many alerts each item holds, in order.
fn items(alerts: &[Alert]) -> Vec<usize> {
    let writes = owe(&TenantId::default(), Timestamp(0), alerts).unwrap();
    let values = writes.iter().map(|write| match write {
        Write::Put { value, .. } => serde_json::from_slice::<Owed>(value).unwrap(),
        Write::Delete { .. } => panic!("a delete"),
    });
    let owed: Vec<Owed> = values.collect();
    assert!(owed.windows(2).all(|pair| pair[0].at < pair[1].at));
    owed.iter().map(|item| item.alerts.len()).collect()
}

#[test]
fn items_at_the_limit_and_one_past_it() {
    let many = |n: usize| (0..n).map(|disk| alert(disk, 1, 0)).collect::<Vec<_>>();
    assert_eq!(items(&many(OWED_ALERTS_MAX)), [OWED_ALERTS_MAX]);
    assert_eq!(items(&many(OWED_ALERTS_MAX + 1)), [OWED_ALERTS_MAX, 1]);

    let room = OWED_BYTES_MAX - 2 * alert(0, 1, 0).bytes();
    assert_eq!(items(&[alert(0, 1, room), alert(1, 1, 0)]), [2]);
    assert_eq!(items(&[alert(0, 1, room + 1), alert(1, 1, 0)]), [1, 1]);
}

#[test]
fn changes_of_one_alert_stay_in_their_order() {
    assert_eq!(items(&[alert(0, 1, 0), alert(1, 1, 0), alert(0, 2, 0), alert(0, 3, 0)]), [2, 1, 1]);
    assert_eq!(items(&[]), [0; 0]);
}

#[test]
fn one_write_takes_an_item_with_all_its_groups() {
    // Every alert in a group of its own, for each way out, and the outbox item itself.
    let writes = OWED_ALERTS_MAX * WAYS_MAX + 1;
    assert!(writes <= ports::WRITES_AT_ONCE_MAX);
    // A whole step: the state, and all instances of a rule.
    let step = 1 + alerts::state::INSTANCES_MAX.div_ceil(OWED_ALERTS_MAX);
    assert!(step <= ports::WRITES_AT_ONCE_MAX);
    const { assert!(crate::evaluate::NEWEST_PER_STEP_MAX < ports::WRITES_AT_ONCE_MAX) };
}
