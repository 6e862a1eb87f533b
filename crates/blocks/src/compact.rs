//! Packing a block with its manifest item, and compaction: the blocks of one closed window become one.
//! A pure function of the set of inputs: same set, same bytes.
//!
//! A block of more than [`PART_SAMPLES_MAX`] samples is made in **parts**, one after the other, so that memory stays
//! bounded: part `i` of `n` (a power of two) holds the series whose id lies in the `i`th of `n` equal
//! stretches. All parts stand in one item, so the flip is still one put.
//!
//! Superseded samples are counted here, where both sides are at hand: samples that the distinct
//! batches brought, less those of the joined set. A sample does not say who sent it, so the block's
//! samples are attributed to the sources thus: a column goes to the source that its label `source`
//! names (agents set it); what is left goes to the sources by the number of samples for which
//! nothing else accounts yet, the greatest first. The sum over the sources is exact; a single
//! source's share is exact unless several unlabelled senders write the same identity.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use series::{DAY_MS, Labels, SourceName, Timestamp, Window, rollup_width};
use wire::{SeriesColumn, WrittenColumn};

use crate::codec::encode;
use crate::column::{self, Column};
use crate::join::{Block, join};
use crate::layout::{block_name, encode_columns};
use crate::manifest::{Level, ManifestError, ManifestItem, PartObject, RollupObject};
use crate::order::Order;
use crate::parquet::{ParquetError, encode_rollups};
use crate::plan::Known;
use crate::rollup::rollup;
use crate::sources::{BatchNote, SourceNote, join_sources};

/// The label by which agents name themselves.
const SOURCE_LABEL: &str = "source";

/// A block ready to be stored: first the bytes under the item's name, then the item.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    /// The manifest item.
    pub item: ManifestItem,
    /// The block; empty where its columns were taken as written.
    pub block: Block,
    /// The block's bytes; empty where there is no block.
    pub bytes: Bytes,
}

/// An object that is to be stored before the item that names it.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A part of the block.
    Samples {
        /// Its name.
        name: String,
        /// Its bytes.
        bytes: Bytes,
    },
    /// Rollups.
    Rollups {
        /// What the item says of it.
        listed: RollupObject,
        /// Its bytes.
        bytes: Bytes,
    },
}

/// What a block's manifest item says besides what the block itself shows.
#[derive(Debug, Clone, PartialEq)]
pub struct PackNotes {
    /// How far it is compacted.
    pub level: Level,
    /// Its window.
    pub window: Window,
    /// Whose samples they are; joined, so that a batch may be told of twice.
    pub sources: Vec<SourceNote>,
    /// Ids of the items that it stands for.
    pub replaces: Vec<String>,
    /// The stream was read up to this time of arrival.
    pub arrived_through: Timestamp,
    /// Now.
    pub made_at: Timestamp,
}

/// Samples of one part of a block.
pub const PART_SAMPLES_MAX: u64 = 4_000_000;
/// Parts of a block: with as many, a day of 100,000 series at 10 s has 3.4 million samples a part.
pub const PARTS_MAX: u64 = 256;

/// Why inputs cannot be compacted together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    #[error("there is nothing to compact")]
    Nothing,
    #[error("the item {id} is of another window")]
    OtherWindow { id: String },
    #[error("the block cannot be written: {0}")]
    Block(#[from] ParquetError),
    #[error("the item cannot be written: {0}")]
    Item(#[from] ManifestError),
}

/// Encodes a young block (up to [`Level::Late`]) and describes it. An empty block has no name and no bytes.
#[must_use]
pub fn pack(block: Block, notes: PackNotes) -> Packed {
    let (item, bytes) = packed(block.columns(), notes, None);
    Packed { item, block, bytes }
}

/// The same, found faster where the order knows the block's series.
#[must_use]
pub fn pack_known(block: Block, notes: PackNotes, order: &Order) -> Packed {
    let (item, bytes) = packed(block.columns(), notes, Some(order));
    Packed { item, block, bytes }
}

/// The same of columns as [`Order::arranged`] answers them, of which no decoded block is made.
#[must_use]
pub fn pack_written(columns: &[WrittenColumn<'_>], notes: PackNotes, order: &Order) -> Packed {
    let (item, bytes) = packed(columns, notes, Some(order));
    Packed { item, block: Block::default(), bytes }
}

fn packed<C: Column>(columns: &[C], notes: PackNotes, order: Option<&Order>) -> (ManifestItem, Bytes) {
    let bytes = if columns.is_empty() { Bytes::new() } else { encode_columns(columns, order) };
    let mut sources = join_sources(notes.sources);
    let mut counted = Counted::default();
    counted.add(columns, order);
    counted.attribute(&mut sources);
    let (min_time, max_time) = column::span(columns).unwrap_or((notes.window.start, notes.window.start));
    let item = ManifestItem {
        name: (!columns.is_empty()).then(|| object_name(notes.level, &bytes, notes.made_at)),
        level: notes.level,
        min_time,
        max_time,
        bytes: bytes.len() as u64,
        samples: column::samples(columns),
        series: columns.len() as u64,
        replaces: notes.replaces,
        made_at: notes.made_at,
        ..ManifestItem::notes_only(notes.window, sources, notes.arrived_through)
    };
    (item, bytes)
}

/// The name of an object: its content's, and where it might be deleted while the same content is written
/// again also its time. A late block may be delivered again at any time, and an object that no item names
/// is swept after a day: these carry the instant, and the end of the day in which they were made.
#[must_use]
pub fn object_name(level: Level, bytes: &[u8], made_at: Timestamp) -> String {
    let content = block_name(bytes);
    match level {
        Level::Fresh | Level::Ten | Level::Ledger => content,
        Level::Late => format!("{content}-{}", made_at.ms()),
        Level::Hour | Level::Day => format!("{content}-{}", Window::of_block(made_at, DAY_MS).end.ms()),
    }
}

/// A compaction on its way: [`Joiner::wants`] says which columns a part is made of, [`Joiner::add`] makes it,
/// [`Joiner::finish`] describes all of them.
#[derive(Debug)]
pub struct Joiner {
    item: ManifestItem,
    parts: u64,
    made: Vec<PartObject>,
    span: Option<(Timestamp, Timestamp)>,
    counted: Counted,
}

impl Joiner {
    /// Of a job's inputs. `present`: the ids of all items that there are; what is gone needs no mention.
    pub fn new(
        (level, window): (Level, Window),
        inputs: &[Known<'_>],
        present: &BTreeSet<&str>,
        made_at: Timestamp,
    ) -> Result<Self, CompactError> {
        let first = inputs.first().ok_or(CompactError::Nothing)?;
        let mut arrived_through = first.item.arrived_through;
        let (mut sources, mut samples) = (Vec::new(), 0_u64);
        let (mut replaces, mut includes) = (BTreeSet::new(), BTreeSet::new());
        for Known { id, item } in inputs {
            let whole = item.window.widened(level.width_ms()) == window && item.level.width_ms() <= level.width_ms();
            let late_of_this_day = item.level == Level::Late && window.widened(DAY_MS) == item.window;
            if !(whole || late_of_this_day) {
                return Err(CompactError::OtherWindow { id: (*id).to_owned() });
            }
            if whole {
                replaces.insert((*id).to_owned());
                replaces.extend(item.replaces.iter().filter(|id| present.contains(id.as_str())).cloned());
                includes.extend(item.includes.iter().filter(|id| present.contains(id.as_str())).cloned());
                sources.extend(item.sources.iter().cloned());
            } else {
                // Of a late item, what is of this window; nobody else may forget the rest.
                includes.insert((*id).to_owned());
                sources.extend(item.sources.iter().filter_map(|source| within(source, window)));
            }
            arrived_through = arrived_through.max(item.arrived_through);
            samples = samples.saturating_add(item.samples);
        }
        let mut item = ManifestItem::notes_only(window, join_sources(sources), arrived_through);
        (item.level, item.made_at) = (level, made_at);
        item.replaces = replaces.into_iter().collect();
        // A day has taken all of them whole.
        item.includes = if level == Level::Hour { includes.into_iter().collect() } else { Vec::new() };
        let parts = samples.div_ceil(PART_SAMPLES_MAX).next_power_of_two().min(PARTS_MAX);
        Ok(Self { item, parts, made: Vec::new(), span: None, counted: Counted::default() })
    }

    /// How many parts are to be added.
    #[must_use]
    pub fn parts(&self) -> u64 {
        self.parts
    }

    /// The objects of an input that hold series of the next part: their places among its objects.
    #[must_use]
    pub fn places(&self, input: &ManifestItem) -> std::ops::Range<usize> {
        let (part, parts) = (self.made.len() as u64, self.parts);
        let objects = input.objects().count() as u64;
        let place = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
        place(part * objects / parts)..place(((part + 1) * objects).div_ceil(parts))
    }

    /// Whether a series belongs to the next part.
    #[must_use]
    pub fn wants(&self, labels: &Labels) -> bool {
        // Of a power of two of equal stretches, by the id's upper bits.
        self.parts == 1 || ((labels.id().0 >> 64) * u128::from(self.parts)) >> 64 == self.made.len() as u128
    }

    /// Of an input's columns what belongs here: of a late item that reaches over the window, a part.
    #[must_use]
    pub fn own(&self, input: &ManifestItem, mut columns: Vec<SeriesColumn>) -> Vec<SeriesColumn> {
        let (level, window) = (self.item.level, self.item.window);
        if input.level.width_ms() > level.width_ms() {
            columns.iter_mut().for_each(|column| column.samples.retain(|sample| window.holds(sample.at)));
        }
        columns
    }

    /// Joins the next part's columns.
    pub fn add(&mut self, columns: Vec<SeriesColumn>) -> Result<Vec<Object>, CompactError> {
        let level = self.item.level;
        let block = join(columns);
        let mut objects = Vec::new();
        let mut part = PartObject { name: String::new(), bytes: 0, samples: block.samples(), series: block.series() };
        if !block.is_empty() || self.parts > 1 {
            let bytes = encode(level, &block)?;
            part.name = object_name(level, &bytes, self.item.made_at);
            part.bytes = bytes.len() as u64;
            objects.push(Object::Samples { name: part.name.clone(), bytes });
        }
        self.counted.add(block.columns(), None);
        if let Some((min, max)) = block.span() {
            self.span = Some(self.span.map_or((min, max), |(first, last)| (first.min(min), last.max(max))));
        }
        if matches!(level, Level::Hour | Level::Day) && !block.is_empty() {
            for width_ms in rollup_width::ALL {
                let rollups = rollup(&block, width_ms);
                let bytes = encode_rollups(&rollups, width_ms)?;
                let name = object_name(level, &bytes, self.item.made_at);
                let listed = RollupObject { width_ms, name, bytes: bytes.len() as u64, series: block.series() };
                self.item.rollups.push(listed.clone());
                objects.push(Object::Rollups { listed, bytes });
            }
        }
        self.made.push(part);
        Ok(objects)
    }

    /// The item, and before it those with further notes where they are too many for one: to be written in this order.
    pub fn finish(self) -> Result<Vec<ManifestItem>, CompactError> {
        let Self { mut item, made, span, counted, .. } = self;
        (item.min_time, item.max_time) = span.unwrap_or((item.window.start, item.window.start));
        item.bytes = made.iter().map(|part| part.bytes).sum();
        item.samples = made.iter().map(|part| part.samples).sum();
        item.series = made.iter().map(|part| part.series).sum();
        counted.attribute(&mut item.sources);
        let mut parts = made.into_iter().filter(|part| !part.name.is_empty());
        item.name = if item.samples > 0 { parts.next().map(|part| part.name) } else { None };
        item.parts = if item.samples > 0 { parts.collect() } else { Vec::new() };
        item.rollups.sort_by(|a, b| (a.width_ms, &a.name).cmp(&(b.width_ms, &b.name)));
        with_further_notes(item)
    }
}

/// As many items as the notes need: the last one is the item itself.
pub fn with_further_notes(mut item: ManifestItem) -> Result<Vec<ManifestItem>, CompactError> {
    let mut further = Vec::new();
    loop {
        match item.encode() {
            Ok(_) => {
                further.push(item);
                return Ok(further);
            }
            // One source's notes are more than an item takes: there is nothing left to halve.
            Err(error) if item.sources.len() < 2 => return Err(error.into()),
            Err(ManifestError::TooLong { .. } | ManifestError::TooManyBatches { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let rest = item.sources.split_off(item.sources.len() / 2);
        let mut notes = ManifestItem::notes_only(item.window, rest, item.arrived_through);
        (notes.level, notes.made_at) = (item.level, item.made_at);
        for notes in with_further_notes(notes)? {
            let notes = ManifestItem { notes_in: Vec::new(), ..notes };
            item.notes_in.push(notes.id());
            further.push(notes);
        }
    }
}

/// What a source's notes say of a window; `None` where nothing.
fn within(source: &SourceNote, window: Window) -> Option<SourceNote> {
    let inside = |note: &&BatchNote| note.block_window().widened(window.end.ms() - window.start.ms()) == window;
    let notes: Vec<BatchNote> = source.notes.iter().filter(inside).cloned().collect();
    (!notes.is_empty()).then(|| SourceNote { notes, ..source.clone() })
}

/// Samples of a set, by whom their label names.
#[derive(Debug, Default)]
struct Counted {
    by_label: BTreeMap<SourceName, u64>,
    unlabelled: u64,
}

impl Counted {
    fn add<C: Column>(&mut self, columns: &[C], order: Option<&Order>) {
        let mut by_number = vec![0_u64; order.map_or(0, |order| order.texts().len())];
        let mut next_rank = 0;
        // Series of one metric come from the same sources in the same order as those of the metric before: mostly
        // the next name is the one that came next the last time, and is not hashed.
        let (mut by_label, mut places): (Vec<(&str, u64)>, HashMap<&str, usize>) = Default::default();
        let mut at = 0;
        for column in columns {
            if let Some((order, rank)) = order.and_then(|order| Some((order, order.rank(column.labels(), next_rank)?)))
            {
                next_rank = rank + 1;
                let place = order.texts().source(rank).and_then(|number| by_number.get_mut(number as usize));
                *place.unwrap_or(&mut self.unlabelled) += column.samples() as u64;
                continue;
            }
            let name = column.labels().get(SOURCE_LABEL).unwrap_or_default();
            let guesses = [at, at + 1, 0];
            let known = guesses.into_iter().find(|guess| by_label.get(*guess).is_some_and(|(known, _)| *known == name));
            at = known.unwrap_or_else(|| {
                *places.entry(name).or_insert_with(|| {
                    by_label.push((name, 0));
                    by_label.len() - 1
                })
            });
            if let Some((_, samples)) = by_label.get_mut(at) {
                *samples += column.samples() as u64;
            }
        }
        let counted = by_number.iter().zip(0..).filter(|(samples, _)| **samples > 0);
        let text = |number| order.and_then(|order| std::str::from_utf8(order.texts().text(number)).ok());
        by_label.extend(counted.map(|(samples, number)| (text(number).unwrap_or_default(), *samples)));
        for (name, samples) in by_label {
            // No source has an empty name.
            match SourceName::new(name) {
                Ok(name) => *self.by_label.entry(name).or_default() += samples,
                Err(_) => self.unlabelled += samples,
            }
        }
    }

    /// Sets `superseded` of each source.
    fn attribute(self, sources: &mut [SourceNote]) {
        let mut open: BTreeMap<SourceName, u64> =
            sources.iter().map(|note| (note.source.clone(), note.received())).collect();
        let mut unattributed = self.unlabelled;
        for (name, samples) in self.by_label {
            unattributed += samples - open.get_mut(&name).map_or(0, |open| take(open, samples));
        }
        let mut by_open: Vec<(&SourceName, &mut u64)> = open.iter_mut().collect();
        by_open.sort_by_key(|(name, open)| (Reverse(**open), (*name).clone()));
        for (_, open) in by_open {
            unattributed -= take(open, unattributed);
        }
        for note in sources {
            note.superseded = open.get(&note.source).copied().unwrap_or(0);
        }
    }
}

/// Takes up to `wanted` from `open`, and says how much it was.
fn take(open: &mut u64, wanted: u64) -> u64 {
    let taken = wanted.min(*open);
    *open -= taken;
    taken
}

#[cfg(test)]
mod tests;
