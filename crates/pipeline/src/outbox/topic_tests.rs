//! What is owed gets out: by topics and webhooks, once, however it is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use alerts::notify::{ALERTS_PER_GROUP_MAX, CLAIM_MS};
use alerts::state::TransitionKind;
use embedded::{Embedded, FaultRates, Faults, Faulty, ManualClock, Memory, MemoryTopic};
use ports::{ErrorClass, Subscriber};
use series::{DAY_MS, Labels};

use super::*;
use crate::Settings;

const HOOK: &str = "route: {receiver: team, group_wait: 0s}\nreceivers: [{name: team, webhook_configs: [{url: 'http://h/'}]}, {name: nobody}]";
const NO_HOOK: &str = "route: {receiver: nobody, group_wait: 0s}\nreceivers: [{name: nobody}]";

struct Bench {
    context: Context,
    clock: Arc<ManualClock>,
    topic: Arc<MemoryTopic>,
    embedded: Embedded,
    tenant: TenantId,
}

impl Bench {
    async fn new(has_topics: bool, routing: Option<&str>) -> Self {
        let Memory { embedded, clock, topic, .. } = Embedded::memory(3).unwrap();
        let ports = embedded.ports();
        topic.set_has_topics(has_topics);
        let settings = Settings {
            raw_retention_ms: 30 * DAY_MS,
            external_url: "http://dw".to_owned(),
            websocket_url: "/ws".to_owned(),
        };
        let bench =
            Self { context: Context::new(ports, settings), clock, topic, embedded, tenant: TenantId::default() };
        if let Some(text) = routing {
            bench.route(text).await;
        }
        bench
    }

    async fn route(&self, text: &str) {
        let file = [(Kind::Alertmanager, "default".to_owned(), text.to_owned())];
        documents::put_all(&self.context.ports, &self.tenant, &file).await.unwrap();
    }

    async fn owe(&self, alerts: &[Alert]) {
        let writes = owe(&self.tenant, self.context.ports.clock.now(), alerts).unwrap();
        assert_eq!(self.context.ports.table.write_all(writes).await, Ok(ports::WrittenAll::Done));
    }

    async fn dispatch(&self) -> Vec<String> {
        dispatch(&self.context, &self.tenant).await.unwrap();
        self.sent()
    }

    /// `pager ALARM: …`, sorted.
    fn sent(&self) -> Vec<String> {
        let to = |message: &Message| match &message.destination {
            Destination::Pager => "pager".to_owned(),
            Destination::Mail => "mail".to_owned(),
            Destination::Webhook { url } => url.clone(),
        };
        let shown = |message: Message| format!("{} {}", to(&message), message.subject);
        let mut sent: Vec<String> = self.topic.take_published().into_iter().map(shown).collect();
        sent.sort();
        sent
    }

    async fn later(&self, ms: i64) -> Vec<String> {
        self.clock.set(self.context.ports.clock.now().plus_ms(ms));
        let timers = self.embedded.timers();
        let due = timers.due(self.context.ports.clock.now()).await.unwrap();
        for one in &due {
            wake(&self.context, &one.wake).await.unwrap();
        }
        timers.done(due).await.unwrap();
        self.sent()
    }

    async fn owed(&self) -> usize {
        all_owed(&self.context.ports, &self.tenant).await.unwrap().len()
    }

    async fn pager(&self) -> serde_json::Value {
        pager(&self.context, &self.tenant).await.unwrap()
    }

    fn alert(&self, what: &[(&str, &str)], fires: bool) -> Alert {
        let at = self.context.ports.clock.now();
        let labels: BTreeMap<&str, &str> =
            [("alertname", "Full"), ("instance", "web-1")].into_iter().chain(what.iter().copied()).collect();
        Alert {
            transition_id: hash(&format!("{what:?} {at} {fires}")),
            kind: if fires { TransitionKind::Firing } else { TransitionKind::Resolved },
            labels: Labels::from_pairs(labels).unwrap(),
            annotations: BTreeMap::new(),
            active_at: at,
            starts_at: if fires { at } else { at.plus_ms(-1) },
            ends_at: (!fires).then_some(at),
            value: 1.0,
            bound: "> 0".to_owned(),
            note: String::new(),
            generator_url: String::new(),
        }
    }
}

const PAGE: &[(&str, &str)] = &[("severity", "page")];

#[tokio::test]
async fn each_severity_goes_its_way_once() {
    for (what, routing, expected) in [
        (PAGE, Some(HOOK), &["http://h/ ALARM: Full web-1", "mail ALARM: Full web-1", "pager ALARM: Full web-1"][..]),
        (PAGE, Some(NO_HOOK), &["mail ALARM: Full web-1", "pager ALARM: Full web-1"]),
        (&[("severity", "page"), ("env", "staging")], Some(NO_HOOK), &["mail ALARM: Full web-1"]),
        (&[("severity", "warning")], Some(HOOK), &["http://h/ ALARM: Full web-1", "mail ALARM: Full web-1"]),
    ] {
        let bench = Bench::new(true, routing).await;
        bench.owe(&[bench.alert(what, true)]).await;
        assert_eq!(bench.dispatch().await, expected);
        assert_eq!((bench.dispatch().await, bench.later(600_000).await), (vec![], vec![]), "once");
        bench.owe(&[bench.alert(what, false)]).await;
        let ended: Vec<String> = expected.iter().map(|line| line.replace("ALARM", "OK")).collect();
        assert_eq!(bench.dispatch().await, ended);
    }
}

#[tokio::test]
async fn without_a_routing_file_topics_get_everything_after_a_short_wait() {
    let bench = Bench::new(true, None).await;
    bench.owe(&[bench.alert(PAGE, true), bench.alert(&[("disk", "b")], true)]).await;
    assert_eq!(bench.dispatch().await, [""; 0]);
    assert_eq!(bench.later(GROUP_WAIT_MS_WITHOUT_FILE - 1).await, [""; 0]);
    assert_eq!(bench.later(1).await, ["mail ALARM: Full web-1", "pager ALARM: Full web-1"]);
}

#[tokio::test]
async fn without_any_way_out_what_is_owed_waits_for_one() {
    let bench = Bench::new(false, None).await;
    bench.owe(&[bench.alert(PAGE, true)]).await;
    assert_eq!((bench.dispatch().await, bench.owed().await), (vec![], 1));
    bench.route(HOOK).await;
    assert_eq!((bench.dispatch().await, bench.owed().await), (vec!["http://h/ ALARM: Full web-1".to_owned()], 0));
}

#[tokio::test]
async fn what_a_topic_answers_decides_what_happens_next() {
    let unknown = PortError::transient("topic", "SomeNewError: nobody has seen this before");
    for (error, gives_up) in [
        (PortError::transient("topic", "Throttled"), false),
        (unknown, false),
        (PortError::conflict("topic", "neither"), false),
        (PortError::permanent("topic", "NotFound: the topic is gone"), true),
    ] {
        let bench = Bench::new(true, Some(NO_HOOK)).await;
        bench.topic.answer_with([Err(error.clone())]);
        bench.owe(&[bench.alert(&[], true)]).await;
        assert_eq!(bench.dispatch().await, [""; 0]);
        let status = bench.pager().await;
        let waiting = &status["waiting"][0];
        assert_eq!((&waiting["to"], &waiting["gave_up"]), (&"the mail topic".into(), &gives_up.into()));
        assert_eq!(waiting["attempts"][0]["answer"], error.what);
        assert_eq!(waiting["attempts"][0]["permanent"], error.class == ErrorClass::Permanent);
        let mail = status["receivers"].as_array().unwrap().iter().find(|one| one["name"] == MAIL).unwrap().clone();
        assert_eq!((&mail["delivered"], &mail["answer"]), (&false.into(), &error.what.as_str().into()));
        let again = bench.later(alerts::notify::BACKOFF_MS_MIN).await;
        assert_eq!(again.len(), usize::from(!gives_up), "{error}");
        // After a "never" the next change is told.
        bench.owe(&[bench.alert(&[("disk", "b")], true)]).await;
        assert_eq!(bench.dispatch().await.len(), 1);
        assert_eq!(bench.pager().await["waiting"], serde_json::json!([]));
    }
}

#[tokio::test]
async fn one_way_out_that_fails_is_not_another_ones_fault() {
    let bench = Bench::new(true, Some(HOOK)).await;
    bench.topic.answer_with([Err(PortError::permanent("topic", "no"))]);
    bench.owe(&[bench.alert(PAGE, true)]).await;
    assert_eq!(bench.dispatch().await.len(), 2);
    assert_eq!(bench.pager().await["waiting"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_one_write_cannot_take_is_moved_in_several() {
    // Seven ways and more alerts than an item is made with: as an item of an older version would be.
    let hooks: Vec<String> = (0..alerts::routing::WEBHOOKS_MAX).map(|n| format!("{{url: 'http://h{n}/'}}")).collect();
    let routing = format!(
        "route: {{receiver: a, group_wait: 0s}}\nreceivers: [{{name: a, webhook_configs: [{}]}}]",
        hooks.join(", ")
    );
    let bench = Bench::new(true, Some(&routing)).await;
    let now = bench.context.ports.clock.now();
    let put = |alerts: Vec<Alert>| {
        let key = Key::new(Partition::Outbox(bench.tenant.clone()), alerts[0].transition_id.clone());
        let value = bytes_of(&Owed { at: now, alerts, test: None }).unwrap();
        bench.context.ports.table.write(Write::put(key, value, Condition::Absent))
    };
    let hosts: Vec<String> = (0..3 * OWED_ALERTS_MAX).map(|n| format!("host-{n}")).collect();
    let of_host = |host: &String, text: usize| {
        let mut one = bench.alert(&[("severity", "page"), ("instance", host)], true);
        one.annotations.insert("description".to_owned(), "x".repeat(text));
        one
    };
    put(hosts.iter().map(|host| of_host(host, 0)).collect()).await.unwrap();
    assert_eq!(bench.dispatch().await.len(), hosts.len() * WAYS_MAX);
    assert_eq!(bench.owed().await, 0);

    // Groups that are nearly full: seven of them for each alert are too many bytes for one write.
    let full = |host: &String| -> Vec<Alert> {
        let one = |n: usize| {
            let mut alert = bench.alert(&[("severity", "page"), ("instance", host), ("n", &n.to_string())], true);
            alert.annotations.insert("description".to_owned(), "x".repeat(7_000));
            alert
        };
        (0..26).map(one).collect()
    };
    for host in &hosts[..3] {
        bench.owe(&full(host)).await;
    }
    // So old that each group is told once.
    bench.clock.set(now.plus_ms(FRESH_MS + 1_000));
    assert_eq!(bench.dispatch().await.len(), 3 * WAYS_MAX);
    put(hosts[..3].iter().map(|host| bench.alert(&[("severity", "page"), ("instance", host)], false)).collect())
        .await
        .unwrap();
    assert_eq!(bench.dispatch().await.len(), 3 * WAYS_MAX, "the end of each is told");
    assert_eq!(bench.owed().await, 0);
}

#[tokio::test]
async fn a_table_that_fails_for_one_group_sends_no_other_twice() {
    // One call in five fails, one write in ten is done and seems to fail: groups are moved, claimed,
    // sent and marked again and again until all is told. Only a mark that fails for good would be the
    // named window; with ten attempts each it does not happen here.
    for seed in 0..60 {
        let bench = Bench::new(true, Some(HOOK)).await;
        let hosts: Vec<String> = (0..6).map(|n| format!("host-{n}")).collect();
        let alerts: Vec<Alert> =
            hosts.iter().map(|host| bench.alert(&[("severity", "page"), ("instance", host)], true)).collect();
        bench.owe(&alerts).await;
        let rates =
            FaultRates { transient: 200, ambiguous: 100, refused_record: 0, unprocessed: 0, gone: 0, throttled: 0 };
        let faults = Faults::new(seed, rates);
        let mut ports = bench.context.ports.clone();
        ports.table = Arc::new(Faulty::new(ports.table, faults));
        let flaky = Context::new(ports, bench.context.settings.clone());
        for _ in 0..20 {
            let _ = dispatch(&flaky, &bench.tenant).await;
        }
        dispatch(&bench.context, &bench.tenant).await.unwrap();
        let mut sent = bench.sent();
        // A group that was claimed when its call failed is taken up when the claim has ended.
        bench.clock.set(bench.context.ports.clock.now().plus_ms(CLAIM_MS));
        sent.extend(bench.dispatch().await);
        assert_eq!(sent.len(), 3 * hosts.len(), "seed {seed}");
    }
}

#[tokio::test]
async fn a_test_goes_through_the_outbox_and_ends_by_itself() {
    let bench = Bench::new(true, Some(HOOK)).await;
    let told = send_test(&bench.context, &bench.tenant, None).await.unwrap();
    let id = told["id"].as_str().unwrap().to_owned();
    assert_eq!(told["deliveries"].as_array().unwrap().len(), 3);
    assert!(told["deliveries"].as_array().unwrap().iter().all(|one| one["pending"] == true));
    assert_eq!((bench.owed().await, bench.sent().len()), (2, 0), "owed, with its end; not sent beside the outbox");
    bench.topic.answer_with([Err(PortError::permanent("topic", "AuthorizationError"))]);
    assert_eq!(bench.later(0).await.len(), 2);
    bench.topic.set_subscribers(Ok(vec![Subscriber {
        destination: Destination::Mail,
        protocol: "email".to_owned(),
        endpoint: "o…@example.org".to_owned(),
        confirmed: true,
    }]));
    let told = test_answers(&bench.context, &bench.tenant, &id, None).await.unwrap();
    for one in told["deliveries"].as_array().unwrap() {
        let failed = one["answer"] == "AuthorizationError";
        assert_eq!((&one["pending"], &one["delivered"]), (&false.into(), &(!failed).into()), "{one}");
        assert_eq!(one["reached"] == true, !failed && one["receiver"] != PAGER, "{one}");
    }
    assert_eq!(told["subscribers"][0]["confirmed"], true);
    // Real alerts are not held up, and its end comes to those who know of it.
    assert_eq!(bench.later(TEST_LASTS_MS - 1).await, [""; 0]);
    let ends = bench.later(1).await;
    assert_eq!(ends.len(), 2);
    assert!(ends.iter().all(|line| line.ends_with("OK: DaywatchTest daywatch")), "{ends:?}");
    assert_eq!(bench.owed().await, 0);
}

#[tokio::test]
async fn a_test_is_tried_at_once_also_where_the_last_one_failed() {
    let bench = Bench::new(false, Some(HOOK)).await;
    for attempt in 0..5 {
        bench.topic.answer_with([Err(PortError::transient("topic", format!("refused {attempt}")))]);
        let id = send_test(&bench.context, &bench.tenant, None).await.unwrap()["id"].clone();
        dispatch(&bench.context, &bench.tenant).await.unwrap();
        let told = test_answers(&bench.context, &bench.tenant, id.as_str().unwrap(), None).await.unwrap();
        assert_eq!(told["deliveries"][0]["answer"], format!("refused {attempt}"));
        bench.clock.set(bench.context.ports.clock.now().plus_ms(1));
    }
}

#[tokio::test]
async fn a_test_to_one_receiver_or_to_none() {
    let bench = Bench::new(true, Some(HOOK)).await;
    for (receiver, expected) in [
        ("mail", &["mail ALARM: DaywatchTest daywatch"][..]),
        ("team", &["http://h/ ALARM: DaywatchTest daywatch"]),
        ("nobody", &[]),
    ] {
        let told = send_test(&bench.context, &bench.tenant, Some(receiver)).await.unwrap();
        assert_eq!(told["deliveries"].as_array().unwrap().len(), expected.len());
        assert_eq!(bench.later(1).await, expected, "{receiver}");
    }
    let fault = send_test(&bench.context, &bench.tenant, Some("who")).await.unwrap_err();
    assert_eq!((fault.status(), fault.to_string().contains("\"who\"")), (404, true));
    let nowhere = Bench::new(false, None).await;
    let fault = send_test(&nowhere.context, &nowhere.tenant, None).await.unwrap_err();
    assert_eq!((fault.status(), nowhere.owed().await), (422, 0));
}

#[tokio::test]
async fn a_pager_is_connected_when_somebody_has_confirmed_and_it_takes_what_it_gets() {
    let bench = Bench::new(true, Some(HOOK)).await;
    let subscriber = |destination: Destination, confirmed| Subscriber {
        destination,
        protocol: "https".to_owned(),
        endpoint: "https://events.example/…".to_owned(),
        confirmed,
    };
    let connected = async || bench.pager().await["connected"] == true;
    assert!(!connected().await);
    for (list, expected) in [
        (vec![subscriber(Destination::Mail, true)], false),
        (vec![subscriber(Destination::Pager, false)], false),
        (vec![subscriber(Destination::Pager, false), subscriber(Destination::Pager, true)], true),
    ] {
        bench.topic.set_subscribers(Ok(list.clone()));
        assert_eq!(connected().await, expected, "{list:?}");
        assert_eq!(bench.pager().await["subscribers"].as_array().unwrap().len(), list.len());
    }
    // What the pager's topic does not take wakes nobody; the next that it takes does.
    bench.topic.answer_with([Err(PortError::transient("topic", "down"))]);
    send_test(&bench.context, &bench.tenant, Some(PAGER)).await.unwrap();
    bench.later(0).await;
    assert!(!connected().await);
    bench.later(alerts::notify::BACKOFF_MS_MIN).await;
    assert!(connected().await);
    // Not to know is no answer where it may pass, and is told where it does not.
    bench.topic.set_subscribers(Err(PortError::transient("topic", "Throttled")));
    assert_eq!(pager(&bench.context, &bench.tenant).await.unwrap_err().status(), 503);
    bench.topic.set_subscribers(Err(PortError::permanent("topic", "AccessDenied")));
    let status = bench.pager().await;
    assert_eq!((&status["connected"], &status["subscribers_error"]), (&false.into(), &"AccessDenied".into()));
}

#[tokio::test]
async fn on_one_machine_a_pager_is_connected_once_a_webhook_has_answered() {
    let bench = Bench::new(false, Some(HOOK)).await;
    assert_eq!(bench.pager().await["connected"], false);
    bench.owe(&[bench.alert(PAGE, true)]).await;
    assert_eq!(bench.dispatch().await, ["http://h/ ALARM: Full web-1"]);
    let status = bench.pager().await;
    assert_eq!((&status["connected"], &status["topics"]), (&true.into(), &false.into()));
    assert_eq!(status["receivers"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_group_beyond_its_limit_is_counted_in_what_is_told() {
    let bench = Bench::new(true, Some(NO_HOOK)).await;
    let numbers: Vec<String> = (0..=ALERTS_PER_GROUP_MAX).map(|n| n.to_string()).collect();
    let alerts: Vec<Alert> = numbers.iter().map(|n| bench.alert(&[("n", n)], true)).collect();
    // So old that it is told together.
    for part in alerts.chunks(500) {
        bench.owe(part).await;
    }
    bench.clock.set(bench.context.ports.clock.now().plus_ms(FRESH_MS + 10_000));
    dispatch(&bench.context, &bench.tenant).await.unwrap();
    let published = bench.topic.take_published();
    let json: serde_json::Value = serde_json::from_str(&published[0].default).unwrap();
    let shown = json["alerts"].as_array().unwrap().len() as u64;
    assert_eq!((published.len(), shown + json["truncatedAlerts"].as_u64().unwrap()), (1, numbers.len() as u64));
}
