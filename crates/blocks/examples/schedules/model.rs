//! A schedule of the pure parts alone, by seed: senders with buffers, deliveries that are repeated, regrouped and
//! late, workers and compactions that run at the same time on what they have read, crashes between any two writes.
//!
//! A pushing source is spread over lanes: each lane's part has a number of its own, as `ingest` gives it.
//! In the end every day must be one block and its rollups, byte for byte those of the joined set, and the ledger must balance.

#[path = "checks.rs"]
mod checks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use blocks::{
    BatchNote, Block, Joiner, KEEP_REPLACED_MS, Known, Level, ManifestItem, Object, PackNotes, SourceNote, Sweep, join,
    pack, plan, readable_of, split_by_window, sweep,
};
use bytes::Bytes;
use series::{
    DAY_MS, Epoch, HOUR_MS, Labels, MINUTE_MS, Sample, SourceName, TEN_MINUTES_MS, Timestamp, Window, stale_marker,
};
use wire::SeriesColumn;

/// What a reader of the manifest has seen.
type Listing = Vec<(String, Arc<ManifestItem>)>;
/// What one block of an invocation is made of.
type Part = (Vec<SeriesColumn>, BTreeMap<SourceName, SourceNote>);

/// A wrong way to do it, which the same invariants must catch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Samples are counted by adding what each delivery brings.
    Increment,
    /// A delivery is skipped if its sequence number is not above the last one of its source.
    SequenceNumber,
    /// Samples are skipped that are not newer than the newest one stored of their source.
    HighWaterMark,
    /// Rollups of a late block are added to those of its hour.
    IncrementRollups,
    /// An hour replaces a late item of which other hours have not taken their part.
    ReplaceLate,
    /// What is replaced is deleted at once.
    DeleteAtOnce,
}

/// All wrong ways.
pub(crate) const ALL_WRONG: [Wrong; 6] = [
    Wrong::Increment,
    Wrong::SequenceNumber,
    Wrong::HighWaterMark,
    Wrong::IncrementRollups,
    Wrong::ReplaceLate,
    Wrong::DeleteAtOnce,
];

/// What happened in schedules.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Happened {
    /// Batches.
    pub(crate) batches: u64,
    /// Deliveries of them.
    pub(crate) deliveries: u64,
    /// Late items.
    pub(crate) late: u64,
    /// Flips, by all compactions.
    pub(crate) flips: u64,
    /// Workers and compactions that were cut off.
    pub(crate) crashes: u64,
    /// Days that were compared.
    pub(crate) days: u64,
}

impl Happened {
    /// The sum of two.
    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            batches: self.batches + other.batches,
            deliveries: self.deliveries + other.deliveries,
            late: self.late + other.late,
            flips: self.flips + other.flips,
            crashes: self.crashes + other.crashes,
            days: self.days + other.days,
        }
    }
}

const ALL_TIME: (Timestamp, Timestamp) = (Timestamp(0), Timestamp(i64::MAX));
const EPOCH: Epoch = Epoch(1);
const STEPS: u64 = 14;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }
}

#[derive(Clone)]
struct Batch {
    source: SourceName,
    seq: u64,
    columns: Vec<SeriesColumn>,
}

struct Sender {
    name: SourceName,
    /// 1 for an agent; a pushing source's series are spread over so many lanes.
    lanes: u64,
    seq: u64,
    generated: u64,
    offline_until: u64,
}

/// One process that has read everything, and writes one thing at a time.
struct Process {
    started: Timestamp,
    steps: Vec<Step>,
}

enum Step {
    Object(String, Bytes),
    Item(ManifestItem),
    Forget(String),
    Delete(Vec<String>),
}

struct World {
    random: Random,
    wrong: Option<Wrong>,
    now: Timestamp,
    objects: BTreeMap<String, Bytes>,
    items: BTreeMap<String, Arc<ManifestItem>>,
    /// Delivered and done: what a reader must find.
    stored: Vec<SeriesColumn>,
    made: Vec<SeriesColumn>,
    /// Not yet acknowledged as done.
    waiting: Vec<Batch>,
    done: Vec<Batch>,
    processes: Vec<Process>,
    /// Somebody who has read the manifest, and reads the objects some time later.
    reader: Option<(Timestamp, Listing)>,
    seen: BTreeMap<SourceName, (u64, Timestamp)>,
    counted: u64,
    happened: Happened,
}

/// Runs one schedule. An error tells what did not hold.
pub(crate) fn run(seed: u64, wrong: Option<Wrong>) -> Result<Happened, String> {
    let mut random = Random(seed);
    let now = Timestamp(1_699_920_000_000 + random.below(20 * HOUR_MS as u64) as i64);
    let mut senders: Vec<Sender> = (0..1 + random.below(3))
        .map(|n| Sender {
            name: SourceName::new(&format!("s{n}")).unwrap(),
            lanes: if random.chance(300) { 16 } else { 1 },
            seq: 0,
            generated: 0,
            offline_until: 0,
        })
        .collect();
    let mut world = World {
        random,
        wrong,
        now,
        objects: BTreeMap::new(),
        items: BTreeMap::new(),
        stored: Vec::new(),
        made: Vec::new(),
        waiting: Vec::new(),
        done: Vec::new(),
        processes: Vec::new(),
        reader: None,
        seen: BTreeMap::new(),
        counted: 0,
        happened: Happened::default(),
    };
    let mut buffered: Vec<(u64, Batch)> = Vec::new();
    for step in 0..STEPS {
        for sender in &mut senders {
            let batches = world.collect(sender, step);
            buffered.extend(batches.into_iter().map(|batch| (sender.offline_until, batch)));
        }
        // What an agent kept while it was away comes hours late.
        let (sent, kept): (Vec<_>, Vec<_>) = buffered.into_iter().partition(|(until, _)| *until <= step);
        buffered = kept;
        world.waiting.extend(sent.into_iter().map(|(_, batch)| batch));
        for _ in 0..1 + world.random.below(3) {
            world.turn()?;
        }
        let width = [MINUTE_MS, 12 * MINUTE_MS, 50 * MINUTE_MS, 4 * HOUR_MS][world.random.below(4) as usize];
        world.now = world.now.plus_ms(1 + world.random.below(width as u64) as i64);
        world.slow_reader()?;
        if step % 2 == 0 {
            world.readers_find_all()?;
        }
    }
    world.waiting.extend(buffered.into_iter().map(|(_, batch)| batch));
    world.end(&senders)?;
    Ok(world.happened)
}

impl World {
    fn collect(&mut self, sender: &mut Sender, step: u64) -> Vec<Batch> {
        if sender.offline_until <= step && self.random.chance(150) {
            sender.offline_until = step + 1 + self.random.below(6);
        }
        let mut lanes: BTreeMap<u64, Vec<SeriesColumn>> = BTreeMap::new();
        for number in 0..1 + self.random.below(2) {
            let pairs = [("__name__", format!("m{number}")), ("source", sender.name.as_str().to_owned())];
            let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str()))).unwrap();
            // On the edges of windows, and again at an instant that has a value already.
            let edge =
                Window::of_block(self.now, [TEN_MINUTES_MS, HOUR_MS, DAY_MS][self.random.below(3) as usize]).start;
            let at = if self.random.chance(200) { edge } else { self.now.plus_ms(-(self.random.below(90_000) as i64)) };
            let value = if self.random.chance(50) { stale_marker() } else { self.random.below(50) as f64 / 10.0 };
            let mut samples = vec![Sample { at, value }];
            if self.random.chance(300) {
                samples.push(Sample { at: at.plus_ms(1_000), value: value + 1.0 });
            }
            sender.generated += samples.len() as u64;
            let lane = (labels.id().0 % u128::from(sender.lanes)) as u64;
            lanes.entry(lane).or_default().push(SeriesColumn { labels, samples });
        }
        let mut batches = Vec::new();
        for columns in lanes.into_values() {
            sender.seq += 1;
            self.made.extend(columns.iter().cloned());
            batches.push(Batch { source: sender.name.clone(), seq: sender.seq, columns });
        }
        self.happened.batches += batches.len() as u64;
        batches
    }

    /// One thing that happens.
    fn turn(&mut self) -> Result<(), String> {
        match self.random.below(10) {
            0..=4 => self.deliver(),
            5..=6 => self.begin_compaction(),
            7 => self.begin_sweep(),
            _ => Ok(()),
        }?;
        // Whoever runs goes on a little, in any order.
        for _ in 0..self.random.below(4) {
            let place = self.random.below(self.processes.len() as u64) as usize;
            if place < self.processes.len() {
                self.advance(place)?;
            }
        }
        Ok(())
    }

    /// A worker with some of what waits, and some of what was done already.
    fn deliver(&mut self) -> Result<(), String> {
        let mut batches = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let again = self.random.chance(250) && !self.done.is_empty();
            let from = if again { &self.done } else { &self.waiting };
            let place = self.random.below(from.len() as u64) as usize;
            batches.extend(from.get(place).cloned());
        }
        let crashes = self.random.chance(150);
        self.work(&batches, crashes);
        Ok(())
    }

    fn work(&mut self, batches: &[Batch], crashes: bool) {
        self.happened.deliveries += batches.len() as u64;
        let mut taken: Vec<Batch> = Vec::new();
        for batch in batches {
            let mut batch = batch.clone();
            let seen = self.seen.entry(batch.source.clone()).or_insert((0, Timestamp(0)));
            match self.wrong {
                Some(Wrong::SequenceNumber) if batch.seq <= seen.0 => batch.columns.clear(),
                Some(Wrong::HighWaterMark) => {
                    for column in &mut batch.columns {
                        column.samples.retain(|sample| sample.at > seen.1);
                    }
                }
                _ => {}
            }
            let newest = batch.columns.iter().flat_map(|column| &column.samples).map(|sample| sample.at).max();
            *seen = (seen.0.max(batch.seq), seen.1.max(newest.unwrap_or(seen.1)));
            self.counted += batch.columns.iter().map(|column| column.samples.len() as u64).sum::<u64>();
            taken.push(batch);
        }
        let mut steps = self.blocks_of(&taken);
        if crashes {
            steps.truncate(self.random.below(steps.len() as u64 + 1) as usize);
            self.happened.crashes += 1;
        }
        for step in steps {
            self.put(step);
        }
        if !crashes {
            for batch in batches {
                self.stored.extend(batch.columns.iter().cloned());
                self.waiting.retain(|other| (&other.source, other.seq) != (&batch.source, batch.seq));
                self.done.push(batch.clone());
            }
        }
    }

    /// As one invocation of `aggregate` writes them.
    fn blocks_of(&mut self, batches: &[Batch]) -> Vec<Step> {
        let oldest_open = Window::of_block(self.now, TEN_MINUTES_MS).previous().start;
        let mut parts: BTreeMap<(Level, Window), Part> = BTreeMap::new();
        let now = self.now;
        for batch in batches {
            for (window, columns) in split_by_window(batch.columns.clone(), TEN_MINUTES_MS) {
                let late = window.start < oldest_open;
                let place = if late { (Level::Late, window.widened(DAY_MS)) } else { (Level::Fresh, window) };
                let part = parts.entry(place).or_default();
                let samples = columns.iter().map(|column| column.samples.len() as u64).sum();
                let note = part.1.entry(batch.source.clone());
                let note = note.or_insert_with(|| SourceNote::new(batch.source.clone(), now));
                note.notes.push(BatchNote::new(EPOCH, batch.seq, window.start, samples));
                part.0.extend(columns);
            }
        }
        let mut steps = Vec::new();
        for ((level, window), (columns, sources)) in parts {
            self.happened.late += u64::from(level == Level::Late);
            let sources = sources.into_values().collect();
            let notes = PackNotes { level, window, sources, replaces: Vec::new(), arrived_through: now, made_at: now };
            let packed = pack(join(columns), notes);
            steps.extend(packed.item.name.clone().map(|name| Step::Object(place(level, &name), packed.bytes.clone())));
            steps.push(Step::Item(packed.item));
        }
        steps
    }

    fn snapshot(&self) -> Vec<(String, Arc<ManifestItem>)> {
        self.items.iter().map(|(id, item)| (id.clone(), Arc::clone(item))).collect()
    }

    fn begin_compaction(&mut self) -> Result<(), String> {
        let snapshot = self.snapshot();
        let mut steps = Vec::new();
        {
            let known: Vec<Known<'_>> = snapshot.iter().map(|(id, item)| Known { id, item }).collect();
            let present: BTreeSet<&str> = known.iter().map(|one| one.id).collect();
            for job in plan(&known, self.now).into_iter().take(6) {
                let inputs: Vec<Known<'_>> =
                    known.iter().copied().filter(|one| job.inputs.iter().any(|id| id == one.id)).collect();
                let failed = |error: blocks::CompactError| error.to_string();
                let mut joiner = Joiner::new((job.level, job.window), &inputs, &present, self.now).map_err(failed)?;
                let mut columns = Vec::new();
                for input in &inputs {
                    for name in input.item.objects() {
                        let bytes = self.objects.get(&place(input.item.level, name));
                        let bytes =
                            bytes.ok_or_else(|| format!("the object {name} of {:?} is gone", input.item.level))?;
                        let read = blocks::decode_where(bytes.clone(), |_| true).map_err(|error| error.to_string())?;
                        columns.extend(joiner.own(input.item, read));
                    }
                }
                for object in joiner.add(columns).map_err(failed)? {
                    steps.push(match object {
                        Object::Samples { name, bytes } => Step::Object(place(job.level, &name), bytes),
                        Object::Rollups { listed, bytes } => Step::Object(listed.name, bytes),
                    });
                }
                for mut item in joiner.finish().map_err(failed)? {
                    self.do_wrong(&mut item, &inputs);
                    steps.push(Step::Item(item));
                }
            }
        }
        if !steps.is_empty() {
            self.processes.push(Process { started: self.now, steps });
        }
        Ok(())
    }

    fn do_wrong(&self, item: &mut ManifestItem, inputs: &[Known<'_>]) {
        match self.wrong {
            Some(Wrong::ReplaceLate) if item.level == Level::Hour => {
                item.replaces.extend(item.includes.iter().cloned())
            }
            Some(Wrong::IncrementRollups) if item.level == Level::Day => {
                // The late block's rollups are not recomputed with the others': those of the old item stay.
                if let Some(old) = inputs.iter().find(|input| input.item.level == Level::Day) {
                    item.rollups.clone_from(&old.item.rollups);
                }
            }
            _ => {}
        }
    }

    fn begin_sweep(&mut self) -> Result<(), String> {
        let snapshot = self.snapshot();
        let known: Vec<Known<'_>> = snapshot.iter().map(|(id, item)| Known { id, item }).collect();
        let at = if self.wrong == Some(Wrong::DeleteAtOnce) { self.now.plus_ms(DAY_MS) } else { self.now };
        let (steps, stay) = sweep(&known, at, usize::MAX);
        let kept: BTreeSet<String> = stay.iter().flat_map(|one| objects(one.item)).collect();
        let of = |step: Sweep<'_>| match step {
            Sweep::Item(one) => Step::Forget(one.id.to_owned()),
            Sweep::Objects(one) => {
                Step::Delete(objects(one.item).into_iter().filter(|name| !kept.contains(name)).collect())
            }
        };
        let steps = steps.into_iter().map(of).collect();
        self.processes.push(Process { started: self.now, steps });
        Ok(())
    }

    /// One write of a process; some are cut off, and none lives longer than half an hour.
    fn advance(&mut self, place: usize) -> Result<(), String> {
        let crashes = self.random.chance(60);
        let process = &mut self.processes[place];
        let is_old = process.started.plus_ms(30 * MINUTE_MS) < self.now;
        if crashes || is_old || process.steps.is_empty() {
            self.happened.crashes += u64::from(!process.steps.is_empty());
            self.processes.swap_remove(place);
            return Ok(());
        }
        let step = process.steps.remove(0);
        self.put(step);
        Ok(())
    }

    fn put(&mut self, step: Step) {
        match step {
            Step::Object(name, bytes) => {
                self.objects.insert(name, bytes);
            }
            Step::Item(mut item) => {
                // When it is written, as the pipeline does.
                item.made_at = self.now;
                self.happened.flips += u64::from(!item.replaces.is_empty());
                let read = ManifestItem::decode(&item.encode().unwrap()).unwrap();
                self.items.entry(item.id()).or_insert_with(|| Arc::new(read));
            }
            Step::Forget(id) => drop(self.items.remove(&id)),
            Step::Delete(names) => names.iter().for_each(|name| drop(self.objects.remove(name))),
        }
    }

    /// All samples of `[from, to]`, and some others, that a reader of this manifest finds now.
    fn read(&self, manifest: &Listing, (from, to): (Timestamp, Timestamp)) -> Result<Block, String> {
        let known: Vec<Known<'_>> = manifest.iter().map(|(id, item)| Known { id, item }).collect();
        let mut columns = Vec::new();
        for one in readable_of(&known, (from, to)).into_iter().filter(|one| one.item.overlaps(from, to)) {
            for name in one.item.objects() {
                let bytes = self.objects.get(&place(one.item.level, name));
                let bytes =
                    bytes.ok_or_else(|| format!("a reader misses the object {name} of {:?}", one.item.level))?;
                columns.extend(blocks::decode(bytes.clone()).map_err(|error| error.to_string())?.into_columns());
            }
        }
        Ok(join(columns))
    }

    /// What was read in a manifest stays for an hour, however much is flipped and swept meanwhile.
    fn slow_reader(&mut self) -> Result<(), String> {
        let (began, snapshot) = self.reader.take().unwrap_or_else(|| (self.now, self.snapshot()));
        if began.plus_ms(KEEP_REPLACED_MS) > self.now {
            self.read(&snapshot, ALL_TIME)?;
            self.reader = Some((began, snapshot));
        }
        Ok(())
    }
}

fn place(level: Level, name: &str) -> String {
    match level {
        Level::Fresh | Level::Ten => format!("blocks/{name}"),
        other => format!("{}/{name}", other.as_str()),
    }
}

fn objects(item: &ManifestItem) -> Vec<String> {
    let rollups = item.rollups.iter().map(|rollup| rollup.name.clone());
    item.objects().map(|name| place(item.level, name)).chain(rollups).collect()
}

fn bits(block: &Block) -> Vec<(&Labels, Vec<(Timestamp, u64)>)> {
    let samples = |column: &SeriesColumn| column.samples.iter().map(|s| (s.at, s.value.to_bits())).collect();
    block.columns().iter().map(|column| (&column.labels, samples(column))).collect()
}
