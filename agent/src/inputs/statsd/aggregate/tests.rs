//! Lines in, the samples of each flush out.

use formats::Rejects;
use formats::statsd::{Item, parse_datagram};
use series::is_stale;

use super::*;

const STEP_MS: u64 = 10_000;

struct Flushed {
    aggregate: Aggregate,
    at: i64,
}

impl Flushed {
    fn new() -> Self {
        let base = Labels::from_pairs([("job", "statsd"), ("instance", "web-1")]).unwrap();
        Self { aggregate: Aggregate::new(base, true, STEP_MS, 3 * STEP_MS), at: 0 }
    }

    fn add(&mut self, lines: &str) -> Rejects {
        let mut rejected = Rejects::default();
        parse_datagram(lines.as_bytes(), &mut rejected, |item| match item {
            Item::Metric(metric) => self.aggregate.add(&metric),
            _ => Err("not_a_metric"),
        });
        rejected
    }

    /// The samples of the next flush, without the base's labels; a time only where it is another.
    fn flush(&mut self) -> Vec<String> {
        self.at += STEP_MS as i64;
        let (at, mut shown) = (self.at, Vec::new());
        self.aggregate.flush(Timestamp(at), |labels, sample| {
            let own = labels.without(|name| labels.get(name) == Some("statsd") || labels.get(name) == Some("web-1"));
            let value = if is_stale(sample.value) { "gone".to_owned() } else { format!("{:.4}", sample.value) };
            let value = value.trim_end_matches('0').trim_end_matches('.').to_owned();
            let value = if value.is_empty() { "0".to_owned() } else { value };
            let time = if sample.at.ms() == at { String::new() } else { format!(" @{}", sample.at.ms() - at) };
            shown.push(format!("{own} {value}{time}"));
        });
        shown.sort();
        shown
    }
}

#[test]
fn counters_are_totals_that_begin_at_zero() {
    let mut it = Flushed::new();
    assert!(it.add("a:1|c\na:2|c|@0.5\nb:3|c|#k:v").is_empty());
    assert_eq!(it.flush(), ["a 0 @-10000", "a 5", "b{k=\"v\"} 0 @-10000", "b{k=\"v\"} 3"]);
    assert_eq!(it.flush(), ["a 5", "b{k=\"v\"} 3"]);
    it.add("a:0.5|c");
    assert_eq!(it.flush(), ["a 5.5", "b{k=\"v\"} 3"]);
}

#[test]
fn a_counter_may_fall_and_below_zero() {
    let mut it = Flushed::new();
    assert!(it.add("a:5|c\na:-2|c\na:-0.5|c|@0.5\nother:1|c").is_empty());
    assert_eq!(it.flush(), ["a 0 @-10000", "a 2", "other 0 @-10000", "other 1"]);
    // An interval whose sum is negative.
    assert!(it.add("a:-10|c\na:3|c\nother:1|c").is_empty());
    assert_eq!(it.flush(), ["a -5", "other 2"]);
    it.add("a:5|c");
    assert_eq!(it.flush(), ["a 0", "other 2"]);
    assert!(it.add("fresh:-1|c").is_empty(), "also as the first value of all");
    assert_eq!(it.flush()[1..3], ["fresh -1", "fresh 0 @-10000"]);
    assert_eq!(it.add("a:-1e308|c\na:-1e308|c\nother:1|c").by_reason().get("value_out_of_range"), Some(&1));
}

#[test]
fn metrics_are_described_when_they_begin_and_when_they_fall() {
    let mut it = Flushed::new();
    let mut described = |lines: &str| -> Vec<String> {
        it.add(lines);
        it.aggregate.described().iter().map(|(metric, is)| format!("{metric} {}", is.kind)).collect()
    };
    let all = ["a counter", "g gauge", "t summary", "t_max gauge", "t_min gauge", "u gauge"];
    assert_eq!(described("a:1|c\ng:1|g\nt:1|ms\nu:x|s"), all);
    assert!(described("a:2|c\nt:3|ms").is_empty());
    assert_eq!(described("a:-1|c"), ["a gauge"]);
    assert!(described("a:-1|c\na:1|c").is_empty());
}

#[test]
fn gauges_keep_their_value_and_change_by_signs() {
    let mut it = Flushed::new();
    it.add("g:+5|g\ng:-2|g\nh:10|g");
    assert_eq!(it.flush(), ["g 3", "h 10"]);
    it.add("h:0|g\nh:-10|g");
    assert_eq!(it.flush(), ["g 3", "h -10"]);
    let mut datadog = Flushed::new();
    datadog.aggregate.gauge_deltas = false;
    datadog.add("t:-5|g\nt:-6|g");
    assert_eq!(datadog.flush(), ["t -6"]);
}

#[test]
fn sets_count_distinct_members_of_a_flush() {
    let mut it = Flushed::new();
    it.add("u:a|s\nu:b|s\nu:a|s");
    assert_eq!(it.flush(), ["u 2"]);
    assert_eq!(it.flush(), ["u 0"]);
}

#[test]
fn timers_have_quantiles_of_a_flush_and_totals() {
    let mut it = Flushed::new();
    let lines: String = (1..=100).map(|n| format!("t:{n}|ms|@0.5\n")).collect();
    assert!(it.add(&lines).is_empty());
    let flushed = it.flush();
    let value = |name: &str| -> f64 {
        let line = flushed.iter().find(|line| line.strip_prefix(name).is_some_and(|rest| !rest.contains('@')));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or("").parse().unwrap()
    };
    for (quantile, expected) in [("0.5", 50.0), ("0.9", 90.0), ("0.95", 95.0), ("0.99", 99.0)] {
        let found = value(&format!("t{{quantile=\"{quantile}\"}} "));
        assert!((found - expected).abs() <= expected * 0.021 + 1.0, "{quantile}: {found}");
    }
    assert_eq!((value("t_min "), value("t_max "), value("t_count "), value("t_sum ")), (1.0, 100.0, 200.0, 10_100.0));
    assert_eq!(flushed.len(), 10, "{flushed:?}");
    it.add("t:7|h");
    assert_eq!(it.flush().iter().filter(|line| line.ends_with("} 7")).count(), 4, "one value is all quantiles");
    let idle = it.flush();
    assert_eq!(idle.iter().filter(|line| line.ends_with("gone")).count(), 6, "{idle:?}");
    assert!(idle.contains(&"t_count 201".to_owned()));
    assert_eq!(it.flush(), ["t_count 201", "t_sum 10107"]);
}

#[test]
fn quantiles_are_within_their_error_over_orders_of_magnitude() {
    let mut it = Flushed::new();
    let mut values: Vec<f64> = (0..5_000).map(|n| 1.003_f64.powi(n)).collect();
    for value in &values {
        it.add(&format!("t:{value}|d"));
    }
    values.sort_by(f64::total_cmp);
    let mut checked = 0;
    it.aggregate.flush(Timestamp(0), |labels, sample| {
        if let Some(quantile) = labels.get("quantile") {
            let rank = quantile.parse::<f64>().unwrap() * (values.len() - 1) as f64;
            let exact = values[rank as usize];
            assert!((sample.value - exact).abs() <= exact * 0.011, "{quantile}: {} for {exact}", sample.value);
            checked += 1;
        }
    });
    assert_eq!(checked, 4);
}

#[test]
fn tags_in_another_order_are_the_same_series() {
    let mut it = Flushed::new();
    it.add("a:1|c|#x:1,y:2\na:1|c|#y:2,x:1\na;y=2:1|c|#x:1");
    assert_eq!(it.flush()[1], "a{x=\"1\", y=\"2\"} 3");
    assert_eq!((it.aggregate.by_labels.len(), it.aggregate.spellings.len()), (1, 3));
    it.add("a:1|c|#job:own,instance:db-1");
    let mut own = 0;
    it.aggregate.flush(Timestamp(0), |labels, _| own += usize::from(labels.get("instance") == Some("db-1")));
    assert_eq!(own, 2);
}

#[test]
fn one_name_has_one_type() {
    let mut it = Flushed::new();
    let refused = it.add("a:1|c\na:1|g\na:1|ms\nt:1|ms\nt:2|h\nt:3|d");
    assert_eq!(refused.by_reason().get("type_conflict"), Some(&2));
}

#[test]
fn what_is_idle_is_forgotten_and_begins_anew() {
    let mut it = Flushed::new();
    it.add("a:1|c\nt:1|ms\ng:1|g");
    it.flush();
    it.add("g:2|g");
    it.flush();
    it.flush();
    let last = it.flush();
    assert_eq!(last, ["a gone", "g 2", "t_count gone", "t_sum gone"]);
    assert_eq!((it.aggregate.by_labels.len(), it.aggregate.spellings.len()), (1, 1));
    it.add("b:1|c\na:4|c");
    assert_eq!(it.flush(), ["a 0 @-10000", "a 4", "b 0 @-10000", "b 1", "g gone"]);
    assert_eq!(it.aggregate.slots.len(), 3, "places are used again");
}

#[test]
fn series_and_members_at_the_limit_and_one_past_it() {
    let mut it = Flushed::new();
    let lines: String = (0..SERIES_MAX).map(|n| format!("a{n}:1|c\n")).collect();
    assert!(it.add(&lines).is_empty());
    assert_eq!(it.add("one.more:1|c\na7:1|c").by_reason().get("too_many_series"), Some(&1));
    let mut it = Flushed::new();
    let lines: String = (0..MEMBERS_MAX).map(|n| format!("u:{n}|s\n")).collect();
    assert!(it.add(&lines).is_empty());
    assert_eq!(it.add("u:7|s\nu:x|s").by_reason().get("set_full"), Some(&1));
}

#[test]
fn spellings_at_the_limit_and_one_past_it() {
    let mut it = Flushed::new();
    let spelled = |n: usize| format!("a:1|c|#{}\n", ",".repeat(n));
    for n in 0..2_000 {
        it.add(&spelled(n));
    }
    assert_eq!((it.aggregate.by_labels.len(), it.aggregate.spellings.len()), (1, 2_000));
    for n in it.aggregate.spellings.len()..SPELLINGS_MAX {
        it.aggregate.spellings.insert(n.to_le_bytes().into(), 0);
    }
    assert_eq!(it.aggregate.spellings.len(), SPELLINGS_MAX);
    it.add("b:1|c");
    assert_eq!(it.aggregate.spellings.len(), 1);
    it.add("a:1|c");
    assert_eq!(it.flush()[1], "a 2001");
}

#[test]
fn numbers_that_run_over_are_refused() {
    let mut it = Flushed::new();
    let refused = it.add("a:1e308|c\na:1e308|c\ng:1e308|g\ng:+1e308|g\nt:1e308|h\nt:1e308|h");
    assert_eq!(refused.by_reason().get("value_out_of_range"), Some(&3));
}
