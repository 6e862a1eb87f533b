//! A batch looked at where it lies: all that is checked when it is read, and no sample built. For whoever passes
//! its bytes on.

use series::{Epoch, SourceName, Timestamp};

use super::parts::{Kept, Parts};
use super::series_v1::read_series;
use super::{DecodeError, Decoded, counters_or_none, decode_check, decode_log, decode_metadata, keep_good, plain};
use crate::batch::{Batch, MetricMetadata, Rejection};
use crate::columns::check_values;
use crate::dictionary::Dictionaries;
use crate::rejections::Rejections;
use crate::schema;

/// What is known of a batch that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// Who made it.
    pub source: SourceName,
    /// The buffer's life.
    pub epoch: Epoch,
    /// Its place in that life.
    pub seq: u64,
    /// The agent waits for the ack.
    pub ack_now: bool,
    /// When it was closed, by the agent's clock.
    pub created_at: Timestamp,
    /// Good series.
    pub series: usize,
    /// Their samples.
    pub samples: u64,
    /// Times of the earliest and the latest sample; `None` where it has none.
    pub span: Option<(Timestamp, Timestamp)>,
    /// What it says of metrics.
    pub metadata: Vec<MetricMetadata>,
    /// What a reader leaves out, as [`super::Decoded::rejected`] says it.
    pub rejected: Vec<Rejection>,
}

impl Batch {
    /// Looks at zstd(protobuf): what [`Batch::decode`] answers, less the samples.
    pub fn inspect(bytes: &[u8], dictionaries: &Dictionaries) -> Result<Inspected, DecodeError> {
        let bytes = plain(bytes)?;
        let mut kept = Kept::default();
        let parts = Parts::read(&bytes, &mut kept)?;
        if parts.version != schema::VERSION {
            return Ok(Self::read(&bytes, &mut |_| None, None)?.into());
        }
        let mut rejections = Rejections::default();
        let mut span: Option<(Timestamp, Timestamp)> = None;
        let (mut series, mut samples) = (0, 0);
        read_series(&parts, Some(dictionaries), &mut rejections, |_, times, values| {
            check_values(values, times.at.len())?;
            span = joined(span, times.span);
            series += 1;
            samples += times.at.len() as u64;
            Ok(())
        })?;
        let inspected = Inspected {
            source: SourceName::new(parts.source)?,
            epoch: Epoch(parts.epoch),
            seq: parts.seq,
            ack_now: parts.ack_now,
            created_at: Timestamp(parts.created_at_ms),
            series,
            samples,
            span,
            metadata: Vec::new(),
            rejected: Vec::new(),
        };
        keep_good(&parts.checks, decode_check, &mut rejections);
        keep_good(&parts.logs, decode_log, &mut rejections);
        let metadata = keep_good(&parts.metadata, decode_metadata, &mut rejections);
        counters_or_none(parts.counters, &mut rejections);
        Ok(Inspected { metadata, rejected: rejections.into_vec(), ..inspected })
    }
}

fn joined(a: Option<(Timestamp, Timestamp)>, b: Option<(Timestamp, Timestamp)>) -> Option<(Timestamp, Timestamp)> {
    match (a, b) {
        (Some((first, last)), Some((other, end))) => Some((first.min(other), last.max(end))),
        (one, other) => one.or(other),
    }
}

impl From<Decoded> for Inspected {
    fn from(Decoded { batch, rejected }: Decoded) -> Self {
        let times = || batch.series.iter().flat_map(|column| &column.samples).map(|sample| sample.at);
        let span = times().min().zip(times().max());
        let (samples, series) = (batch.samples(), batch.series.len());
        let Batch { source, epoch, seq, ack_now, created_at, metadata, .. } = batch;
        Self { source, epoch, seq, ack_now, created_at, series, samples, span, metadata, rejected }
    }
}

#[cfg(test)]
mod tests;
