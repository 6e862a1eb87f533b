//! Rollups as a Parquet file: small row groups that are read whole, a page a column.
//!
//! A series' day has 288 rollups of 5 min, each with six numbers and three times. A page a series would
//! be mostly page headers; a group of some thousand rows is one range of bytes and is decoded in a fraction of a
//! millisecond. `increase` is left out where it is `last − first`, bit by bit: for counters that never fell.

use bytes::Bytes;
use series::{Rollup, RollupSeries, Timestamp};
use wire::columns::{DECIMAL_SCALE_MAX, power_of_ten};

use super::decimal::Split;
use super::file::{Column, FileWriter, Type, check_rows};
use super::footer::{Fetched, Footer, Kind};
use super::index::{Entry, GroupEntry, IndexBuilder, Place, ROLLUPS, SCALE_MASK};
use super::page::{Unpacker, column_error, encoding, put_levels};
use super::read::{expect_encoding, places};
use super::samples::{put_label_chunks, put_scales};
use super::{ParquetError, delta};

/// Rows at which a row group of rollups is closed.
pub const ROLLUP_GROUP_ROWS: usize = 4_096;
/// Sum, min, max, first, last and increase: [`Rollup::numbers`].
const NUMBERS: usize = 6;
const INCREASE: usize = NUMBERS - 1;

const fn required(name: &'static str, kind: Type) -> Column {
    Column { name, kind, optional: false }
}

const fn optional(name: &'static str, kind: Type) -> Column {
    Column { name, kind, optional: true }
}

const COLUMNS: &[Column] = &[
    required("metric", Type::Text),
    required("labels", Type::Text),
    required("series", Type::Int64),
    required("scale", Type::Int32),
    required("timestamp", Type::Time),
    required("count", Type::Int64),
    optional("sum_dec", Type::Int64),
    optional("sum", Type::Double),
    optional("min_dec", Type::Int64),
    optional("min", Type::Double),
    optional("max_dec", Type::Int64),
    optional("max", Type::Double),
    optional("first_dec", Type::Int64),
    optional("first", Type::Double),
    optional("last_dec", Type::Int64),
    optional("last", Type::Double),
    optional("increase_dec", Type::Int64),
    optional("increase", Type::Double),
    required("first_at", Type::Time),
    required("last_at", Type::Time),
    required("stale_at_end", Type::Boolean),
];
/// Columns of which our index has the places: all after `scale`.
const PLACES: usize = 17;
const SORTED_BY: &[i32] = &[0, 1, 4];
const NOTES: &[(&str, &str)] = &[
    ("daywatch.timestamp", "the end of the bucket (timestamp - width, timestamp]"),
    ("daywatch.numbers", "coalesce(sum, sum_dec / pow(10, scale)), and so on"),
    ("daywatch.increase", "coalesce(increase, increase_dec / pow(10, scale), last - first)"),
];

/// Rollups of one width as a Parquet file. The same rollups in any order of the series, the same bytes.
/// Fails only beyond [`super::ROWS_MAX`] rollups.
pub fn encode_rollups(series: &[RollupSeries], width_ms: i64) -> Result<Bytes, ParquetError> {
    check_rows(series.iter().map(|one| one.rollups.len() as u64).sum())?;
    let mut sorted: Vec<&RollupSeries> = series.iter().filter(|one| !one.rollups.is_empty()).collect();
    sorted.sort_by(|a, b| (a.labels.metric_name(), &a.labels).cmp(&(b.labels.metric_name(), &b.labels)));
    let mut writer = Writer { file: FileWriter::new(COLUMNS), index: IndexBuilder::new(ROLLUPS, width_ms) };
    let mut rest = sorted.as_slice();
    while !rest.is_empty() {
        let mut rows = 0;
        let full = rest.iter().position(|one| {
            rows += one.rollups.len();
            rows >= ROLLUP_GROUP_ROWS
        });
        let (group, left) = rest.split_at(full.map_or(rest.len(), |last| last + 1));
        writer.group(group);
        rest = left;
    }
    Ok(writer.file.finish(&writer.index.finish(), NOTES, SORTED_BY).into())
}

struct Writer {
    file: FileWriter,
    index: IndexBuilder,
}

impl Writer {
    fn group(&mut self, group: &[&RollupSeries]) {
        let all: Vec<&Rollup> = group.iter().flat_map(|one| one.rollups.iter()).collect();
        self.file.group(all.len() as u64);
        put_label_chunks(&mut self.file, group.iter().map(|one| (&one.labels, one.rollups.len())));
        let scales: Vec<Option<u8>> = group.iter().map(|one| scale_of(&one.rollups)).collect();
        put_scales(
            &mut self.file,
            group.iter().zip(&scales).map(|(one, scale)| (scale.unwrap_or(0), one.rollups.len())),
        );
        let mut places = vec![
            self.whole_numbers(all.iter().map(|rollup| rollup.end.0)),
            self.whole_numbers(all.iter().map(|rollup| rollup.count as i64)),
        ];
        for number in 0..NUMBERS {
            let mut split = Split::default();
            let mut written = Vec::with_capacity(all.len());
            for (one, scale) in group.iter().zip(&scales) {
                for rollup in one.rollups.iter() {
                    let derived = number == INCREASE && is_difference(rollup);
                    written.push(!derived);
                    if !derived {
                        split.push(rollup.numbers()[number], *scale);
                    }
                }
            }
            places.extend(self.numbers(&split, &written));
        }
        places.push(self.whole_numbers(all.iter().map(|rollup| rollup.first_at.0)));
        places.push(self.whole_numbers(all.iter().map(|rollup| rollup.last_at.0)));
        places.push(self.flags(all.iter().map(|rollup| rollup.stale_at_end)));
        for (one, scale) in group.iter().zip(scales) {
            self.index.series(
                &one.labels,
                Entry {
                    rows: one.rollups.len() as u32,
                    min_time: one.rollups.first().map(|rollup| rollup.end).unwrap_or_default(),
                    max_time: one.rollups.last().map(|rollup| rollup.end).unwrap_or_default(),
                    flags: scale.unwrap_or(0),
                    ..Entry::default()
                },
            );
        }
        self.index.group(places);
    }

    fn page(&mut self, plain: &[u8], rows: usize, encoding: i32, bounds: Option<(i64, i64)>) -> Place {
        let start = self.file.chunk();
        let bytes = self.file.page(plain, rows, 0, encoding, bounds);
        Place { start, bytes: bytes as u64 }
    }

    fn whole_numbers(&mut self, numbers: impl Iterator<Item = i64>) -> Place {
        let numbers: Vec<i64> = numbers.collect();
        let mut plain = Vec::new();
        delta::encode(&mut plain, &numbers);
        let bounds = numbers.iter().copied().min().zip(numbers.iter().copied().max());
        self.page(&plain, numbers.len(), encoding::DELTA_BINARY_PACKED, bounds)
    }

    fn flags(&mut self, flags: impl Iterator<Item = bool>) -> Place {
        let flags: Vec<bool> = flags.collect();
        let mut plain = vec![0_u8; flags.len().div_ceil(8)];
        for at in (0..flags.len()).filter(|at| flags[*at]) {
            plain[at / 8] |= 1 << (at % 8);
        }
        self.page(&plain, flags.len(), encoding::PLAIN, None)
    }

    /// Two chunks, decimals and doubles, of the rows that are `written`.
    fn numbers(&mut self, split: &Split, written: &[bool]) -> [Place; 2] {
        let mut next = split.is_decimal.iter();
        let kinds: Vec<Option<bool>> =
            written.iter().map(|written| if *written { next.next().copied() } else { None }).collect();
        [true, false].map(|decimals| {
            let mut plain = Vec::new();
            put_levels(&mut plain, kinds.iter().map(|kind| *kind == Some(decimals)));
            let (encoding, present) = if decimals {
                delta::encode(&mut plain, &split.decimals);
                (encoding::DELTA_BINARY_PACKED, split.decimals.len())
            } else {
                plain.extend(split.doubles.iter().flat_map(|value| value.to_bits().to_le_bytes()));
                (encoding::PLAIN, split.doubles.len())
            };
            let place = self.page(&plain, kinds.len(), encoding, None);
            self.file.nulls((kinds.len() - present) as u64);
            place
        })
    }
}

/// The scale of a series' samples, as far as its rollups show them.
fn scale_of(rollups: &[Rollup]) -> Option<u8> {
    let values: Vec<f64> =
        rollups.iter().flat_map(|rollup| [rollup.min, rollup.max, rollup.first, rollup.last]).collect();
    super::decimal::best_scale(values.iter().copied())
}

fn is_difference(rollup: &Rollup) -> bool {
    rollup.increase.to_bits() == (rollup.last - rollup.first).to_bits()
}

impl Footer {
    /// The rollups of these series whose buckets end in the closed stretch `[from, to]`, from what
    /// [`Footer::ranges`] named; series without one are left out, the others stand in the order asked for.
    pub fn rollups(
        &self,
        series: &[usize],
        from: Timestamp,
        to: Timestamp,
        fetched: &Fetched,
    ) -> Result<Vec<RollupSeries>, ParquetError> {
        if self.kind == Kind::Samples {
            return Err(ParquetError::OtherKind { wanted: "rollups", found: "samples" });
        }
        let mut unpacker = Unpacker::new();
        let mut open: Option<(usize, Vec<Rollup>)> = None;
        let mut found = Vec::with_capacity(series.len());
        for number in series.iter().filter(|number| self.touches(**number, from, to)) {
            let group = self.index.group_of(*number).ok_or(ParquetError::NoSuchSeries { index: *number })?;
            if open.as_ref().is_none_or(|(first, _)| *first != group.first_series) {
                open = Some((group.first_series, self.group_rollups(group, fetched, &mut unpacker)?));
            }
            let all = open.as_ref().map_or(&[][..], |(_, rollups)| rollups);
            let rows = |entry: &Entry| entry.rows as usize;
            let before: usize = self.index.entries[group.first_series..*number].iter().map(rows).sum();
            let mut own = all.get(before..before + rows(&self.index.entries[*number])).unwrap_or(&[]);
            own = &own[own.partition_point(|rollup| rollup.end < from)..];
            own = &own[..own.partition_point(|rollup| rollup.end <= to)];
            if !own.is_empty() {
                found.push(RollupSeries { labels: self.index.labels(*number)?, rollups: own.into() });
            }
        }
        Ok(found)
    }

    fn group_rollups(
        &self,
        group: &GroupEntry,
        fetched: &Fetched,
        unpacker: &mut Unpacker,
    ) -> Result<Vec<Rollup>, ParquetError> {
        let entries = self.index.entries.get(group.first_series..group.first_series + group.series).unwrap_or(&[]);
        let places: &[Place; PLACES] =
            group.chunks.as_slice().try_into().map_err(|_| invalid("its columns are not ours"))?;
        let rows = entries.iter().map(|entry| entry.rows as usize).fold(0, usize::saturating_add);
        let mut pages = Pages { fetched, unpacker, rows };
        let ends = pages.whole_numbers(places[0])?;
        // Only now is it known that there are so many rows.
        let mut powers = Vec::with_capacity(rows);
        for entry in entries {
            let scale = (entry.flags & SCALE_MASK).min(DECIMAL_SCALE_MAX);
            powers.extend(std::iter::repeat_n(power_of_ten(scale).unwrap_or(1.0), entry.rows as usize));
        }
        let counts = pages.whole_numbers(places[1])?;
        let mut numbers: [Vec<Option<f64>>; NUMBERS] = Default::default();
        for (index, numbers) in numbers.iter_mut().enumerate() {
            *numbers = pages.numbers(places[2 + 2 * index], places[3 + 2 * index], &powers)?;
        }
        let first_at = pages.whole_numbers(places[PLACES - 3])?;
        let last_at = pages.whole_numbers(places[PLACES - 2])?;
        let stale = pages.flags(places[PLACES - 1])?;
        let mut rollups = Vec::with_capacity(rows);
        for row in 0..rows {
            let number = |index: usize| numbers[index][row].ok_or(invalid("a row has no value"));
            let (first, last) = (number(3)?, number(4)?);
            rollups.push(Rollup {
                end: Timestamp(ends[row]),
                count: counts[row] as u64,
                sum: number(0)?,
                min: number(1)?,
                max: number(2)?,
                first,
                last,
                increase: numbers[INCREASE][row].unwrap_or(last - first),
                first_at: Timestamp(first_at[row]),
                last_at: Timestamp(last_at[row]),
                stale_at_end: stale[row],
            });
        }
        Ok(rollups)
    }
}

/// The pages of one row group.
struct Pages<'a> {
    fetched: &'a Fetched,
    unpacker: &'a mut Unpacker,
    rows: usize,
}

impl Pages<'_> {
    fn whole_numbers(&mut self, place: Place) -> Result<Vec<i64>, ParquetError> {
        let (header, plain) = self.unpacker.page(self.fetched.get(place)?, self.rows)?;
        expect_encoding(header.encoding, encoding::DELTA_BINARY_PACKED)?;
        let max = delta::count_max(plain.len());
        if self.rows > max {
            return Err(ParquetError::TooLarge { what: "a row group", bytes: self.rows as u64, max: max as u64 });
        }
        let mut numbers = Vec::with_capacity(self.rows);
        delta::decode(plain, self.rows, |number| numbers.push(number))
            .map_err(|error| column_error("a page of whole numbers", &error))?;
        Ok(numbers)
    }

    fn flags(&mut self, place: Place) -> Result<Vec<bool>, ParquetError> {
        let (header, plain) = self.unpacker.page(self.fetched.get(place)?, self.rows)?;
        expect_encoding(header.encoding, encoding::PLAIN)?;
        if plain.len() != self.rows.div_ceil(8) {
            return Err(invalid("it has another number of flags"));
        }
        Ok((0..self.rows).map(|at| plain[at / 8] >> (at % 8) & 1 == 1).collect())
    }

    fn numbers(&mut self, decimals: Place, doubles: Place, powers: &[f64]) -> Result<Vec<Option<f64>>, ParquetError> {
        let mut numbers = vec![None; powers.len()];
        let (header, plain) = self.unpacker.page(self.fetched.get(decimals)?, self.rows)?;
        expect_encoding(header.encoding, encoding::DELTA_BINARY_PACKED)?;
        let (mut present, packed) = places(plain, self.rows)?;
        delta::decode(packed, present.present(), |number| {
            if let Some(at) = present.next() {
                numbers[at] = Some(number as f64 / powers[at]);
            }
        })
        .map_err(|error| column_error("a page of decimals", &error))?;
        let (header, plain) = self.unpacker.page(self.fetched.get(doubles)?, self.rows)?;
        expect_encoding(header.encoding, encoding::PLAIN)?;
        let (present, packed) = places(plain, self.rows)?;
        let (bits, rest) = packed.as_chunks::<8>();
        if bits.len() != present.present() || !rest.is_empty() {
            return Err(invalid("it has another number of doubles"));
        }
        for (at, bits) in present.zip(bits) {
            if numbers[at].replace(f64::from_bits(u64::from_le_bytes(*bits))).is_some() {
                return Err(invalid("a row has two values"));
            }
        }
        Ok(numbers)
    }
}

fn invalid(why: &'static str) -> ParquetError {
    ParquetError::Invalid { what: "a row group of rollups", why }
}
