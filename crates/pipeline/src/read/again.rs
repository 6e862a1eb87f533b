//! What rules read again at each bucket: a warm process remembers of each block the series that a selector
//! takes, and which blocks there are of windows that are closed.
//!
//! Blocks never change, so what was taken from one stays good; an item's place names its content. What is listed of a
//! closed window misses nothing either, where the stream was read far enough when it was listed
//! ([`progress::current_through`]): whatever arrives after that is late for the window, and late items are asked for each time.
//! A listing is used for less time than what is replaced is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blocks::{Known, Level, closed_through, readable_of};
use ports::{TenantId, Timestamp};
use promql::{Selection, Stop, all_match};
use series::{Labels, MINUTE_MS};

use super::budget::Budget;
use super::loaded::Run;
use super::{Found, MANIFEST_READS_MAX, What, block, in_objects, not_stored, rollups};
use crate::error::Fault;
use crate::manifest::{self, Placed};
use crate::{Context, progress};

/// Bytes of series that are remembered.
pub const REMEMBERED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// For so long a listing of closed windows is used.
pub const LISTED_FOR_MS: i64 = 10 * MINUTE_MS;
/// What a series takes beside its samples, and an entry beside its series.
const SERIES_BYTES: u64 = 64;
const ENTRY_BYTES: u64 = 256;
const SAMPLE_BYTES: u64 = 16;

/// Series of one block.
type Taken = Arc<Vec<(Labels, Run)>>;

/// What a warm process remembers.
#[derive(Default)]
pub struct Remembered(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    entries: HashMap<(String, String), Entry>,
    bytes: u64,
    /// Counts uses; what was used longest ago goes first.
    uses: u64,
    listed: HashMap<TenantId, Arc<Listed>>,
}

struct Entry {
    used: u64,
    bytes: u64,
    /// Samples before this were not taken.
    from: Timestamp,
    taken: Taken,
}

/// The items of closed windows.
struct Listed {
    at: Timestamp,
    from: Timestamp,
    /// Of windows that end up to this.
    through: Timestamp,
    items: Vec<Placed>,
}

impl Remembered {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        // A panic elsewhere leaves a memory, which is never the truth.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &(String, String), from: Timestamp) -> Option<Taken> {
        let mut memory = self.lock();
        memory.uses += 1;
        let now = memory.uses;
        let entry = memory.entries.get_mut(key).filter(|entry| entry.from <= from)?;
        entry.used = now;
        Some(entry.taken.clone())
    }

    fn keep(&self, key: (String, String), from: Timestamp, taken: Taken) {
        let mut memory = self.lock();
        memory.uses += 1;
        let samples: u64 = taken.iter().map(|(_, run)| run.as_slice().len() as u64).sum();
        let bytes = ENTRY_BYTES + taken.len() as u64 * SERIES_BYTES + samples * SAMPLE_BYTES;
        let entry = Entry { used: memory.uses, bytes, from, taken };
        memory.bytes += bytes;
        if let Some(before) = memory.entries.insert(key, entry) {
            memory.bytes -= before.bytes;
        }
        if memory.bytes > REMEMBERED_BYTES_MAX {
            memory.shrink();
        }
    }

    fn listed(&self, tenant: &TenantId) -> Option<Arc<Listed>> {
        self.lock().listed.get(tenant).cloned()
    }

    fn forget_listed(&self, tenant: &TenantId) {
        self.lock().listed.remove(tenant);
    }
}

impl Memory {
    /// Throws out the older half.
    fn shrink(&mut self) {
        let mut ages: Vec<u64> = self.entries.values().map(|entry| entry.used).collect();
        ages.sort_unstable();
        let middle = ages.get(ages.len() / 2).copied().unwrap_or(0);
        self.entries.retain(|_, entry| entry.used > middle);
        self.bytes = self.entries.values().map(|entry| entry.bytes).sum();
    }
}

/// Visits the samples that the selections ask for, those of one block after those of another.
pub(super) async fn for_each_run(
    context: &Context,
    tenant: &TenantId,
    (selections, listing): (&[Selection], &mut Listing),
    stop: &Stop,
    mut visit: impl FnMut(&Labels, Run) -> Result<(), Fault> + Send,
) -> Result<(), Fault> {
    let asked = by_selector(selections);
    let (Some(from), Some(to)) = (asked.values().map(|s| s.from).min(), asked.values().map(|s| s.to).max()) else {
        return Ok(());
    };
    let mut budget = Budget::begin(stop);
    let mut visited: BTreeSet<(String, String)> = BTreeSet::new();
    let mut missing = String::new();
    'manifest: for _ in 0..MANIFEST_READS_MAX {
        for placed in listing.items(context, tenant, (from, to)).await?.iter() {
            for (selector, selection) in &asked {
                let left = rollups::is_all_that_is_left(&placed.item);
                let (item, window) = (&placed.item, placed.item.window);
                let touches = item.overlaps(selection.from, selection.to)
                    || (left && selection.from <= window.end && selection.to > window.start);
                let key = (placed.sort.clone(), selector.clone());
                if !touches || visited.contains(&key) {
                    continue;
                }
                let Some(taken) = taken(context, tenant, placed, (&key, selection), &mut budget).await? else {
                    missing.clone_from(&placed.sort);
                    context.remembered.forget_listed(tenant);
                    *listing = Listing::default();
                    continue 'manifest;
                };
                for (labels, run) in taken.iter() {
                    if let Some(part) = run.within(selection.from, selection.to) {
                        visit(labels, part)?;
                    }
                }
                visited.insert(key);
            }
        }
        return Ok(());
    }
    Err(not_stored(&missing))
}

/// What is stored, as it was listed for the first of some loads that follow each other.
#[derive(Default)]
pub(crate) struct Listing(Option<(Timestamp, Arc<Vec<Placed>>)>);

impl Listing {
    async fn items(
        &mut self,
        context: &Context,
        tenant: &TenantId,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Arc<Vec<Placed>>, Fault> {
        if let Some((_, items)) = self.0.as_ref().filter(|(first, _)| *first <= from) {
            return Ok(Arc::clone(items));
        }
        let (first, items) = items(context, tenant, (from, to)).await?;
        let items = Arc::new(items);
        self.0 = Some((first, Arc::clone(&items)));
        Ok(items)
    }
}

/// One selection a selector, of all times that are asked of it.
fn by_selector(selections: &[Selection]) -> BTreeMap<String, Selection> {
    let mut asked: BTreeMap<String, Selection> = BTreeMap::new();
    for selection in selections {
        let known = asked.entry(format!("{:?}", selection.matchers)).or_insert_with(|| selection.clone());
        (known.from, known.to) = (known.from.min(selection.from), known.to.max(selection.to));
    }
    asked
}

/// What a selector takes of an item's block, from the selection's first instant to the block's end. `None`: it is
/// not stored any more.
async fn taken(
    context: &Context,
    tenant: &TenantId,
    placed: &Placed,
    (key, selection): (&(String, String), &Selection),
    budget: &mut Budget<'_>,
) -> Result<Option<Taken>, Fault> {
    if let Some(taken) = context.remembered.find(key, selection.from) {
        return Ok(Some(taken));
    }
    budget.time()?;
    let item = &placed.item;
    let mut series = Vec::new();
    let (there, from) = match item.level {
        Level::Fresh | Level::Ten | Level::Late | Level::Ledger => {
            budget.bytes(item.bytes)?;
            let block = block(&context.ports, &context.blocks, tenant, item).await?;
            let there = block.map(|block| {
                let chosen = block.columns().iter().filter(|column| all_match(&selection.matchers, &column.labels));
                series.extend(chosen.map(|column| (column.labels.clone(), Run::from(column.samples.to_vec()))));
            });
            (there, Timestamp(i64::MIN))
        }
        Level::Hour | Level::Day if rollups::is_all_that_is_left(item) => {
            let chosen = std::slice::from_ref(selection);
            let last = rollups::last_values(context, tenant, placed, chosen, budget).await?;
            // Old, and asked for by few: not kept.
            let runs =
                |(_, last): (i64, Vec<_>)| last.into_iter().map(|(labels, run)| (labels, Run::from(run))).collect();
            return Ok(last.map(runs).map(Arc::new));
        }
        Level::Hour | Level::Day => {
            let whole = Selection { to: selection.to.max(item.max_time), ..selection.clone() };
            let chosen = std::slice::from_ref(&whole);
            let found = in_objects(context, tenant, placed, (chosen, budget, What::Samples)).await?;
            let there = found.map(|found| {
                for one in found {
                    if let Found::Samples(samples) = one {
                        series.extend(samples);
                    }
                }
            });
            (there, selection.from)
        }
    };
    if there.is_none() {
        return Ok(None);
    }
    let taken = Arc::new(series);
    context.remembered.keep(key.clone(), from, Arc::clone(&taken));
    Ok(Some(taken))
}

/// The items that a reader of `[from, to]` opens, or of a time that begins earlier, and when that is; those of closed
/// windows as they were listed some minutes ago.
async fn items(
    context: &Context,
    tenant: &TenantId,
    (from, to): (Timestamp, Timestamp),
) -> Result<(Timestamp, Vec<Placed>), Fault> {
    let (ports, cache) = (&context.ports, &context.blocks);
    let now = ports.clock.now();
    let known = context.remembered.listed(tenant);
    let known = known.filter(|known| known.at.plus_ms(LISTED_FOR_MS) > now && known.from <= from);
    let from = known.as_ref().map_or(from, |known| known.from);
    let items = match known {
        Some(listed) => {
            let mut items = listed.items.clone();
            for (level, first) in [(Level::Fresh, listed.through.plus_ms(1)), (Level::Late, from)] {
                items.extend(manifest::level_between(ports, cache, tenant, level, (first, to)).await?);
            }
            items
        }
        None => {
            // Before the items: what is proven later may not be listed.
            let proven = progress::current_through(ports).await?;
            let mut items = Vec::new();
            for level in [Level::Day, Level::Hour, Level::Ten, Level::Fresh, Level::Late] {
                items.extend(manifest::level_between(ports, cache, tenant, level, (from, to)).await?);
            }
            if let Some(proven) = proven {
                let through = closed_through(proven.min(now)).min(to);
                let closed = |one: &&Placed| one.item.level != Level::Late && one.item.window.end <= through;
                let closed = items.iter().filter(closed).cloned().collect();
                let listed = Listed { at: now, from, through, items: closed };
                context.remembered.lock().listed.insert(tenant.clone(), Arc::new(listed));
            }
            items
        }
    };
    let known: Vec<Known<'_>> = items.iter().map(Placed::known).collect();
    let opened: BTreeSet<String> = readable_of(&known, (from, to)).iter().map(|one| one.id.to_owned()).collect();
    Ok((from, items.into_iter().filter(|placed| opened.contains(placed.id())).collect()))
}

#[cfg(test)]
mod tests {
    use series::Sample;

    use super::*;

    fn taken(samples: u64) -> Taken {
        let series: Vec<Sample> = (0..samples).map(|n| Sample { at: Timestamp(n as i64), value: 1.0 }).collect();
        Arc::new(vec![(Labels::empty(), Run::from(series))])
    }

    #[test]
    fn remembered_bytes_at_the_limit_and_one_past_it() {
        let memory = Remembered::default();
        let key = |n: u64| (n.to_string(), String::new());
        let samples = 1024 * 1024 / SAMPLE_BYTES - (ENTRY_BYTES + SERIES_BYTES) / SAMPLE_BYTES;
        let each = taken(samples);
        let fit = REMEMBERED_BYTES_MAX / (1024 * 1024);
        for n in 0..fit {
            memory.keep(key(n), Timestamp(5), each.clone());
        }
        assert_eq!(memory.lock().bytes, REMEMBERED_BYTES_MAX);
        assert!(memory.find(&key(0), Timestamp(5)).is_some());
        memory.keep(key(fit), Timestamp(5), taken(0));
        assert!(memory.lock().entries.len() as u64 <= fit.div_ceil(2) + 1);
        assert!(memory.find(&key(0), Timestamp(5)).is_some() && memory.find(&key(1), Timestamp(5)).is_none());
        // What begins later was not taken from the earlier instant.
        assert!(memory.find(&key(0), Timestamp(4)).is_none());
    }
}
