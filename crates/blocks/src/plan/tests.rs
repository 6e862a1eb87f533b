use super::*;

fn item(level: Level, at_ms: i64, made_at: i64) -> ManifestItem {
    let window = Window::of_block(Timestamp(at_ms), level.width_ms());
    let mut item = ManifestItem::notes_only(window, Vec::new(), Timestamp(0));
    (item.level, item.made_at) = (level, Timestamp(made_at));
    item
}

fn jobs(items: &[ManifestItem], now: i64) -> Vec<(Level, usize)> {
    let ids: Vec<String> = (0..items.len()).map(|n| n.to_string()).collect();
    let known: Vec<Known<'_>> = ids.iter().zip(items).map(|(id, item)| Known { id, item }).collect();
    plan(&known, Timestamp(now)).into_iter().map(|job| (job.level, job.inputs.len())).collect()
}

#[test]
fn a_window_is_due_when_it_has_settled_and_not_before() {
    let fresh = [item(Level::Fresh, 5, 0), item(Level::Fresh, 6, 1)];
    let settled = 2 * TEN_MINUTES_MS + SETTLE_MS;
    assert_eq!(jobs(&fresh, settled), []);
    assert_eq!(jobs(&fresh, settled + 1), [(Level::Ten, 2)]);
    let hour = HOUR_MS + TEN_MINUTES_MS + SETTLE_MS;
    assert_eq!(jobs(&fresh, hour + 1), [(Level::Hour, 2)]);
    let day = DAY_MS + TEN_MINUTES_MS + SETTLE_MS;
    assert_eq!(jobs(&fresh, day + 1), [(Level::Day, 2)]);
    assert_eq!(jobs(&[item(Level::Ten, 5, 0)], settled + 1), []);
    assert_eq!(jobs(&[item(Level::Hour, 5, 0)], hour + 1), []);
    assert_eq!(jobs(&[item(Level::Day, 5, 0)], 9 * DAY_MS), []);
    assert_eq!(jobs(&[item(Level::Day, 5, 0), item(Level::Day, 5, 1)], 9 * DAY_MS), [(Level::Day, 2)]);
}

#[test]
fn late_data_is_joined_in_and_a_joined_day_not_more_often_than_hourly() {
    let (late, day) = (item(Level::Late, 5, 0), item(Level::Day, 5, 2 * DAY_MS));
    assert_eq!(jobs(&[late.clone(), day.clone()], 2 * DAY_MS + LATE_EVERY_MS - 1), []);
    assert_eq!(jobs(&[late.clone(), day.clone()], 2 * DAY_MS + LATE_EVERY_MS), [(Level::Day, 2)]);
    // What has expired is retention's.
    let expired = ManifestItem { samples: 1, ..day };
    assert_eq!(jobs(&[late, expired], 9 * DAY_MS), []);
}

#[test]
fn late_items_at_the_limit_and_one_past_it() {
    let mut items = vec![item(Level::Day, 5, 2 * DAY_MS)];
    items.extend((0..LATE_ITEMS_MAX as i64).map(|n| item(Level::Late, 5, n)));
    assert_eq!(jobs(&items, 2 * DAY_MS + 1), []);
    items.push(item(Level::Late, 5, 99));
    assert_eq!(jobs(&items, 2 * DAY_MS + 1), [(Level::Late, LATE_ITEMS_MAX + 1)]);
}

#[test]
fn what_is_replaced_is_deletable_an_hour_after_the_flip() {
    let fresh = item(Level::Fresh, 5, 0);
    let ten = ManifestItem { replaces: vec!["fresh".to_owned()], ..item(Level::Ten, 5, 1_000) };
    let known = [Known { id: "fresh", item: &fresh }, Known { id: "ten", item: &ten }];
    assert_eq!(deletable(&known, Timestamp(1_000 + KEEP_REPLACED_MS - 1)), Vec::<String>::new());
    assert_eq!(deletable(&known, Timestamp(1_000 + KEEP_REPLACED_MS)), ["fresh"]);
}

/// A late item of the samples from `first` to `last` ms.
fn late(first: i64, last: i64) -> ManifestItem {
    ManifestItem { samples: 2, min_time: Timestamp(first), max_time: Timestamp(last), ..item(Level::Late, 5, 0) }
}

fn hour(number: i64, made_at: i64, includes: &[&str]) -> ManifestItem {
    let includes = includes.iter().map(|id| (*id).to_owned()).collect();
    ManifestItem { includes, ..item(Level::Hour, number * HOUR_MS + 5, made_at) }
}

#[test]
fn a_reader_opens_a_late_item_until_hours_hold_all_that_it_asks_for() {
    let all = (Timestamp(1), Timestamp(DAY_MS));
    let first = (Timestamp(1), Timestamp(HOUR_MS));
    let second = (Timestamp(HOUR_MS + 1), Timestamp(2 * HOUR_MS));
    let past_second = (Timestamp(HOUR_MS), Timestamp(HOUR_MS + 1));
    let both = late(5, HOUR_MS + 5);
    // The late item, the hours that are there, what is asked for, whether it is opened.
    for (late, hours, asked, opened) in [
        (late(5, 6), vec![], all, true),
        (late(5, 6), vec![hour(0, 0, &[])], all, true),
        (late(5, 6), vec![hour(0, 0, &["late"])], all, false),
        (late(5, 6), vec![hour(1, 0, &["late"])], all, true),
        (both.clone(), vec![hour(0, 0, &["late"])], all, true),
        (both.clone(), vec![hour(0, 0, &["late"]), hour(1, 0, &["late"])], all, false),
        (both.clone(), vec![hour(0, 0, &["late"])], first, false),
        (both.clone(), vec![hour(0, 0, &["late"])], second, true),
        (both.clone(), vec![hour(1, 0, &["late"])], second, false),
        (both, vec![hour(1, 0, &["late"])], past_second, true),
    ] {
        let ids: Vec<String> = (0..hours.len()).map(|n| n.to_string()).collect();
        let mut known: Vec<Known<'_>> = ids.iter().zip(&hours).map(|(id, item)| Known { id, item }).collect();
        known.push(Known { id: "late", item: &late });
        let found = readable_of(&known, asked).iter().any(|one| one.id == "late");
        assert_eq!(found, opened, "{:?} {asked:?} {ids:?}", (late.min_time, late.max_time));
    }
}

#[test]
fn a_sweep_deletes_all_late_items_that_hours_have_taken_before_any_object() {
    let (one, two) = (late(5, 6), late(5, 6));
    let fresh = item(Level::Fresh, 5, 0);
    let taker = ManifestItem { replaces: vec!["fresh".to_owned()], ..hour(0, 0, &["one", "two"]) };
    let known =
        [("one", &one), ("two", &two), ("fresh", &fresh), ("hour", &taker)].map(|(id, item)| Known { id, item });
    let shown = |items_max: usize| {
        let (steps, stay) = sweep(&known, Timestamp(KEEP_REPLACED_MS), items_max);
        let steps = steps.iter().map(|step| match step {
            Sweep::Item(one) => format!("-{}", one.id),
            Sweep::Objects(one) => format!("objects of {}", one.id),
        });
        (steps.collect::<Vec<_>>().join(", "), stay.iter().map(|one| one.id).collect::<Vec<_>>())
    };
    let late = "-one, -two, objects of one, objects of two";
    assert_eq!(shown(3), (format!("{late}, objects of fresh, -fresh"), vec!["hour"]));
    // What a run has no room for stays, and keeps its objects.
    assert_eq!(shown(2), (late.to_owned(), vec!["fresh", "hour"]));
    assert_eq!(shown(1), ("-one, objects of one".to_owned(), vec!["two", "fresh", "hour"]));
}
