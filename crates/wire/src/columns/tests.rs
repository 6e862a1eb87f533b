use proptest::prelude::*;
use series::STALE_NAN_BITS;

use super::*;

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Encodes, checks that the same bits come back, and answers which form was taken.
#[track_caller]
fn check(values: &[f64], encoding: u8, bytes: usize) {
    let mut out = Vec::new();
    encode_values(&mut out, values);
    assert_eq!(bits(&decode_values(&out, values.len()).unwrap()), bits(values));
    assert_eq!((out[0], out.len()), (encoding, bytes), "{values:?}");
}

#[test]
fn the_shortest_form_is_taken() {
    check(&[], DECIMAL, 2);
    check(&[1.0, 2.0, 3.0], DECIMAL, 5);
    check(&[0.25, 0.5, 100.75], DECIMAL, 7);
    check(&[0.1, 0.2, 0.3], DECIMAL, 5);
    // Not 0.3 but the double next to it: no decimal of 15 digits is this.
    check(&[0.1 + 0.2; 4], XOR, 13);
    check(&[f64::NAN, f64::NAN], XOR, 5);
    check(&[f64::INFINITY, f64::NEG_INFINITY], XOR, 6);
    check(&[-0.0], XOR, 3);
    check(&[0.0], DECIMAL, 3);
    check(&[9_007_199_254_740_991.0; 3], DECIMAL, 12);
    check(&[9_007_199_254_740_994.0; 3], XOR, 12);
    // Exact at scale 0, but too large at the scale that its neighbour needs.
    check(&[9_007_199_254_740_991.0, 0.1], RAW, 17);
    let random = [0x9e37_79b9_7f4a_7c15_u64, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb].map(f64::from_bits);
    check(&random, RAW, 25);
}

#[test]
fn every_kind_of_bits_round_trips() {
    let stale = f64::from_bits(STALE_NAN_BITS);
    let quiet = f64::from_bits(0x7ff8_dead_beef_0001);
    let values = [0.0, -0.0, stale, quiet, f64::MIN_POSITIVE, f64::from_bits(1), f64::MAX, f64::INFINITY, -1e-300];
    for value in values {
        for other in values {
            let mut out = Vec::new();
            encode_values(&mut out, &[value, other]);
            assert_eq!(bits(&decode_values(&out, 2).unwrap()), bits(&[value, other]));
        }
    }
}

#[test]
fn regular_times_take_a_byte_each() {
    let mut out = Vec::new();
    let times: Vec<Timestamp> = (0..60).map(|n| Timestamp(1_700_000_000_000 + n * 10_000)).collect();
    encode_timestamps(&mut out, times.iter().copied());
    assert_eq!(out.len(), 1 + 6 + 3 + 58);
    assert_eq!(decode_timestamps(&out).unwrap(), times);
}

/// The examples of docs/protocol.md.
#[test]
fn the_documented_bytes_are_the_real_ones() {
    let document = include_str!("../../../../docs/protocol.md");
    let documented = |bytes: &[u8]| {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        document.contains(&hex.join(" "))
    };
    let mut out = Vec::new();
    encode_timestamps(&mut out, (0..3_i32).map(|n| Timestamp(1_700_000_000_000 + i64::from(n) * 10_000)));
    let (count, rest) = out.split_at(1);
    assert!(count == [3] && documented(&rest[..6]) && documented(&rest[6..9]) && rest[9..] == [0], "{out:02x?}");
    for values in [[0.25, 0.5, 1.75].as_slice(), &[1.0 / 3.0; 2]] {
        let mut out = Vec::new();
        encode_values(&mut out, values);
        assert!(documented(&out), "{out:02x?}");
    }
}

#[test]
fn bad_columns_say_what_is_wrong() {
    assert_eq!(decode_values(&[], 0), Err(ColumnError::Truncated));
    assert_eq!(decode_values(&[9], 0), Err(ColumnError::UnknownEncoding { encoding: 9 }));
    assert_eq!(decode_values(&[DECIMAL, 16, 0], 1), Err(ColumnError::Scale { scale: 16 }));
    assert!(decode_values(&[DECIMAL, DECIMAL_SCALE_MAX, 0], 1).is_ok());
    assert_eq!(decode_values(&[DECIMAL, 0, 0, 0], 1), Err(ColumnError::LeftOver { bytes: 1 }));
    assert_eq!(decode_values(&[XOR, 0x45], 1), Err(ColumnError::Control { control: 0x45 }));
    assert_eq!(decode_values(&[XOR, 0x10], 1), Err(ColumnError::Control { control: 0x10 }));
    assert_eq!(decode_values(&[RAW, 0, 0], 3), Err(ColumnError::Count { count: 3, max: 2 }));
    assert_eq!(decode_timestamps(&[3, 0, 0]), Err(ColumnError::Count { count: 3, max: 2 }));
    let too_long = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
    assert_eq!(Reader::new(&too_long).varint(), Err(ColumnError::VarintTooLong));
    let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(Reader::new(&longest).varint(), Ok(u64::MAX));
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-1_000_000_i64..1_000_000, 0..4_i32).prop_map(|(n, scale)| n as f64 / 10_f64.powi(scale)),
        Just(f64::from_bits(STALE_NAN_BITS)),
        Just(-0.0),
    ]
}

/// The decimal as its definition has it, with `f64::round`.
fn defined_decimal(value: f64, scale: u8) -> Option<i64> {
    let power = power_of_ten(scale)?;
    let scaled = (value * power).round();
    let exact = scaled.abs() <= EXACT_MAX && ((scaled as i64) as f64 / power).to_bits() == value.to_bits();
    exact.then_some(scaled as i64)
}

#[test]
fn rounding_is_that_of_the_definition_at_its_edges() {
    let edges = [0.5, 0.5_f64.next_down(), 1.5, 2.5, WHOLE_FROM, WHOLE_FROM - 0.5, WHOLE_FROM + 1.0, EXACT_MAX, 1e300];
    for value in edges.into_iter().flat_map(|edge| [edge, edge.next_up(), edge.next_down()]) {
        for value in [value, -value, value / 10.0, value / 1e15] {
            for scale in 0..=DECIMAL_SCALE_MAX + 1 {
                assert_eq!(decimal(value, scale), defined_decimal(value, scale), "{value} at {scale}");
            }
        }
    }
}

/// The bytes of a decimal column as its definition has them: the least scale at which each value in turn is exact.
fn defined_column(values: &[f64]) -> Option<Vec<u8>> {
    let mut scale = 0;
    for value in values {
        while defined_decimal(*value, scale).is_none() {
            scale += 1;
            if scale > DECIMAL_SCALE_MAX {
                return None;
            }
        }
    }
    let (mut out, mut last) = (vec![DECIMAL, scale], 0);
    for value in values {
        let number = defined_decimal(*value, scale)?;
        put_zigzag(&mut out, number - last);
        last = number;
    }
    Some(out)
}

proptest! {
    #[test]
    fn decimals_are_those_of_the_definition(bits in any::<u64>(), digits in any::<i64>(), cut in 0..64_u32, scale in 0..=DECIMAL_SCALE_MAX) {
        for value in [f64::from_bits(bits), (digits >> cut) as f64 / 10_f64.powi(i32::from(scale)), (digits >> cut) as f64 / 2.0] {
            for scale in 0..=DECIMAL_SCALE_MAX {
                prop_assert_eq!(decimal(value, scale), defined_decimal(value, scale));
            }
        }
    }

    #[test]
    fn decimal_columns_are_those_of_the_definition(
        numbers in proptest::collection::vec((any::<i64>(), 0..64_u32, 0..4_u8, any::<bool>()), 1..6),
    ) {
        let values: Vec<f64> = numbers
            .into_iter()
            .map(|(digits, cut, scale, odd)| match odd && scale == 3 {
                true => f64::from_bits(digits as u64),
                false => (digits >> cut) as f64 / 10_f64.powi(i32::from(scale)),
            })
            .collect();
        let mut out = Vec::new();
        let is_decimal = encode_decimal(&mut out, &values);
        prop_assert_eq!(is_decimal.then_some(out), defined_column(&values));
    }
    #[test]
    fn values_round_trip(values in proptest::collection::vec(value(), 0..60)) {
        let mut out = Vec::new();
        encode_values(&mut out, &values);
        prop_assert!(out.len() <= 2 + 8 * values.len());
        prop_assert_eq!(bits(&decode_values(&out, values.len()).unwrap()), bits(&values));
    }

    #[test]
    fn decimals_round_trip(numbers in proptest::collection::vec(-1_000_000_000_i64..1_000_000_000, 1..60), scale in 0..9_i32) {
        let values: Vec<f64> = numbers.iter().map(|n| *n as f64 / 10_f64.powi(scale)).collect();
        let mut out = Vec::new();
        prop_assert!(encode_decimal(&mut out, &values));
        prop_assert_eq!(bits(&decode_values(&out, values.len()).unwrap()), bits(&values));
    }

    #[test]
    fn timestamps_round_trip(times in proptest::collection::vec(any::<i64>().prop_map(Timestamp), 0..60)) {
        let mut out = Vec::new();
        encode_timestamps(&mut out, times.iter().copied());
        prop_assert_eq!(decode_timestamps(&out).unwrap(), times);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0..300_usize) {
        let _ = decode_timestamps(&bytes);
        let _ = decode_values(&bytes, count);
    }
}

/// Columns as other writers might write them: any form, any scale, numbers longer than they need be.
fn any_written() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let number = prop_oneof![
        3 => -200..200_i64,
        2 => (-200..200_i64).prop_map(|n| n * 10),
        1 => any::<i64>(),
        1 => (0..64_u32, -3..3_i64).prop_map(|(shift, more)| (1_i64 << shift).wrapping_add(more)),
    ];
    let decimals = (0..=16_u8, proptest::collection::vec((number, 0..12_u8), 0..8)).prop_map(|(scale, numbers)| {
        let mut bytes = vec![DECIMAL, scale];
        for (number, longer) in &numbers {
            put_zigzag(&mut bytes, *number);
            if *longer == 0 && bytes.len() < 8 {
                *bytes.last_mut().unwrap() |= 0x80;
                bytes.push(0);
            }
        }
        (bytes, numbers.len())
    });
    let of_values = (any::<bool>(), proptest::collection::vec(any_decimal(), 0..8)).prop_map(|(raw, values)| {
        let mut bytes = Vec::new();
        if raw {
            bytes.push(RAW);
            bytes.extend(values.iter().flat_map(|value| value.to_bits().to_le_bytes()));
        } else {
            encode_xor(&mut bytes, &values);
        }
        (bytes, values.len())
    });
    let shortest = proptest::collection::vec(any_decimal(), 0..8).prop_map(|values| {
        let mut bytes = Vec::new();
        encode_values(&mut bytes, &values);
        (bytes, values.len())
    });
    prop_oneof![2 => decimals, 1 => of_values, 1 => shortest]
}

fn any_decimal() -> impl Strategy<Value = f64> {
    prop_oneof![
        (any::<i64>(), 0..63_u32, 0..16_usize).prop_map(|(d, shift, scale)| (d >> shift) as f64 / POWERS[scale]),
        any::<u64>().prop_map(f64::from_bits),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_column_is_in_its_shortest_form_where_it_is_written_so_again((bytes, count) in any_written()) {
        let again = decode_values(&bytes, count).map(|values| {
            let mut again = Vec::new();
            encode_values(&mut again, &values);
            again
        });
        let expected = again.is_ok_and(|again| again == bytes);
        prop_assert!(!is_shortest_decimal(&bytes, count) || expected);
        prop_assert_eq!(is_shortest(&bytes, count), expected);
    }
}
