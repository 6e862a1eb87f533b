//! Requests of Prometheus remote write 1.0 as senders make them, for tests and measuring tools. Knows no HTTP.

use series::Labels;
use series::protobuf::{put_labels, put_varint};

/// The headers of a request.
pub const HEADERS: [(&str, &str); 3] = [
    ("content-encoding", "snappy"),
    ("content-type", "application/x-protobuf"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

/// One series: its labels, and values with their times in ms.
pub type Sent<'a> = (&'a [(&'a str, &'a str)], &'a [(f64, i64)]);

/// The body of a request: each series with its samples.
#[must_use]
pub fn body(series: &[Sent<'_>]) -> Vec<u8> {
    let mut plain = Vec::new();
    for (labels, samples) in series {
        put_series(&mut plain, &labels_text(labels), samples);
    }
    compressed(&plain)
}

/// A request's plain bytes as they are sent.
#[must_use]
pub fn compressed(plain: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(plain).expect("snappy")
}

/// Appends a `TimeSeries`; `labels` is [`labels_text`]'s, or whatever else is to be sent as labels.
pub fn put_series(plain: &mut Vec<u8>, labels: &[u8], samples: &[(f64, i64)]) {
    let times = samples.iter().map(|(_, at)| 2 + 10 + varint_len(*at as u64));
    plain.push(0x0a);
    put_varint(plain, (labels.len() + times.sum::<usize>()) as u64);
    plain.extend_from_slice(labels);
    for (value, at) in samples {
        // Sample { double value = 1; int64 timestamp = 2; }
        plain.extend_from_slice(&[0x12, (10 + varint_len(*at as u64)) as u8, 0x09]);
        plain.extend_from_slice(&value.to_bits().to_le_bytes());
        plain.push(0x10);
        put_varint(plain, *at as u64);
    }
}

/// Labels as a `TimeSeries` has them.
#[must_use]
pub fn labels_text(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    put_labels(&mut out, &Labels::from_pairs(pairs.iter().copied()).expect("labels"));
    out
}

/// Labels as somebody may send them: in this order, empty or given twice.
#[must_use]
pub fn raw_labels(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in pairs {
        let mut label = Vec::new();
        for (tag, text) in [(0x0a, name), (0x12, value)] {
            label.push(tag);
            put_varint(&mut label, text.len() as u64);
            label.extend_from_slice(text.as_bytes());
        }
        out.push(0x0a);
        put_varint(&mut out, label.len() as u64);
        out.extend_from_slice(&label);
    }
    out
}

fn varint_len(number: u64) -> usize {
    (64 - number.leading_zeros() as usize).div_ceil(7).max(1)
}
