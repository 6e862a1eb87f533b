use proptest::prelude::*;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

#[test]
fn order_does_not_matter_and_empty_values_vanish() {
    let one = labels(&[("b", "2"), ("a", "1"), ("c", "")]);
    let other = labels(&[("a", "1"), ("b", "2")]);
    assert_eq!(one, other);
    assert_eq!(one.id(), other.id());
    assert_eq!(one.get("b"), Some("2"));
    assert_eq!(one.get("c"), None);
    assert_eq!(one.len(), 2);
}

#[test]
fn length_prefixes_keep_neighbours_apart() {
    assert_ne!(labels(&[("a", "bc"), ("d", "e")]).id(), labels(&[("ab", "c"), ("d", "e")]).id());
}

#[test]
fn shown_as_prometheus_shows_it() {
    assert_eq!(labels(&[("__name__", "up"), ("job", "a\"b")]).to_string(), r#"up{job="a\"b"}"#);
    assert_eq!(labels(&[("__name__", "up")]).to_string(), "up");
    assert_eq!(labels(&[("__name__", "a.b"), ("x", "1")]).to_string(), r#"{__name__="a.b", x="1"}"#);
    assert_eq!(Labels::empty().to_string(), "{}");
}

#[test]
fn every_limit_at_the_limit_and_one_past_it() {
    let name = |n: usize| Labels::from_pairs([("n".repeat(n), "v")]);
    assert!(name(LABEL_NAME_BYTES_MAX).is_ok());
    assert_eq!(name(LABEL_NAME_BYTES_MAX + 1).unwrap_err().reason(), "label_name_too_long");

    let value = |n: usize| Labels::from_pairs([("n", "v".repeat(n))]);
    assert!(value(LABEL_VALUE_BYTES_MAX).is_ok());
    assert_eq!(value(LABEL_VALUE_BYTES_MAX + 1).unwrap_err().reason(), "label_value_too_long");

    let metric = |n: usize| Labels::from_pairs([(METRIC_NAME, "v".repeat(n))]);
    assert!(metric(METRIC_NAME_BYTES_MAX).is_ok());
    assert_eq!(metric(METRIC_NAME_BYTES_MAX + 1).unwrap_err().reason(), "label_value_too_long");

    let many = |n: usize| Labels::from_pairs((0..n).map(|i| (format!("l{i:03}"), "v")));
    assert!(many(LABELS_PER_SERIES_MAX).is_ok());
    assert_eq!(many(LABELS_PER_SERIES_MAX + 1).unwrap_err().reason(), "too_many_labels");

    // Four labels of 4,090-byte values: 4 × (2 + 1 + 2 + value) bytes in all.
    let set = |n: usize| {
        let last = n - 3 * 4_095 - 5;
        Labels::from_pairs([("a", 4_090), ("b", 4_090), ("c", 4_090), ("d", last)].map(|(k, n)| (k, "v".repeat(n))))
    };
    assert!(set(LABEL_SET_BYTES_MAX).is_ok());
    assert_eq!(set(LABEL_SET_BYTES_MAX + 1).unwrap_err().reason(), "label_set_too_long");
}

#[test]
fn bad_sets_are_refused_by_name() {
    assert_eq!(Labels::from_pairs([("a", "1"), ("a", "2")]).unwrap_err().reason(), "label_duplicate");
    assert_eq!(Labels::from_pairs([("", "1")]).unwrap_err().reason(), "label_name_empty");
    assert_eq!(Labels::from_pairs([("a", "x\0y")]).unwrap_err().reason(), "label_control_character");
    assert_eq!(labels(&[("a", "1")]).require_metric_name().unwrap_err().reason(), "no_metric_name");
}

/// Sets that often begin alike.
fn small() -> impl Strategy<Value = Labels> {
    let pairs = proptest::collection::btree_map("[ab]{1,2}", "[é☂a]{1,3}", 0..4);
    pairs.prop_map(|pairs| Labels::from_pairs(pairs).unwrap())
}

#[test]
fn sets_that_differ_late_sort_as_their_labels_do() {
    let set = |value: &str, more: &str| labels(&[("__name__", "node_cpu_seconds_total"), ("cpu", value), ("m", more)]);
    let sets = [set("1", "x"), set("10", "x"), set("2", ""), set("2", "a"), set("2", "ab"), set("2", "b")];
    for (i, a) in sets.iter().enumerate() {
        for (j, b) in sets.iter().enumerate() {
            assert_eq!(a.cmp(b), i.cmp(&j), "{a} {b}");
        }
    }
}

proptest! {
    #[test]
    fn canonical_pairs_are_built_the_short_way_or_not_at_all(
        pairs in proptest::collection::vec(("(__name__|[a-c ]|\\PC|.)", "(|[a-c]|.{0,3})"), 0..6),
    ) {
        let mut scratch = vec![1, 2, 3];
        let long = Labels::from_pairs(pairs.iter().map(|(n, v)| (n, v))).and_then(Labels::require_metric_name);
        let short = Labels::from_canonical(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())), &mut scratch);
        if let Some(short) = short {
            prop_assert_eq!(&long, &Ok(short));
        }
        if let Ok(set) = long {
            let again = Labels::from_canonical(&set, &mut scratch);
            prop_assert!(again.is_none_or(|again| again == set));
        }
    }

    #[test]
    fn sets_sort_as_their_labels_do(a in small(), b in small()) {
        prop_assert_eq!(a.cmp(&b), a.iter().cmp(b.iter()));
    }

    #[test]
    fn canonical_form_round_trips(pairs in proptest::collection::btree_map("[a-z_]{1,8}", "\\PC{1,12}", 0..12)) {
        let set = Labels::from_pairs(pairs.iter()).unwrap();
        let back: Vec<(String, String)> = set.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        prop_assert_eq!(&back, &pairs.clone().into_iter().collect::<Vec<_>>());
        prop_assert_eq!(set.to_builder().build().unwrap(), set.clone());
        prop_assert_eq!(set.keep(|_| true), set.clone());
        for name in pairs.keys() {
            let less = set.without(|n| n == name);
            prop_assert_eq!(less.get(name), None);
            prop_assert_eq!(less.len() + 1, set.len());
        }
    }
}
