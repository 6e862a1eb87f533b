//! What is sent and what is not: a table, then the corners.

use super::*;

fn alert(disk: &str, at_s: i64, fires: bool) -> Alert {
    let labels = Labels::from_pairs([("alertname", "DiskFull"), ("instance", "web-1"), ("disk", disk)]).unwrap();
    let at = Timestamp(at_s * 1_000);
    Alert {
        transition_id: format!("{disk}{at_s}{}", if fires { "+" } else { "-" }),
        kind: if fires { TransitionKind::Firing } else { TransitionKind::Resolved },
        labels,
        annotations: BTreeMap::new(),
        active_at: Timestamp(0),
        starts_at: if fires { at } else { Timestamp(0) },
        ends_at: (!fires).then_some(at),
        value: 95.0,
        bound: "> 90".to_owned(),
        note: String::new(),
        generator_url: String::new(),
    }
}

fn group(send_resolved: bool) -> Group {
    let channel = Channel::Webhook { url: "http://h/".to_owned(), send_resolved };
    Group::new("team", channel, group_labels(&alert("a", 0, true).labels))
}

/// `+a` fires, `-a` ends, `!` tells, `x` fails for now, `X` for ever; a second passes each time.
/// Answers with the last decision.
fn run(group: &mut Group, script: &str) -> Reason {
    let mut now = 100;
    for word in script.split_whitespace() {
        now += 1;
        let at = Timestamp(now * 1_000);
        match word.split_at(1) {
            ("+", disk) => group.add(&alert(disk, now, true), at, 0),
            ("-", disk) => group.add(&alert(disk, now, false), at, 0),
            ("!", _) => {
                let sent = group.clone();
                group.mark_told(&sent, at);
            }
            ("x", _) => group.mark_failed(at, "connection refused", false),
            ("X", _) => group.mark_failed(at, "404", true),
            other => panic!("{other:?}"),
        }
    }
    needs_notification(group, Timestamp(now * 1_000))
}

#[test]
fn every_case_that_a_user_can_see() {
    for (send_resolved, script, expected) in [
        (true, "", Reason::NothingNew),
        (true, "+a", Reason::NewFiring),
        (true, "+a !", Reason::NothingNew),
        (true, "+a ! +b", Reason::NewFiring),
        (true, "+a -a", Reason::ResolvedBeforeTold),
        (true, "+a ! -a", Reason::AllResolved),
        (true, "+a +b ! -a", Reason::SomeResolved),
        (true, "+a ! -a !", Reason::NothingNew),
        (true, "+a ! -a ! +a", Reason::NewFiring),
        (true, "+a ! -a +a", Reason::NewFiring),
        (true, "+a +b ! -a !", Reason::NothingNew),
        (false, "+a", Reason::NewFiring),
        (false, "+a ! -a", Reason::ResolvedNotWanted),
        (false, "+a +b ! -a", Reason::ResolvedNotWanted),
        (false, "+a ! -a ! +a", Reason::NewFiring),
        (true, "+a x", Reason::NotDueYet),
        (true, "+a X", Reason::GaveUp),
        (true, "+a X -a", Reason::ResolvedBeforeTold),
        (true, "+a X +b", Reason::NewFiring),
    ] {
        assert_eq!(run(&mut group(send_resolved), script), expected, "{script} (resolved: {send_resolved})");
    }
}

#[test]
fn changes_are_collected_for_the_group_wait() {
    let mut group = group(true);
    group.add(&alert("a", 1, true), Timestamp(1_000), 30_000);
    group.add(&alert("b", 9, true), Timestamp(9_000), 30_000);
    assert_eq!(group.due_at, Some(Timestamp(31_000)));
    assert_eq!(needs_notification(&group, Timestamp(30_999)), Reason::NotDueYet);
    assert_eq!(needs_notification(&group, Timestamp(31_000)), Reason::NewFiring);
    assert_eq!(group.next_alerts().len(), 2);
}

#[test]
fn an_older_transition_changes_nothing() {
    let mut group = group(true);
    run(&mut group, "+a ! -a !");
    let told = group.clone();
    group.add(&alert("a", 101, true), Timestamp(200_000), 0);
    group.add(&alert("a", 103, false), Timestamp(200_000), 0);
    assert_eq!(group, told);
    assert!(group.is_done());
    group.add(&alert("a", 200, false), Timestamp(200_000), 0);
    group.add(&alert("a", 199, true), Timestamp(200_000), 0);
    assert!(!group.alerts.values().next().unwrap().fires());
}

#[test]
fn a_receiver_that_is_down_is_asked_again_and_later_each_time() {
    let waits: Vec<i64> = (1..=11).map(|n| backoff_ms(n) / 1_000).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    assert_eq!(backoff_ms(u32::MAX), BACKOFF_MS_MAX);
    let mut group = group(true);
    run(&mut group, "+a x x x");
    assert_eq!((group.failures, group.due_at), (3, Some(Timestamp(108_000))));
    // A further change does not shorten the backoff.
    group.add(&alert("b", 105, true), Timestamp(105_000), 0);
    assert_eq!(group.due_at, Some(Timestamp(108_000)));
    let sent = group.clone();
    group.mark_told(&sent, Timestamp(108_000));
    assert_eq!((group.failures, group.attempts.len()), (0, 0));
}

#[test]
fn what_changes_while_it_is_sent_is_told_next() {
    let mut group = group(true);
    run(&mut group, "+a +b");
    let sent = group.clone();
    group.add(&alert("c", 103, true), Timestamp(103_000), 0);
    group.add(&alert("a", 103, false), Timestamp(103_000), 0);
    group.mark_told(&sent, Timestamp(104_000));
    assert_eq!(needs_notification(&group, Timestamp(104_000)), Reason::NewFiring);
    assert_eq!(group.next_alerts().len(), 3);
    let sent = group.clone();
    group.mark_told(&sent, Timestamp(105_000));
    assert_eq!((group.due_at, needs_notification(&group, Timestamp(105_000))), (None, Reason::NothingNew));
}

#[test]
fn a_claim_keeps_others_away_until_it_ends() {
    let mut group = group(true);
    run(&mut group, "+a");
    group.claimed_until = Some(Timestamp(200_000));
    assert_eq!(needs_notification(&group, Timestamp(199_999)), Reason::Claimed);
    assert_eq!(needs_notification(&group, Timestamp(200_000)), Reason::NewFiring);
}

/// Words as in [`run`], and `c` claims, `~` lets the claim end without an answer.
#[test]
fn what_a_crashed_sender_may_have_told_is_ended() {
    for (script, expected, told) in [
        ("+a c ~", Reason::NewFiring, 1),
        ("+a c -a ~", Reason::AllResolved, 1),
        ("+a c ~ -a", Reason::AllResolved, 1),
        ("+a +b c -a ~", Reason::NewFiring, 2),
        // It was taken over, and that failed: the first one may still have told it.
        ("+a c ~ c x -a", Reason::AllResolved, 1),
        ("+a c ~ c X -a", Reason::AllResolved, 1),
        // Who claimed it came back and says that nobody was told.
        ("+a c x -a", Reason::ResolvedBeforeTold, 0),
        ("+a c X -a", Reason::ResolvedBeforeTold, 0),
        ("+a c -a ~ c !", Reason::NothingNew, 0),
        // The end was being told, and it fires again.
        ("+a c ! -a c ~ +a", Reason::NewFiring, 1),
        ("+a c ! -a c +a -a ~", Reason::AllResolved, 1),
    ] {
        let mut group = group(true);
        let mut now = 100;
        let mut reason = Reason::NothingNew;
        for word in script.split_whitespace() {
            now += 1;
            let at = Timestamp(now * 1_000);
            match word.split_at(1) {
                ("+", disk) => group.add(&alert(disk, now, true), at, 0),
                ("-", disk) => group.add(&alert(disk, now, false), at, 0),
                ("c", _) => group.claim(at),
                ("~", _) => now += CLAIM_MS / 1_000,
                ("!", _) => group.mark_told(&group.clone(), at),
                ("x", _) => group.mark_failed(at, "connection refused", false),
                ("X", _) => group.mark_failed(at, "404", true),
                other => panic!("{other:?}"),
            }
            reason = needs_notification(&group, Timestamp(now * 1_000));
        }
        assert_eq!((reason, group.next_alerts().len()), (expected, told), "{script}");
    }
}

#[test]
fn a_change_that_would_cover_one_that_is_due() {
    let covers = |script: &str, alert: &Alert| {
        let mut group = group(true);
        run(&mut group, script);
        group.would_cover(alert, Timestamp(200_000))
    };
    let (ends, fires) = (alert("a", 150, false), alert("a", 150, true));
    assert!(covers("+a", &ends));
    assert!(covers("+a ! -a", &fires));
    // Told, an older one, another alert; or nobody can be told now.
    assert!(!covers("+a !", &ends));
    assert!(!covers("+a", &alert("a", 90, false)));
    assert!(!covers("+b", &ends));
    assert!(!covers("+a x", &ends));
    assert!(!covers("+a X", &ends));
    let mut group = group(true);
    run(&mut group, "+a");
    group.claim(Timestamp(199_000));
    assert!(!group.would_cover(&ends, Timestamp(200_000)));
}

#[test]
fn a_second_attempt_has_the_same_id() {
    let mut group = group(true);
    run(&mut group, "+a");
    let id = group.next_transition_id();
    assert_eq!(id, "a101+");
    run(&mut group, "x");
    assert_eq!(group.next_transition_id(), id);
    run(&mut group, "+b");
    assert_ne!(group.next_transition_id(), id);
    assert_eq!(group.next_transition_id().len(), 32);
}

#[test]
fn limits_at_the_limit_and_one_past_it() {
    let mut group = group(true);
    for i in 0..ALERTS_PER_GROUP_MAX {
        group.add(&alert(&i.to_string(), 1, true), Timestamp(0), 0);
    }
    assert_eq!((group.alerts.len(), group.dropped), (ALERTS_PER_GROUP_MAX, 0));
    group.add(&alert("more", 1, true), Timestamp(0), 0);
    assert_eq!((group.alerts.len(), group.dropped), (ALERTS_PER_GROUP_MAX, 1));
    let long = |bytes: usize| {
        let mut one = alert("long", 1, true);
        one.annotations.insert("text".to_owned(), "x".repeat(bytes));
        one
    };
    let room = GROUP_BYTES_MAX - long(0).bytes();
    for (bytes, dropped) in [(room, 0), (room + 1, 1)] {
        let mut group = self::group(true);
        group.add(&long(bytes), Timestamp(0), 0);
        assert_eq!(group.dropped, dropped);
    }
    for n in 1..=ATTEMPTS_KEPT_MAX as i64 + 1 {
        group.mark_failed(Timestamp(n), "no", false);
    }
    assert_eq!((group.attempts.len(), group.attempts[0].at), (ATTEMPTS_KEPT_MAX, Timestamp(2)));
    for bytes in [ANSWER_BYTES_MAX, ANSWER_BYTES_MAX + 1] {
        group.mark_failed(Timestamp(0), &"x".repeat(bytes), true);
        assert_eq!(group.attempts.last().unwrap().answer.len(), ANSWER_BYTES_MAX);
    }
}

#[test]
fn fingerprints_are_alertmanagers() {
    // Of the empty set and of one pair, by hand from the definition of FNV-1a.
    assert_eq!(fingerprint(&Labels::empty()), "cbf29ce484222325");
    let labels = Labels::from_pairs([("alertname", "DiskFull")]).unwrap();
    assert_eq!(fingerprint(&labels).len(), 16);
    assert_ne!(fingerprint(&labels), fingerprint(&alert("a", 0, true).labels));
}

#[test]
fn groups_are_named_by_alert_and_source() {
    let labels = alert("a", 0, true).labels;
    assert_eq!(group_key(&group_labels(&labels)), "{}:{alertname=\"DiskFull\", instance=\"web-1\"}");
    let pushed = Labels::from_pairs([("alertname", "X"), ("source", "s")]).unwrap();
    assert_eq!(group_key(&group_labels(&pushed)), "{}:{alertname=\"X\", source=\"s\"}");
    assert_eq!(group_key(&group_labels(&Labels::empty())), "{}:{}");
}

#[test]
fn a_group_is_stored_and_read_back() {
    let mut group = group(false);
    run(&mut group, "+a +b ! -a x");
    let stored = serde_json::to_string(&group).unwrap();
    assert_eq!(serde_json::from_str::<Group>(&stored).unwrap(), group);
}

/// The largest alert that a rule can make: labels and texts at their limits, in characters that JSON
/// writes with six.
fn largest() -> Alert {
    let mut pairs = vec![("alertname".to_owned(), "Large".to_owned())];
    let value = "\u{1}".repeat(series::limits::LABEL_VALUE_BYTES_MAX - 100);
    pairs.extend((0..4).map(|n| (format!("l{n}"), value.clone())));
    Alert {
        transition_id: "f".repeat(32),
        labels: Labels::from_pairs(pairs).unwrap(),
        annotations: BTreeMap::from([("text".to_owned(), "\u{1}".repeat(ANNOTATIONS_BYTES_MAX))]),
        value: -f64::MAX,
        bound: "\"".repeat(200),
        note: "\u{1}".repeat(crate::state::NOTE_BYTES_MAX),
        generator_url: "x".repeat(crate::message::GENERATOR_EXPR_BYTES_MAX + 2_000),
        ..alert("a", i64::from(u32::MAX), false)
    }
}

#[test]
fn an_alert_takes_no_more_than_it_says_and_always_finds_room() {
    for one in [largest(), alert("a", 1, true), alert("\"\n\\\u{1b}ü", 1, false)] {
        let mut empty = group(true);
        let before = serde_json::to_vec(&empty).unwrap().len();
        empty.add(&one, Timestamp(0), 0);
        assert_eq!((empty.alerts.len(), empty.dropped), (1, 0));
        // With its times and fingerprint it takes nearly what it says.
        let taken = serde_json::to_vec(&empty).unwrap().len() - before;
        assert!(taken <= one.bytes() && taken + ALERT_FIXED_BYTES > one.bytes(), "{taken} of {}", one.bytes());
    }
}

#[test]
fn several_changes_between_two_notifications() {
    let mut group = group(true);
    run(&mut group, "+a +b !");
    assert_eq!(run(&mut group, "-a"), Reason::SomeResolved);
    let sent = group.clone();
    group.mark_told(&sent, Timestamp(200_000));
    group.add(&alert("b", 201, false), Timestamp(201_000), 0);
    assert_eq!(needs_notification(&group, Timestamp(201_000)), Reason::AllResolved);
    assert!(group.next_alerts().iter().all(|alert| !alert.fires()), "the end of b alone");
}
