//! A stretch of one series' samples in memory, encoded.
//!
//! Samples of one step say it once instead of a time each, and a value that never changes is kept
//! once; everything else is `wire::columns`. It must not know which series it is of.

use series::{Sample, Timestamp, instants_through};
use wire::columns::{ColumnError, Reader, decode_timestamps, each_value, encode_timestamps, encode_values, put_varint};

/// Samples that one chunk holds before the next one is begun: 43 min at a step of 10 s.
pub(super) const CHUNK_SAMPLES_MAX: usize = 256;

/// Encoded samples, ascending in time, each time once, at least one.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    count: u32,
    /// Milliseconds between samples; 0: the times stand before the values.
    step_ms: u32,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// All of them, bit by bit.
    Same(f64),
    /// A column.
    Column(Box<[u8]>),
}

impl Chunk {
    /// `None` without samples.
    pub(super) fn new(samples: &[Sample]) -> Option<Self> {
        let (first, last) = (samples.first()?, samples.last()?);
        let step_ms = step_of(samples);
        let same = samples.iter().all(|sample| sample.value.to_bits() == first.value.to_bits());
        let values = if same && step_ms > 0 {
            Values::Same(first.value)
        } else {
            let mut bytes = Vec::with_capacity(samples.len() * 3 + 16);
            if step_ms == 0 {
                let mut times = Vec::with_capacity(samples.len() + 16);
                encode_timestamps(&mut times, samples.iter().map(|sample| sample.at));
                put_varint(&mut bytes, times.len() as u64);
                bytes.extend_from_slice(&times);
            }
            let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
            encode_values(&mut bytes, &values);
            Values::Column(bytes.into())
        };
        Some(Self { first: first.at, last: last.at, count: samples.len() as u32, step_ms, values })
    }

    /// How many samples it holds.
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    /// Bytes beside the struct.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.values {
            Values::Same(_) => 0,
            Values::Column(bytes) => bytes.len(),
        }
    }

    /// How many of its samples lie in `[from, to]`, or a few more.
    pub(super) fn len_between(&self, from: Timestamp, to: Timestamp) -> usize {
        let (skipped, end) = self.between(from, to);
        end.saturating_sub(skipped)
    }

    /// Appends its samples of `[from, to]`.
    pub(super) fn read(&self, from: Timestamp, to: Timestamp, out: &mut Vec<Sample>) -> Result<(), ColumnError> {
        if self.last < from || self.first > to || from > to {
            return Ok(());
        }
        let (skipped, end) = self.between(from, to);
        match &self.values {
            Values::Same(value) => {
                out.extend(self.regular().take(end).skip(skipped).map(|at| Sample { at, value: *value }));
            }
            Values::Column(bytes) if self.step_ms > 0 => {
                let (mut index, mut at) = (0, self.first);
                each_value(bytes, self.len(), |value| {
                    if (skipped..end).contains(&index) {
                        out.push(Sample { at, value });
                    }
                    (index, at) = (index + 1, at.plus_ms(i64::from(self.step_ms)));
                })?;
            }
            Values::Column(bytes) => {
                let mut reader = Reader::new(bytes);
                let length = reader.varint()?;
                let times = reader.take(usize::try_from(length).map_err(|_| ColumnError::Truncated)?)?;
                let times = decode_timestamps(times)?;
                let mut next = times.iter();
                each_value(reader.rest(), times.len(), |value| {
                    let at = next.next().filter(|at| from <= **at && **at <= to);
                    out.extend(at.map(|at| Sample { at: *at, value }));
                })?;
            }
        }
        Ok(())
    }

    /// The places of the first sample of `[from, to]` and of the one after the last, where that is known without
    /// reading; else all.
    fn between(&self, from: Timestamp, to: Timestamp) -> (usize, usize) {
        if self.step_ms == 0 {
            return (0, self.len());
        }
        let through = |at: Timestamp| {
            let count = instants_through(self.first, i64::from(self.step_ms), at);
            usize::try_from(count).unwrap_or(usize::MAX).min(self.len())
        };
        (through(from.plus_ms(-1)), through(to))
    }

    fn regular(&self) -> impl Iterator<Item = Timestamp> {
        let (first, step) = (self.first, i64::from(self.step_ms));
        (0..i64::from(self.count)).map(move |index| first.plus_ms(index * step))
    }
}

/// The step of samples that have one, else 0.
fn step_of(samples: &[Sample]) -> u32 {
    let [first, second, ..] = samples else { return 1 };
    let Ok(step) = u32::try_from(second.at.ms().saturating_sub(first.at.ms())) else { return 0 };
    let regular = samples.windows(2).all(|pair| pair[1].at.ms().wrapping_sub(pair[0].at.ms()) == i64::from(step));
    if regular { step } else { 0 }
}
