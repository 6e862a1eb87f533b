//! `daywatch trip`: raises the demo alert and clears it again, and prints each step from the value
//! to the delivery with its time. Where no receiver is configured it receives by itself, and puts
//! the configuration back as it was.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::routing::post;
use clap::Args;
use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Where;
use crate::door::{Door, request};

const ALERT: &str = "DaywatchTrip";
const METRIC: &str = "daywatch_trip";
const ROUTING: &str = "/api/v1/config/alertmanager/default";
const POLL: Duration = Duration::from_millis(20);

#[derive(Args)]
pub(crate) struct TripArgs {
    /// How long one step may take.
    #[arg(long, default_value_t = 60)]
    timeout_seconds: u64,
    #[command(flatten)]
    place: Where,
}

pub(crate) async fn run(args: TripArgs) -> anyhow::Result<ExitCode> {
    let door = Door::open(&args.place).await?;
    if door.base().is_none() {
        bail!("no server is running for this data folder: start one with `make up` or `daywatch serve`");
    }
    let rules = door.data(request("GET", "/api/v1/rules", &[], "")).await?;
    let known = rules["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array());
    if !known.flatten().any(|rule| rule["name"] == ALERT) {
        bail!("the rule {ALERT} is not there: `daywatch apply` the starter rules, or start `serve` on a new folder");
    }
    let status = door.data(request("GET", "/api/v1/status/pager", &[], "")).await?;
    let own =
        if status["receivers"].as_array().is_none_or(Vec::is_empty) { Some(Own::start(&door).await?) } else { None };
    let trip = Trip { door: &door, started: Instant::now(), limit: Duration::from_secs(args.timeout_seconds) };
    let result = trip.whole_way(own).await;
    // Whatever happened, the demo alert does not stay.
    if let Err(error) = result {
        return match trip.push(0).await {
            Ok(()) => Err(error),
            Err(again) => Err(error.context(format!("the demo alert may still be there: {again:#}"))),
        };
    }
    result
}

struct Trip<'a> {
    door: &'a Door,
    started: Instant,
    limit: Duration,
}

impl Trip<'_> {
    async fn whole_way(&self, mut own: Option<Own>) -> anyhow::Result<ExitCode> {
        match &own {
            Some(own) => println!("no receiver is configured: for this trip, {} receives", own.url),
            None => println!("the configured receiver gets what follows"),
        }
        let outcome = self.both_ways(&mut own).await;
        if let Some(own) = own {
            own.stop(self.door).await?;
        }
        outcome?;
        Ok(ExitCode::SUCCESS)
    }

    async fn both_ways(&self, own: &mut Option<Own>) -> anyhow::Result<()> {
        let mut took = Vec::new();
        for (value, status) in [(1, "firing"), (0, "resolved")] {
            let before = self.delivered_at().await?;
            let pushed = Instant::now();
            self.push(value).await?;
            self.say(&format!("{METRIC} {value} is accepted by the stream"));
            let firing = value == 1;
            let state = if firing { "the alert fires" } else { "the alert is resolved" };
            let delivered = async {
                match own.as_mut() {
                    Some(own) => self.received(own, status).await?,
                    None => {
                        let delivered = || async move { Ok(self.delivered_at().await? > before) };
                        self.until("the receiver has answered", delivered).await?;
                    }
                }
                Ok(pushed.elapsed())
            };
            // Alerts do not wait for storage, so the order of these is not given.
            let ((), (), delivery) = tokio::try_join!(
                self.until("the value is stored: a query finds it", || self.stored(value)),
                self.until(state, || async move { Ok(self.firing().await? == firing) }),
                delivered,
            )?;
            took.push(delivery);
        }
        println!(
            "from value to delivery: {:.3} s firing, {:.3} s resolved",
            took[0].as_secs_f64(),
            took[1].as_secs_f64()
        );
        Ok(())
    }

    async fn push(&self, value: u8) -> anyhow::Result<()> {
        let line = format!("{METRIC};source=trip;instance=trip {value}\n");
        self.door.data(request("POST", "/graphite", &[], line)).await.map(drop)
    }

    async fn stored(&self, value: u8) -> anyhow::Result<bool> {
        let data = self.door.data(request("GET", "/api/v1/query", &[("query", METRIC)], "")).await?;
        Ok(data["result"][0]["value"][1].as_str() == Some(value.to_string().as_str()))
    }

    async fn firing(&self) -> anyhow::Result<bool> {
        let data = self.door.data(request("GET", "/api/v1/alerts", &[], "")).await?;
        let alerts = data["alerts"].as_array().cloned().unwrap_or_default();
        Ok(alerts.iter().any(|alert| alert["labels"]["alertname"] == ALERT && alert["state"] == "firing"))
    }

    /// When the newest delivery was answered.
    async fn delivered_at(&self) -> anyhow::Result<i64> {
        let data = self.door.data(request("GET", "/api/v1/status/pager", &[], "")).await?;
        let receivers = data["receivers"].as_array().cloned().unwrap_or_default();
        Ok(receivers.iter().filter_map(|receiver| receiver["at_ms"].as_i64()).max().unwrap_or(0))
    }

    async fn received(&self, own: &mut Own, status: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.limit;
        loop {
            let body = tokio::time::timeout_at(deadline, own.bodies.recv()).await;
            let body = body.ok().flatten().with_context(|| format!("no {status} webhook within {:?}", self.limit))?;
            let about = &body["alerts"][0]["labels"]["alertname"];
            if body["status"] == status && about == ALERT {
                self.say(&format!("the webhook is received: {}", body["AlarmName"].as_str().unwrap_or(ALERT)));
                return Ok(());
            }
        }
    }

    async fn until<F>(&self, what: &str, holds: impl Fn() -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<bool>>,
    {
        let deadline = Instant::now() + self.limit;
        while !holds().await? {
            if Instant::now() > deadline {
                bail!("not within {:?}: {what}", self.limit);
            }
            tokio::time::sleep(POLL).await;
        }
        self.say(what);
        Ok(())
    }

    fn say(&self, what: &str) {
        println!("+{:7.3} s  {what}", self.started.elapsed().as_secs_f64());
    }
}

/// A receiver of our own, for a Daywatch that has none.
struct Own {
    url: String,
    /// The routing as it was: one without webhooks has no receiver here, and is somebody's all the same.
    before: Option<bytes::Bytes>,
    bodies: mpsc::Receiver<Json>,
}

impl Own {
    async fn start(door: &Door) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/trip", listener.local_addr()?);
        let (sender, bodies) = mpsc::channel(16);
        let receive = move |body: axum::body::Bytes| async move {
            // The command has ended where nobody listens any more.
            if let Ok(body) = serde_json::from_slice(&body) {
                let _ = sender.send(body).await;
            }
        };
        let app = Router::new().route("/trip", post(receive));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let routing = format!(
            "route:\n  receiver: trip\n  group_wait: 0s\nreceivers:\n- name: trip\n  webhook_configs:\n  - url: {url}\n"
        );
        let known = door.send(request("GET", ROUTING, &[], "")).await?;
        let before = match known.status {
            200 => Some(known.body),
            404 => None,
            status => bail!("the routing cannot be read: status {status}"),
        };
        door.data(request("PUT", ROUTING, &[], routing)).await?;
        Ok(Self { url, before, bodies })
    }

    async fn stop(self, door: &Door) -> anyhow::Result<()> {
        let restored = match self.before {
            Some(before) => request("PUT", ROUTING, &[], before),
            None => request("DELETE", ROUTING, &[], ""),
        };
        door.data(restored).await.map(drop)
    }
}
