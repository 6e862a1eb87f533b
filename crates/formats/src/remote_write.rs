//! Prometheus remote write 1.0: a `prometheus.WriteRequest`, after snappy.
//!
//! Read in one pass over the decompressed body, which everything borrows: a series is handed over as
//! the bytes of its labels (their *text*, see [`series::protobuf`]) and its samples in a buffer that
//! is used again. Whoever knows these bytes already need not look into them; who does not reads them
//! by [`series::protobuf::labels`].
//!
//! ```text
//! WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }
//! TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2; exemplars = 3; histograms = 4; }
//! Sample       { double value = 1; int64 timestamp = 2; }                                     (ms)
//! MetricMetadata { type = 1; metric_family_name = 2; help = 4; unit = 5; }
//! ```
//!
//! Values are kept bit by bit: stale markers, other NaNs, infinities. Exemplars and native histograms
//! are refused by name and cost their neighbours nothing; so does a series that is no protobuf. Where
//! the request itself breaks off, what came before stands. Source: <https://prometheus.io/docs/specs/prw/remote_write_spec/>.

use std::borrow::Cow;

use series::protobuf::{Fields, ProtobufError, Value, bytes, varint};
use series::{Sample, Timestamp};

/// The version that is spoken here, as `X-Prometheus-Remote-Write-Version` has it.
pub const VERSION: &str = "0.1.0";

/// What a metric is, as its sender says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// The metric family's name.
    pub name: &'a str,
    /// Prometheus's word: `counter`, `gauge`, ….
    pub kind: &'static str,
    /// For people.
    pub help: &'a str,
    /// The unit, often empty.
    pub unit: &'a str,
}

/// What takes the parts of a request, in order.
pub trait Sink<'a> {
    /// A series with at least one sample. `labels` are not looked into yet.
    fn series(&mut self, labels: Cow<'a, [u8]>, samples: &[Sample]);
    /// What a metric is.
    fn metadata(&mut self, metadata: Metadata<'a>);
    /// A part that is refused: `count` samples, exemplars or histograms.
    fn refused(&mut self, reason: &'static str, count: u64, first: &mut dyn FnMut() -> String);
}

/// Reads a request.
pub fn read<'a>(body: &'a [u8], sink: &mut impl Sink<'a>) {
    let (mut fields, mut samples, mut number) = (Fields::new(body), Vec::new(), 0_u64);
    loop {
        let at = body.len() - fields.rest().len();
        match fields.next() {
            None => return,
            Some(Ok((1, Value::Bytes(message)))) => {
                number += 1;
                samples.clear();
                if let Err(error) = time_series(message, &mut samples, number, sink) {
                    sink.refused("not_protobuf", samples.len().max(1) as u64, &mut || {
                        format!("timeseries {number}, at byte {at}: {error}")
                    });
                }
            }
            Some(Ok((3, Value::Bytes(message)))) => match metadata(message) {
                Ok(metadata) => sink.metadata(metadata),
                Err(what) => sink.refused("bad_metadata", 1, &mut || format!("at byte {at}: {what}")),
            },
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                return sink.refused("not_protobuf", 1, &mut || format!("the request, at byte {at}: {error}"));
            }
        }
    }
}

const LABELS: u8 = 0x0a;
const SAMPLES: u8 = 0x12;

fn time_series<'a>(
    message: &'a [u8],
    samples: &mut Vec<Sample>,
    number: u64,
    sink: &mut impl Sink<'a>,
) -> Result<(), ProtobufError> {
    let mut rest = message;
    while let [LABELS, after @ ..] = rest {
        rest = after;
        bytes(&mut rest)?;
    }
    let mut labels = Cow::Borrowed(&message[..message.len() - rest.len()]);
    while let [SAMPLES, after @ ..] = rest {
        rest = after;
        samples.push(sample(bytes(&mut rest)?)?);
    }
    let (mut exemplars, mut histograms) = (0, 0);
    if !rest.is_empty() {
        // Every sender writes labels, samples, others; protobuf allows any order.
        let mut scattered = Vec::new();
        let mut fields = Fields::new(rest);
        loop {
            let from = rest.len() - fields.rest().len();
            match fields.next().transpose()? {
                None => break,
                Some((1, Value::Bytes(_))) => {
                    scattered.extend_from_slice(&rest[from..rest.len() - fields.rest().len()])
                }
                Some((2, Value::Bytes(message))) => samples.push(sample(message)?),
                Some((3, Value::Bytes(_))) => exemplars += 1,
                Some((4, Value::Bytes(_))) => histograms += 1,
                Some(_) => {}
            }
        }
        if !scattered.is_empty() {
            labels.to_mut().extend_from_slice(&scattered);
        }
    }
    for (reason, count) in [("exemplar", exemplars), ("native_histogram", histograms)] {
        if count > 0 {
            let shown = |bytes: &[u8]| match series::protobuf::labels(bytes) {
                Ok(labels) => labels.to_string(),
                Err(error) => error.to_string(),
            };
            sink.refused(reason, count, &mut || format!("timeseries {number}: {}", shown(&labels)));
        }
    }
    if !samples.is_empty() {
        sink.series(labels, samples);
    }
    Ok(())
}

#[inline]
fn sample(message: &[u8]) -> Result<Sample, ProtobufError> {
    // As everybody writes it.
    if let [0x09, a, b, c, d, e, f, g, h, 0x10, rest @ ..] = message {
        let mut rest = rest;
        let at = varint(&mut rest)? as i64;
        if rest.is_empty() {
            let value = f64::from_bits(u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]));
            return Ok(Sample { at: Timestamp(at), value });
        }
    }
    let (mut value, mut at) = (0.0, 0);
    for field in Fields::new(message) {
        match field? {
            (1, Value::Fixed64(bits)) => value = f64::from_bits(bits),
            (2, Value::Varint(number)) => at = number as i64,
            _ => {}
        }
    }
    Ok(Sample { at: Timestamp(at), value })
}

/// Prometheus's words for `MetricMetadata.MetricType`.
const KINDS: [&str; 8] = ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];

fn metadata(message: &[u8]) -> Result<Metadata<'_>, String> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|error| format!("a text of the metadata: {error}"));
    let mut metadata = Metadata { name: "", kind: KINDS[0], help: "", unit: "" };
    for field in Fields::new(message) {
        match field.map_err(|error| format!("the metadata: {error}"))? {
            (1, Value::Varint(kind)) => {
                metadata.kind = usize::try_from(kind).ok().and_then(|kind| KINDS.get(kind)).unwrap_or(&KINDS[0]);
            }
            (2, Value::Bytes(name)) => metadata.name = text(name)?,
            (4, Value::Bytes(help)) => metadata.help = text(help)?,
            (5, Value::Bytes(unit)) => metadata.unit = text(unit)?,
            _ => {}
        }
    }
    if metadata.name.is_empty() { Err("metadata without a metric's name".to_owned()) } else { Ok(metadata) }
}

#[cfg(test)]
mod tests;
