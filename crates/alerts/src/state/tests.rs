//! A case is a text: what is delivered, in order, and what happens. Then the laws.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn timing(for_s: i64, keep_s: i64) -> Timing {
    let name = RuleName { tenant: "t".to_owned(), group: "f;g".to_owned(), rule: "A-1".to_owned() };
    Timing { name, for_ms: for_s * 1_000, keep_firing_for_ms: keep_s * 1_000, limit: 0 }
}

fn seen(instance: u32, at_s: i64, active: bool) -> Observation {
    let labels = Labels::from_pairs([("alertname", "A".to_owned()), ("instance", instance.to_string())]).unwrap();
    let key = InstanceKey(labels.id());
    Observation { key, labels, at: Timestamp(at_s * 1_000), active, value: f64::from(instance), note: String::new() }
}

const NEWEST: Scope = Scope::Newest { not_before: Timestamp(i64::MIN) };

/// `1+10` is instance 1 active at 10 s, `1-20` inactive at 20 s. A line is one call; `bucket 30:`
/// makes it a complete one, `partial 30:` a partial one. Answers `10 firing 1` and so on.
fn run(for_s: i64, keep_s: i64, text: &str) -> Vec<String> {
    let timing = timing(for_s, keep_s);
    let mut state = RuleState::default();
    let mut happened = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (scope, rest) = match line.split_once(':') {
            Some((head, rest)) => {
                let (word, end) = head.split_once(' ').unwrap();
                let bucket_end = Timestamp(end.parse::<i64>().unwrap() * 1_000);
                let complete = word == "bucket";
                (if complete { Scope::Complete { bucket_end } } else { Scope::Partial { bucket_end } }, rest)
            }
            None => (NEWEST, line),
        };
        let observations: Vec<Observation> = rest
            .split_whitespace()
            .map(|word| {
                let at = word.find(['+', '-']).unwrap();
                seen(word[..at].parse().unwrap(), word[at + 1..].parse().unwrap(), &word[at..=at] == "+")
            })
            .collect();
        let stepped = step(&state, &timing, scope, &observations);
        state = stepped.state;
        happened.extend(stepped.transitions.iter().map(|t| {
            let kind = if t.kind == TransitionKind::Firing { "firing" } else { "resolved" };
            format!("{} {kind} {}", t.at.0 / 1_000, t.labels.get("instance").unwrap())
        }));
    }
    happened
}

#[track_caller]
fn check(for_s: i64, keep_s: i64, text: &str, expected: &[&str]) {
    assert_eq!(run(for_s, keep_s, text), expected, "{text}");
}

#[test]
fn without_for_it_fires_at_once() {
    check(0, 0, "1+10", &["10 firing 1"]);
    check(0, 0, "1-10", &[]);
    check(0, 0, "1+10 \n 1+20 \n 1-30 \n 1-40 \n 1+50", &["10 firing 1", "30 resolved 1", "50 firing 1"]);
}

#[test]
fn for_must_be_held_without_a_gap() {
    check(30, 0, "1+10 \n 1+20 \n 1+30", &[]);
    check(30, 0, "1+10 \n 1+40", &["40 firing 1"]);
    check(30, 0, "1+10 \n 1-20 \n 1+30 \n 1+50", &[]);
    check(30, 0, "1+10 \n 1-20 \n 1+30 \n 1+60 \n 1-70", &["60 firing 1", "70 resolved 1"]);
}

#[test]
fn keep_firing_for_bridges_gaps() {
    check(0, 30, "1+10 \n 1-20 \n 1-40 \n 1+45 \n 1-50 \n 1-79", &["10 firing 1"]);
    check(0, 30, "1+10 \n 1-20 \n 1-50", &["10 firing 1", "50 resolved 1"]);
}

#[test]
fn a_complete_bucket_resolves_who_is_not_in_it_and_a_partial_one_does_not() {
    check(0, 0, "bucket 60: 1+60 2+60 \n bucket 120: 2+120", &["60 firing 1", "60 firing 2", "120 resolved 1"]);
    check(0, 0, "bucket 60: 1+60 2+60 \n partial 120: 2+120", &["60 firing 1", "60 firing 2"]);
    check(60, 0, "bucket 60: 1+60 \n bucket 120: 1+120", &["120 firing 1"]);
    check(60, 0, "bucket 60: 1+60 \n bucket 120: \n bucket 180: 1+180", &[]);
}

#[test]
fn a_late_pipeline_pages_once() {
    // The stream pages at 3 s and resolves at 93 s; storage comes 15 minutes late.
    check(0, 0, "1+3 \n 1-93 \n bucket 60: 1+60 \n bucket 120: \n bucket 180:", &["3 firing 1", "93 resolved 1"]);
    // Still CRITICAL when storage comes back.
    check(0, 0, "1+3 \n 1+63 \n bucket 60: 1+60 \n bucket 120: 1+120", &["3 firing 1"]);
    // Storage knows an instance that the stream never showed.
    check(0, 0, "1+3 \n bucket 60: 1+60 2+60", &["3 firing 1", "60 firing 2"]);
}

/// A negative control: the wrong algorithm, which keeps only what is active, pages twice for the
/// same delivery that the right one pages once for.
#[test]
fn forgetting_what_was_evaluated_pages_twice() {
    let deliveries = [seen(1, 10, true), seen(1, 20, false), seen(1, 10, true), seen(1, 20, false)];
    let pages = |forget: bool| {
        let mut state = RuleState::default();
        let mut pages = 0;
        for delivery in &deliveries {
            let stepped = step(&state, &timing(0, 0), NEWEST, std::slice::from_ref(delivery));
            pages += stepped.transitions.iter().filter(|t| t.kind == TransitionKind::Firing).count();
            state = stepped.state;
            if forget {
                state.instances.retain(|_, known| known.phase != Phase::Inactive);
            }
        }
        pages
    };
    assert_eq!((pages(false), pages(true)), (1, 2));
}

#[test]
fn what_was_evaluated_is_not_evaluated_again() {
    check(0, 0, "1+10 \n 1-20 \n 1+10 \n 1-20", &["10 firing 1", "20 resolved 1"]);
    // An alert that ended is remembered beyond the bucket; a new sample counts, old ones do not.
    let twice = "1+10 \n 1-20 \n bucket 60: \n 1+10 \n 1-20 \n 1+55";
    check(0, 0, twice, &["10 firing 1", "20 resolved 1", "55 firing 1"]);
    check(0, 0, "bucket 60: 1+60 \n bucket 60: \n bucket 30:", &["60 firing 1"]);
    check(0, 0, "bucket 60: 1+60 \n bucket 30: 2+30 \n partial 60: 2+60", &["60 firing 1"]);
}

#[test]
fn what_ended_is_remembered_at_the_limit_and_forgotten_one_past_it() {
    let remembered = |bucket_end: i64| {
        let on_and_off = [seen(1, 10, true), seen(1, 20, false)];
        let state = step(&RuleState::default(), &timing(0, 0), NEWEST, &on_and_off).state;
        let scope = Scope::Complete { bucket_end: Timestamp(bucket_end) };
        step(&state, &timing(0, 0), scope, &[]).state.instances.len()
    };
    assert_eq!(remembered(20_000 + REMEMBERED_MS), 1);
    assert_eq!(remembered(20_000 + REMEMBERED_MS + 1), 0);
}

#[test]
fn too_old_to_say_anything_about_now() {
    let scope = Scope::Newest { not_before: Timestamp(10_000) };
    let one = |at| step(&RuleState::default(), &timing(0, 0), scope, &[seen(1, at, true)]).transitions.len();
    assert_eq!((one(9), one(10)), (0, 1));
}

#[test]
fn limits_at_the_limit_and_one_past_it() {
    let many = |n: usize, limit: usize| {
        let observations: Vec<Observation> = (0..n).map(|i| seen(i as u32, 10, true)).collect();
        step(&RuleState::default(), &Timing { limit, ..timing(0, 0) }, NEWEST, &observations)
    };
    assert_eq!(many(INSTANCES_MAX, 0).state.refused, 0);
    let past = many(INSTANCES_MAX + 1, 0);
    assert_eq!((past.state.refused, past.transitions.len()), (1, INSTANCES_MAX));
    assert_eq!(many(3, 3).state.refused, 0);
    assert_eq!(many(4, 3).state.refused, 1);

    let wide = |n: usize| {
        let observations: Vec<Observation> = (0..n)
            .map(|i| {
                let labels = Labels::from_pairs([("i", i.to_string()), ("l", "x".repeat(4_000))]).unwrap();
                Observation { key: InstanceKey(labels.id()), labels, ..seen(0, 10, true) }
            })
            .collect();
        step(&RuleState::default(), &timing(0, 0), NEWEST, &observations)
    };
    let fit = wide(100).transitions.len();
    assert!((45..50).contains(&fit), "{fit}");
    let stored = serde_json::to_vec(&wide(100).state).unwrap();
    assert!(stored.len() < 300_000, "{} bytes", stored.len());

    let note = |bytes: usize| {
        let seen = Observation { note: "n".repeat(bytes), ..seen(1, 10, true) };
        step(&RuleState::default(), &timing(0, 0), NEWEST, &[seen]).transitions[0].note.len()
    };
    assert_eq!(note(NOTE_BYTES_MAX), NOTE_BYTES_MAX);
    assert_eq!(note(NOTE_BYTES_MAX + 1), NOTE_BYTES_MAX);
}

#[test]
fn inactive_instances_make_room() {
    let mut state = RuleState::default();
    for i in 0..INSTANCES_MAX + 10 {
        let on_and_off = [seen(i as u32, 10, true), seen(i as u32, 20, false)];
        let stepped = step(&state, &timing(0, 0), NEWEST, &on_and_off);
        assert_eq!(stepped.transitions.len(), 2, "instance {i}");
        state = stepped.state;
    }
    assert_eq!(state.instances.len(), INSTANCES_MAX);
}

#[test]
fn a_state_is_stored_and_read_back() {
    let observation = Observation { value: f64::NAN, note: "disk full".to_owned(), ..seen(1, 10, true) };
    let state = step(&RuleState::default(), &timing(60, 0), NEWEST, &[observation]).state;
    let stored = serde_json::to_string(&state).unwrap();
    let back: RuleState = serde_json::from_str(&stored).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), stored);
    assert!(stored.contains("\"phase\":\"pending\"") && stored.contains("NaN"), "{stored}");
}

#[test]
fn ids_never_change() {
    let id = transition_id(&timing(0, 0).name, &seen(1, 0, true).labels, TransitionKind::Firing, Timestamp(5));
    assert_eq!(id, GOLDEN_ID);
}
/// A change here would page again for everything that fires during an upgrade.
const GOLDEN_ID: &str = "1bde0d034274423a6373e60da7d25115";

/// In-order observations of up to three instances.
fn history() -> impl Strategy<Value = Vec<Observation>> {
    proptest::collection::vec((0u32..3, any::<bool>()), 0..24).prop_map(|events| {
        events.iter().enumerate().map(|(i, (instance, active))| seen(*instance, i as i64 * 10 + 10, *active)).collect()
    })
}

fn ids(transitions: &[Transition]) -> Vec<String> {
    let mut ids: Vec<String> = transitions.iter().map(|t| t.id.clone()).collect();
    ids.sort();
    ids
}

/// Delivers the calls one after the other.
fn deliver(timing: &Timing, calls: &[Vec<Observation>]) -> (RuleState, Vec<Transition>) {
    let mut state = RuleState::default();
    let mut all = Vec::new();
    for call in calls {
        let stepped = step(&state, timing, NEWEST, call);
        state = stepped.state;
        all.extend(stepped.transitions);
    }
    (state, all)
}

proptest! {
    #[test]
    fn ignored(history in history(), for_s in 0i64..40) {
        let timing = timing(for_s, 0);
        let (state, _) = deliver(&timing, std::slice::from_ref(&history));
        for old in &history {
            if state.instances.contains_key(&old.key) {
                let stepped = step(&state, &timing, NEWEST, std::slice::from_ref(old));
                prop_assert_eq!((&stepped.state, stepped.transitions.len()), (&state, 0));
            }
        }
    }

    #[test]
    fn idempotent(history in history(), for_s in 0i64..40, keep_s in 0i64..40, end in 0i64..300) {
        let timing = timing(for_s, keep_s);
        let bucket_end = Timestamp(end * 1_000);
        for scope in [NEWEST, Scope::Complete { bucket_end }, Scope::Partial { bucket_end }] {
            let active: Vec<Observation> = match scope {
                Scope::Newest { .. } => history.clone(),
                _ => (0..2).map(|i| seen(i, end, true)).collect(),
            };
            let once = step(&RuleState::default(), &timing, scope, &active);
            let twice = step(&once.state, &timing, scope, &active);
            // An instance that was inactive from the start leaves no trace, so what it was
            // delivered before may count the second time only if it was active.
            prop_assert_eq!(twice.state, once.state);
            prop_assert_eq!(twice.transitions, vec![]);
        }
    }

    #[test]
    fn unordered(history in history(), for_s in 0i64..40, order in any::<proptest::sample::Index>(), again in any::<bool>()) {
        let timing = timing(for_s, 0);
        let straight = step(&RuleState::default(), &timing, NEWEST, &history);
        let mut shuffled = history.clone();
        if !shuffled.is_empty() {
            let middle = order.index(shuffled.len());
            shuffled.rotate_left(middle);
            shuffled[middle / 2..].reverse();
        }
        if again {
            shuffled.extend(history.iter().cloned());
        }
        prop_assert_eq!(step(&RuleState::default(), &timing, NEWEST, &shuffled), straight);
    }

    #[test]
    fn cut_anywhere(
        history in history(),
        for_s in 0i64..40,
        keep_s in 0i64..40,
        cuts in proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>()), 0..8),
    ) {
        let timing = timing(for_s, keep_s);
        let (_, expected) = deliver(&timing, std::slice::from_ref(&history));
        // At-least-once: the reader goes on from where it is, or starts again further back.
        let mut calls = Vec::new();
        let mut reached = 0;
        for (from, to) in &cuts {
            let from = from.index(reached + 1);
            let to = reached + to.index(history.len() - reached + 1);
            calls.push(history[from..to].to_vec());
            reached = to;
        }
        calls.push(history[reached..].to_vec());
        calls.push(history.clone());
        let (_, got) = deliver(&timing, &calls);
        prop_assert_eq!(ids(&got), ids(&expected));
    }

    #[test]
    fn alternating(
        history in history(),
        for_s in 0i64..20,
        picks in proptest::collection::vec((any::<proptest::sample::Index>(), 0usize..4), 0..30),
    ) {
        let timing = timing(for_s, 0);
        let mut state = RuleState::default();
        let mut all: Vec<Transition> = Vec::new();
        for (index, kind) in picks {
            let Some(at) = history.get(index.index(history.len().max(1))) else { break };
            let bucket_end = at.at;
            let (scope, observations) = match kind {
                0 => (Scope::Complete { bucket_end }, vec![at.clone()]),
                1 => (Scope::Partial { bucket_end }, vec![at.clone()]),
                _ => (NEWEST, vec![at.clone()]),
            };
            let stepped = step(&state, &timing, scope, &observations);
            state = stepped.state;
            all.extend(stepped.transitions);
        }
        let unique: BTreeSet<&String> = all.iter().map(|t| &t.id).collect();
        prop_assert_eq!(unique.len(), all.len());
        for instance in 0..3 {
            let labels = seen(instance, 0, true).labels;
            let mine: Vec<&Transition> = all.iter().filter(|t| t.labels == labels).collect();
            for pair in mine.windows(2) {
                prop_assert_ne!(pair[0].kind, pair[1].kind);
                prop_assert!(pair[0].at < pair[1].at);
            }
            prop_assert!(mine.first().is_none_or(|first| first.kind == TransitionKind::Firing));
        }
    }
}
