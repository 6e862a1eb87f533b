//! The batch as bytes: protobuf inside zstd, and inside base64 where it travels in a text frame.
//!
//! Reading is total: no bytes panic, and nothing is allocated before it was held against a limit of
//! [`crate::limits`]. Two kinds of fault: where the batch as a whole cannot be understood it is a
//! [`DecodeError`]; where one series, check or log record is bad, it alone is left out and counted
//! as a [`Rejection`].

mod inspect;
mod parts;
mod series_v1;
mod written;

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message;
use series::{Epoch, IdError, Labels, Sample, SourceName, Timestamp};

use parts::{Kept, Parts};
use series_v1::read_series;

pub use inspect::Inspected;
pub use written::{Written, WrittenColumn};

use crate::batch::{Batch, CheckResult, CheckState, LogRecord, MetricMetadata, PerfItem, Rejection, SeriesColumn};
use crate::columns::{ColumnError, decode_samples, encode_timestamps, encode_values};
use crate::compression::{compress, decompress};
use crate::dictionary::Dictionaries;
use crate::frames::Counters;
use crate::limits::{
    BATCH_BYTES_MAX, CHECK_NAME_BYTES_MAX, CHECK_TEXT_BYTES_MAX, CHECKS_PER_BATCH_MAX, LOG_NAME_BYTES_MAX,
    LOG_TEXT_BYTES_MAX, LOGS_PER_BATCH_MAX, METADATA_HELP_BYTES_MAX, METADATA_NAME_BYTES_MAX, METADATA_PER_BATCH_MAX,
    PAYLOAD_BYTES_MAX, PERF_ITEMS_MAX, PERF_TEXT_BYTES_MAX, REASON_BYTES_MAX, REASONS_MAX, SERIES_PER_BATCH_MAX,
    STRINGS_PER_BATCH_MAX,
};
use crate::packed;
use crate::rejections::Rejections;
use crate::schema::{self, count_fields};

/// Why a batch could not be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the payload has {bytes} characters, at most {PAYLOAD_BYTES_MAX} are allowed")]
    PayloadTooLong { bytes: usize },
    #[error("the payload is not base64: {what}")]
    Base64 { what: String },
    #[error("the batch has {bytes} bytes, at most {BATCH_BYTES_MAX} are allowed")]
    TooLong { bytes: usize },
    #[error("the batch is not zstd: {what}")]
    Zstd { what: String },
    #[error("the batch decompresses to more than {max} bytes")]
    DecompressedTooLong { max: usize },
    #[error("the batch is not protobuf: {what}")]
    Protobuf { what: String },
    #[error("the batch has version {version}; version {} is spoken here", schema::VERSION)]
    Version { version: u32 },
    #[error("the batch's source: {0}")]
    Source(#[from] IdError),
    #[error("the batch has {count} {what}, at most {max} are allowed")]
    TooMany { what: &'static str, count: usize, max: usize },
    #[error("timestamp column {index}: {error}")]
    Timestamps { index: usize, error: ColumnError },
    #[error("the packed series: {what}")]
    Packed { what: String },
}

impl DecodeError {
    /// The reason under which it is counted in the ledger.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::PayloadTooLong { .. } | Self::TooLong { .. } | Self::DecompressedTooLong { .. } => "batch_too_large",
            Self::Base64 { .. } => "batch_not_base64",
            Self::Zstd { .. } => "batch_not_zstd",
            Self::Protobuf { .. } => "batch_not_protobuf",
            Self::Version { .. } => "batch_version",
            Self::Source(_) => "batch_source",
            Self::TooMany { .. } => "batch_too_many",
            Self::Timestamps { .. } => "batch_timestamps",
            Self::Packed { .. } => "batch_packed",
        }
    }
}

/// A batch as far as it could be read, and what was left out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The good part.
    pub batch: Batch,
    /// The bad series (counted in samples), checks and log records (counted each), by reason.
    pub rejected: Vec<Rejection>,
}

impl Batch {
    /// The batch's bytes: zstd(protobuf). It does not look at limits; [`crate::chunk`] makes
    /// contents that keep them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        compress(&self.encode_protobuf())
    }

    /// base64 of [`Batch::encode`], for [`crate::AgentFrame::Batch`].
    #[must_use]
    pub fn to_payload(&self) -> String {
        STANDARD.encode(self.encode())
    }

    /// Reads a frame's payload.
    pub fn from_payload(payload: &str) -> Result<Decoded, DecodeError> {
        Self::decode(&payload_bytes(payload)?)
    }

    /// Reads zstd(protobuf), or the protobuf itself.
    pub fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
        Self::decode_known(bytes, &mut |_| None, None)
    }

    /// As [`Batch::decode`]. `known` is asked for the labels of each text of a packed batch, and `dictionaries` for
    /// those of all series of an agent's, so that a reader need not read again what it has read before.
    pub fn decode_known(
        bytes: &[u8],
        known: &mut dyn FnMut(&[u8]) -> Option<Labels>,
        dictionaries: Option<&Dictionaries>,
    ) -> Result<Decoded, DecodeError> {
        Self::read(&plain(bytes)?, known, dictionaries)
    }

    /// As [`Batch::decode_known`]; but columns that a block can take as they are written stand apart, and then the batch has
    /// no series.
    pub fn decode_written(
        bytes: &[u8],
        known: &mut dyn FnMut(&[u8]) -> Option<Labels>,
        dictionaries: &Dictionaries,
    ) -> Result<(Decoded, Option<Written>), DecodeError> {
        let bytes = plain(bytes)?;
        let mut kept = Kept::default();
        let parts = Parts::read(&bytes, &mut kept)?;
        let is_agents = parts.version == schema::VERSION;
        match is_agents.then(|| Written::of(&bytes, &parts, Some(dictionaries))).flatten() {
            Some(written) => Ok((Self::with_series(&parts, Vec::new(), Rejections::default())?, Some(written))),
            None => Ok((Self::read(&bytes, known, Some(dictionaries))?, None)),
        }
    }

    /// The bytes before compression. These are what the fixtures pin down: zstd's own bytes may
    /// differ from release to release.
    #[must_use]
    pub fn encode_protobuf(&self) -> Vec<u8> {
        let mut tables = Tables::default();
        let series = self.series.iter().map(|column| tables.series(column).encode_to_vec().into()).collect();
        schema::Batch {
            version: schema::VERSION,
            source: self.source.as_str().to_owned(),
            epoch: self.epoch.0,
            seq: self.seq,
            created_at_ms: self.created_at.0,
            ack_now: self.ack_now,
            strings: tables.strings,
            timestamps: tables.timestamps,
            series,
            checks: self.checks.iter().map(|check| check_message(check).encode_to_vec().into()).collect(),
            logs: self.logs.iter().map(|log| log_message(log).encode_to_vec().into()).collect(),
            counters: encode_counters(&self.counters),
            packed: Bytes::new(),
            metadata: self.metadata.iter().map(|metric| metadata_message(metric).encode_to_vec().into()).collect(),
        }
        .encode_to_vec()
    }

    /// Reads what [`Batch::encode_protobuf`] wrote.
    pub fn decode_protobuf(bytes: Bytes) -> Result<Decoded, DecodeError> {
        Self::read(&bytes, &mut |_| None, None)
    }

    fn read(
        bytes: &Bytes,
        known: &mut dyn FnMut(&[u8]) -> Option<Labels>,
        dictionaries: Option<&Dictionaries>,
    ) -> Result<Decoded, DecodeError> {
        let mut kept = Kept::default();
        let parts = Parts::read(bytes, &mut kept)?;
        let mut rejections = Rejections::default();
        let series = match parts.version {
            schema::VERSION => {
                let mut columns = Vec::with_capacity(parts.series.len());
                read_series(&parts, dictionaries, &mut rejections, |labels, times, values| {
                    let mut samples = decode_samples(values, &times.at)?;
                    if !times.sorted {
                        samples.sort_by_key(|sample| sample.at);
                    }
                    columns.push(SeriesColumn { labels: labels.clone(), samples });
                    Ok(())
                })?;
                columns
            }
            packed::VERSION => packed::decode(parts.packed, known, &mut rejections)?,
            version => return Err(DecodeError::Version { version }),
        };
        Self::with_series(&parts, series, rejections)
    }

    /// The batch of these parts, its series read already.
    fn with_series(
        parts: &Parts<'_>,
        series: Vec<SeriesColumn>,
        mut rejections: Rejections,
    ) -> Result<Decoded, DecodeError> {
        let batch = Self {
            source: SourceName::new(parts.source)?,
            epoch: Epoch(parts.epoch),
            seq: parts.seq,
            created_at: Timestamp(parts.created_at_ms),
            ack_now: parts.ack_now,
            series,
            checks: keep_good(&parts.checks, decode_check, &mut rejections),
            logs: keep_good(&parts.logs, decode_log, &mut rejections),
            metadata: keep_good(&parts.metadata, decode_metadata, &mut rejections),
            counters: counters_or_none(parts.counters, &mut rejections),
        };
        Ok(Decoded { batch, rejected: rejections.into_vec() })
    }
}

/// A batch's protobuf.
fn plain(bytes: &[u8]) -> Result<Bytes, DecodeError> {
    if bytes.len() > BATCH_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes: bytes.len() });
    }
    // A packed batch that gains nothing by it is not compressed, and starts with its version.
    let packed = bytes.starts_with(&[0x08, packed::VERSION as u8]);
    Ok(if packed { Bytes::copy_from_slice(bytes) } else { decompress(bytes)?.into() })
}

/// The batch inside a payload, still compressed, as it goes on to the stream.
pub fn payload_bytes(payload: &str) -> Result<Vec<u8>, DecodeError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(DecodeError::PayloadTooLong { bytes: payload.len() });
    }
    STANDARD.decode(payload).map_err(|error| DecodeError::Base64 { what: error.to_string() })
}

/// String table and timestamp columns while they grow.
#[derive(Default)]
struct Tables<'a> {
    strings: Vec<Bytes>,
    string_index: HashMap<&'a str, u32>,
    timestamps: Vec<Bytes>,
    timestamp_index: HashMap<Bytes, u32>,
    /// The column before: most series have the very same times.
    last: Option<(&'a [Sample], u32)>,
}

impl<'a> Tables<'a> {
    fn series(&mut self, column: &'a SeriesColumn) -> schema::Series {
        let labels = column.labels.iter().flat_map(|(name, value)| [name, value]).map(|text| self.string(text));
        let labels = labels.collect();
        let timestamps = self.timestamps(&column.samples);
        let values: Vec<f64> = column.samples.iter().map(|sample| sample.value).collect();
        let mut bytes = Vec::with_capacity(values.len() * 3 + 4);
        encode_values(&mut bytes, &values);
        schema::Series { labels, timestamps, values: bytes.into() }
    }

    fn string(&mut self, text: &'a str) -> u32 {
        *self.string_index.entry(text).or_insert_with(|| {
            self.strings.push(Bytes::copy_from_slice(text.as_bytes()));
            (self.strings.len() - 1) as u32
        })
    }

    fn timestamps(&mut self, samples: &'a [Sample]) -> u32 {
        if let Some((last, index)) = self.last
            && last.len() == samples.len()
            && last.iter().zip(samples).all(|(a, b)| a.at == b.at)
        {
            return index;
        }
        let mut bytes = Vec::with_capacity(samples.len() + 10);
        encode_timestamps(&mut bytes, samples.iter().map(|sample| sample.at));
        let bytes = Bytes::from(bytes);
        let index = *self.timestamp_index.entry(bytes.clone()).or_insert_with(|| {
            self.timestamps.push(bytes);
            (self.timestamps.len() - 1) as u32
        });
        self.last = Some((samples, index));
        index
    }
}

/// Holds the numbers of a batch's parts against their limits.
fn check_counts(bytes: &[u8]) -> Result<(), DecodeError> {
    let counts = count_fields::<15>(bytes).map_err(protobuf_error)?;
    let limits = [
        (7, "strings", STRINGS_PER_BATCH_MAX),
        (8, "timestamp columns", SERIES_PER_BATCH_MAX),
        (9, "series", SERIES_PER_BATCH_MAX),
        (10, "check results", CHECKS_PER_BATCH_MAX),
        (11, "log records", LOGS_PER_BATCH_MAX),
        (14, "described metrics", METADATA_PER_BATCH_MAX),
    ];
    for (field, what, max) in limits {
        let count = counts[field];
        if count > max {
            return Err(DecodeError::TooMany { what, count, max });
        }
    }
    Ok(())
}

/// A reason for the ledger, and a text for a person.
type Bad = (&'static str, String);

fn keep_good<T>(messages: &[&[u8]], read: fn(&[u8]) -> Result<T, Bad>, rejections: &mut Rejections) -> Vec<T> {
    let mut good = Vec::with_capacity(messages.len());
    for bytes in messages {
        match read(bytes) {
            Ok(item) => good.push(item),
            Err((reason, what)) => rejections.add(reason, 1, || what),
        }
    }
    good
}

fn at_most(bytes: usize, max: usize, reason: &'static str) -> Result<(), Bad> {
    if bytes <= max { Ok(()) } else { Err((reason, format!("{bytes} bytes, at most {max} are allowed"))) }
}

fn check_message(check: &CheckResult) -> schema::Check {
    schema::Check {
        check: check.check.clone(),
        at_ms: check.at.0,
        state: u8::from(check.state).into(),
        hard: check.hard,
        state_since_ms: check.state_since.0,
        text: check.text.clone(),
        perfdata: check.perfdata.iter().map(perf_message).collect(),
        exit_code: check.exit_code,
        duration_ms: check.duration_ms,
        interval_ms: check.interval_ms,
        truncated: check.truncated,
    }
}

fn decode_check(bytes: &[u8]) -> Result<CheckResult, Bad> {
    let not_protobuf = |error: prost::DecodeError| ("check_not_protobuf", error.to_string());
    let perf_items = count_fields::<8>(bytes).map_err(not_protobuf)?[7];
    if perf_items > PERF_ITEMS_MAX {
        return Err(("too_many_perf_items", format!("{perf_items} items, at most {PERF_ITEMS_MAX} are allowed")));
    }
    let check = schema::Check::decode(bytes).map_err(not_protobuf)?;
    at_most(check.check.len(), CHECK_NAME_BYTES_MAX, "check_name_too_long")?;
    if check.check.is_empty() {
        return Err(("check_name_empty", "a check result without a name".to_owned()));
    }
    at_most(check.text.len(), CHECK_TEXT_BYTES_MAX, "check_text_too_long")?;
    let state = u8::try_from(check.state).map_err(|error| error.to_string()).and_then(CheckState::try_from);
    let state = state.map_err(|what| ("check_state", format!("{}: {what}", check.check)))?;
    Ok(CheckResult {
        at: Timestamp(check.at_ms),
        state,
        hard: check.hard,
        state_since: Timestamp(check.state_since_ms),
        text: check.text,
        perfdata: check.perfdata.into_iter().map(perf_item).collect::<Result<_, _>>()?,
        exit_code: check.exit_code,
        duration_ms: check.duration_ms,
        interval_ms: check.interval_ms,
        truncated: check.truncated,
        check: check.check,
    })
}

fn perf_message(item: &PerfItem) -> schema::Perf {
    schema::Perf {
        label: item.label.clone(),
        value: item.value,
        unit: item.unit.clone(),
        warn: item.warn.clone(),
        crit: item.crit.clone(),
        min: item.min,
        max: item.max,
    }
}

fn perf_item(item: schema::Perf) -> Result<PerfItem, Bad> {
    for text in [&item.label, &item.unit, &item.warn, &item.crit] {
        at_most(text.len(), PERF_TEXT_BYTES_MAX, "perf_text_too_long")?;
    }
    let schema::Perf { label, value, unit, warn, crit, min, max } = item;
    Ok(PerfItem { label, value, unit, warn, crit, min, max })
}

fn log_message(log: &LogRecord) -> schema::Log {
    schema::Log { at_ms: log.at.0, file: log.file.clone(), level: log.level.clone(), text: log.text.clone() }
}

fn decode_log(bytes: &[u8]) -> Result<LogRecord, Bad> {
    let log = schema::Log::decode(bytes).map_err(|error| ("log_not_protobuf", error.to_string()))?;
    at_most(log.file.len().max(log.level.len()), LOG_NAME_BYTES_MAX, "log_name_too_long")?;
    at_most(log.text.len(), LOG_TEXT_BYTES_MAX, "log_text_too_long")?;
    Ok(LogRecord { at: Timestamp(log.at_ms), file: log.file, level: log.level, text: log.text })
}

fn metadata_message(metadata: &MetricMetadata) -> schema::Metadata {
    let MetricMetadata { metric, kind, help, unit } = metadata.clone();
    schema::Metadata { metric, kind, help, unit }
}

fn decode_metadata(bytes: &[u8]) -> Result<MetricMetadata, Bad> {
    let metadata = schema::Metadata::decode(bytes);
    let schema::Metadata { metric, kind, help, unit } =
        metadata.map_err(|error| ("metadata_not_protobuf", error.to_string()))?;
    for name in [&metric, &kind, &unit] {
        at_most(name.len(), METADATA_NAME_BYTES_MAX, "metadata_too_long")?;
    }
    at_most(help.len(), METADATA_HELP_BYTES_MAX, "metadata_too_long")?;
    Ok(MetricMetadata { metric, kind, help, unit })
}

pub(crate) fn encode_counters(counters: &Counters) -> Bytes {
    let Counters { generated, evicted, buffered, rejected } = counters.clone();
    schema::Counters { generated, evicted, buffered, rejected }.encode_to_vec().into()
}

/// Bad counters do not stop the samples. Zeros are harmless: counters are joined by the greatest.
pub(crate) fn counters_or_none(bytes: &[u8], rejections: &mut Rejections) -> Counters {
    decode_counters(bytes).unwrap_or_else(|(reason, what)| {
        rejections.add(reason, 1, || what);
        Counters::default()
    })
}

fn decode_counters(bytes: &[u8]) -> Result<Counters, Bad> {
    let not_protobuf = |error: prost::DecodeError| ("counters_not_protobuf", error.to_string());
    let reasons = count_fields::<5>(bytes).map_err(not_protobuf)?[4];
    if reasons > REASONS_MAX {
        return Err(("counters_too_many", format!("{reasons} reasons, at most {REASONS_MAX} are allowed")));
    }
    let counters = schema::Counters::decode(bytes).map_err(not_protobuf)?;
    for reason in counters.rejected.keys() {
        at_most(reason.len(), REASON_BYTES_MAX, "counters_reason_too_long")?;
    }
    let schema::Counters { generated, evicted, buffered, rejected } = counters;
    Ok(Counters { generated, evicted, buffered, rejected })
}

fn protobuf_error(error: prost::DecodeError) -> DecodeError {
    DecodeError::Protobuf { what: error.to_string() }
}

#[cfg(test)]
mod tests;
