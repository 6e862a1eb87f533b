//! A stretch of one series' samples in memory, encoded.
//!
//! Samples of one step say it once instead of a time each, and a value that never changes is kept
//! once; everything else is `wire::columns`. It must not know which series it is of.

use series::{Sample, Timestamp};
use wire::columns::{
    ColumnError, Reader, decode_timestamps, decode_values, encode_timestamps, encode_values, put_varint,
};

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

    /// Appends its samples of `[from, to]`.
    pub(super) fn read(&self, from: Timestamp, to: Timestamp, out: &mut Vec<Sample>) -> Result<(), ColumnError> {
        if self.last < from || self.first > to || from > to {
            return Ok(());
        }
        let start = out.len();
        match &self.values {
            Values::Same(value) => out.extend(self.regular().map(|at| Sample { at, value: *value })),
            Values::Column(bytes) if self.step_ms > 0 => {
                let values = decode_values(bytes, self.len())?;
                out.extend(self.regular().zip(values).map(|(at, value)| Sample { at, value }));
            }
            Values::Column(bytes) => {
                let mut reader = Reader::new(bytes);
                let length = reader.varint()?;
                let times = reader.take(usize::try_from(length).map_err(|_| ColumnError::Truncated)?)?;
                let times = decode_timestamps(times)?;
                let values = decode_values(reader.rest(), times.len())?;
                out.extend(times.into_iter().zip(values).map(|(at, value)| Sample { at, value }));
            }
        }
        let read = &out[start..];
        let (first, end) =
            (read.partition_point(|sample| sample.at < from), read.partition_point(|sample| sample.at <= to));
        out.truncate(start + end);
        out.drain(start..start + first);
        Ok(())
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
