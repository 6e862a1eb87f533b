use series::TEN_MINUTES_MS;

use super::*;
use crate::ledger::Ledger;
use crate::manifest::RollupObject;

fn day_item(number: i64) -> ManifestItem {
    let window = Window::of_block(Timestamp(number * DAY_MS + 1), DAY_MS);
    let mut note = SourceNote::new(SourceName::new("a").unwrap(), window.end);
    let start = Window::of_block(window.end, TEN_MINUTES_MS).start;
    note.notes = vec![BatchNote { to_seq: 9, ..BatchNote::new(Epoch(1), 0, start, 10) }];
    note.notes[0].rejected = [("bad".to_owned(), 1)].into();
    note.superseded = 3;
    let mut item = ManifestItem::notes_only(window, vec![note], window.end);
    (item.level, item.samples, item.name) = (Level::Day, 97, Some(format!("block{number}")));
    let rollup = |width_ms| RollupObject { width_ms, name: format!("r{width_ms}"), bytes: 1, series: 1 };
    item.rollups = rollup_width::ALL.map(rollup).to_vec();
    item
}

fn check(kept_days: (i64, i64, i64), age_ms: i64) -> Option<(bool, usize)> {
    let (raw, five, hour) = kept_days;
    let retention = Retention { raw_ms: raw * DAY_MS, five_minutes_ms: five * DAY_MS, hour_ms: hour * DAY_MS };
    let item = day_item(0);
    let known = Known { id: "day", item: &item };
    match retention.expire(known, &BTreeSet::from(["day"]), item.window.end.plus_ms(age_ms)) {
        None => Some((item.name.is_some(), item.rollups.len())),
        Some(Expiry::Flip(flipped)) => {
            assert_eq!((flipped.replaces.as_slice(), flipped.samples), (&["day".to_owned()][..], 97));
            Some((flipped.name.is_some(), flipped.rollups.len()))
        }
        Some(Expiry::Delete) => None,
    }
}

#[test]
fn each_level_expires_after_its_own_time_and_not_before() {
    let kept = (30, 396, 1_827);
    assert_eq!(check(kept, 30 * DAY_MS - 1), Some((true, 2)));
    assert_eq!(check(kept, 30 * DAY_MS), Some((false, 2)));
    assert_eq!(check(kept, 396 * DAY_MS - 1), Some((false, 2)));
    assert_eq!(check(kept, 396 * DAY_MS), Some((false, 1)));
    assert_eq!(check(kept, 1_827 * DAY_MS - 1), Some((false, 1)));
    assert_eq!(check(kept, 1_827 * DAY_MS), None);
    // Rollups may go before the samples.
    assert_eq!(check((30, 7, 400), 8 * DAY_MS), Some((true, 1)));
    let default = Retention::default();
    assert_eq!([default.raw_ms, default.five_minutes_ms, default.hour_ms], [30, 396, 1_827].map(|days| days * DAY_MS));
}

#[test]
fn what_is_sealed_counts_as_before_and_once() {
    let retention = Retention { raw_ms: DAY_MS, ..Retention::default() };
    let mut items: Vec<ManifestItem> = (0..5).map(day_item).collect();
    let counted = |items: &[ManifestItem]| Ledger::join(items).sources.into_values().next().unwrap();
    let before = counted(&items);
    assert_eq!((before.stored, before.superseded, before.rejected_count()), (485, 15, 50));
    // Days with samples wait.
    let now = |days: i64| Timestamp((days + 4) * DAY_MS + 1);
    let sealed = |items: &[ManifestItem], days: i64| {
        let ids: Vec<String> = items.iter().map(ManifestItem::id).collect();
        let known: Vec<Known<'_>> = ids.iter().zip(items).map(|(id, item)| Known { id, item }).collect();
        seal(&known, &retention, now(days))
    };
    assert_eq!(sealed(&items, 2), None);
    items.iter_mut().for_each(|item| item.name = None);
    let first = sealed(&items, 2).unwrap();
    assert_eq!((first.window.end, first.replaces.len()), (Timestamp(2 * DAY_MS), 0));
    assert_eq!(ManifestItem::decode(&first.encode().unwrap()), Ok(first.clone()));
    items.push(first.clone());
    assert_eq!((counted(&items), sealed(&items, 2)), (before.clone(), None));
    let second = sealed(&items, 4).unwrap();
    assert_eq!((second.window.end, second.replaces.as_slice()), (Timestamp(4 * DAY_MS), &[first.id()][..]));
    // While both stand, and when the first is gone, and with the days' items gone.
    items.push(second.clone());
    assert_eq!(counted(&items), before);
    items.retain(|item| item.window.end > second.window.end || item.level == Level::Ledger && item.id() == second.id());
    assert_eq!((items.len(), counted(&items)), (2, before));
}
