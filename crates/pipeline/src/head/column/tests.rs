use proptest::prelude::*;

use series::winner;

use super::*;

fn sample(at: i64, value: f64) -> Sample {
    Sample { at: Timestamp(at), value }
}

fn all(column: &Column) -> Vec<(i64, u64)> {
    read(column, i64::MIN, i64::MAX)
}

fn read(column: &Column, from: i64, to: i64) -> Vec<(i64, u64)> {
    let mut samples = Vec::new();
    column.read(Timestamp(from), Timestamp(to), &mut samples).unwrap();
    samples.iter().map(|sample| (sample.at.ms(), sample.value.to_bits())).collect()
}

#[test]
fn regular_samples_of_one_value_cost_next_to_nothing() {
    let mut column = Column::default();
    for at in 0..720 {
        column.join(&[sample(at * 10_000, 1.0)]).unwrap();
    }
    assert_eq!(all(&column).len(), 720);
    assert!(column.heap_bytes() < 800, "{}", column.heap_bytes());
    assert!(column.chunks.len() == 3 && column.open.len() <= OPEN_SAMPLES_MAX);
}

#[test]
fn what_is_too_old_is_forgotten_by_chunks() {
    let mut column = Column::default();
    for at in 0..600 {
        column.join(&[sample(at, at as f64)]).unwrap();
    }
    assert!(column.forget_before(Timestamp(0)));
    assert_eq!(all(&column).len(), 600);
    assert!(column.forget_before(Timestamp(300)));
    let left = all(&column);
    assert!(left[0].0 <= 300 && left.len() < 600 && left.last() == Some(&(599, 599_f64.to_bits())));
    assert!(!column.forget_before(Timestamp(10_000)));
    assert_eq!((all(&column).len(), column.first()), (0, None));
}

#[test]
fn what_touches_a_stretch_has_a_sample_there() {
    let mut column = Column::default();
    for at in 0..100 {
        // A gap from 490 to 5,000 inside of a chunk.
        column.join(&[sample(if at < 50 { at * 10 } else { 5_000 + at }, 1.5)]).unwrap();
    }
    for (from, to, touches) in
        [(0, 0, true), (-5, -1, false), (495, 4_000, false), (485, 495, true), (6_000, 7_000, false)]
    {
        assert_eq!(column.touches(Timestamp(from), Timestamp(to)).unwrap(), touches, "{from} to {to}");
    }
}

proptest! {
    #[test]
    fn any_order_and_any_number_of_deliveries_give_the_set(
        deliveries in proptest::collection::vec(
            (0_i64..900, 1_usize..60, prop_oneof![Just(1_i64), Just(7)], 0_u8..4), 1..30),
        span in (0_i64..1_500, 0_i64..1_500),
    ) {
        let mut column = Column::default();
        let mut model = std::collections::BTreeMap::new();
        for (from, count, step, kind) in deliveries {
            let value = |n: i64| match kind {
                0 => 1.0,
                1 => n as f64 * 0.25,
                2 => (n as f64).sqrt(),
                _ => series::stale_marker(),
            };
            let samples: Vec<Sample> = (0..count as i64).map(|n| sample(from + n * step, value(n))).collect();
            column.join(&samples).unwrap();
            for one in samples {
                let known = model.entry(one.at.ms()).or_insert(one.value);
                *known = winner(*known, one.value);
            }
        }
        let expected: Vec<(i64, u64)> = model.iter().map(|(at, value)| (*at, value.to_bits())).collect();
        prop_assert_eq!(all(&column), expected.clone());
        let (from, to) = span;
        let inside: Vec<(i64, u64)> = expected.into_iter().filter(|(at, _)| from <= *at && *at <= to).collect();
        prop_assert_eq!(column.touches(Timestamp(from), Timestamp(to)).unwrap(), !inside.is_empty());
        prop_assert_eq!(read(&column, from, to), inside);
    }
}
