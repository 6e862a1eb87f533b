use expect_test::{Expect, expect};
use series::{Epoch, Timestamp};

use super::*;
use crate::testing::check_result;
use crate::{Counters, Rejection, SeqRange, WatchedAlert, WatchedCheck, WatchedSeries};

fn counters() -> Counters {
    Counters { generated: 10, evicted: 1, buffered: 2, rejected: [("graphite_bad_value".to_owned(), 3)].into() }
}

/// A frame's text never changes, and is read as what it was.
macro_rules! check {
    ($type:ty, $frame:expr, $expected:expr) => {{
        let frame: $type = $frame;
        let expected: Expect = $expected;
        expected.assert_eq(&frame.to_json());
        assert_eq!(<$type>::from_json(&frame.to_json()).unwrap(), frame);
    }};
}

#[test]
fn agent_frames() {
    check!(
        AgentFrame,
        AgentFrame::Hello {
            version: 1,
            source: "web-1".to_owned(),
            epoch: Epoch(0xfedc_ba98_7654_3210),
            run_id: "r1".to_owned(),
            host: "web-1.example.org".to_owned(),
            agent_version: "0.1.0".to_owned(),
            counters: counters(),
        },
        expect![[
            r#"{"action":"hello","version":1,"source":"web-1","epoch":"fedcba9876543210","run_id":"r1","host":"web-1.example.org","agent_version":"0.1.0","counters":{"generated":10,"evicted":1,"buffered":2,"rejected":{"graphite_bad_value":3}}}"#
        ]]
    );
    check!(
        AgentFrame,
        AgentFrame::Heartbeat { epoch: Epoch(1), counters: Counters::default() },
        expect![[
            r#"{"action":"heartbeat","epoch":"0000000000000001","counters":{"generated":0,"evicted":0,"buffered":0,"rejected":{}}}"#
        ]]
    );
    check!(
        AgentFrame,
        AgentFrame::Batch { payload: "KLUv/Q==".to_owned(), epoch: Some(Epoch(1)), seq: Some(7) },
        expect![[r#"{"action":"batch","payload":"KLUv/Q==","epoch":"0000000000000001","seq":7}"#]]
    );
    check!(
        AgentFrame,
        AgentFrame::Bye { reason: "shutdown".to_owned() },
        expect![[r#"{"action":"bye","reason":"shutdown"}"#]]
    );
}

#[test]
fn server_frames() {
    check!(
        ServerFrame,
        ServerFrame::Welcome {
            version: 1,
            server_time_ms: Timestamp(1_700_000_000_000),
            reconnect_after_ms: 5_400_000,
            config_rev: 0,
            ack_delay_ms: 0,
        },
        expect![[
            r#"{"kind":"welcome","version":1,"server_time_ms":1700000000000,"reconnect_after_ms":5400000,"config_rev":0}"#
        ]]
    );
    check!(
        ServerFrame,
        ServerFrame::Welcome {
            version: 1,
            server_time_ms: Timestamp(1_700_000_000_000),
            reconnect_after_ms: 5_400_000,
            config_rev: 0,
            ack_delay_ms: 1_380_000,
        },
        expect![[
            r#"{"kind":"welcome","version":1,"server_time_ms":1700000000000,"reconnect_after_ms":5400000,"config_rev":0,"ack_delay_ms":1380000}"#
        ]]
    );
    check!(
        ServerFrame,
        ServerFrame::Ack { epoch: Epoch(1), ranges: vec![SeqRange { from: 1, to: 4 }], rejected: vec![] },
        expect![[r#"{"kind":"ack","epoch":"0000000000000001","ranges":[[1,4]]}"#]]
    );
    let rejected = vec![Rejection { reason: "label_duplicate".to_owned(), count: 2, first: "series 3".to_owned() }];
    check!(
        ServerFrame,
        ServerFrame::Ack { epoch: Epoch(1), ranges: vec![SeqRange { from: 6, to: 6 }], rejected },
        expect![[
            r#"{"kind":"ack","epoch":"0000000000000001","ranges":[[6,6]],"rejected":[{"reason":"label_duplicate","count":2,"first":"series 3"}]}"#
        ]]
    );
    let expires_at_ms = Timestamp(1_700_000_060_000);
    check!(
        ServerFrame,
        ServerFrame::Wish { flush_every_ms: 1_000, expires_at_ms },
        expect![[r#"{"kind":"wish","flush_every_ms":1000,"expires_at_ms":1700000060000}"#]]
    );
    check!(
        ServerFrame,
        ServerFrame::Config { revision: 3, text: "[labels]\n".to_owned() },
        expect![[r#"{"kind":"config","revision":3,"text":"[labels]\n"}"#]]
    );
    check!(
        ServerFrame,
        ServerFrame::Bye {
            reason: "name_taken".to_owned(),
            text: "web-1 runs on db-1".to_owned(),
            retry_after_ms: 60_000
        },
        expect![[r#"{"kind":"bye","reason":"name_taken","text":"web-1 runs on db-1","retry_after_ms":60000}"#]]
    );
    check!(
        ServerFrame,
        ServerFrame::Error { reason: "frame_not_json".to_owned(), text: "line 1, column 2".to_owned() },
        expect![[r#"{"kind":"error","reason":"frame_not_json","text":"line 1, column 2"}"#]]
    );
}

#[test]
fn browser_frames() {
    check!(
        BrowserFrame,
        BrowserFrame::Subscribe { id: "1".to_owned(), selectors: vec![r#"node_load1{source="x"}"#.to_owned()] },
        expect![[r#"{"action":"subscribe","id":"1","match":["node_load1{source=\"x\"}"]}"#]]
    );
    check!(
        BrowserFrame,
        BrowserFrame::Unsubscribe { id: "1".to_owned() },
        expect![[r#"{"action":"unsubscribe","id":"1"}"#]]
    );
    check!(BrowserFrame, BrowserFrame::Ping {}, expect![[r#"{"action":"ping"}"#]]);
}

#[test]
fn page_frames() {
    let labels = [("__name__".to_owned(), "up".to_owned())];
    let series =
        vec![WatchedSeries { labels: labels.clone().into(), points: vec![(1_700_000_000_000, "1.5".to_owned())] }];
    check!(
        PageFrame,
        PageFrame::Samples { id: "1".to_owned(), series },
        expect![[
            r#"{"kind":"samples","id":"1","series":[{"labels":{"__name__":"up"},"points":[[1700000000000,"1.5"]]}]}"#
        ]]
    );
    let checks = vec![WatchedCheck {
        source: "web-1".to_owned(),
        check: "disk".to_owned(),
        status: 2,
        hard: true,
        state_since_ms: 1,
        at_ms: 2,
        text: "DISK CRITICAL".to_owned(),
        perfdata: check_result("disk", "").perfdata,
    }];
    check!(
        PageFrame,
        PageFrame::Checks { checks },
        expect![[
            r#"{"kind":"checks","checks":[{"source":"web-1","check":"disk","status":2,"hard":true,"state_since_ms":1,"at_ms":2,"text":"DISK CRITICAL","perfdata":[{"label":"/","value":2643.0,"unit":"MB","warn":"5948","crit":"@10:20","min":0.0,"max":5968.5},{"label":"unknown","value":null,"unit":"","warn":"","crit":"","min":null,"max":null}]}]}"#
        ]]
    );
    let alerts = vec![WatchedAlert {
        labels: labels.into(),
        annotations: [].into(),
        state: "firing".to_owned(),
        active_at: "2023-11-14T22:13:20Z".to_owned(),
        value: "1e+00".to_owned(),
    }];
    check!(
        PageFrame,
        PageFrame::Alerts { alerts },
        expect![[
            r#"{"kind":"alerts","alerts":[{"labels":{"__name__":"up"},"annotations":{},"state":"firing","activeAt":"2023-11-14T22:13:20Z","value":"1e+00"}]}"#
        ]]
    );
    check!(
        PageFrame,
        PageFrame::Gone { sources: vec!["web-1".to_owned()] },
        expect![[r#"{"kind":"gone","sources":["web-1"]}"#]]
    );
    check!(
        PageFrame,
        PageFrame::Error { id: "1".to_owned(), text: "no such metric".to_owned() },
        expect![[r#"{"kind":"error","id":"1","text":"no such metric"}"#]]
    );
}

#[test]
fn what_is_newer_is_tolerated() {
    let newer = r#"{"action":"heartbeat","epoch":"01","counters":{"generated":1,"teapots":2},"mood":["good"]}"#;
    let heartbeat =
        AgentFrame::Heartbeat { epoch: Epoch(1), counters: Counters { generated: 1, ..Counters::default() } };
    assert_eq!(AgentFrame::from_json(newer), Ok(heartbeat));
    assert_eq!(AgentFrame::from_json(r#"{"action":"sing","song":{"a":[1]}}"#), Ok(AgentFrame::Unknown));
    assert_eq!(ServerFrame::from_json(r#"{"kind":"sing","song":1}"#), Ok(ServerFrame::Unknown));
    assert_eq!(BrowserFrame::from_json(r#"{"action":"sing"}"#), Ok(BrowserFrame::Unknown));
    assert_eq!(PageFrame::from_json(r#"{"kind":"sing"}"#), Ok(PageFrame::Unknown));
}

#[track_caller]
fn check_error(text: &str, expected: Expect) {
    let error = AgentFrame::from_json(text).unwrap_err();
    expected.assert_eq(&format!("{}: {error}", error.reason()));
}

#[test]
fn errors_name_the_place() {
    check_error("", expect!["frame_not_json: line 1, column 0: the frame is not JSON: EOF while parsing a value"]);
    check_error(
        "{\"action\":\n \"batch\",,}",
        expect!["frame_not_json: line 2, column 10: the frame is not JSON: key must be a string"],
    );
    check_error("[1]", expect!["frame_not_json: the frame is not a JSON object"]);
    check_error("{}", expect![[r#"frame_without_kind: the frame has no text field "action""#]]);
    check_error(r#"{"action":7}"#, expect![[r#"frame_without_kind: the frame has no text field "action""#]]);
    check_error(r#"{"action":"batch"}"#, expect![[r#"frame_field: "batch": missing field `payload`"#]]);
    check_error(
        "{\"action\":\"batch\",\n  \"payload\":17}",
        expect![[
            r#"frame_field: line 2, column 3: field "payload" of "batch": invalid type: integer `17`, expected a string"#
        ]],
    );
    check_error(
        r#"{"action":"heartbeat","epoch":"xyz"}"#,
        expect![[r#"frame_field: line 1, column 23: field "epoch" of "heartbeat": invalid digit found in string"#]],
    );
    check_error(
        r#"{"action":"heartbeat","epoch":"1","counters":{"generated":-1}}"#,
        expect![[
            r#"frame_field: line 1, column 35: field "counters" of "heartbeat": invalid value: integer `-1`, expected u64"#
        ]],
    );
}

#[test]
fn a_bad_frame_is_answered() {
    let error = AgentFrame::from_json("{").unwrap_err();
    assert!(matches!(error.answer(), ServerFrame::Error { reason, .. } if reason == "frame_not_json"));
}

#[test]
fn a_frame_at_the_limit_and_one_past_it() {
    let frame = |bytes: usize| {
        let empty = AgentFrame::Batch { payload: String::new(), epoch: None, seq: None }.to_json().len();
        AgentFrame::from_json(
            &AgentFrame::Batch { payload: "A".repeat(bytes - empty), epoch: None, seq: None }.to_json(),
        )
    };
    assert!(frame(FRAME_BYTES_MAX).is_ok());
    assert_eq!(frame(FRAME_BYTES_MAX + 1), Err(FrameError::TooLarge { bytes: FRAME_BYTES_MAX + 1 }));
    // The longest payload leaves room for the frame around it.
    let longest = AgentFrame::Batch { payload: "A".repeat(crate::PAYLOAD_BYTES_MAX), epoch: None, seq: None };
    assert!(AgentFrame::from_json(&longest.to_json()).is_ok());
}
