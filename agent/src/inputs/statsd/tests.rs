//! Values over the network, and PyPI's clients where they are installed.

use std::collections::BTreeMap;
use std::process::Command;

use series::SourceName;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use wire::CheckState;

use super::*;
use crate::config::{Networks, Period};

fn intake() -> Intake {
    Intake::new(SourceName::new("web-1").expect("valid"), &BTreeMap::new(), Arc::default())
}

fn gathered(intake: &Intake) -> Gathered {
    Gathered::new(&Statsd::default(), intake).expect("labels")
}

fn door(intake: &Intake) -> Door {
    Door::new(WHAT, "", Networks::default(), Limits::of(false), intake)
}

/// A listener on a free port of both transports.
async fn served(gathered: &Gathered) -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = tcp.local_addr().expect("address");
    let udp = UdpSocket::bind(address).await.expect("bound");
    let (door, gathered) = (door(&gathered.intake), gathered.clone());
    tokio::spawn(async move {
        tokio::join!(
            door.serve_tcp(&tcp, |peer| Lines { lines: LineSplitter::new(), peer, gathered: gathered.clone() }),
            door.serve_udp(&udp, |datagram, peer| gathered.datagram(datagram, peer)),
        );
    });
    address
}

/// Flushes until every one of `wanted` was among the samples (`name value`); what came of them.
async fn flushed_until(gathered: &Gathered, wanted: &[&str]) -> BTreeMap<String, f64> {
    let mut seen = BTreeMap::new();
    for round in 1..=1_000 {
        for (labels, sample) in gathered.flushed(Timestamp(round * 10_000)) {
            seen.insert(labels.without(|name| ["job", "instance", "source"].contains(&name)).to_string(), sample.value);
        }
        let shown: Vec<String> = seen.iter().map(|(name, value)| format!("{name} {value}")).collect();
        if wanted.iter().all(|wanted| shown.iter().any(|shown| shown == wanted)) {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{wanted:?} are not all in {seen:?}");
}

#[tokio::test]
async fn datagrams_and_connections() {
    let intake = intake();
    let gathered = gathered(&intake);
    let address = served(&gathered).await;
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.send_to(b"a.b:1|c\nbad\ng:5|g|#k:v", address).await.unwrap();
    let mut tcp = TcpStream::connect(address).await.unwrap();
    for part in ["a.b:2|", "c\na.b:", "4|c\r\nlast:1|c"] {
        tcp.write_all(part.as_bytes()).await.unwrap();
        tcp.flush().await.unwrap();
    }
    drop(tcp);
    flushed_until(&gathered, &["{__name__=\"a.b\"} 7", "g{k=\"v\"} 5", "last 1"]).await;
    assert_eq!(intake.take().rejected, BTreeMap::from([("value_missing".to_owned(), 1)]));
}

#[tokio::test]
async fn labels_are_those_of_the_agent_or_the_senders_own() {
    let intake = intake();
    let names = |gathered: &Gathered| -> Vec<String> {
        let peer = "127.0.0.1:1".parse().unwrap();
        gathered.datagram(b"a:1|g\nb:1|g|#job:own", peer);
        gathered.flushed(Timestamp(0)).iter().map(|(labels, _)| labels.to_string()).collect()
    };
    let own =
        [r#"a{instance="web-1", job="statsd", source="web-1"}"#, r#"b{instance="web-1", job="own", source="web-1"}"#];
    assert_eq!(names(&gathered(&intake)), own);
    let others = [r#"a{job="statsd", source="web-1"}"#, r#"b{job="own", source="web-1"}"#];
    assert_eq!(names(&gathered(&intake.for_other_hosts())), others);
}

#[tokio::test]
async fn service_checks_are_check_results_and_events_log_records() {
    let intake = intake();
    let gathered = gathered(&intake);
    let peer = "127.0.0.1:1".parse().unwrap();
    gathered.datagram(
        b"_sc|redis.up|2|d:1700000000|h:db-1|#port:1|m:gone\n_sc|redis.up|0|#port:2\n_sc|redis.up|2|#port:1|h:db-1\n\
          _e{5,4}:title|text|t:error|#a:b\n_e{9,4}:title|text",
        peer,
    );
    let taken = intake.take();
    let results: Vec<_> = taken.checks.iter().map(|c| (c.check.as_str(), c.state, c.hard, c.text.as_str())).collect();
    assert_eq!(
        results,
        [
            ("redis.up;host=db-1;port=1", CheckState::Critical, true, "gone"),
            ("redis.up;port=2", CheckState::Ok, true, ""),
            ("redis.up;host=db-1;port=1", CheckState::Critical, true, ""),
        ]
    );
    assert_eq!(taken.checks[2].state_since, Timestamp(1_700_000_000_000));
    let shown: Vec<String> = taken.series.keys().map(ToString::to_string).collect();
    let expected =
        r#"check_status{check="redis.up", host="db-1", instance="web-1", job="check", port="1", source="web-1"}"#;
    assert!(shown.contains(&expected.to_owned()), "{shown:?}");
    assert_eq!(taken.logs.len(), 1);
    assert_eq!((taken.logs[0].level.as_str(), taken.logs[0].text.as_str()), ("error", "title\ntext\n#a:b"));
    assert_eq!(taken.rejected, BTreeMap::from([("event_length".to_owned(), 1)]));
}

#[test]
fn service_checks_at_the_limit_and_one_past_it() {
    let intake = intake();
    let gathered = gathered(&intake);
    let peer = "127.0.0.1:1".parse().unwrap();
    let named = |n: usize| format!("_sc|c{n}|0\n");
    let all: String = (0..dog::SERVICE_CHECKS_MAX).map(named).collect();
    gathered.datagram(all.as_bytes(), peer);
    assert!(intake.take().rejected.is_empty());
    gathered.datagram(format!("{}{}", named(dog::SERVICE_CHECKS_MAX), named(0)).as_bytes(), peer);
    assert_eq!(intake.take().rejected, BTreeMap::from([("too_many_checks".to_owned(), 1)]));
    for (bytes, refused) in [(dog::NAME_BYTES_MAX, 0), (dog::NAME_BYTES_MAX + 1, 1)] {
        let gathered = self::gathered(&intake);
        gathered.datagram(format!("_sc|{}|0", "x".repeat(bytes)).as_bytes(), peer);
        assert_eq!(intake.take().rejected.values().sum::<u64>(), refused, "{bytes}");
    }
    gathered.datagram(format!("_sc|c1|0|m:{}", "x".repeat(dog::TEXT_BYTES_MAX + 1)).as_bytes(), peer);
    gathered.datagram(format!("_sc|c1|0|m:{}", "x".repeat(dog::TEXT_BYTES_MAX)).as_bytes(), peer);
    let texts: Vec<_> = intake.take().checks.iter().map(|check| (check.text.len(), check.truncated)).collect();
    assert_eq!(texts, [(dog::TEXT_BYTES_MAX, true), (dog::TEXT_BYTES_MAX, false)]);
}

#[tokio::test]
async fn what_was_gathered_is_flushed_when_the_agent_ends() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        "url = \"http://h:1\"\nkey_file = \"k\"\nname = \"web-1\"\n[statsd]\nlisten = \"{free}\"\nflush = \"1h\"\n"
    );
    let config = crate::config::Config::parse(std::path::Path::new("a.toml"), &text, Default::default()).unwrap();
    assert_eq!(config.statsd.flush, Period::seconds(3_600));
    let intake = intake();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(listener(&config.statsd, &intake).unwrap().work);
    let mut sender = loop {
        match TcpStream::connect(free).await {
            Ok(sender) => break sender,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    sender.write_all(b"a:1|c\n_sc|seen|0\n").await.unwrap();
    while intake.take().checks.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.shutdown().await;
    let taken = intake.take();
    assert!(taken.series.keys().any(|labels| labels.metric_name() == Some("a")), "{:?}", taken.series.keys());
}

/// Runs a script of Python with `module`, the address as its arguments; false where that cannot be.
async fn python(module: &str, script: &str, address: SocketAddr) -> bool {
    let has = Command::new("python3").args(["-c", &format!("import {module}")]).output();
    if !has.is_ok_and(|has| has.status.success()) {
        eprintln!("skipped: python3 has no module {module} (pip install {module})");
        return false;
    }
    let arguments = ["-c", script, &address.ip().to_string(), &address.port().to_string()].map(str::to_owned);
    let ran = tokio::task::spawn_blocking(move || Command::new("python3").args(arguments).output());
    let ran = ran.await.unwrap().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    true
}

#[tokio::test]
async fn pypis_statsd_client() {
    let intake = intake();
    let gathered = gathered(&intake);
    let address = served(&gathered).await;
    let script = "import sys, statsd
for kind in (statsd.StatsClient, statsd.TCPStatsClient):
    c = kind(sys.argv[1], int(sys.argv[2]), prefix='shop')
    c.incr('orders', 3); c.decr('stock'); c.decr('stock', 2); c.incr('stock', 9); c.timing('pay', 320); c.gauge('temp', 70); c.gauge('temp', -5, delta=True)
    c.set('users', 'me')
    with c.pipeline() as p:
        p.incr('orders', 2); p.gauge('other', -9)
    if kind is statsd.TCPStatsClient: c.close()
";
    if !python("statsd", script, address).await {
        return;
    }
    let wanted = [
        "{__name__=\"shop.orders\"} 10",
        "{__name__=\"shop.stock\"} 12",
        "{__name__=\"shop.pay_count\"} 2",
        "{__name__=\"shop.pay_sum\"} 640",
        "{__name__=\"shop.temp\"} 65",
        "{__name__=\"shop.other\"} -9",
        "{__name__=\"shop.users\"} 1",
    ];
    flushed_until(&gathered, &wanted[..6]).await;
    assert!(intake.take().rejected.is_empty());
}

#[tokio::test]
async fn pypis_datadog_client() {
    let intake = intake();
    let gathered = gathered(&intake);
    let address = served(&gathered).await;
    let script = "import sys
from datadog.dogstatsd import DogStatsd
c = DogStatsd(host=sys.argv[1], port=int(sys.argv[2]), disable_telemetry=True, constant_tags=['env:dev'])
c.increment('hits', 2, tags=['route:a', 'hot']); c.gauge('depth', 4.5); c.histogram('size', 10); c.distribution('dist', 7)
c.timing('took', 12); c.set('who', 'x'); c.service_check('db.up', 1, tags=['port:5'], message='slow')
c.event('Deployed', 'line one\\nline two', alert_type='warning', tags=['v:1'])
c.flush()
";
    if !python("datadog", script, address).await {
        return;
    }
    let wanted = [
        "hits{env=\"dev\", hot=\"true\", route=\"a\"} 2",
        "depth{env=\"dev\"} 4.5",
        "size_sum{env=\"dev\"} 10",
        "dist_count{env=\"dev\"} 1",
        "took_max{env=\"dev\"} 12",
    ];
    let seen = flushed_until(&gathered, &wanted).await;
    assert!(seen.contains_key("who{env=\"dev\"}"), "{seen:?}");
    let taken = intake.take();
    assert!(taken.rejected.is_empty(), "{:?}", taken.rejected);
    assert_eq!((taken.checks[0].check.as_str(), taken.checks[0].state), ("db.up;env=dev;port=5", CheckState::Warning));
    assert_eq!(taken.logs[0].text, "Deployed\nline one\nline two\n#v:1,env:dev");
}
