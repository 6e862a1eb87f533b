use proptest::prelude::*;
use series::protobuf::{labels, put_varint};
use series::{STALE_NAN_BITS, is_stale};

use super::*;

#[derive(Default, Debug)]
struct Seen {
    series: Vec<(String, Vec<Sample>)>,
    metadata: Vec<String>,
    refused: Vec<(&'static str, u64, String)>,
}

impl<'a> Sink<'a> for Seen {
    fn series(&mut self, text: Cow<'a, [u8]>, samples: &[Sample]) {
        let shown = labels(&text).map_or_else(|error| error.reason().to_owned(), |labels| labels.to_string());
        self.series.push((shown, samples.to_vec()));
    }
    fn metadata(&mut self, metadata: Metadata<'a>) {
        self.metadata.push(format!("{} {} {:?} {:?}", metadata.kind, metadata.name, metadata.help, metadata.unit));
    }
    fn refused(&mut self, reason: &'static str, count: u64, first: &mut dyn FnMut() -> String) {
        self.refused.push((reason, count, first()));
    }
}

fn seen(body: &[u8]) -> Seen {
    let mut seen = Seen::default();
    read(body, &mut seen);
    seen
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    put_varint(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}

fn label(name: &str, value: &str) -> Vec<u8> {
    field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat())
}

fn sample_message(value: f64, at: i64) -> Vec<u8> {
    let mut out = vec![0x09];
    out.extend_from_slice(&value.to_bits().to_le_bytes());
    out.push(0x10);
    put_varint(&mut out, at as u64);
    field(2, &out)
}

fn time_series(parts: &[Vec<u8>]) -> Vec<u8> {
    field(1, &parts.concat())
}

#[test]
fn series_samples_and_their_bits() {
    let values = [1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::from_bits(STALE_NAN_BITS)];
    let mut parts = vec![label("__name__", "up"), label("job", "node")];
    parts.extend(values.iter().enumerate().map(|(at, value)| sample_message(*value, at as i64 - 1)));
    let seen = seen(&time_series(&parts));
    assert_eq!(seen.refused, []);
    let [(labels, samples)] = &seen.series[..] else { panic!("{seen:?}") };
    assert_eq!(labels, r#"up{job="node"}"#);
    for (index, sample) in samples.iter().enumerate() {
        assert_eq!((sample.value.to_bits(), sample.at.0), (values[index].to_bits(), index as i64 - 1));
    }
    assert!(is_stale(samples[5].value));
}

#[test]
fn what_is_bad_costs_itself_alone() {
    let good = time_series(&[label("__name__", "good"), sample_message(1.0, 1)]);
    let name = label("__name__", "x");
    let table: &[(&str, Vec<u8>, &str)] = &[
        ("absurd length of a label", [&[0x0a, 0x0a][..], &[0xff; 9], &[1]].concat(), "not_protobuf"),
        ("a cut sample", time_series(&[name.clone(), vec![0x12, 5, 0x09, 0, 0, 0, 0]]), "not_protobuf"),
        ("a group", time_series(&[name.clone(), vec![0x0b, 0x0c]]), "not_protobuf"),
        ("exemplar", time_series(&[name.clone(), field(3, b"")]), "exemplar"),
        ("histogram", time_series(&[name.clone(), field(4, b""), field(4, b"")]), "native_histogram"),
        ("metadata without a name", field(3, &field(4, b"help")), "bad_metadata"),
    ];
    for (what, bad, reason) in table {
        let seen = seen(&[good.as_slice(), bad, &good].concat());
        assert_eq!(seen.series.len(), 2, "{what}: {seen:?}");
        assert_eq!(seen.refused.iter().map(|(reason, ..)| *reason).collect::<Vec<_>>(), [*reason], "{what}");
    }
    let cut = seen(&[good.as_slice(), &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]].concat());
    assert_eq!((cut.series.len(), cut.refused.len()), (1, 1), "{cut:?}");
    assert!(cut.refused[0].2.contains("at byte"), "{cut:?}");
}

#[test]
fn any_order_of_fields_and_fields_from_the_future() {
    let parts =
        [sample_message(1.0, 1), label("b", "2"), vec![0x78, 1], label("__name__", "x"), sample_message(2.0, 2)];
    let seen = seen(&[time_series(&parts), vec![0x50, 1], field(12, b"?")].concat());
    assert_eq!(seen.refused, []);
    assert_eq!((seen.series[0].0.as_str(), seen.series[0].1.len()), (r#"x{b="2"}"#, 2));
}

#[test]
fn a_series_without_samples_is_nothing_and_missing_numbers_are_zero() {
    assert_eq!(seen(&time_series(&[label("__name__", "x")])).series, []);
    let zero = seen(&time_series(&[label("__name__", "x"), field(2, b"")]));
    assert_eq!(zero.series[0].1, [Sample { at: Timestamp(0), value: 0.0 }]);
}

#[test]
fn metadata_is_told() {
    let message = [vec![0x08, 1], field(2, b"http_requests"), field(4, b"All of them."), field(5, b"")].concat();
    assert_eq!(seen(&field(3, &message)).metadata, [r#"counter http_requests "All of them." """#]);
    let from_the_future = [vec![0x08, 99], field(2, b"x")].concat();
    assert_eq!(seen(&field(3, &from_the_future)).metadata, [r#"unknown x "" """#]);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        seen(&bytes);
        seen(&time_series(&[bytes]));
    }
}
