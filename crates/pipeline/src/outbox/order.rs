//! In which order items leave the outbox: as they were owed, and of one alert, change by change.
//!
//! The time at which an item was owed does not say it all: buckets that are caught up together owe
//! an alert and its end in the same millisecond. An end that were told first would silence its alert.

use std::collections::{BTreeMap, BTreeSet};

use alerts::notify::Alert;
use ports::{Item, Timestamp};

use super::Owed;

/// A change's rank among those of its alert, and the place of its item.
type Change = ((Timestamp, bool), usize);

/// The items so that no alert's change comes after a later one of it. Where items ask for each
/// other, the one that was owed first goes first.
pub(super) fn ordered(mut items: Vec<(Item, Owed)>) -> Vec<(Item, Owed)> {
    items.sort_by(|a, b| (a.1.at, &a.0.sort).cmp(&(b.1.at, &b.0.sort)));
    let mut changes: BTreeMap<String, Vec<Change>> = BTreeMap::new();
    for (place, (_, owed)) in items.iter().enumerate() {
        for alert in &owed.alerts {
            changes.entry(Alert::fingerprint(alert)).or_default().push((alert.rank(), place));
        }
    }
    let mut waits_for: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); items.len()];
    let mut is_awaited_by: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); items.len()];
    for mut of_one in changes.into_values() {
        of_one.sort_unstable();
        for pair in of_one.windows(2) {
            let (earlier, later) = (pair[0].1, pair[1].1);
            if earlier != later {
                waits_for[later].insert(earlier);
                is_awaited_by[earlier].insert(later);
            }
        }
    }
    let mut left: BTreeSet<usize> = (0..items.len()).collect();
    let mut ready: BTreeSet<usize> = left.iter().copied().filter(|place| waits_for[*place].is_empty()).collect();
    let mut order = Vec::with_capacity(items.len());
    while let Some(place) = ready.pop_first().or_else(|| left.first().copied()) {
        left.remove(&place);
        order.push(place);
        for later in std::mem::take(&mut is_awaited_by[place]) {
            waits_for[later].remove(&place);
            if waits_for[later].is_empty() && left.contains(&later) {
                ready.insert(later);
            }
        }
    }
    let mut items: Vec<Option<(Item, Owed)>> = items.into_iter().map(Some).collect();
    order.into_iter().filter_map(|place| items[place].take()).collect()
}

#[cfg(test)]
mod tests {
    use alerts::state::{Transition, TransitionKind};
    use bytes::Bytes;
    use series::Labels;

    use super::*;

    fn alert(change: &str) -> Alert {
        let (name, at) = change.split_at(1);
        let fires = !at.ends_with('-');
        let at = Timestamp(at.trim_end_matches('-').parse().unwrap());
        alerts::notify::alert_of_removed_rule(&Transition {
            id: change.to_owned(),
            kind: if fires { TransitionKind::Firing } else { TransitionKind::Resolved },
            labels: Labels::from_pairs([("alertname", name)]).unwrap(),
            active_at: Timestamp(0),
            fired_at: if fires { at } else { Timestamp(0) },
            at,
            value: 1.0,
            note: String::new(),
        })
    }

    /// Items as `name@owed=change,change`, a change as an alert's letter, its time, `-` for its end.
    fn check(items: &str, expected: &str) {
        let item = |text: &str| {
            let (head, changes) = text.split_once('=').unwrap();
            let (name, at) = head.split_once('@').unwrap();
            let owed = Owed {
                at: Timestamp(at.parse().unwrap()),
                alerts: changes.split(',').map(alert).collect(),
                test: None,
            };
            (Item { sort: name.to_owned(), value: Bytes::new(), version: 1, expires_at: None }, owed)
        };
        let found = ordered(items.split_whitespace().map(item).collect());
        let names: Vec<&str> = found.iter().map(|(item, _)| item.sort.as_str()).collect();
        assert_eq!(names.join(" "), expected, "{items}");
    }

    #[test]
    fn changes_of_one_alert_leave_in_their_order() {
        check("", "");
        check("b@2=x1 a@1=y1", "a b");
        check("b@1=x1 a@1=y1", "a b");
        // Owed in one instant, or by clocks that differ.
        check("a@1=x20- b@1=x10", "b a");
        check("a@1=x20- b@2=x10", "b a");
        check("a@1=x10- b@1=x10", "b a");
        check("a@1=x30 b@1=x20- c@1=x10 d@1=y1", "c b a d");
        // Others in the same items do not confuse it.
        check("a@1=y3,x12- b@1=x10", "b a");
        check("a@1=x12- b@1=x10,z50", "b a");
        // They ask for each other.
        check("a@1=x2,y1 b@1=x1,y2", "a b");
    }
}
