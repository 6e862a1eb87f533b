//! What is counted, by a recorder that only adds up.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use embedded::Embedded;
use metrics::{Counter, Gauge, Histogram, KeyName, Metadata, Recorder, SharedString, Unit};
use pipeline::keys::{self, KeyKind};
use pipeline::{Context, DAY_MS, Request, Settings, TenantId, aggregate, ingest};
use ports::Destination;

use super::*;

#[derive(Default)]
struct Sums(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Sums {
    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |sum| sum.load(Ordering::SeqCst))
    }
}

impl Recorder for Sums {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &metrics::Key, _: &Metadata<'_>) -> Counter {
        let labels: String = key.labels().map(|label| format!(" {}", label.value())).collect();
        Counter::from_arc(Arc::clone(self.0.lock().unwrap().entry(format!("{}{labels}", key.name())).or_default()))
    }
    fn register_gauge(&self, _: &metrics::Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &metrics::Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn message(destination: Destination) -> Message {
    Message {
        destination,
        subject: "ALARM: x".to_owned(),
        attributes: Vec::new(),
        default: "{}".to_owned(),
        email: String::new(),
        sms: String::new(),
    }
}

#[test]
fn what_passes_the_ports_is_counted() {
    let sums = Sums::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&sums, || {
        runtime.block_on(async {
            let memory = Embedded::memory(1).unwrap();
            let settings =
                Settings { raw_retention_ms: DAY_MS, external_url: String::new(), websocket_url: String::new() };
            let context = Context::new(metered(memory.embedded.ports()), settings);
            let ports = &context.ports;
            let key = keys::create(ports, TenantId::default(), KeyKind::Agent, "").await.unwrap();
            let caller = keys::authenticate_text(ports, &key).await.unwrap();
            let request = Request { body: "a 1\nno line\nb 2\n".into(), ..Request::default() };
            ingest::graphite(&context, &caller, &request).await.unwrap();
            aggregate::quarantine(ports, &TenantId::default(), b"bytes", "test").await.unwrap();
            ports.push.post(&ConnectionId("gone".to_owned()), String::new()).await.unwrap();
            let webhook = Destination::Webhook { url: "http://daywatch.invalid/".to_owned() };
            ports.topic.publish(&message(webhook)).await.unwrap();
            ports.topic.publish(&message(Destination::Pager)).await.unwrap_err();
        });
    });
    let expected = [("Quarantined", 1), ("PushesGone", 1), ("NotificationsSent", 1), ("NotificationsFailed", 1)];
    for (name, count) in expected {
        assert_eq!(sums.of(name), count, "{name}");
    }
    let rejected: Vec<String> =
        sums.0.lock().unwrap().keys().filter(|k| k.starts_with("SamplesRejected ")).cloned().collect();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!(sums.of(&rejected[0]), 1);
}
