//! The forms, word by word, and their limits.

use expect_test::{Expect, expect};

use super::*;
use crate::notify::group_labels;
use crate::routing::Channel;
use crate::state::TransitionKind;

fn alert(instance: &str, disk: &str, fires: bool) -> Alert {
    let labels = Labels::from_pairs([
        ("alertname", "DiskAlmostFull"),
        ("instance", instance),
        ("mountpoint", disk),
        ("severity", "page"),
    ])
    .unwrap();
    let annotations = [
        ("summary", "The disk is almost full"),
        ("description", "Look for logs\nthat grow."),
        ("runbook_url", "https://runbooks.example/disk"),
    ];
    Alert {
        transition_id: format!("{:032x}", u128::from(fires)),
        kind: if fires { TransitionKind::Firing } else { TransitionKind::Resolved },
        labels,
        annotations: annotations.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        active_at: Timestamp(1_700_000_000_000),
        starts_at: Timestamp(1_700_000_060_000),
        ends_at: (!fires).then_some(Timestamp(1_700_000_120_500)),
        value: 93.25,
        bound: "> 90".to_owned(),
        note: "DISK CRITICAL - free space: / 3%".to_owned(),
        generator_url: "http://dw/graph?g0.expr=x&g0.tab=1".to_owned(),
    }
}

fn external() -> External {
    External { url: "http://dw".to_owned(), labels: BTreeMap::new() }
}

fn group(alerts: &[Alert]) -> Group {
    let mut group = Group::new("team", Channel::Pager, group_labels(&alerts[0].labels));
    for one in alerts {
        if !one.fires() {
            let mut fired = one.clone();
            (fired.kind, fired.ends_at, fired.transition_id) = (TransitionKind::Firing, None, "0".to_owned());
            group.add(&fired, Timestamp(0), 0);
            let sent = group.clone();
            group.mark_told(&sent, Timestamp(0));
        }
        group.add(one, Timestamp(0), 0);
    }
    group
}

fn show(rendered: &Rendered) -> String {
    let json: serde_json::Value = serde_json::from_str(&rendered.default).unwrap();
    let attributes: Vec<String> = rendered.attributes.iter().map(|(n, v)| format!("{n}={v}")).collect();
    format!(
        "{}\n{}\n{}\n---\n{}---\n{}",
        rendered.subject,
        attributes.join(" "),
        rendered.sms,
        rendered.email,
        serde_json::to_string_pretty(&json).unwrap()
    )
}

fn check(alerts: &[Alert], expected: Expect) {
    expected.assert_eq(&show(&render(&group(alerts), &external())));
}

#[test]
fn an_alarm() {
    check(
        &[alert("web-1", "/", true)],
        expect![[r#"
        ALARM: DiskAlmostFull web-1
        severity=page env=none rule=DiskAlmostFull status=firing
        ALARM 22:14Z DiskAlmostFull web-1: The disk is almost full - value 93.25, alerts when > 90; DISK CRITICAL - free space: / 3%
        ---
        ALARM: DiskAlmostFull web-1

        What:        The disk is almost full
                     Look for logs
                     that grow.
        Where:       instance=web-1, mountpoint=/
        Value:       93.25 (alerts when > 90)
        Check said:  DISK CRITICAL - free space: / 3%
        Since:       2023-11-14T22:13:20.000Z
        Runbook:     https://runbooks.example/disk
        Page:        http://dw/#/alerts/828eff8d6bbadca1?at=1700000060000
        Acknowledge: http://dw/#/alerts/828eff8d6bbadca1?do=acknowledge
        Silence:     http://dw/#/alerts/828eff8d6bbadca1?do=silence
        ---
        {
          "AlarmName": "DiskAlmostFull web-1",
          "NewStateReason": "The disk is almost full - value 93.25, alerts when > 90; DISK CRITICAL - free space: / 3%",
          "NewStateValue": "ALARM",
          "StateChangeTime": "2023-11-14T22:14:20.000+0000",
          "alerts": [
            {
              "annotations": {
                "description": "Look for logs\nthat grow.",
                "runbook_url": "https://runbooks.example/disk",
                "summary": "The disk is almost full"
              },
              "endsAt": "0001-01-01T00:00:00Z",
              "fingerprint": "828eff8d6bbadca1",
              "generatorURL": "http://dw/graph?g0.expr=x&g0.tab=1",
              "labels": {
                "alertname": "DiskAlmostFull",
                "instance": "web-1",
                "mountpoint": "/",
                "severity": "page"
              },
              "startsAt": "2023-11-14T22:14:20.000Z",
              "status": "firing"
            }
          ],
          "commonAnnotations": {
            "description": "Look for logs\nthat grow.",
            "runbook_url": "https://runbooks.example/disk",
            "summary": "The disk is almost full"
          },
          "commonLabels": {
            "alertname": "DiskAlmostFull",
            "instance": "web-1",
            "mountpoint": "/",
            "severity": "page"
          },
          "externalURL": "http://dw",
          "groupKey": "{}:{alertname=\"DiskAlmostFull\", instance=\"web-1\"}",
          "groupLabels": {
            "alertname": "DiskAlmostFull",
            "instance": "web-1"
          },
          "receiver": "team",
          "status": "firing",
          "transition_id": "00000000000000000000000000000001",
          "truncatedAlerts": 0,
          "version": "4"
        }"#]],
    );
}

#[test]
fn an_end() {
    check(
        &[alert("web-1", "/", false)],
        expect![[r#"
        OK: DiskAlmostFull web-1
        severity=page env=none rule=DiskAlmostFull status=resolved
        OK 22:15Z DiskAlmostFull web-1: no longer: The disk is almost full - last value 93.25, alerts when > 90; DISK CRITICAL - free space: / 3%
        ---
        OK: DiskAlmostFull web-1

        What:        The disk is almost full
                     Look for logs
                     that grow.
        Where:       instance=web-1, mountpoint=/
        Value:       last 93.25 (alerts when > 90)
        Check said:  DISK CRITICAL - free space: / 3%
        Since:       2023-11-14T22:13:20.000Z
        Ended:       2023-11-14T22:15:20.500Z
        Runbook:     https://runbooks.example/disk
        Page:        http://dw/#/alerts/828eff8d6bbadca1?at=1700000120500
        ---
        {
          "AlarmName": "DiskAlmostFull web-1",
          "NewStateReason": "no longer: The disk is almost full - last value 93.25, alerts when > 90; DISK CRITICAL - free space: / 3%",
          "NewStateValue": "OK",
          "StateChangeTime": "2023-11-14T22:15:20.500+0000",
          "alerts": [
            {
              "annotations": {
                "description": "Look for logs\nthat grow.",
                "runbook_url": "https://runbooks.example/disk",
                "summary": "The disk is almost full"
              },
              "endsAt": "2023-11-14T22:15:20.500Z",
              "fingerprint": "828eff8d6bbadca1",
              "generatorURL": "http://dw/graph?g0.expr=x&g0.tab=1",
              "labels": {
                "alertname": "DiskAlmostFull",
                "instance": "web-1",
                "mountpoint": "/",
                "severity": "page"
              },
              "startsAt": "2023-11-14T22:14:20.000Z",
              "status": "resolved"
            }
          ],
          "commonAnnotations": {
            "description": "Look for logs\nthat grow.",
            "runbook_url": "https://runbooks.example/disk",
            "summary": "The disk is almost full"
          },
          "commonLabels": {
            "alertname": "DiskAlmostFull",
            "instance": "web-1",
            "mountpoint": "/",
            "severity": "page"
          },
          "externalURL": "http://dw",
          "groupKey": "{}:{alertname=\"DiskAlmostFull\", instance=\"web-1\"}",
          "groupLabels": {
            "alertname": "DiskAlmostFull",
            "instance": "web-1"
          },
          "receiver": "team",
          "status": "resolved",
          "transition_id": "00000000000000000000000000000000",
          "truncatedAlerts": 0,
          "version": "4"
        }"#]],
    );
}

#[test]
fn several_alerts_share_what_they_have_in_common() {
    let rendered = render(&group(&[alert("web-1", "/", true), alert("web-1", "/var", true)]), &external());
    let json: serde_json::Value = serde_json::from_str(&rendered.default).unwrap();
    assert_eq!(json["alerts"].as_array().unwrap().len(), 2);
    assert_eq!(json["commonLabels"]["severity"], "page");
    assert!(json["commonLabels"].get("mountpoint").is_none());
    assert!(json["NewStateReason"].as_str().unwrap().ends_with("(and 1 more)"));
    assert_eq!(rendered.email.matches("Where:").count(), 2);
}

#[test]
fn the_subject_agrees_with_the_state() {
    for fires in [true, false] {
        let rendered = render(&group(&[alert("web-1", "/", fires)]), &external());
        let json: serde_json::Value = serde_json::from_str(&rendered.default).unwrap();
        let prefix = format!("{}: ", json["NewStateValue"].as_str().unwrap());
        assert!(rendered.subject.starts_with(&prefix), "{}", rendered.subject);
        assert_eq!(json["AlarmName"], "DiskAlmostFull web-1");
    }
}

#[test]
fn a_subject_at_the_limit_and_one_past_it() {
    let subject = |chars: usize| render(&group(&[alert(&"x".repeat(chars), "/", true)]), &external()).subject;
    let fixed = "ALARM: DiskAlmostFull ".len();
    assert_eq!(subject(SUBJECT_CHARS_MAX - fixed).len(), SUBJECT_CHARS_MAX);
    assert_eq!(subject(SUBJECT_CHARS_MAX - fixed + 1).len(), SUBJECT_CHARS_MAX);
    let foreign = render(&group(&[alert("wéb\n1", "/", true)]), &external());
    assert_eq!(foreign.subject, "ALARM: DiskAlmostFull w?b?1");
}

#[test]
fn a_text_message_at_the_limit_and_one_past_it() {
    let sms = |chars: usize| {
        let mut one = alert("web-1", "/", true);
        one.annotations.clear();
        one.note = "é".repeat(chars);
        render(&group(&[one]), &external()).sms.chars().count()
    };
    let fixed = sms(0) + "; ".len();
    assert_eq!(sms(SMS_CHARS_MAX - fixed), SMS_CHARS_MAX);
    assert_eq!(sms(SMS_CHARS_MAX - fixed + 1), SMS_CHARS_MAX);
}

#[test]
fn a_message_that_is_too_long_is_cut_and_says_so() {
    let many = |n: usize| {
        let alerts: Vec<Alert> = (0..n)
            .map(|i| {
                let mut one = alert("web-1", &format!("/{i}"), true);
                one.annotations.insert("description".to_owned(), "\"".repeat(500));
                one
            })
            .collect();
        render(&group(&alerts), &external())
    };
    let cut = |rendered: &Rendered| {
        let json: serde_json::Value = serde_json::from_str(&rendered.default).unwrap();
        (json["alerts"].as_array().unwrap().len(), json["truncatedAlerts"].as_u64().unwrap())
    };
    assert_eq!(cut(&many(10)), (10, 0));
    let long = many(250);
    assert!(long.bytes() <= MESSAGE_BYTES_MAX);
    let (shown, hidden) = cut(&long);
    assert_eq!(shown as u64 + hidden, 250);
    assert!(hidden > 0 && long.bytes() > MESSAGE_BYTES_MAX / 2, "{shown} shown, {} bytes", long.bytes());
    let quoted = serde_json::json!({"default": long.default, "email": long.email, "sms": long.sms}).to_string();
    assert!(quoted.len() <= long.bytes(), "{} > {}", quoted.len(), long.bytes());
}

#[test]
fn names_with_newlines_controls_and_foreign_letters() {
    let labels = Labels::from_pairs([
        ("alertname", "Größe\nOK: all is well\u{7}"),
        ("instance", "wéb\t1"),
        ("env", "prod\u{1}"),
        ("severity", "page"),
    ]);
    let one = Alert { labels: labels.unwrap(), note: "a\u{1b}[31mred".to_owned(), ..alert("x", "/", true) };
    let rendered = render(&group(&[one]), &external());
    assert_eq!(rendered.subject, "ALARM: Gr??e?OK: all is well? w?b?1");
    assert!(rendered.email.starts_with("ALARM: Größe OK: all is well? wéb 1\n\n"), "{}", rendered.email);
    assert!(rendered.sms.starts_with("ALARM 22:14Z Größe OK: all is well? wéb 1: "), "{}", rendered.sms);
    for text in [&rendered.subject, &rendered.email.replace('\n', " "), &rendered.sms] {
        assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
    }
    let attributes: Vec<&str> = rendered.attributes.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(attributes, ["page", "prod?", "Größe OK: all is well?", "firing"]);
    // What joins an alarm and its end stays as it is.
    let json: serde_json::Value = serde_json::from_str(&rendered.default).unwrap();
    assert_eq!(json["AlarmName"], "Größe\nOK: all is well\u{7} wéb\t1");
}

/// What PagerDuty joins by, and what it is told.
fn told(group: &Group) -> (String, String, String, u64) {
    let rendered = render(group, &external());
    let json: serde_json::Value = serde_json::from_str(&rendered.default).unwrap();
    let state = json["NewStateValue"].as_str().unwrap().to_owned();
    assert!(rendered.subject.starts_with(&format!("{state}: ")) && rendered.email.starts_with(&format!("{state}: ")));
    assert!(rendered.sms.starts_with(&format!("{state} ")));
    let status = if state == "ALARM" { "firing" } else { "resolved" };
    assert_eq!((&json["status"], rendered.attributes[3].1.as_str()), (&serde_json::json!(status), status));
    let name = json["AlarmName"].as_str().unwrap().to_owned();
    let each = json["alerts"].as_array().unwrap().iter().map(|alert| alert["status"].as_str().unwrap());
    (name, state, each.collect::<Vec<_>>().join(" "), json["truncatedAlerts"].as_u64().unwrap())
}

#[test]
fn a_group_is_in_alarm_until_its_last_alert_has_ended() {
    let name = "DiskAlmostFull web-1".to_owned();
    let (root, var) = (alert("web-1", "/", true), alert("web-1", "/var", true));
    let mut group = group(&[root, var]);
    assert_eq!(told(&group), (name.clone(), "ALARM".to_owned(), "firing firing".to_owned(), 0));
    for (disk, state, each) in [("/", "ALARM", "firing resolved"), ("/var", "OK", "resolved")] {
        let sent = group.clone();
        group.mark_told(&sent, Timestamp(0));
        group.add(&alert("web-1", disk, false), Timestamp(0), 0);
        assert_eq!(told(&group), (name.clone(), state.to_owned(), each.to_owned(), 0));
    }
}

#[test]
fn what_comes_with_a_page_is_a_page() {
    let severity = |second: &str| {
        let mut other = alert("web-1", "/var", true);
        other.labels = other.labels.to_builder().set("severity", second).build().unwrap();
        render(&group(&[alert("web-1", "/", true), other]), &external()).attributes[0].1.clone()
    };
    assert_eq!((severity("page"), severity("warning")), ("page".to_owned(), "page".to_owned()));
}

#[test]
fn all_parts_at_the_limit_and_one_past_it() {
    // What a mail does not show, and what is quoted twice: a quote counts four. The last alert's text
    // is `rest` bytes longer.
    let of = |rest: usize| {
        let mut alerts: Vec<Alert> = (0..40).map(|i| alert("web-1", &format!("/{i:02}"), true)).collect();
        for (number, one) in alerts.iter_mut().enumerate() {
            let text = format!("{number:02}{}{}", "\"".repeat(1_300), "x".repeat(if number == 39 { rest } else { 0 }));
            one.annotations.insert("text".to_owned(), text);
        }
        group(&alerts)
    };
    let whole = {
        let group = of(0);
        let alerts = group.next_alerts();
        render_first(&group, &alerts, alerts.len(), &external()).bytes()
    };
    let room = MESSAGE_BYTES_MAX - whole;
    let (fits, past) = (render(&of(room), &external()), render(&of(room + 1), &external()));
    assert_eq!((fits.bytes(), told(&of(room)).3), (MESSAGE_BYTES_MAX, 0));
    assert!(past.bytes() <= MESSAGE_BYTES_MAX && told(&of(room + 1)).3 > 0);
    assert!(past.email.contains("more alert(s) are on the page: http://dw"), "{}", past.email);
}

#[test]
fn one_alert_that_is_too_long_alone_is_counted() {
    let mut labels = alert("web-1", "/", true).labels.to_builder();
    for name in ["l1", "l2", "l3"] {
        labels.set(name, "\u{1}".repeat(series::limits::LABEL_VALUE_BYTES_MAX));
    }
    let mut one = Alert { labels: labels.build().unwrap(), ..alert("web-1", "/", true) };
    one.annotations.insert("text".to_owned(), "\u{1}".repeat(crate::notify::ANNOTATIONS_BYTES_MAX - 100));
    let group = group(&[one]);
    assert_eq!(
        (group.alerts.len(), told(&group)),
        (1, ("DiskAlmostFull web-1".to_owned(), "ALARM".to_owned(), String::new(), 1))
    );
    assert!(render(&group, &external()).bytes() <= MESSAGE_BYTES_MAX);
}

#[test]
fn a_link_to_an_expression_at_the_limit_and_one_past_it() {
    let link = |bytes: usize| generator_url(&external(), &"x".repeat(bytes));
    assert!(link(GENERATOR_EXPR_BYTES_MAX).ends_with("x&g0.tab=1"));
    assert_eq!(link(GENERATOR_EXPR_BYTES_MAX + 1), "http://dw/graph");
}
