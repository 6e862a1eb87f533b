//! Runs every decoder on damaged input: `cargo run -p tests --example fuzz -- [--runs 1000000] [--seed 1] [NAME…]`.
//!
//! Each decoder has seeds that it reads; an input is one of them (or two, joined), damaged at up to eight
//! places: bits, bytes, numbers that are absurd as lengths, stretches left out, repeated or inserted. A panic
//! is shown with its input in hexadecimal, and the run ends with status 1. The same `--seed` gives the same
//! inputs, on any machine; stable Rust is all that it takes.
#![expect(clippy::disallowed_methods, reason = "a tool that says how long it took")]

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::time::Instant;

use blocks::{Block, BlockReader, join};
use formats::decompress::{Encoding, decompress};
use formats::prometheus_text::Dialect;
use formats::{graphite, nagios, otlp, pickle, prometheus_text, remote_write, statsd};
use series::protobuf::{labels, put_labels, put_varint};
use series::{Epoch, Labels, Sample, SourceName, TenantId, Timestamp};
use tests::remote_write::put_series;
use wire::{
    AgentFrame, Batch, BrowserFrame, Dictionaries, Inspected, Packer, SeriesColumn, StreamEnvelope, StreamKind,
};

struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    run: fn(&[u8]),
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1));
    let number = |name: &str, usual: u64| value(name).map_or(usual, |text| text.parse().expect("a number"));
    let (runs, seed) = (number("--runs", 1_000_000), number("--seed", 1));
    let known = targets();
    let wanted = |target: &&Target| {
        let named: Vec<&String> = arguments.iter().filter(|a| known.iter().any(|t| t.name == a.as_str())).collect();
        named.is_empty() || named.iter().any(|name| *name == target.name)
    };
    std::panic::set_hook(Box::new(|_| {}));
    let mut failed = false;
    for target in known.iter().filter(wanted) {
        let start = Instant::now();
        for input_seed in 0..runs {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ input_seed);
            let input = random.input(&target.seeds);
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
                let hexadecimal: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
                println!("{}: a panic on {hexadecimal}", target.name);
                failed = true;
                break;
            }
        }
        println!("{:<16} {runs} inputs in {:.1} s", target.name, start.elapsed().as_secs_f64());
    }
    std::process::exit(i32::from(failed));
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        if self.below(8) == 0 {
            let other = &seeds[self.below(seeds.len())];
            let (cut, from) = (self.below(input.len() + 1), self.below(other.len() + 1));
            input.truncate(cut);
            input.extend_from_slice(&other[from..]);
        }
        for _ in 0..=self.below(8) {
            self.damage(&mut input);
        }
        input
    }

    fn damage(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let end = (at + self.below(16)).min(input.len());
        match self.below(8) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = self.next() as u8,
            2 if !input.is_empty() => input[at] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'"', b'}'][self.below(8)],
            3 => input.truncate(at),
            4 => drop(input.drain(at..end)),
            5 => {
                let again = input[at..end].to_vec();
                drop(input.splice(at..at, again));
            }
            6 => {
                let mut absurd = Vec::new();
                put_varint(&mut absurd, u64::MAX >> self.below(64));
                drop(input.splice(at..end.min(at + 1), absurd));
            }
            _ => {
                let bytes = self.next().to_le_bytes();
                drop(input.splice(at..at, bytes));
            }
        }
    }
}

struct Nothing;

impl<'a> remote_write::Sink<'a> for Nothing {
    fn series(&mut self, text: Cow<'a, [u8]>, _: &[Sample]) {
        let _ = labels(&text);
    }
    fn metadata(&mut self, _: remote_write::Metadata<'a>) {}
    fn refused(&mut self, _: &'static str, _: u64, first: &mut dyn FnMut() -> String) {
        drop(first());
    }
}

impl otlp::Sink for Nothing {
    fn sample(&mut self, _: &Labels, _: Sample) {}
    fn metadata(&mut self, _: &str, _: &'static str, _: &str, _: &str) {}
    fn refused(&mut self, _: &'static str, _: u64, _: String) {}
}

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn targets() -> Vec<Target> {
    let text = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>();
    let write = write_request();
    let plain = [write.clone(), vec![b'x'; 3_000]];
    let (batch, packed) = batches();
    let envelopes: Vec<Vec<u8>> = [&batch, &packed].into_iter().map(|batch| envelope(batch).to_vec()).collect();
    let block = block();
    let parquet = blocks::parquet::encode_samples(&block).expect("a block can be written");
    let prometheus = "# HELP a b\n# TYPE a histogram\na_bucket{le=\"0.1\",x=\"\\\"é\"} 1 # {t=\"1\"} 0.5 1.5\n\
                      a_sum 1.5e3 1700000000000\na_count +Inf\n# EOF\n";
    vec![
        Target { name: "remote_write", seeds: vec![write], run: |input| remote_write::read(input, &mut Nothing) },
        Target {
            name: "otlp_protobuf",
            seeds: otlp_requests(),
            run: |input| drop(otlp::read_protobuf(input, &mut Nothing)),
        },
        Target {
            name: "otlp_json",
            seeds: text(&[OTLP_JSON]),
            run: |input| drop(otlp::read_json(input, &mut Nothing)),
        },
        Target {
            name: "snappy",
            seeds: plain.iter().map(|bytes| snap::raw::Encoder::new().compress_vec(bytes).expect("snappy")).collect(),
            run: |input| drop(decompress(Encoding::Snappy, input)),
        },
        Target { name: "gzip", seeds: vec![GZIP.to_vec()], run: |input| drop(decompress(Encoding::Gzip, input)) },
        Target {
            name: "deflate",
            seeds: vec![GZIP[10..].to_vec()],
            run: |input| drop(decompress(Encoding::Deflate, input)),
        },
        Target {
            name: "zstd",
            seeds: vec![batch.clone(), packed.clone()],
            run: |input| drop(decompress(Encoding::Zstd, input)),
        },
        Target {
            name: "graphite",
            seeds: text(&["a.b;c=d;e=f 1.5 1700000000\nx 1 N\nm{a=\"b\"} -1e3 -1\r\n~~a 2 1700000000123\n"]),
            run: |input| drop(graphite::parse_body(input, NOW)),
        },
        Target { name: "pickle", seeds: pickles(), run: |input| drop(pickle::parse(input, NOW)) },
        Target {
            name: "statsd",
            seeds: text(&["a:1|c|@0.1\nb:+2|g\nc:3:4|ms|#k:v\nd:x|s\n", DOGSTATSD]),
            run: |input| statsd::parse_datagram(input, &mut formats::Rejects::default(), |_| Ok(())),
        },
        Target {
            name: "prometheus_text",
            seeds: text(&[prometheus]),
            run: |input| drop(prometheus_text::parse_body(input, Dialect::Text, NOW)),
        },
        Target {
            name: "openmetrics",
            seeds: text(&[prometheus]),
            run: |input| drop(prometheus_text::parse_body(input, Dialect::OpenMetrics, NOW)),
        },
        Target {
            name: "nagios",
            seeds: text(&["DISK OK | /=2643MB;5948;5958;0;5968 'a b'=1.5e3%;@10:20;~:5\nlong | x=U y=2c\n"]),
            run: |input| drop(nagios::parse(input)),
        },
        Target { name: "batch", seeds: vec![batch.clone(), packed.clone()], run: |input| drop(Batch::decode(input)) },
        Target {
            name: "batch_plain",
            seeds: [&batch, &packed].iter().map(|bytes| unpacked(bytes)).collect(),
            run: |input| drop(Batch::decode_protobuf(input.to_vec().into())),
        },
        Target { name: "batch_inspect", seeds: vec![batch.clone(), packed.clone()], run: inspect },
        Target {
            name: "inspect_plain",
            seeds: [&batch, &packed].iter().map(|bytes| unpacked(bytes)).collect(),
            run: |input| inspect(&stored(input)),
        },
        Target { name: "record", seeds: envelopes, run: |input| drop(StreamEnvelope::decode(input.to_vec().into())) },
        Target {
            name: "frames",
            seeds: text(&[
                r#"{"action":"batch","payload":"KLUv/SAA"}"#,
                r#"{"action":"subscribe","id":"1","match":["up"]}"#,
                r#"{"action":"heartbeat","epoch":"00000000000000ff","counters":{}}"#,
            ]),
            run: |input| {
                let text = String::from_utf8_lossy(input);
                drop((AgentFrame::from_json(&text), BrowserFrame::from_json(&text)));
            },
        },
        Target { name: "segment", seeds: vec![segment()], run: |input| drop(wire::segment::read(input)) },
        Target {
            name: "block",
            seeds: vec![block.encode().to_vec()],
            run: |input| {
                let Ok(reader) = BlockReader::open(input.to_vec()) else { return };
                for index in 0..reader.series().len().min(8) {
                    let _ = reader.read(index, Timestamp(i64::MIN), Timestamp(i64::MAX));
                }
            },
        },
        Target {
            name: "parquet",
            seeds: vec![parquet.to_vec()],
            run: |input| drop(Block::decode_parquet(input.to_vec().into())),
        },
    ]
}

const DOGSTATSD: &str =
    "_e{5,4}:title|text|d:1|h:x|#a:b\n_sc|disk|2|d:1|h:x|#a:b|m:full\nd:1:2|d|@0.5|#a,b:c|T1700000000\n";
const OTLP_JSON: &str = r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},
    "scopeMetrics":[{"scope":{"name":"n"},"metrics":[{"name":"g","unit":"By/s","gauge":{"dataPoints":[{"timeUnixNano":"17",
    "asInt":"7","attributes":[{"key":"k","value":{"arrayValue":{"values":[{"intValue":1}]}}}]}]}},{"name":"h","histogram":
    {"aggregationTemporality":2,"dataPoints":[{"count":"3","sum":1,"bucketCounts":[1,2],"explicitBounds":[0.5]}]}}]}]}]}"#;
/// "hello, hello, hello" by gzip.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xd7, 0x51, 0xc8, 0x40, 0xa2, 0, 0xda, 0xf6,
    0x6a, 0x5c, 0x13, 0, 0, 0,
];

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    put_varint(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}

fn of_name(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("instance", "web-1"), ("job", "node")]).expect("labels")
}

fn write_request() -> Vec<u8> {
    let mut out = Vec::new();
    for name in ["up", "node_load1", "é"] {
        let mut labels = Vec::new();
        put_labels(&mut labels, &of_name(name));
        // An exemplar among them.
        labels.extend_from_slice(&field(3, b"\x09\0\0\0\0\0\0\0\0"));
        put_series(&mut out, &labels, &[(1.5, 1_700_000_000_000), (1.5, 1_700_000_000_001)]);
    }
    out.extend_from_slice(&field(3, &[vec![0x08, 1], field(2, b"up"), field(4, b"Is it?")].concat()));
    out
}

fn otlp_requests() -> Vec<Vec<u8>> {
    let attribute =
        |number: u8| field(number, &[field(1, b"k"), field(2, &field(5, &field(1, &field(1, b"v"))))].concat());
    let number = |number: u8, bits: u64| [&[number << 3 | 1][..], &bits.to_le_bytes()].concat();
    let gauge = [number(3, 17), number(4, 1.5_f64.to_bits()), attribute(7)].concat();
    let histogram = [number(3, 17), number(4, 3), field(6, &[1; 16]), field(7, &[1; 8]), attribute(9)].concat();
    let summary = [number(3, 17), field(6, &[number(1, 0), number(2, 0)].concat())].concat();
    let metrics = [(5, gauge.clone()), (7, gauge), (9, histogram), (11, summary)].map(|(kind, point)| {
        field(
            2,
            &[field(1, b"m"), field(3, b"s"), field(kind, &[field(1, &point), vec![0x10, 2, 0x18, 1]].concat())]
                .concat(),
        )
    });
    let scope = [field(1, &[field(1, b"n"), attribute(3)].concat()), metrics.concat()].concat();
    vec![field(1, &[field(1, &attribute(1)), field(2, &scope)].concat())]
}

fn pickles() -> Vec<Vec<u8>> {
    vec![
        b"(lp0\n(S'foo.bar'\np1\n(I1\nF1.5\ntp2\ntp3\na.".to_vec(),
        b"\x80\x02]q\x00X\x07\x00\x00\x00foo.barq\x01K\x01G?\xf8\x00\x00\x00\x00\x00\x00\x86q\x02\x86q\x03a.".to_vec(),
    ]
}

fn columns() -> Vec<SeriesColumn> {
    let samples: Vec<Sample> =
        (0..20).map(|n| Sample { at: Timestamp(NOW.0 + n * 10_000), value: n as f64 / 3.0 }).collect();
    ["a", "b", "c"].iter().map(|name| SeriesColumn { labels: of_name(name), samples: samples.clone() }).collect()
}

fn block() -> Block {
    join(columns())
}

/// A batch of version 1 and one of version 2.
fn batches() -> (Vec<u8>, Vec<u8>) {
    let source = SourceName::new("web-1").expect("a name");
    let contents = wire::Contents { series: columns(), ..wire::Contents::default() };
    let batch = contents.into_batch(source.clone(), Epoch(1), 1, NOW).encode();
    let mut packer = Packer::default();
    for column in columns() {
        let mut text = Vec::new();
        put_labels(&mut text, &column.labels);
        let place = packer.series(&text);
        column.samples.iter().for_each(|sample| packer.sample(place, *sample));
    }
    (batch, packer.encode(&source, Epoch(1), 2, NOW).0.to_vec())
}

fn unpacked(batch: &[u8]) -> Vec<u8> {
    match decompress(Encoding::Zstd, batch) {
        Ok(plain) => plain.into_owned(),
        Err(_) => batch.to_vec(),
    }
}

/// A look at a batch, and its columns as written, which say what reading it says, whatever came before.
fn inspect(batch: &[u8]) {
    static MEMORY: LazyLock<Dictionaries> = LazyLock::new(|| Dictionaries::new(1, 1 << 20));
    let expected = Batch::decode(batch);
    match (Batch::decode_written(batch, &mut |_| None, &MEMORY), &expected) {
        (Ok((read, written)), Ok(expected)) => {
            let series = written.map_or(read.batch.series, |written| written.decode());
            // NaNs are not equal to themselves.
            assert_eq!(format!("{series:?}"), format!("{:?}", expected.batch.series));
            assert_eq!(read.rejected, expected.rejected);
        }
        (read, expected) => assert_eq!(read.err().as_ref(), expected.as_ref().err()),
    }
    assert_eq!(Batch::inspect(batch, &MEMORY), expected.map(Inspected::from));
}

/// A zstd frame that holds these bytes as they are.
fn stored(plain: &[u8]) -> Vec<u8> {
    let length = plain.len() as u32;
    let block = (length << 3 | 1).to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0xa0][..], &length.to_le_bytes(), &block[..3], plain].concat()
}

fn envelope(batch: &[u8]) -> bytes::Bytes {
    let kind = StreamKind::Pushed { epoch: Epoch(1), seq: 1, batch: batch.to_vec().into() };
    let rejected = vec![wire::Rejection { reason: "r".to_owned(), count: 1, first: "x".to_owned() }];
    let source = SourceName::new("web-1").expect("a name");
    StreamEnvelope { tenant: TenantId::default(), source, received_at: NOW, kind, rejected, connection: None }.encode()
}

fn segment() -> Vec<u8> {
    let mut out = Vec::new();
    for payload in [&b"one"[..], b"", &[7; 600]] {
        let at = out.len() as u64;
        wire::segment::encode_into(&mut out, at, payload).expect("a short record");
    }
    out
}
