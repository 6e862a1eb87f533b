//! Alerts of the whole pipeline, on a clock that stands, through an SNS to PagerDuty's rules.

use std::sync::Arc;

use ports::Destination;
use serde_json::json;
use tests::until;

use super::{Incident, PagerDuty, Sns};
use crate::scenarios::{Scenario, World};

const RULES: &str = "rules:
  groups:
  - name: g
    interval: 10s
    rules:
    - alert: Trip
      expr: trip > 0
      labels: {severity: page}
routing:
  route: {receiver: nobody, group_wait: 0s}
  receivers: [{name: nobody}]
";

/// PagerDuty, confirmed by the pager's topic.
async fn on_duty() -> (Sns, PagerDuty) {
    let (sns, duty) = (Sns::start().await, PagerDuty::start().await);
    sns.subscribe(Destination::Pager, &duty.url).await;
    until("the subscription is confirmed", async || (!duty.confirmed().is_empty()).then_some(())).await;
    (sns, duty)
}

/// A pipeline that publishes to PagerDuty, and what it is told.
struct Night {
    world: World,
    scenario: Scenario,
    duty: PagerDuty,
    reached: i64,
}

impl Night {
    async fn new(text: &str) -> Self {
        Self::of(&format!("{RULES}{text}")).await
    }

    async fn of(text: &str) -> Self {
        let (sns, duty) = on_duty().await;
        let scenario = Scenario::parse(text).unwrap();
        let world = World::with_topic(&scenario, Arc::new(sns)).await;
        Self { world, scenario, duty, reached: 0 }
    }

    async fn until(&mut self, second: i64) -> Vec<Incident> {
        for second in self.reached + 1..=second {
            self.world.second(&self.scenario, second).await;
        }
        self.reached = second;
        self.duty.incidents()
    }
}

fn incident(name: &str, triggers: usize, open: bool) -> Incident {
    Incident { name: name.to_owned(), triggers, open }
}

#[tokio::test]
async fn a_firing_alert_opens_one_incident_and_its_end_closes_it() {
    let mut night = Night::new("series trip{instance=\"a\"} every 10s: 1x6 0x6 1x2 0x6\nredeliver at 45s\n").await;
    assert_eq!(night.until(55).await, [incident("Trip a", 1, true)]);
    assert_eq!(night.until(115).await, [incident("Trip a", 1, false)]);
    // The next time is an incident of its own.
    assert_eq!(night.until(195).await, [incident("Trip a", 1, false), incident("Trip a", 1, false)]);
    assert_eq!(night.duty.dropped(), [""; 0]);
}

#[tokio::test]
async fn two_alerts_of_one_group_are_one_incident_until_both_have_ended() {
    let series = "series trip{instance=\"a\",disk=\"1\"} every 10s: 1x6 0x12\n\
                  series trip{instance=\"a\",disk=\"2\"} every 10s: 0x3 1x8 0x6\n\
                  series trip{instance=\"b\"} every 10s: 0x3 1 0x12\n";
    let mut night = Night::new(series).await;
    assert_eq!(night.until(25).await, [incident("Trip a", 1, true)]);
    assert_eq!(night.until(75).await, [incident("Trip a", 3, true), incident("Trip b", 1, false)]);
    assert_eq!(night.until(150).await, [incident("Trip a", 3, false), incident("Trip b", 1, false)]);
    assert_eq!(night.duty.dropped(), [""; 0]);
}

#[tokio::test]
async fn staging_wakes_nobody() {
    let series = "series trip{instance=\"a\",env=\"staging\"} every 10s: 1x6 0x6\n\
                  series trip{instance=\"b\",env=\"prod\"} every 10s: 1x6 0x6\n";
    let mut night = Night::new(series).await;
    assert_eq!(night.until(55).await, [incident("Trip b", 1, true)]);
    assert_eq!(night.until(115).await, [incident("Trip b", 1, false)]);
}

#[tokio::test]
async fn strange_and_endless_names_arrive_and_are_closed() {
    for name in [r"wéb\t1 \n日本 \x01", &"x".repeat(300)] {
        let rules = RULES.replace("severity: page", &format!("severity: page, instance: \"{name}\""));
        let mut night = Night::of(&format!("{rules}series trip{{instance=\"a\"}} every 10s: 1x6 0x6\n")).await;
        let opened = night.until(55).await;
        assert_eq!((opened.len(), opened[0].open), (1, true), "{:?}", night.duty.dropped());
        assert!(!night.until(115).await[0].open, "{:?}", night.duty.dropped());
    }
}

#[tokio::test]
async fn what_breaks_the_rule_is_dropped_without_a_word() {
    let (sns, duty) = on_duty().await;
    let message = |state: &str| json!({ "AlarmName": "Trip a", "NewStateValue": state }).to_string();
    for (subject, message) in [
        (None, message("ALARM")),
        (Some("Trip a fires"), message("ALARM")),
        (Some("alarm: Trip a"), message("ALARM")),
        (Some("ALARM:Trip a"), message("ALARM")),
        (Some("ALARM: Trip a"), message("OK")),
        (Some("OK: Trip a"), message("ALARM")),
        (Some("ALARM: Trip a"), json!({ "AlarmName": "Trip a", "status": "firing" }).to_string()),
        (Some("ALARM: Trip a"), json!({ "NewStateValue": "ALARM" }).to_string()),
        (Some("ALARM: Trip a"), "Trip a fires".to_owned()),
        (Some("OK: Trip a"), message("OK")),
    ] {
        let before = duty.dropped().len();
        sns.post_all(&Destination::Pager, subject, &message).await;
        assert_eq!((duty.incidents(), duty.dropped().len()), (vec![], before + 1), "{subject:?} {message}");
    }
    sns.post_all(&Destination::Pager, Some("ALARM: Trip a"), &message("ALARM")).await;
    assert_eq!(duty.incidents(), [incident("Trip a", 1, true)]);
}

#[tokio::test]
async fn who_has_not_confirmed_and_who_hears_mail_only_gets_no_page() {
    let (sns, mail) = (Sns::start().await, PagerDuty::start().await);
    sns.subscribe(Destination::Mail, &mail.url).await;
    until("the subscription is confirmed", async || (!mail.confirmed().is_empty()).then_some(())).await;
    // Somebody who answers, and never asks the SubscribeURL.
    let deaf = tests::Receiver::start().await;
    sns.subscribe(Destination::Pager, &deaf.url).await;
    let subscribers = ports::Topic::subscribers(&sns).await.unwrap();
    assert_eq!(subscribers.iter().map(|one| one.confirmed).collect::<Vec<_>>(), [true, false]);
    let scenario = Scenario::parse(&format!("{RULES}series trip{{instance=\"a\"}} every 10s: 1x6\n")).unwrap();
    let world = World::with_topic(&scenario, Arc::new(sns)).await;
    for second in 1..=55 {
        world.second(&scenario, second).await;
    }
    assert_eq!(mail.incidents(), [incident("Trip a", 1, true)], "the mail's topic gets pages too");
    assert_eq!(deaf.seen().len(), 1, "the question alone");
}
