//! How fast remote write's decoding is, without anything behind it: `cargo run --profile up -p formats --example decode`.
//!
//! A body of 5,000 series with one sample each: snappy, then the walk with a hash of each label set, as `ingest` does for
//! known series; then with each label set read and validated, as for new ones.
#![expect(clippy::disallowed_methods, reason = "a measuring tool reads the clock")]

use std::borrow::Cow;
use std::time::Instant;

use formats::decompress::{Encoding, decompress};
use formats::remote_write::{Metadata, Sink, read};
use series::protobuf::{labels, put_labels, put_varint};
use series::{Labels, Sample};

const SERIES: usize = 5_000;
const ROUNDS: usize = 400;

struct Known(u64);

impl<'a> Sink<'a> for Known {
    fn series(&mut self, text: Cow<'a, [u8]>, samples: &[Sample]) {
        // About what a hash of these bytes costs.
        let words = text.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        self.0 =
            words.fold(self.0, |all, word| (all ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)) ^ samples.len() as u64;
    }
    fn metadata(&mut self, _: Metadata<'a>) {}
    fn refused(&mut self, _: &'static str, _: u64, _: &mut dyn FnMut() -> String) {}
}

struct New(u64);

impl<'a> Sink<'a> for New {
    fn series(&mut self, text: Cow<'a, [u8]>, samples: &[Sample]) {
        self.0 ^= labels(&text).map_or(0, |labels| labels.id().0 as u64) ^ samples.len() as u64;
    }
    fn metadata(&mut self, _: Metadata<'a>) {}
    fn refused(&mut self, _: &'static str, _: u64, _: &mut dyn FnMut() -> String) {}
}

fn main() {
    let body = body();
    println!("{} bytes, {:.1} a sample", body.len(), body.len() as f64 / SERIES as f64);
    let known = measure("known series", || {
        let mut sink = Known(0);
        read(&decompress(Encoding::Snappy, &body).expect("snappy"), &mut sink);
        sink.0
    });
    let new = measure("new series", || {
        let mut sink = New(0);
        read(&decompress(Encoding::Snappy, &body).expect("snappy"), &mut sink);
        sink.0
    });
    println!("{:x}", known ^ new);
}

fn measure(what: &str, mut run: impl FnMut() -> u64) -> u64 {
    let start = Instant::now();
    let sum = (0..ROUNDS).fold(0, |sum, _| sum ^ run());
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<14} {:.2} M samples/s a core", (SERIES * ROUNDS) as f64 / seconds / 1e6);
    sum
}

fn body() -> Vec<u8> {
    let mut out = Vec::new();
    for number in 0..SERIES {
        let (name, instance) =
            (format!("node_disk_io_{}_total", number % 100), format!("web-{}.example.org:9100", number / 100));
        let pairs = [
            ("__name__", name.as_str()),
            ("cluster", "production-1"),
            ("device", "eth0"),
            ("env", "prod"),
            ("instance", &instance),
            ("job", "node"),
        ];
        let mut message = Vec::new();
        put_labels(&mut message, &Labels::from_pairs(pairs).expect("labels"));
        let mut sample = vec![0x09];
        sample.extend_from_slice(&(number as f64 / 7.0).to_bits().to_le_bytes());
        sample.push(0x10);
        put_varint(&mut sample, 1_700_000_000_000);
        message.push(0x12);
        put_varint(&mut message, sample.len() as u64);
        message.extend_from_slice(&sample);
        out.push(0x0a);
        put_varint(&mut out, message.len() as u64);
        out.extend_from_slice(&message);
    }
    snap::raw::Encoder::new().compress_vec(&out).expect("snappy")
}
