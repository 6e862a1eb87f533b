//! An event source mapping, rule by rule: what AWS's guide says, as traces.

use std::sync::Arc;

use bytes::Bytes;
use embedded::{ManualClock, SeededRandom};
use ports::Timestamp;
use serde_json::json;
use tests::simulator::answer::{Outcome, outcome};
use tests::simulator::event;
use tests::simulator::mapping::{
    Batch, Condition, Discarded, Mapping, RECORD_ENVELOPE_BYTES, Settings, gather, payload_bytes,
};
use tests::simulator::shards::{Record, Shards};

const START: i64 = 1_699_920_000_000;

/// A stream, a mapping, and a clock that stands until it is told.
struct Trace {
    clock: Arc<ManualClock>,
    stream: Shards,
    mapping: Mapping,
    random: SeededRandom,
}

fn settings() -> Settings {
    Settings { window_ms: 0, record_age_ms: None, ..Settings::default() }
}

impl Trace {
    fn new(shards: u64, settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(START)));
        let stream = Shards::new(shards, clock.clone());
        Self { clock, stream, mapping: Mapping::new(settings), random: SeededRandom::new(1) }
    }

    fn now(&self) -> Timestamp {
        ports::Clock::now(&*self.clock)
    }

    /// Records of one letter each; the key is the letter.
    fn put(&self, letters: &str) {
        for letter in letters.chars() {
            self.stream.put_raw(&letter.to_string(), 0, Bytes::from(letter.to_string()));
        }
    }

    fn next(&mut self) -> Option<Batch> {
        self.mapping.next(&self.stream, self.now(), &mut self.random)
    }

    fn ended(&mut self, batch: Batch, outcome: Outcome) {
        self.mapping.ended(batch, outcome, self.now(), &mut self.random);
    }

    /// The batches that a function gets which answers as `answer` says, waiting where it must.
    fn run(&mut self, answer: impl Fn(&str, u32) -> Outcome) -> Vec<String> {
        let mut seen = Vec::new();
        let mut idle = 0;
        while idle < 100 {
            let Some(batch) = self.next() else {
                self.clock.advance_ms(1_000);
                idle += 1;
                continue;
            };
            idle = 0;
            let letters = text(&batch);
            let became = answer(&letters, batch.failures);
            seen.push(letters);
            self.ended(batch, became);
        }
        seen
    }

    fn discarded(&self) -> Vec<(String, Condition)> {
        self.mapping.discarded.iter().map(|Discarded { batch, condition }| (text(batch), *condition)).collect()
    }
}

fn text(batch: &Batch) -> String {
    batch.records.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()).collect()
}

#[test]
fn answers_and_what_they_mean() {
    let sequences: Vec<String> = ["10", "20", "30"].map(str::to_owned).to_vec();
    let check = |answer: serde_json::Value, expected: Outcome| {
        assert_eq!(outcome(&answer, &sequences, true), expected, "{answer}");
    };
    let failures = |of: serde_json::Value| json!({ "batchItemFailures": of });
    for done in [json!(null), json!({}), failures(json!([])), failures(json!(null))] {
        check(done, Outcome::Done);
    }
    check(failures(json!([{"itemIdentifier": "20"}])), Outcome::FailedFrom(1));
    // The lowest is the checkpoint, in whatever order they stand.
    check(failures(json!([{"itemIdentifier": "30"}, {"itemIdentifier": "20"}])), Outcome::FailedFrom(1));
    check(failures(json!([{"itemIdentifier": "10"}])), Outcome::FailedFrom(0));
    let meaningless = [
        failures(json!([{"itemIdentifier": null}])),
        failures(json!([{"itemIdentifier": ""}])),
        failures(json!([{"itemidentifier": "20"}])),
        failures(json!([{"itemIdentifier": "99"}])),
        failures(json!("20")),
        json!({"failures": []}),
        json!("ok"),
    ];
    for answer in meaningless {
        check(answer.clone(), Outcome::Failed);
        assert_eq!(outcome(&answer, &sequences, false), Outcome::Done, "without ReportBatchItemFailures");
    }
}

#[test]
fn a_batch_comes_when_its_window_ends_or_when_it_is_full() {
    let mut trace = Trace::new(1, Settings { batch_size: 3, window_ms: 2_000, ..settings() });
    trace.put("ab");
    assert!(trace.next().is_none());
    trace.clock.advance_ms(1_999);
    assert!(trace.next().is_none());
    trace.clock.advance_ms(1);
    let batch = trace.next().unwrap();
    assert_eq!(text(&batch), "ab");
    // One batch of a reader at a time.
    trace.put("cdef");
    assert!(trace.next().is_none());
    trace.ended(batch, Outcome::Done);
    assert_eq!(text(&trace.next().unwrap()), "cde");
}

#[test]
fn a_payload_ends_a_batch_at_its_limit_and_a_single_record_always_goes() {
    let record = |bytes: usize| Record {
        key: "k".to_owned(),
        sequence: 1,
        arrived_at: Timestamp(START),
        data: Bytes::from(vec![0; bytes]),
    };
    let unread = [record(300), record(300), record(300)];
    let one = payload_bytes(&unread[0]);
    assert_eq!(one, 400 + RECORD_ENVELOPE_BYTES);
    let gathered = |max: usize| {
        let settings = Settings { payload_bytes_max: max, ..settings() };
        gather(&settings, &unread, 0, Timestamp(START)).map(|(records, _)| records.len())
    };
    assert_eq!([gathered(2 * one), gathered(2 * one - 1), gathered(1)], [Some(2), Some(1), Some(1)]);
}

#[test]
fn the_estimate_of_a_payload_is_no_less_than_the_event() {
    let trace = Trace::new(1, settings());
    for size in [0, 1, 1_000, 100_000] {
        trace.stream.put_raw("4095", 0, Bytes::from(vec![7; size]));
    }
    let mut trace = trace;
    let batch = trace.next().unwrap();
    let estimated: usize = batch.records.iter().map(payload_bytes).sum();
    assert!(event::kinesis(&batch).to_string().len() <= estimated + 20);
    assert_eq!(Settings::default().payload_bytes_max, 6 * 1024 * 1024);
}

#[test]
fn everything_from_the_failed_record_on_comes_again() {
    let mut trace = Trace::new(1, settings());
    trace.put("abcd");
    let seen = trace.run(|letters, _| if letters == "abcd" { Outcome::FailedFrom(2) } else { Outcome::Done });
    assert_eq!(seen, ["abcd", "cd"]);
}

#[test]
fn a_crash_halves_the_batch_until_one_record_stands_alone() {
    let mut trace = Trace::new(1, Settings { retries: Some(2), ..settings() });
    trace.put("abXd");
    let seen = trace.run(|letters, _| if letters.contains('X') { Outcome::Failed } else { Outcome::Done });
    // Halving takes no retry; then two retries of the one that is alone, and its neighbours go on.
    assert_eq!(seen, ["abXd", "ab", "Xd", "X", "X", "X", "d"]);
    assert_eq!(trace.discarded(), [("X".to_owned(), Condition::RetryAttemptsExhausted)]);
}

#[test]
fn an_answer_that_says_where_to_cut_is_not_halved() {
    let mut trace = Trace::new(1, Settings { retries: Some(1), ..settings() });
    trace.put("Xbc");
    let seen = trace.run(|letters, _| if letters.contains('X') { Outcome::FailedFrom(0) } else { Outcome::Done });
    assert_eq!(seen, ["Xbc", "Xbc"]);
    assert_eq!(trace.discarded(), [("Xbc".to_owned(), Condition::RetryAttemptsExhausted)]);
}

#[test]
fn without_bisect_the_batch_comes_whole_at_the_cap_and_not_past_it() {
    for retries in [0, 1, 3] {
        let mut trace = Trace::new(1, Settings { bisect: false, retries: Some(retries), ..settings() });
        trace.put("aX");
        let seen = trace.run(|_, _| Outcome::Failed);
        assert_eq!(seen.len(), retries as usize + 1);
        assert_eq!(trace.discarded().len(), 1);
    }
    // −1: as long as it takes, and its shard waits.
    let mut trace = Trace::new(1, Settings { bisect: false, ..settings() });
    trace.put("X");
    let seen = trace.run(|_, failures| if failures < 40 { Outcome::Failed } else { Outcome::Done });
    assert_eq!((seen.len(), trace.discarded().len()), (41, 0));
}

#[test]
fn records_at_the_age_limit_are_given_and_older_ones_given_up() {
    let mut trace = Trace::new(1, Settings { record_age_ms: Some(60_000), ..settings() });
    trace.put("a");
    trace.clock.advance_ms(1);
    trace.put("b");
    trace.clock.advance_ms(60_000);
    assert_eq!(text(&trace.next().unwrap()), "b");
    assert_eq!(trace.discarded(), [("a".to_owned(), Condition::RecordAgeExceeded)]);
}

#[test]
fn readers_of_one_shard_keep_the_order_of_a_key_only() {
    let mut trace = Trace::new(1, Settings { batch_size: 1, parallel: 4, ..settings() });
    for round in 0..6 {
        for key in ["k0", "k1", "k2", "k3", "k4"] {
            trace.stream.put_raw(key, 0, Bytes::from(format!("{key}.{round}")));
        }
    }
    let seen = trace.run(|_, _| Outcome::Done);
    assert_eq!(seen.len(), 30);
    for key in ["k0", "k1", "k2", "k3", "k4"] {
        let mine: Vec<&String> = seen.iter().filter(|text| text.starts_with(key)).collect();
        assert!(mine.is_sorted(), "{mine:?}");
    }
    assert!(!seen.iter().map(|text| text.split_once('.').unwrap().1).is_sorted(), "different keys overtake each other");
}

#[test]
fn parents_are_read_to_their_end_before_their_children() {
    let mut trace = Trace::new(2, Settings { batch_size: 1, retries: None, ..settings() });
    let (first, second) = (trace.stream.open()[0], trace.stream.open()[1]);
    trace.put("ab");
    assert!(trace.stream.split(first));
    trace.put("cd");
    let children = trace.stream.open();
    assert!(trace.stream.merge(children[1], second) && !trace.stream.merge(first, second));
    trace.put("e");
    // A parent that is stuck holds up its children, and nobody else.
    let seen =
        trace.run(|letters, failures| if letters == "b" && failures < 3 { Outcome::Failed } else { Outcome::Done });
    assert_eq!(seen, ["a", "b", "b", "b", "b", "c", "d", "e"]);
    assert!(trace.mapping.is_drained(&trace.stream, trace.now()));
}

#[test]
fn what_was_done_comes_again_and_at_a_boundary_a_parents_last_records() {
    let mut trace = Trace::new(1, Settings { batch_size: 2, again: 500, ..settings() });
    trace.put("abcdef");
    trace.stream.split(0);
    trace.put("gh");
    let seen = trace.run(|_, _| Outcome::Done);
    let all: String = seen.concat();
    assert!("abcdefgh".chars().all(|letter| all.contains(letter)), "{seen:?}");
    assert!(all.len() > 8, "nothing came again: {seen:?}");
}

#[test]
fn a_given_up_batch_is_an_object_that_the_function_can_read() {
    let mut trace = Trace::new(1, Settings { retries: Some(0), bisect: false, ..settings() });
    trace.put("xyz");
    trace.run(|_, _| Outcome::Failed);
    let discarded = &trace.mapping.discarded[0];
    let (name, bytes) = event::on_failure(discarded, 7, trace.now());
    let pattern = "aws/lambda/6f2f5a0c-4f67-4d9b-9a52-0f3b6f0f6d11/shardId-000000000000/2023/11/14/2023-11-14T00.";
    assert!(name.starts_with(pattern), "{name}");
    let records = lambda::failed::records(&bytes).unwrap();
    let read: Vec<&[u8]> = records.iter().map(|record| &record.data[..]).collect();
    assert_eq!(read, [b"x", b"y", b"z"]);
    assert_eq!((records[0].shard.as_str(), records[0].arrived_at), ("shardId-000000000000", Timestamp(START)));
}
