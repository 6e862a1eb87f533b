use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use proptest::prelude::*;
use series::{Labels, Sample, Timestamp, stale_marker};
use wire::SeriesColumn;

use super::*;
use crate::join::{Block, join};
use crate::rollup::rollup;

const ALL: (Timestamp, Timestamp) = (Timestamp(i64::MIN), Timestamp(i64::MAX));

fn column(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> SeriesColumn {
    let samples = samples.iter().map(|&(at, value)| Sample { at: Timestamp(at), value }).collect();
    SeriesColumn { labels: Labels::from_pairs(labels.iter().copied()).unwrap(), samples }
}

/// What another reader finds in a file: metric, labels, time, bits of `coalesce(value, dec / 10^scale)`.
fn read_by_the_crate(object: &Bytes) -> Vec<(String, String, i64, u64)> {
    let reader = SerializedFileReader::new(object.clone()).unwrap();
    let mut rows = Vec::new();
    for row in reader.get_row_iter(None).unwrap() {
        let (mut metric, mut labels, mut at, mut scale, mut dec, mut value) = Default::default();
        for (name, field) in row.unwrap().get_column_iter() {
            match (name.as_str(), field) {
                ("metric", Field::Str(text)) => metric = text.clone(),
                ("labels", Field::Str(text)) => labels = text.clone(),
                ("timestamp", Field::TimestampMillis(ms)) => at = *ms,
                ("scale", Field::Int(digits)) => scale = *digits,
                ("dec", Field::Long(number)) => dec = Some(*number),
                ("value", Field::Double(number)) => value = Some(*number),
                ("series", Field::Long(_)) | ("dec" | "value", Field::Null) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(value.is_some() != dec.is_some());
        let value: f64 = value.unwrap_or_else(|| dec.unwrap() as f64 / 10_f64.powi(scale));
        rows.push((metric, labels, at, value.to_bits()));
    }
    rows
}

fn expected_rows(block: &Block) -> Vec<(String, String, i64, u64)> {
    let mut rows = Vec::new();
    for column in block.columns() {
        let labels = column.labels.iter().filter(|(name, _)| *name != "__name__");
        let labels: serde_json::Map<String, serde_json::Value> =
            labels.map(|(n, v)| (n.to_owned(), v.into())).collect();
        let labels = serde_json::Value::from(labels).to_string();
        for sample in &column.samples {
            let metric = column.labels.metric_name().unwrap_or("").to_owned();
            rows.push((metric, labels.clone(), sample.at.0, sample.value.to_bits()));
        }
    }
    rows.sort_by(|a, b| (&a.0, &a.1, a.2).cmp(&(&b.0, &b.1, b.2)));
    rows
}

fn check(block: &Block) {
    let object = encode_samples(block).unwrap();
    assert_eq!(encode_samples(block).unwrap(), object);
    assert_eq!(&Block::decode_parquet(object.clone()).unwrap(), block);
    let mut rows = read_by_the_crate(&object);
    rows.sort_by(|a, b| (&a.0, &a.1, a.2).cmp(&(&b.0, &b.1, b.2)));
    assert_eq!(rows, expected_rows(block));
}

#[test]
fn every_kind_of_value_comes_back_bit_by_bit() {
    let odd_nan = f64::from_bits(0x7ff8_0000_dead_beef);
    let values = [1.0, 0.1, -0.0, 0.0, f64::NAN, odd_nan, stale_marker(), f64::INFINITY, 1e300, 5e-324, 123.456];
    let samples: Vec<(i64, f64)> = values.iter().enumerate().map(|(at, value)| (at as i64 * 10_000, *value)).collect();
    let decimals: Vec<(i64, f64)> = (0..500).map(|at| (at * 10_000, at as f64 / 100.0)).collect();
    let mut ended = decimals.clone();
    ended[499].1 = stale_marker();
    check(&join([
        column(&[("__name__", "odd")], &samples),
        column(&[("__name__", "decimals"), ("a", "\"quoted\" \\ \u{1}é")], &decimals),
        column(&[("__name__", "ended")], &ended),
        column(&[("__name__", "zz"), ("Upper", "sorts before __name__")], &decimals[..1]),
        column(&[("__name__", "aa")], &[(i64::MIN, 1.0), (i64::MAX, 2.0)]),
    ]));
    check(&Block::default());
}

#[test]
fn more_series_than_a_group_holds() {
    for count in [SERIES_PER_GROUP - 1, SERIES_PER_GROUP, SERIES_PER_GROUP + 1, 250] {
        let columns = (0..count).map(|number| {
            let (name, host) = (format!("m{}", number % 7), format!("h{number}"));
            let value = |at: i64| if number % 3 == 0 { (at as f64).sqrt() } else { at as f64 };
            let samples: Vec<(i64, f64)> = (0..40).map(|at| (at * 10 + number as i64, value(at))).collect();
            column(&[("__name__", &name), ("host", &host)], &samples)
        });
        let block = join(columns);
        check(&block);
        let footer = Footer::of(&encode_samples(&block).unwrap()).unwrap();
        assert_eq!((footer.len(), footer.rows(), footer.kind()), (count, count as u64 * 40, Kind::Samples));
        for column in block.columns() {
            let position = footer.position(&column.labels).unwrap();
            let series = footer.series(position).unwrap();
            assert_eq!((&series.labels, series.rows, series.min_time), (&column.labels, 40, column.samples[0].at));
        }
    }
}

#[test]
fn series_are_found_by_tests_of_labels() {
    let block = join([
        column(&[("__name__", "up"), ("job", "node")], &[(1, 1.0)]),
        column(&[("__name__", "up"), ("job", "web")], &[(1, 1.0)]),
        column(&[("__name__", "up")], &[(1, 1.0)]),
        column(&[("__name__", "down"), ("job", "web")], &[(1, 1.0)]),
    ]);
    let footer = Footer::of(&encode_samples(&block).unwrap()).unwrap();
    type Test = (&'static str, fn(&str) -> bool);
    let found = |tests: &[Test]| -> Vec<String> {
        let tests: Vec<LabelTest<'_>> = tests.iter().map(|(name, accepts)| LabelTest { name, accepts }).collect();
        footer.find(&tests).into_iter().map(|at| footer.series(at).unwrap().labels.to_string()).collect()
    };
    assert_eq!(found(&[]).len(), 4);
    assert_eq!(found(&[("__name__", |name| name == "up"), ("job", |job| job == "web")]), [r#"up{job="web"}"#]);
    assert_eq!(found(&[("job", str::is_empty)]), ["up"]);
    assert_eq!(found(&[("job", |job| job != "web"), ("none", str::is_empty)]), ["up", r#"up{job="node"}"#]);
    assert!(found(&[("none", |value| !value.is_empty())]).is_empty());
    assert_eq!(footer.position(&column(&[("__name__", "up"), ("job", "x")], &[]).labels), None);
}

#[test]
fn only_what_is_asked_for_is_fetched() {
    let noise = |number: i64| (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
    let many = |seed: i64| -> Vec<(i64, f64)> {
        (0..3_000).map(|at| (at * 10_000, noise(noise(at * seed) as i64 + at) as f64)).collect()
    };
    let block = join((1..=150).map(|n| column(&[("__name__", "m"), ("n", &n.to_string())], &many(n))));
    let object = encode_samples(&block).unwrap();
    let footer = Footer::of(&object).unwrap();
    let wanted = &block.columns()[77];
    let number = footer.position(&wanted.labels).unwrap();
    let (from, to) = (Timestamp(5_000), Timestamp(20_000));
    let ranges = footer.ranges(&[number], from, to);
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    assert!(ranges.iter().map(|range| range.length).sum::<u64>() < 20_000, "{ranges:?}");
    let mut fetched = Fetched::default();
    for range in ranges.iter().rev() {
        fetched.push(range.offset, object.slice(range.offset as usize..(range.offset + range.length) as usize));
    }
    let found = footer.samples(&[number], from, to, &fetched).unwrap();
    assert_eq!(found, [SeriesColumn { samples: wanted.samples[1..3].to_vec(), ..wanted.clone() }]);
    let error = footer.samples(&[number + 1], ALL.0, ALL.1, &fetched).unwrap_err();
    assert!(matches!(error, ParquetError::NotFetched { .. }), "{error}");
    assert!(footer.ranges(&[number], Timestamp(-9), Timestamp(-1)).is_empty());
    assert!(footer.samples(&[9_999], ALL.0, ALL.1, &fetched).unwrap().is_empty());
    // Neighbours are fetched as one.
    let all: Vec<usize> = (0..SERIES_PER_GROUP).collect();
    assert_eq!(footer.ranges(&all, ALL.0, ALL.1).len(), 1);
}

#[test]
fn the_footer_says_how_much_it_needs() {
    let object = encode_samples(&join([column(&[("__name__", "up")], &[(1, 1.0)])])).unwrap();
    let size = object.len() as u64;
    let tail = |bytes: usize| Footer::parse(&object[object.len() - bytes..], size);
    assert_eq!(tail(0), Ok(Parsed::NeedMore(TAIL_BYTES_MIN as u64)));
    assert_eq!(tail(TAIL_BYTES_MIN - 1), Ok(Parsed::NeedMore(TAIL_BYTES_MIN as u64)));
    let Ok(Parsed::NeedMore(needed)) = tail(TAIL_BYTES_MIN) else { panic!("it is longer") };
    assert!(matches!(tail(needed as usize), Ok(Parsed::Footer(_))));
    assert_eq!(tail(needed as usize - 1), Ok(Parsed::NeedMore(needed)));
    assert_eq!(Footer::parse(&object, size - 1), Err(ParquetError::NotOurs));
    assert_eq!(Footer::of(b"PAR1PAR1"), Err(ParquetError::NotOurs));
}

#[test]
fn rollups_come_back_bit_by_bit() {
    let counter: Vec<(i64, f64)> = (1..3_000).map(|at| (at * 10_000, at as f64 * 0.25)).collect();
    let mut gauge: Vec<(i64, f64)> = (1..3_000).map(|at| (at * 10_000, ((at * 7_919) % 997) as f64 / 10.0)).collect();
    gauge[2_998].1 = stale_marker();
    gauge[300].1 = f64::NAN;
    let mut columns = vec![column(&[("__name__", "ended")], &[(5, stale_marker())])];
    for n in 0..60 {
        columns.push(column(&[("__name__", "c"), ("n", &n.to_string())], &counter));
        columns.push(column(&[("__name__", "g"), ("n", &n.to_string())], &gauge));
    }
    let block = join(columns);
    for width in series::rollup_width::ALL {
        let rollups = rollup(&block, width);
        let object = encode_rollups(&rollups, width).unwrap();
        let mut reversed = rollups.clone();
        reversed.reverse();
        assert_eq!(encode_rollups(&reversed, width).unwrap(), object);
        let footer = Footer::of(&object).unwrap();
        assert_eq!(footer.kind(), Kind::Rollups { width_ms: width });
        let fetched = Fetched::whole(object.clone());
        let wanted: Vec<usize> = rollups.iter().filter_map(|one| footer.position(&one.labels)).collect();
        assert_eq!(footer.rollups(&wanted, ALL.0, ALL.1, &fetched).unwrap(), rollups);
        // A part of one, by ranges.
        let (from, to) = (Timestamp(width), Timestamp(3 * width));
        let one = footer.position(&rollups[70].labels).unwrap();
        let ranges = footer.ranges(&[one], from, to);
        assert_eq!(ranges.len(), 1);
        let mut fetched = Fetched::default();
        let ByteRange { offset, length } = ranges[0];
        fetched.push(offset, object.slice(offset as usize..(offset + length) as usize));
        let found = footer.rollups(&[one], from, to, &fetched).unwrap();
        assert_eq!(found[0].rollups[..], rollups[70].rollups[..3]);
        // The rows as another reader finds them.
        let rows = SerializedFileReader::new(object).unwrap().get_row_iter(None).unwrap().count();
        assert_eq!(rows, rollups.iter().map(|one| one.rollups.len()).sum::<usize>());
        assert!(footer.samples(&[0], ALL.0, ALL.1, &Fetched::default()).is_err());
    }
}

#[test]
fn limits_at_the_limit_and_one_past_it() {
    // Rows of an object.
    assert!(super::file::check_rows(ROWS_MAX).is_ok());
    assert!(super::file::check_rows(ROWS_MAX + 1).is_err());
    // Bytes between ranges.
    let ranges = |gap: u64| super::footer::merged(vec![place(10, 5), place(15 + gap, 1), place(3, 0)]).len();
    assert_eq!((ranges(RANGE_GAP_MAX), ranges(RANGE_GAP_MAX + 1)), (1, 2));
    // Bytes of a page: of a small one by its rows, of any by the limit.
    let mut unpacker = super::page::Unpacker::new();
    let mut page = |plain: usize, rows: usize| {
        let header = super::page::header(plain, 0, rows, 0, false);
        unpacker.page(&header, rows).map(|_| ()).unwrap_err()
    };
    for (max, rows) in [(4_096 + 16, 1), (PLAIN_PAGE_BYTES_MAX, 100_000_000)] {
        assert_eq!(page(max, rows), ParquetError::Zstd { what: "a page" });
        assert!(matches!(page(max + 1, rows), ParquetError::TooLarge { .. }));
    }
    // Structs inside of structs in a page's header.
    let nested = |depth: usize| [vec![0x9c], vec![0x1c; depth], vec![0; depth + 2]].concat();
    assert!(super::thrift::page_header(&nested(16)).is_ok());
    assert!(super::thrift::page_header(&nested(17)).is_err());
    // Rows of a group of rollups.
    let groups = |count: usize| {
        let columns = (0..count).map(|n| column(&[("__name__", "m"), ("n", &n.to_string())], &[(1, 1.0)]));
        let object = encode_rollups(&rollup(&join(columns), 10), 10).unwrap();
        Footer::of(&object).unwrap().index.groups.len()
    };
    assert_eq!((groups(ROLLUP_GROUP_ROWS), groups(ROLLUP_GROUP_ROWS + 1)), (1, 2));
}

fn place(start: u64, bytes: u64) -> super::index::Place {
    super::index::Place { start, bytes }
}

fn any_block() -> impl Strategy<Value = Block> {
    let value = prop_oneof![
        6 => (0..100_000_i32).prop_map(|n| f64::from(n) / 100.0),
        3 => (0..9_i32).prop_map(f64::from),
        1 => Just(stale_marker()),
        1 => Just(-0.0),
        2 => any::<u64>().prop_map(f64::from_bits),
    ];
    let samples = proptest::collection::vec((0..100_000_i64, value), 1..300);
    let series = (0..6_u8, 0..3_u8, samples)
        .prop_map(|(n, job, samples)| column(&[("__name__", &format!("s{n}")), ("job", &format!("j{job}"))], &samples));
    proptest::collection::vec(series, 0..8).prop_map(join)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_by_us_and_by_others(block in any_block()) {
        check(&block);
    }

    #[test]
    fn damaged_bytes_are_errors_or_other_samples_and_never_a_panic(
        block in any_block(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let object = encode_samples(&block).unwrap().to_vec();
        let mut damaged = object.clone();
        for (at, byte) in &damage {
            damaged[at.index(object.len())] ^= byte;
        }
        let _ = Block::decode_parquet(damaged.into());
        let _ = Block::decode_parquet(object[cut.index(object.len())..].to_vec().into());
        let _ = Block::decode_parquet(object[..cut.index(object.len())].to_vec().into());
        // Damage in the index itself, below its compression.
        let footer = Footer::of(&object).unwrap();
        let mut index = footer.index.encode();
        for (at, byte) in &damage {
            let at = at.index(index.len());
            index[at] ^= byte;
        }
        if let Ok(index) = super::index::Index::decode(&index, object.len() as u64) {
            let footer = Footer { index, kind: Kind::Samples };
            let all: Vec<usize> = (0..footer.len()).collect();
            let _ = footer.samples(&all, ALL.0, ALL.1, &Fetched::whole(object.into()));
            let _ = footer.ranges(&all, ALL.0, ALL.1);
        }
    }

    #[test]
    fn rollups_of_anything_come_back_and_damage_never_panics(
        block in any_block(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let rollups = rollup(&block, 10_000);
        let object = encode_rollups(&rollups, 10_000).unwrap();
        let footer = Footer::of(&object).unwrap();
        let all: Vec<usize> = rollups.iter().filter_map(|one| footer.position(&one.labels)).collect();
        prop_assert_eq!(footer.rollups(&all, ALL.0, ALL.1, &Fetched::whole(object.clone())).unwrap(), rollups);
        let mut index = footer.index.encode();
        let mut damaged = object.to_vec();
        for (at, byte) in &damage {
            let at_object = at.index(damaged.len() - 200);
            damaged[at_object] ^= byte;
            let at = at.index(index.len());
            index[at] ^= byte;
        }
        let damaged = Fetched::whole(damaged.into());
        let _ = footer.rollups(&all, ALL.0, ALL.1, &damaged);
        if let Ok(index) = super::index::Index::decode(&index, object.len() as u64) {
            let footer = Footer { index, kind: Kind::Rollups { width_ms: 10_000 } };
            let _ = footer.rollups(&all, ALL.0, ALL.1, &Fetched::whole(object));
        }
    }

    #[test]
    fn differences_come_back(numbers in proptest::collection::vec(prop_oneof![any::<i64>(), -9..9_i64, Just(5)], 0..400)) {
        let mut bytes = Vec::new();
        super::delta::encode(&mut bytes, &numbers);
        let mut back = Vec::new();
        super::delta::decode(&bytes, numbers.len(), |number| back.push(number)).unwrap();
        prop_assert_eq!(&back, &numbers);
        prop_assert!(numbers.len() <= super::delta::count_max(bytes.len()));
        let half = super::delta::decode(&bytes[..bytes.len() / 2], numbers.len() + 1, |_| ());
        prop_assert!(half.is_err());
    }
}
