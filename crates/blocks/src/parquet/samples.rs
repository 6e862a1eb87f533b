//! Writing samples.

use std::collections::HashMap;

use bytes::Bytes;
use series::{Labels, METRIC_NAME};
use wire::SeriesColumn;

use super::decimal::Split;
use super::file::{Column, FileWriter, Type, check_rows};
use super::index::{Entry, HAS_DECIMALS, HAS_DOUBLES, IndexBuilder, Place, SAMPLES};
use super::page::{encoding, put_levels};
use super::{ParquetError, delta};
use crate::join::Block;

/// Series of a row group.
pub const SERIES_PER_GROUP: usize = 100;

const COLUMNS: &[Column] = &[
    Column { name: "metric", kind: Type::Text, optional: false },
    Column { name: "labels", kind: Type::Text, optional: false },
    Column { name: "series", kind: Type::Int64, optional: false },
    Column { name: "scale", kind: Type::Int32, optional: false },
    Column { name: "timestamp", kind: Type::Time, optional: false },
    Column { name: "dec", kind: Type::Int64, optional: true },
    Column { name: "value", kind: Type::Double, optional: true },
];
/// `metric`, `labels`, `timestamp`.
const SORTED_BY: &[i32] = &[0, 1, 4];
const NOTES: &[(&str, &str)] = &[("daywatch.value", "coalesce(value, dec / pow(10, scale))")];

/// A block as a Parquet file. Same set, same bytes. Fails only beyond [`super::ROWS_MAX`] samples.
pub fn encode_samples(block: &Block) -> Result<Bytes, ParquetError> {
    let mut columns: Vec<&SeriesColumn> = block.columns().iter().collect();
    // By labels they are sorted already; a label's name before `__name__` may tear a metric apart.
    if !columns.is_sorted_by_key(|column| column.labels.metric_name()) {
        columns.sort_by_key(|column| column.labels.metric_name());
    }
    let mut writer = SamplesWriter::new();
    for group in columns.chunks(SERIES_PER_GROUP) {
        writer.group(group)?;
    }
    Ok(writer.finish())
}

/// Writes an object row group by row group, where not all of it is at hand at once.
pub struct SamplesWriter {
    file: FileWriter,
    index: IndexBuilder,
    plain: Vec<u8>,
    numbers: Vec<i64>,
}

impl Default for SamplesWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl SamplesWriter {
    /// Starts a file.
    #[must_use]
    pub fn new() -> Self {
        Self {
            file: FileWriter::new(COLUMNS),
            index: IndexBuilder::new(SAMPLES, 0),
            plain: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Appends a row group: joined columns (a [`Block`]'s), sorted by metric and labels, all after those of
    /// the groups before. At most [`SERIES_PER_GROUP`] at a time, for the same bytes as [`encode_samples`].
    pub fn group(&mut self, columns: &[&SeriesColumn]) -> Result<(), ParquetError> {
        let rows: u64 = columns.iter().map(|column| column.samples.len() as u64).sum();
        check_rows(self.index.rows() + rows)?;
        self.file.group(rows);
        put_label_chunks(&mut self.file, columns.iter().map(|column| (&column.labels, column.samples.len())));
        let mut splits = Vec::with_capacity(columns.len());
        for column in columns {
            let mut split = Split::default();
            split.fill(column.samples.iter().map(|sample| sample.value));
            splits.push(split);
        }
        put_scales(
            &mut self.file,
            columns.iter().zip(&splits).map(|(column, split)| (split.scale, column.samples.len())),
        );
        let mut entries: Vec<Entry> = columns.iter().zip(&splits).map(|(column, split)| entry(column, split)).collect();
        let chunks = vec![
            self.timestamps(columns, &mut entries),
            self.nullable(&splits, &mut entries, 1),
            self.nullable(&splits, &mut entries, 2),
        ];
        for (column, entry) in columns.iter().zip(entries) {
            self.index.series(&column.labels, entry);
        }
        self.index.group(chunks);
        Ok(())
    }

    /// The file.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.file.finish(&self.index.finish(), NOTES, SORTED_BY).into()
    }

    fn timestamps(&mut self, columns: &[&SeriesColumn], entries: &mut [Entry]) -> Place {
        let start = self.file.chunk();
        let mut first_row = 0;
        for (column, entry) in columns.iter().zip(entries) {
            self.numbers.clear();
            self.numbers.extend(column.samples.iter().map(|sample| sample.at.0));
            self.plain.clear();
            delta::encode(&mut self.plain, &self.numbers);
            let bounds = Some((entry.min_time.0, entry.max_time.0));
            let rows = column.samples.len();
            let at = self.file.bytes();
            let bytes = self.file.page(&self.plain, rows, first_row, encoding::DELTA_BINARY_PACKED, bounds);
            entry.pages[0] = Place { start: at, bytes: bytes as u64 };
            first_row += rows as u64;
        }
        Place { start, bytes: self.file.bytes() - start }
    }

    /// The chunk of decimals (1) or doubles (2): a page for each series that has some, one for all
    /// neighbours that have none.
    fn nullable(&mut self, splits: &[Split], entries: &mut [Entry], column: usize) -> Place {
        let start = self.file.chunk();
        let is_decimals = column == 1;
        let encoding = if is_decimals { encoding::DELTA_BINARY_PACKED } else { encoding::PLAIN };
        let (mut first_row, mut empty) = (0, 0_usize);
        let present = |split: &Split| if is_decimals { split.decimals.len() } else { split.doubles.len() };
        for (split, entry) in splits.iter().zip(entries.iter_mut()) {
            let rows = split.is_decimal.len();
            self.file.nulls((rows - present(split)) as u64);
            if present(split) == 0 {
                empty += rows;
                continue;
            }
            first_row += self.empty_page(std::mem::take(&mut empty), first_row, encoding);
            self.plain.clear();
            put_levels(&mut self.plain, split.is_decimal.iter().map(|decimal| *decimal == is_decimals));
            if is_decimals {
                delta::encode(&mut self.plain, &split.decimals);
            } else {
                self.plain.extend(split.doubles.iter().flat_map(|value| value.to_bits().to_le_bytes()));
            }
            let at = self.file.bytes();
            let bytes = self.file.page(&self.plain, rows, first_row, encoding, None);
            entry.pages[column] = Place { start: at, bytes: bytes as u64 };
            first_row += rows as u64;
        }
        self.empty_page(empty, first_row, encoding);
        Place { start, bytes: self.file.bytes() - start }
    }

    /// A page of rows without a value, where there are some; how many.
    fn empty_page(&mut self, rows: usize, first_row: u64, encoding: i32) -> u64 {
        if rows > 0 {
            self.plain.clear();
            put_levels(&mut self.plain, std::iter::repeat_n(false, rows));
            if encoding == encoding::DELTA_BINARY_PACKED {
                delta::encode(&mut self.plain, &[]);
            }
            self.file.page(&self.plain, rows, first_row, encoding, None);
        }
        rows as u64
    }
}

fn entry(column: &SeriesColumn, split: &Split) -> Entry {
    let flag = |some: bool, flag: u8| if some { flag } else { 0 };
    let doubles = flag(!split.doubles.is_empty(), HAS_DOUBLES);
    Entry {
        // `ROWS_MAX` is below 2^32.
        rows: column.samples.len() as u32,
        min_time: column.samples.first().map(|sample| sample.at).unwrap_or_default(),
        max_time: column.samples.last().map(|sample| sample.at).unwrap_or_default(),
        flags: split.scale | flag(!split.decimals.is_empty(), HAS_DECIMALS) | doubles,
        ..Entry::default()
    }
}

/// `metric`, `labels` and `series` of some series with their numbers of rows: a run a series.
pub(super) fn put_label_chunks<'a>(file: &mut FileWriter, series: impl Iterator<Item = (&'a Labels, usize)>) {
    let (mut metrics, mut labels) = (Texts::default(), Texts::default());
    let (mut hashes, mut hash_runs) = (Vec::new(), Vec::new());
    for (index, (set, rows)) in series.enumerate() {
        metrics.push(set.metric_name().unwrap_or(""), rows);
        labels.push(&labels_json(set), rows);
        // The first half of the identity, as a signed number.
        hashes.extend_from_slice(&((set.id().0 >> 64) as i64).to_le_bytes());
        hash_runs.push((index as u32, rows));
    }
    metrics.write(file, true);
    labels.write(file, false);
    file.dictionary_chunk(&hashes, hash_runs.len(), &hash_runs, None);
}

/// `scale` of some series with their numbers of rows.
pub(super) fn put_scales(file: &mut FileWriter, series: impl Iterator<Item = (u8, usize)>) {
    let mut known: Vec<u8> = Vec::new();
    let mut runs = Vec::new();
    for (scale, rows) in series {
        let at = known.iter().position(|known| *known == scale).unwrap_or_else(|| {
            known.push(scale);
            known.len() - 1
        });
        runs.push((at as u32, rows));
    }
    let dictionary: Vec<u8> = known.iter().flat_map(|scale| i32::from(*scale).to_le_bytes()).collect();
    file.dictionary_chunk(&dictionary, known.len(), &runs, None);
}

/// A dictionary of texts while it grows.
#[derive(Default)]
struct Texts {
    known: HashMap<String, u32>,
    plain: Vec<u8>,
    runs: Vec<(u32, usize)>,
}

impl Texts {
    fn push(&mut self, text: &str, rows: usize) {
        let next = self.known.len() as u32;
        let id = match self.known.get(text) {
            Some(id) => *id,
            None => {
                self.known.insert(text.to_owned(), next);
                self.plain.extend_from_slice(&(text.len() as u32).to_le_bytes());
                self.plain.extend_from_slice(text.as_bytes());
                next
            }
        };
        self.runs.push((id, rows));
    }

    fn write(&self, file: &mut FileWriter, bounds: bool) {
        let least = self.known.keys().min().map(|text| text.as_bytes()).filter(|_| bounds);
        let greatest = self.known.keys().max().map(|text| text.as_bytes());
        file.dictionary_chunk(&self.plain, self.known.len(), &self.runs, least.zip(greatest));
    }
}

/// The labels but the metric's name, as JSON, sorted by name.
fn labels_json(labels: &Labels) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != METRIC_NAME)
        .map(|(name, value)| format!("{}:{}", quoted(name), quoted(value)))
        .collect();
    format!("{{{}}}", pairs.join(","))
}
