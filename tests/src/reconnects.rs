//! A storm of reconnects: `daywatch load` stands in for many agents, all of their connections are
//! cut at once, then the server is killed and started again. Nobody may seem to be down meanwhile,
//! and everything acknowledged must be stored.
//!
//! Small in the tests, large as `cargo run --release -p tests --example storm`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::place::Place;
use crate::wait::until_in;
use crate::{Server, programs};

/// How often alerts and presence are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest that everything may take to come back before the storm counts as failed.
const BACK_MAX: Duration = Duration::from_secs(180);
/// Longer than `serve` takes from one note of `up` to the next.
const NOTED: Duration = Duration::from_secs(12);
/// Ticks of `/proc`'s CPU times in a second: Linux tells programs 100 on every machine.
const TICKS: f64 = 100.0;

/// How large.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Agents that only send heartbeats.
    pub idle: usize,
    /// Agents that send.
    pub sending: usize,
    /// Series of each of them.
    pub series: usize,
    /// How often they send.
    pub step: Duration,
    /// The calm before each of the two storms.
    pub calm: Duration,
}

/// What was seen. Anything that may not be was already a panic.
#[derive(Debug)]
pub struct Outcome {
    /// From the start of the load until all were connected.
    pub ramp: Duration,
    /// Kill to the first healthy answer.
    pub server_away: Duration,
    /// From that answer until `/api/v1/sources` showed all of them.
    pub shown: Duration,
    /// CPU seconds a second of `serve` in the calm.
    pub calm_cpu: f64,
    /// Its memory in the calm, MiB.
    pub calm_rss_mib: f64,
    /// CPU seconds of the second process from its start until all were back.
    pub storm_cpu: f64,
    /// The greatest memory of that process until then, MiB.
    pub storm_rss_mib: f64,
    /// How long `/api/v1/sources` took in the calm.
    pub sources_took: Duration,
    /// Samples that were acknowledged, and that a query finds.
    pub samples: u64,
    /// The load's own result: two outages, the cut and the kill.
    pub load: Value,
}

/// Runs a storm.
pub async fn storm(plan: Plan) -> Outcome {
    let agents = plan.idle + plan.sending;
    let (mut server, place) = Server::started("storm").await;
    let length = plan.calm * 2 + NOTED * 3 + Duration::from_secs(agents as u64 / 50);
    let mut load = Load::start(&server, plan, length);

    let began = Instant::now();
    until_in(BACK_MAX, "all agents are there", async || {
        load.assert_runs();
        (present(&place).await? == agents).then_some(())
    })
    .await;
    let ramp = began.elapsed();
    let watch = tokio::spawn(watch_alerts(place.clone()));
    let (cpu, calm_began) = (used(&server).0, Instant::now());
    sleep(plan.calm / 2).await;
    let calm_cpu = (used(&server).0 - cpu) / calm_began.elapsed().as_secs_f64();
    let calm_rss_mib = used(&server).1;
    let asked = Instant::now();
    assert_eq!(present(&place).await, Some(agents));
    let sources_took = asked.elapsed();

    // The load cuts its connections by itself; it says so in its result.
    sleep(plan.calm).await;
    until_in(BACK_MAX, "all agents are back after the cut", async || (present(&place).await? == agents).then_some(()))
        .await;

    let killed = Instant::now();
    server.kill();
    server.start().await;
    let (server_away, healthy) = (killed.elapsed(), Instant::now());
    until_in(BACK_MAX, "all agents are back after the kill", async || {
        load.assert_runs();
        (present(&place).await? == agents).then_some(())
    })
    .await;
    let shown = healthy.elapsed();
    let (storm_cpu, _, storm_rss_mib) = used(&server);

    // `up` of each was noted after all of this, and it was never 0.
    sleep(NOTED).await;
    let up = place.query("min_over_time(up{instance=~\"load-.*\",job=\"node\"}[1h])").await.expect("an answer");
    assert_eq!(up.len(), agents, "each agent has `up`");
    let down: Vec<_> = up.iter().filter(|one| one.points[0].1 < 1.0).map(|one| &one.labels["instance"]).collect();
    assert!(down.is_empty(), "{} agents seemed to be down: {:?} …", down.len(), &down[..down.len().min(5)]);
    watch.abort();
    assert!(watch.await.is_err_and(|ended| ended.is_cancelled()), "an absence alert was raised: see above");

    let load = load.result().await;
    let samples = everything_is_stored(&place, plan, &load).await;
    server.stop().await;
    Outcome { ramp, server_away, shown, calm_cpu, calm_rss_mib, storm_cpu, storm_rss_mib, sources_took, samples, load }
}

/// How many of the load's agents are present.
async fn present(place: &Place) -> Option<usize> {
    let sources = place.data("/api/v1/sources", &[]).await?;
    let all = sources.as_array()?.iter();
    Some(all.filter(|one| one["present"] == true && one["kind"] == "agent").count())
}

/// Panics where a host is said to be down, be it only as pending.
async fn watch_alerts(place: Place) {
    loop {
        if let Some(alerts) = place.data("/api/v1/alerts", &[]).await {
            let of_absence = |alert: &&Value| alert["labels"]["alertname"] == "HostDown";
            let first = alerts["alerts"].as_array().into_iter().flatten().find(of_absence);
            assert!(first.is_none(), "nobody is down: {first:?}");
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What the agents were told is stored can be read, once.
async fn everything_is_stored(place: &Place, plan: Plan, load: &Value) -> u64 {
    let ledger = &load["ledger"];
    let number = |name: &str| ledger[name].as_u64().unwrap_or_else(|| panic!("{name}: {load}"));
    let (generated, acknowledged) = (number("generated"), number("acknowledged"));
    assert_eq!((number("unacknowledged"), number("evicted")), (0, 0), "{ledger}");
    assert_eq!(generated, acknowledged, "{ledger}");
    // One source at a time: a query has a limit of samples.
    until_in(BACK_MAX, &format!("{acknowledged} samples can be read"), async || {
        let mut found = 0;
        for number in plan.idle + 1..=plan.idle + plan.sending {
            found += place.readable(&format!("load-{number:05}")).await?;
        }
        assert!(found <= acknowledged, "{found} of {acknowledged}");
        (found == acknowledged).then_some(())
    })
    .await;
    let all = place.data("/api/v1/sources", &[]).await.expect("the sources");
    let counters: Vec<&Value> = all.as_array().into_iter().flatten().map(|one| &one["counters"]).collect();
    let sum = |name: &str| counters.iter().map(|one| one[name].as_u64().unwrap_or(0)).sum::<u64>();
    let (stored, twice) = (sum("stored"), sum("superseded"));
    assert_eq!((stored, sum("missing"), sum("buffered")), (acknowledged, 0, 0), "superseded: {twice}");
    acknowledged
}

/// CPU seconds, memory and its greatest size in MiB.
fn used(server: &Server) -> (f64, f64, f64) {
    let pid = server.pid().expect("the server runs");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its process");
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("ticks")).sum();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its process");
    let mib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {status}"));
        let kib: f64 = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a size");
        kib / 1024.0
    };
    (ticks / TICKS, mib("VmRSS:"), mib("VmHWM:"))
}

/// `daywatch load` as a process.
struct Load {
    child: Child,
    folder: std::path::PathBuf,
}

impl Load {
    fn start(server: &Server, plan: Plan, length: Duration) -> Self {
        let ms = |time: Duration| format!("{}ms", time.as_millis());
        let arguments = [
            ("--idle", plan.idle.to_string()),
            ("--sending", plan.sending.to_string()),
            ("--series", plan.series.to_string()),
            ("--step", ms(plan.step)),
            ("--for", ms(length)),
            ("--ramp", ms(Duration::from_secs(1) + Duration::from_millis(4 * (plan.idle + plan.sending) as u64))),
            ("--cut-after", ms(plan.calm)),
        ];
        let folder = server.data().parent().expect("the server's folder").to_owned();
        let file = |name: &str| File::create(folder.join(name)).expect("a file");
        let mut command = Command::new(programs::daywatch());
        command.arg("load").arg("--data").arg(server.data());
        command.args(arguments.iter().flat_map(|(name, value)| [*name, value.as_str()]));
        let child = command.stdin(Stdio::null()).stdout(file("load.json")).stderr(file("load.log")).spawn();
        Self { child: child.expect("daywatch load"), folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("load.log")).unwrap_or_default()
    }

    fn assert_runs(&mut self) {
        let ended = self.child.try_wait().expect("a child can be asked for");
        assert!(ended.is_none(), "the load has ended with {ended:?}:\n{}", self.log());
    }

    async fn result(mut self) -> Value {
        let child = &mut self.child;
        let status = until_in(BACK_MAX, "the load has ended", async || child.try_wait().expect("a child")).await;
        assert!(status.success(), "the load ended with {status}:\n{}", self.log());
        let text = fs::read_to_string(self.folder.join("load.json")).expect("its result");
        let result: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(result["outages"].as_array().map(Vec::len), Some(2), "the cut and the kill:\n{result:#}");
        let reasons: BTreeSet<&String> = result["errors"].as_object().into_iter().flat_map(|all| all.keys()).collect();
        assert!(reasons.iter().all(|reason| !reason.starts_with("bye")), "{reasons:?}");
        result
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
