//! What is to be compacted, and what may be deleted: a function of the items that there are and of now.
//!
//! ```text
//! fresh fresh fresh ─▶ ten ─┐
//! fresh ───────────▶ ten ───┼─▶ hour ─┐
//!                    late ──┴────────▶├─▶ day
//!                    late ────────────┘
//! ```
//! * A window is **closed** when no invocation writes fresh blocks into it any more, and settled a minute later.
//!   The widest closed window is joined at once: after an outage a day needs no hours.
//! * A late item stands under a day. Once the day is closed it is joined into it whole. Before that, each hour that
//!   it touches takes what is its own, and says so ([`ManifestItem::includes`]); nobody replaces the item: it may be
//!   **deleted** when every hour that it touches has taken it an hour ago. Reading a sample twice is
//!   harmless, so nothing needs to be atomic over several hours.
//! * What an item replaces may be deleted an hour after that item was made: whoever has read the manifest before
//!   is done by then. Whoever reads it after that opens neither what is replaced nor what hours have taken
//!   ([`readable_of`]).

use std::collections::{BTreeMap, BTreeSet};

use series::{DAY_MS, HOUR_MS, MINUTE_MS, TEN_MINUTES_MS, Timestamp, Window};

use crate::manifest::{Level, ManifestItem};

/// A window is compacted this long after it can take fresh blocks no more.
pub const SETTLE_MS: i64 = MINUTE_MS;
/// What was replaced is deleted this long after the flip, at the earliest.
pub const KEEP_REPLACED_MS: i64 = HOUR_MS;
/// An hour or a day that has been joined is joined again for late data after this time, at the earliest.
pub const LATE_EVERY_MS: i64 = HOUR_MS;
/// Late items of a day above this number are joined into one.
pub const LATE_ITEMS_MAX: usize = 16;

/// An item and its id, which is expensive to compute.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The last part of its place in the manifest.
    pub id: &'a str,
    /// The item.
    pub item: &'a ManifestItem,
}

/// One flip that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The level of the item that it makes.
    pub level: Level,
    /// Its window.
    pub window: Window,
    /// The ids of the items that it joins.
    pub inputs: Vec<String>,
}

/// The items that no other one replaces.
#[must_use]
pub fn live_of<'a>(known: &[Known<'a>]) -> Vec<Known<'a>> {
    let replaced: BTreeSet<&str> =
        known.iter().flat_map(|known| known.item.replaces.iter().map(String::as_str)).collect();
    known.iter().copied().filter(|known| !replaced.contains(known.id)).collect()
}

/// The items that a reader of `[from, to]` opens: those that no other one replaces, without late ones of
/// which hours hold everything of that time, for these may be deleted any moment.
#[must_use]
pub fn readable_of<'a>(known: &[Known<'a>], (from, to): (Timestamp, Timestamp)) -> Vec<Known<'a>> {
    let taken = taken_by_hours(known.iter());
    let is_taken = |one: &Known<'_>| {
        let hours = taken.get(one.id).filter(|_| one.item.level == Level::Late);
        let mut asked = hours_touched(one.item).into_iter().filter(|hour| hour.start < to && hour.end >= from);
        hours.is_some_and(|hours| asked.all(|hour| hours.contains(&hour)))
    };
    live_of(known).into_iter().filter(|one| !is_taken(one)).collect()
}

/// Windows that end up to this time are closed and settled.
#[must_use]
pub fn closed_through(now: Timestamp) -> Timestamp {
    Window::of_block(now.plus_ms(-SETTLE_MS), TEN_MINUTES_MS).previous().start
}

/// What is due, the narrowest windows first. `known`: all items but those of days that no other item touches.
#[must_use]
pub fn plan(known: &[Known<'_>], now: Timestamp) -> Vec<Job> {
    let closed = closed_through(now);
    let mut days: BTreeMap<Window, Vec<Known<'_>>> = BTreeMap::new();
    for one in live_of(known) {
        days.entry(one.item.window.widened(DAY_MS)).or_default().push(one);
    }
    let mut jobs = Vec::new();
    for (day, items) in days {
        let (late, others): (Vec<_>, Vec<_>) = items.iter().copied().partition(|one| one.item.level == Level::Late);
        // The raw samples of a day whose block is gone have expired: retention looks after it.
        if items.iter().any(|one| one.item.is_expired()) {
            continue;
        }
        if day.end <= closed && is_due((Level::Day, day), &others, !late.is_empty(), now) {
            jobs.push(job(Level::Day, day, &items));
            continue;
        }
        let many = late.len() > LATE_ITEMS_MAX;
        if many {
            jobs.push(job(Level::Late, day, &late));
        }
        if day.end > closed {
            jobs.extend(of_hours(&others, if many { &[] } else { &late }, closed, now));
        }
    }
    jobs.sort_by_key(|job| (job.level, job.window));
    jobs
}

/// What is due within a day that is not closed.
fn of_hours(items: &[Known<'_>], late: &[Known<'_>], closed: Timestamp, now: Timestamp) -> Vec<Job> {
    let mut hours: BTreeMap<Window, (Vec<Known<'_>>, Vec<Known<'_>>)> = BTreeMap::new();
    for one in items {
        hours.entry(one.item.window.widened(HOUR_MS)).or_default().0.push(*one);
    }
    for one in late {
        for hour in hours_touched(one.item) {
            hours.entry(hour).or_default().1.push(*one);
        }
    }
    let mut jobs = Vec::new();
    for (hour, (items, mut late)) in hours {
        if hour.end <= closed {
            late.retain(|late| !items.iter().any(|one| one.item.includes.iter().any(|id| id == late.id)));
            if is_due((Level::Hour, hour), &items, !late.is_empty(), now) {
                let inputs: Vec<Known<'_>> = items.into_iter().chain(late).collect();
                jobs.push(job(Level::Hour, hour, &inputs));
            }
            continue;
        }
        let mut tens: BTreeMap<Window, Vec<Known<'_>>> = BTreeMap::new();
        for one in items {
            tens.entry(one.item.window).or_default().push(one);
        }
        for (window, items) in tens {
            if window.end <= closed && is_due((Level::Ten, window), &items, false, now) {
                jobs.push(job(Level::Ten, window, &items));
            }
        }
    }
    jobs
}

/// Whether a closed window's items are to be joined: unless they are one of that level, and for late data
/// alone not too often. Items with further notes of another one do not count by themselves.
fn is_due(whole: (Level, Window), items: &[Known<'_>], with_late: bool, now: Timestamp) -> bool {
    let further: BTreeSet<&str> = items.iter().flat_map(|one| one.item.notes_in.iter().map(String::as_str)).collect();
    let mut own = items.iter().filter(|one| !further.contains(one.id));
    match (own.next(), own.next()) {
        (None, _) => with_late,
        (Some(only), None) if (only.item.level, only.item.window) == whole => {
            with_late && only.item.made_at.plus_ms(LATE_EVERY_MS) <= now
        }
        _ => true,
    }
}

fn job(level: Level, window: Window, inputs: &[Known<'_>]) -> Job {
    Job { level, window, inputs: inputs.iter().map(|one| one.id.to_owned()).collect() }
}

/// The hours in which a late item has samples or notes.
#[must_use]
pub fn hours_touched(item: &ManifestItem) -> BTreeSet<Window> {
    let notes = item.sources.iter().flat_map(|source| &source.notes);
    let mut hours: BTreeSet<Window> = notes.map(|note| note.block_window().widened(HOUR_MS)).collect();
    if item.samples > 0 {
        hours.extend([item.min_time, item.max_time].map(|at| Window::of_block(at, HOUR_MS)));
    }
    hours.retain(|hour| hour.widened(DAY_MS) == item.window);
    hours
}

/// The hours that hold a late item's part of them, by its id.
fn taken_by_hours<'a>(known: impl Iterator<Item = &'a Known<'a>>) -> BTreeMap<&'a str, BTreeSet<Window>> {
    let mut taken: BTreeMap<&str, BTreeSet<Window>> = BTreeMap::new();
    for one in known.filter(|one| one.item.level == Level::Hour) {
        for id in &one.item.includes {
            taken.entry(id).or_default().insert(one.item.window);
        }
    }
    taken
}

/// The ids of items that may be deleted, the widest first: what tells of it goes last.
#[must_use]
pub fn deletable(known: &[Known<'_>], now: Timestamp) -> Vec<String> {
    let is_old = |item: &ManifestItem| item.made_at.plus_ms(KEEP_REPLACED_MS) <= now;
    let old = || known.iter().filter(|one| is_old(one.item));
    let replaced: BTreeSet<&str> = old().flat_map(|one| one.item.replaces.iter().map(String::as_str)).collect();
    let taken = taken_by_hours(old());
    let is_taken = |one: &&Known<'_>| {
        let hours = taken.get(one.id).filter(|_| one.item.level == Level::Late);
        hours.is_some_and(|hours| hours_touched(one.item).is_subset(hours))
    };
    let mut found: Vec<&Known<'_>> = known.iter().filter(|one| replaced.contains(one.id) || is_taken(one)).collect();
    found.sort_by_key(|one| (std::cmp::Reverse(one.item.window.end.ms() - one.item.window.start.ms()), one.id));
    found.into_iter().map(|one| one.id.to_owned()).collect()
}

/// One deletion of a sweep.
#[derive(Debug, Clone, Copy)]
pub enum Sweep<'a> {
    /// The item.
    Item(Known<'a>),
    /// Its objects, but for those that an item which stays names too.
    Objects(Known<'a>),
}

/// What a sweep deletes, in this order, of at most so many items; and the items that stay.
///
/// Of one that is replaced the objects go first, so that a crash between the two is met again. Late ones that hours
/// have taken are joined into their day for as long as they are there, and two of them may name one object:
/// so all these items go before any object does. Should a crash leave their objects, no item names these any more.
#[must_use]
pub fn sweep<'a>(known: &[Known<'a>], now: Timestamp, items_max: usize) -> (Vec<Sweep<'a>>, Vec<Known<'a>>) {
    let by_id: BTreeMap<&str, Known<'a>> = known.iter().map(|one| (one.id, *one)).collect();
    let ids = deletable(known, now);
    let gone: Vec<Known<'a>> = ids.iter().filter_map(|id| by_id.get(id.as_str()).copied()).take(items_max).collect();
    let is_gone: BTreeSet<&str> = gone.iter().map(|one| one.id).collect();
    let live: BTreeSet<&str> = live_of(known).iter().map(|one| one.id).collect();
    let (joined, replaced): (Vec<_>, Vec<_>) = gone.into_iter().partition(|one| live.contains(one.id));
    let items = joined.iter().map(|one| Sweep::Item(*one));
    let objects = joined.iter().map(|one| Sweep::Objects(*one));
    let pairs = replaced.iter().flat_map(|one| [Sweep::Objects(*one), Sweep::Item(*one)]);
    let steps = items.chain(objects).chain(pairs).collect();
    (steps, known.iter().copied().filter(|one| !is_gone.contains(one.id)).collect())
}

#[cfg(test)]
mod tests;
