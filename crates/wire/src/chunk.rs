//! Cuts what a source has gathered into parts that each fit into one batch frame.
//!
//! A part is measured, not guessed: it is encoded, and halved where it does not fit. Nothing is
//! dropped in silence: a text that alone is too long is cut and says so, and what cannot be made
//! to fit comes back as a rejection.

use base64::encoded_len;
use series::{Epoch, SourceName, Timestamp};

use crate::batch::{Batch, CheckResult, LogRecord, MetricMetadata, Rejection, SeriesColumn};
use crate::compression::{compress, decompressed_bytes_max};
use crate::frames::Counters;
use crate::limits::{
    CHECK_NAME_BYTES_MAX, CHECK_TEXT_BYTES_MAX, CHECKS_PER_BATCH_MAX, DECOMPRESSED_BYTES_FREE, LOG_NAME_BYTES_MAX,
    LOG_TEXT_BYTES_MAX, LOGS_PER_BATCH_MAX, METADATA_HELP_BYTES_MAX, METADATA_NAME_BYTES_MAX, METADATA_PER_BATCH_MAX,
    PERF_ITEMS_MAX, PERF_TEXT_BYTES_MAX, SAMPLES_PER_BATCH_MAX, SERIES_PER_BATCH_MAX,
};
use crate::rejections::{Rejections, truncate_text};

/// Characters kept free for what is set when the batch is closed: source, seq, counters.
pub const HEADER_PAYLOAD_BYTES: usize = 2_000;

/// What a batch holds, without the batch's own name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    /// Samples by series.
    pub series: Vec<SeriesColumn>,
    /// Check results.
    pub checks: Vec<CheckResult>,
    /// Log records.
    pub logs: Vec<LogRecord>,
    /// What metrics are.
    pub metadata: Vec<MetricMetadata>,
}

/// What [`chunk`] made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chunked {
    /// Parts in the order of the contents, none of them empty.
    pub parts: Vec<Contents>,
    /// What does not fit by any means, in samples, checks and log records.
    pub rejected: Vec<Rejection>,
    /// How many texts were cut: the check says so in `truncated`, the log record in its last line.
    pub texts_cut: u64,
}

impl Contents {
    /// How many samples it holds.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.series.iter().map(|column| column.samples.len()).sum()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items() == 0
    }

    /// Series, check results, log records and described metrics.
    fn items(&self) -> usize {
        self.series.len() + self.checks.len() + self.logs.len() + self.metadata.len()
    }

    /// Gives it a name.
    #[must_use]
    pub fn into_batch(self, source: SourceName, epoch: Epoch, seq: u64, created_at: Timestamp) -> Batch {
        let Self { series, checks, logs, metadata } = self;
        let counters = Counters::default();
        Batch { source, epoch, seq, created_at, ack_now: false, series, checks, logs, metadata, counters }
    }

    /// Whether, as a batch, it keeps every limit of the reader.
    fn fits(&mut self, source: &SourceName, payload_bytes_max: usize) -> bool {
        if self.series.len() > SERIES_PER_BATCH_MAX
            || self.samples() > SAMPLES_PER_BATCH_MAX
            || self.checks.len() > CHECKS_PER_BATCH_MAX
            || self.logs.len() > LOGS_PER_BATCH_MAX
            || self.metadata.len() > METADATA_PER_BATCH_MAX
        {
            return false;
        }
        let contents = std::mem::take(self);
        let probe = contents.into_batch(source.clone(), Epoch(u64::MAX), u64::MAX, Timestamp(i64::MAX));
        let plain = probe.encode_protobuf();
        *self = Self { series: probe.series, checks: probe.checks, logs: probe.logs, metadata: probe.metadata };
        // Most of what an agent gathers fits however badly it compresses: then nobody has to try.
        let worst = encoded_len(zstd::zstd_safe::compress_bound(plain.len()), true).unwrap_or(usize::MAX);
        if plain.len() + HEADER_PAYLOAD_BYTES <= DECOMPRESSED_BYTES_FREE
            && worst.saturating_add(HEADER_PAYLOAD_BYTES) <= payload_bytes_max
        {
            return true;
        }
        let packed = compress(&plain).len();
        let payload = encoded_len(packed, true).unwrap_or(usize::MAX);
        plain.len() + HEADER_PAYLOAD_BYTES <= decompressed_bytes_max(packed)
            && payload.saturating_add(HEADER_PAYLOAD_BYTES) <= payload_bytes_max
    }

    /// The first and the second half, by number of items; itself where there is only one sample,
    /// check or log record.
    fn halve(mut self) -> Result<(Self, Self), Self> {
        let items = self.items();
        if items == 1
            && let Some(column) = self.series.first_mut()
            && column.samples.len() > 1
        {
            let samples = column.samples.split_off(column.samples.len() / 2);
            let second = SeriesColumn { labels: column.labels.clone(), samples };
            return Ok((self, Self { series: vec![second], ..Self::default() }));
        }
        if items < 2 {
            return Err(self);
        }
        let mut first = items / 2;
        let series = self.series.split_off(first.min(self.series.len()));
        first -= self.series.len();
        let checks = self.checks.split_off(first.min(self.checks.len()));
        first -= self.checks.len();
        let logs = self.logs.split_off(first.min(self.logs.len()));
        first -= self.logs.len();
        let metadata = self.metadata.split_off(first.min(self.metadata.len()));
        let second = Self { series, checks, logs, metadata };
        Ok((self, second))
    }
}

/// Cuts `contents` into parts whose payload, with the header set, has at most
/// `payload_bytes_max` characters ([`crate::PAYLOAD_BYTES_MAX`] for a frame).
#[must_use]
pub fn chunk(mut contents: Contents, source: &SourceName, payload_bytes_max: usize) -> Chunked {
    let mut chunked = Chunked::default();
    let mut rejected = Rejections::default();
    for check in &mut contents.checks {
        chunked.texts_cut += u64::from(keep_check_limits(check));
    }
    for log in &mut contents.logs {
        chunked.texts_cut += u64::from(keep_log_limits(log));
    }
    for metric in &mut contents.metadata {
        truncate_text(&mut metric.help, METADATA_HELP_BYTES_MAX);
    }
    // A name or a unit that is cut would be another one.
    let keeps_limit = |text: &String| text.len() <= METADATA_NAME_BYTES_MAX;
    contents.metadata.retain(|metric| [&metric.metric, &metric.kind, &metric.unit].into_iter().all(keeps_limit));
    contents.series.retain(|column| !column.samples.is_empty());
    let mut todo = vec![contents];
    while let Some(mut next) = todo.pop() {
        if next.is_empty() {
            continue;
        }
        if next.fits(source, payload_bytes_max) {
            chunked.parts.push(next);
            continue;
        }
        match next.halve() {
            Ok((first, second)) => todo.extend([second, first]),
            Err(mut single) => {
                if shrink(&mut single) {
                    chunked.texts_cut += 1;
                    todo.push(single);
                } else {
                    rejected.add("too_large_for_a_batch", 1, || shown(&single));
                }
            }
        }
    }
    chunked.rejected = rejected.into_vec();
    chunked
}

/// Makes a single check or log record smaller; false where there is nothing left to cut.
fn shrink(single: &mut Contents) -> bool {
    if let Some(check) = single.checks.first_mut() {
        check.truncated = true;
        if !check.text.is_empty() {
            let half = check.text.len() / 2;
            truncate_text(&mut check.text, half);
            return true;
        }
        let items = check.perfdata.len();
        check.perfdata.truncate(items / 2);
        return items > 0;
    }
    match single.logs.first_mut() {
        Some(log) if log.text.len() > 2 * CUT_BYTES_MAX => {
            let half = log.text.len() / 2;
            cut_log(log, half);
            true
        }
        _ => false,
    }
}

/// Bytes of the line that says that a log record was cut.
const CUT_BYTES_MAX: usize = 64;

fn cut_log(log: &mut LogRecord, bytes_max: usize) {
    let before = log.text.len();
    truncate_text(&mut log.text, bytes_max.saturating_sub(CUT_BYTES_MAX));
    let cut = before - log.text.len();
    log.text.push_str(&format!("\n[cut here: {cut} more bytes]"));
}

fn keep_log_limits(log: &mut LogRecord) -> bool {
    truncate_text(&mut log.file, LOG_NAME_BYTES_MAX);
    truncate_text(&mut log.level, LOG_NAME_BYTES_MAX);
    let long = log.text.len() > LOG_TEXT_BYTES_MAX;
    if long {
        cut_log(log, LOG_TEXT_BYTES_MAX);
    }
    long
}

fn keep_check_limits(check: &mut CheckResult) -> bool {
    let mut cut = check.text.len() > CHECK_TEXT_BYTES_MAX || check.perfdata.len() > PERF_ITEMS_MAX;
    truncate_text(&mut check.check, CHECK_NAME_BYTES_MAX);
    truncate_text(&mut check.text, CHECK_TEXT_BYTES_MAX);
    check.perfdata.truncate(PERF_ITEMS_MAX);
    let items = check.perfdata.len();
    check.perfdata.retain(|item| {
        [&item.label, &item.unit, &item.warn, &item.crit].iter().all(|text| text.len() <= PERF_TEXT_BYTES_MAX)
    });
    cut |= items != check.perfdata.len();
    check.truncated |= cut;
    cut
}

fn shown(single: &Contents) -> String {
    let series = single.series.iter().map(|column| column.labels.to_string());
    let checks = single.checks.iter().map(|check| format!("check {}", check.check));
    let logs = single.logs.iter().map(|log| format!("a record of {}", log.file));
    series.chain(checks).chain(logs).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
