//! The steps of the main job, each one a condition with a deadline. Knows only a [`Place`].

use std::time::Duration;

use tests::wait::now_ms;
use tests::{PATIENCE, Page, Place, Receiver, disk, until, until_in};

use super::host::Host;
use super::senders::Senders;
use super::{collectors, logs};

/// How soon a sample is on the page that watches it, on a busy machine.
const LIVE_MAX: Duration = Duration::from_secs(20);
/// Runs of the toggled check that follow the resolve, in which nothing may be sent.
const QUIET_RUNS: i64 = 4;

/// Everything, in an order in which it happens on a real host.
pub(super) async fn body(place: &Place) {
    let name = format!("e2e-{}-{}", std::process::id(), now_ms());
    let alertname = format!("Toggled-{name}");
    let receiver = Receiver::start().await;
    let routing = place.document("alertmanager", "default").await;
    configure(place, &name, &alertname, &receiver).await;
    let senders = Senders::start().await;
    let mut host = Host::new(place, &name, &senders.config());
    host.agent.start();

    a_sample_is_found_and_stands_in_a_block(place, &name).await;
    every_check_is_shown_with_its_text(place, &host).await;
    a_page_that_watches_sees_the_sample(place, &host).await;
    collectors::collectd_reaches_the_agent(place, &host).await;
    senders.reach_the_agent(place, &host).await;
    logs::a_log_is_followed_through_rotation(place, &host).await;
    one_page_and_one_resolve(place, &host, &alertname, &receiver).await;
    the_ledger_balances(place, &mut host).await;

    place.remove("rules", &name).await;
    match routing {
        Some(text) => drop(place.put("alertmanager", "default", &text).await),
        None => place.remove("alertmanager", "default").await,
    }
}

async fn configure(place: &Place, name: &str, alertname: &str, receiver: &Receiver) {
    let rules = format!(
        r#"groups:
- name: {name}
  interval: 1s
  rules:
  - alert: {alertname}
    expr: check_status{{check="toggled",source="{name}"}} == 2
    labels: {{severity: page}}
    annotations: {{summary: "{{{{ $labels.check }}}} of {{{{ $labels.source }}}} is critical"}}
"#
    );
    let (status, answer) = place.put("rules", name, &rules).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = place.put("alertmanager", "default", &receiver.routing()).await;
    assert_eq!(status, 200, "{answer}");
}

async fn a_sample_is_found_and_stands_in_a_block(place: &Place, name: &str) {
    let expr = format!("node_load1{{source=\"{name}\"}}");
    let load = until("a query finds the load", async || place.number(&expr).await).await;
    assert!((0.0..10_000.0).contains(&load), "{load}");
    let source = place.source(name).await.expect("the source is shown");
    assert_eq!((&source["kind"], &source["present"]), (&"agent".into(), &true.into()), "{source}");

    let Some(data) = &place.data else {
        eprintln!("skipped: the blocks of a Daywatch elsewhere cannot be looked at");
        return;
    };
    let samples = until("the load stands in a block", async || {
        let found = disk::look(data, name).of("node_load1");
        (found > 0).then_some(found)
    })
    .await;
    println!("{samples} samples of node_load1 stand in blocks");
}

async fn every_check_is_shown_with_its_text(place: &Place, host: &Host) {
    for check in &host.checks {
        let what = format!("the check {check} is shown");
        let shown = until(&what, async || place.check(&host.agent.name, check).await).await;
        let text = shown["text"].as_str().unwrap_or_default();
        assert!(!text.is_empty() && shown["hard"] == true, "{shown}");
        assert!(shown["status"].as_u64().is_some_and(|status| status <= 2), "{shown}");
        let expr = format!("check_status{{check=\"{check}\",source=\"{}\",job=\"check\"}}", host.agent.name);
        until(&format!("the state of {check} is a sample"), async || place.number(&expr).await).await;
    }
    let toggled = place.check(&host.agent.name, "toggled").await.expect("the toggled check");
    assert_eq!(toggled["status"], 0, "{toggled}");
}

async fn a_page_that_watches_sees_the_sample(place: &Place, host: &Host) {
    let selector = format!("{{__name__=\"e2e.probe\",source=\"{}\"}}", host.agent.name);
    let mut page = Page::open(place).await;
    let load = format!("node_load1{{source=\"{}\"}}", host.agent.name);
    page.subscribe("probe", &[&selector, &load]).await;
    page.until_watching(LIVE_MAX, "probe").await;
    host.agent.send_lines("e2e.probe;kind=live 42.5\n").await;
    page.until_value(LIVE_MAX, "probe", "42.5").await;
    let labelled =
        format!("{{__name__=\"e2e.probe\",kind=\"live\",job=\"graphite\",instance=\"{}\"}}", host.agent.name);
    let value = until("a query finds it too", async || place.number(&labelled).await).await;
    assert!((value - 42.5).abs() < f64::EPSILON, "{value}");
}

async fn one_page_and_one_resolve(place: &Place, host: &Host, alertname: &str, receiver: &Receiver) {
    assert_eq!(receiver.telling(alertname, "firing").len(), 0);
    host.toggle(2);
    let told = until("the webhook tells of the alert", async || receiver.telling(alertname, "firing").pop()).await;
    let alert = told.alerts(alertname).next().expect("it is in there").clone();
    let labels = &alert["labels"];
    let wanted = [("alertname", alertname), ("check", "toggled"), ("source", &host.agent.name), ("severity", "page")];
    for (label, value) in wanted {
        assert_eq!(labels[label], value, "{label} of {}", told.body);
    }
    assert_eq!(told.body["version"], "4");
    assert_eq!(told.body["status"], "firing");
    let summary = format!("toggled of {} is critical", host.agent.name);
    assert_eq!(alert["annotations"]["summary"], summary.as_str(), "{}", told.body);

    let shown = until("the check is shown as critical", async || {
        place.check(&host.agent.name, "toggled").await.filter(|check| check["status"] == 2)
    })
    .await;
    assert!(shown["text"].as_str().is_some_and(|text| text.contains("toggled")), "{shown}");
    until("the alert is shown as firing", async || {
        let alerts = place.data("/api/v1/alerts", &[]).await?;
        let ours = alerts["alerts"].as_array()?.iter().find(|alert| alert["labels"]["alertname"] == alertname)?;
        (ours["state"] == "firing").then_some(())
    })
    .await;
    // It goes on being critical, and nobody is told again.
    runs_pass(place, host).await;
    host.toggle(0);
    until("the webhook tells that it is over", async || receiver.telling(alertname, "resolved").pop()).await;
    runs_pass(place, host).await;
    let told = |status: &str| receiver.telling(alertname, status).len();
    assert_eq!((told("firing"), told("resolved")), (1, 1), "{:#?}", receiver.seen());
}

/// Waits until the toggled check has run a few times more.
async fn runs_pass(place: &Place, host: &Host) {
    let at_ms = async || place.check(&host.agent.name, "toggled").await?["at_ms"].as_i64();
    let before = until("the check has run", at_ms).await;
    until("the check runs on", async || at_ms().await.filter(|now| *now >= before + QUIET_RUNS * 1_000)).await;
}

async fn the_ledger_balances(place: &Place, host: &mut Host) {
    host.agent.send_lines("this is no line\n").await;
    let rejected = async || {
        let ledger = place.ledger(&host.agent.name).await?;
        (!ledger.rejected.is_empty()).then_some(ledger)
    };
    until("the bad line is counted under its reason", rejected).await;

    let ended = host.agent.terminate().await;
    assert!(ended.success(), "{ended}: {}", host.agent.log());
    let status = host.agent.status();
    let generated = status["counters"]["generated"].as_u64().expect("the agent's ledger");
    let name = &host.agent.name;
    let ledger = until_in(PATIENCE, "the ledger has the agent's numbers and balances", async || {
        place.ledger(name).await.filter(|ledger| ledger.generated == generated && ledger.balances())
    })
    .await;
    println!("the ledger: {ledger:?}");
    assert_eq!((ledger.buffered, ledger.evicted), (0, 0), "{ledger:?}");
    until("the source is shown as gone", async || (place.source(name).await?["present"] == false).then_some(())).await;
    // Counted by a query: what the ledger calls stored is what can be read.
    let readable = until("the samples are counted", async || place.readable(name).await).await;
    assert!(readable > 0 && readable <= ledger.stored, "{readable} can be read: {ledger:?}");
    if let Some(data) = &place.data {
        let disk = disk::look(data, name);
        assert_eq!(readable, disk.identities.len() as u64, "each identity is read once");
        assert!(disk.stored().contains(&ledger.stored), "{:?}: {ledger:?}", disk.stored());
    }
}
