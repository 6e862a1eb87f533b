use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use series::SourceName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::*;
use crate::config::Networks;

const LIMITS: Limits = Limits { connections: 8, idle: Duration::from_secs(60) };

fn intake() -> Intake {
    Intake::new(SourceName::new("web-1").expect("valid"), &BTreeMap::new(), Arc::default())
}

/// Takes out of the intake until `samples` and `rejected` came, at most ten seconds.
async fn taken(intake: &Intake, samples: usize, rejected: u64) -> (BTreeMap<String, f64>, BTreeMap<String, u64>) {
    let mut seen = (BTreeMap::new(), BTreeMap::new());
    let waiting = async {
        let mut count = 0;
        while count < samples || seen.1.values().sum::<u64>() < rejected {
            let pending = intake.take();
            count += pending.samples;
            for (labels, samples) in pending.series {
                seen.0.insert(labels.to_string(), samples[samples.len() - 1].value);
            }
            for (reason, more) in pending.rejected {
                *seen.1.entry(reason).or_default() += more;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), waiting).await.ok();
    seen
}

async fn tcp_server(limits: Limits) -> (SocketAddr, Intake) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let (address, intake) = (listener.local_addr().expect("address"), intake());
    let served = intake.clone();
    tokio::spawn(async move {
        let door = door("", limits, &served);
        door.serve_tcp(&listener, |peer| Lines::new(peer, &served)).await;
    });
    (address, intake)
}

fn door(address: &str, limits: Limits, intake: &Intake) -> Door {
    Door::new(WHAT, address, Networks::default(), limits, intake)
}

#[tokio::test]
async fn lines_cut_anywhere_tags_and_a_last_line_without_an_end() {
    let (address, intake) = tcp_server(LIMITS).await;
    let mut sender = TcpStream::connect(address).await.expect("connected");
    for part in ["load.load.short", "term 0.5 1763800000\ncpu;host=a;job=own 2 1763", "800000\r\nlast 3 1763800000"] {
        sender.write_all(part.as_bytes()).await.expect("sent");
        sender.flush().await.expect("sent");
    }
    drop(sender);
    let (samples, rejected) = taken(&intake, 3, 0).await;
    let shown: Vec<String> = samples.iter().map(|(labels, value)| format!("{labels} {value}")).collect();
    assert_eq!(
        shown,
        [
            r#"cpu{host="a", instance="web-1", job="own", source="web-1"} 2"#,
            r#"last{instance="web-1", job="graphite", source="web-1"} 3"#,
            r#"{__name__="load.load.shortterm", instance="web-1", job="graphite", source="web-1"} 0.5"#,
        ]
    );
    assert!(rejected.is_empty());
}

#[tokio::test]
async fn a_bad_line_is_counted_and_the_connection_stays() {
    let (address, intake) = tcp_server(LIMITS).await;
    let mut sender = TcpStream::connect(address).await.expect("connected");
    sender.write_all(b"a 1\nare 3 4 5\nb x\n\xff 1\n").await.expect("sent");
    let (samples, rejected) = taken(&intake, 1, 3).await;
    assert_eq!((samples.len(), rejected.values().sum::<u64>()), (1, 3), "{rejected:?}");
    let long = format!("{} 1\nb 2\n", "x".repeat(formats::LINE_BYTES_MAX));
    sender.write_all(long.as_bytes()).await.expect("the connection stays");
    let (samples, rejected) = taken(&intake, 1, 1).await;
    assert_eq!(samples.len(), 1);
    assert_eq!(rejected, BTreeMap::from([("line_too_long".to_owned(), 1)]));
}

#[tokio::test]
async fn datagrams_with_many_lines() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    let (address, intake) = (socket.local_addr().expect("address"), intake());
    let served = intake.clone();
    tokio::spawn(async move {
        let door = door("", LIMITS, &served);
        door.serve_udp(&socket, |datagram, peer| give(parse_body(datagram, now()), peer, &served)).await;
    });
    let sender = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    sender.send_to("жопа 42 -1\nnot\nvalid 5 6\n".as_bytes(), address).await.expect("sent");
    // As much as IPv4 lets through in one datagram.
    let body: String = (0..).map(|n| format!("m{n:05} 1 1763800000\n")).take(65_507 / 20).collect();
    sender.send_to(body.as_bytes(), address).await.expect("sent");
    let (samples, rejected) = taken(&intake, 2 + 65_507 / 20, 1).await;
    assert_eq!((samples.len(), rejected.values().sum::<u64>()), (2 + 65_507 / 20, 1));
}

#[tokio::test]
async fn connections_at_the_limit_and_one_past_it() {
    let (address, intake) = tcp_server(Limits { connections: 2, ..LIMITS }).await;
    let mut first = TcpStream::connect(address).await.expect("connected");
    let mut second = TcpStream::connect(address).await.expect("connected");
    first.write_all(b"a 1\n").await.expect("sent");
    second.write_all(b"b 1\n").await.expect("sent");
    assert_eq!(taken(&intake, 2, 0).await.0.len(), 2);
    // The third waits in the backlog until one of the two has gone.
    let mut third = TcpStream::connect(address).await.expect("connected");
    third.write_all(b"c 1\n").await.expect("sent");
    second.write_all(b"d 1\n").await.expect("sent");
    let (seen, _) = taken(&intake, 1, 0).await;
    assert!(seen.len() == 1 && seen.keys().all(|labels| labels.starts_with("d{")), "{seen:?}");
    drop(first);
    let (seen, _) = taken(&intake, 1, 0).await;
    assert!(seen.keys().all(|labels| labels.starts_with("c{")), "{seen:?}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_its_last_line_counts() {
    let (address, intake) = tcp_server(Limits { idle: Duration::from_millis(200), ..LIMITS }).await;
    let mut sender = TcpStream::connect(address).await.expect("connected");
    sender.write_all(b"a 1").await.expect("sent");
    let mut end = [0; 1];
    let closed = timeout(Duration::from_secs(10), sender.read(&mut end)).await.expect("closed in time");
    assert_eq!(closed.ok(), Some(0));
    assert_eq!(taken(&intake, 1, 0).await.0.len(), 1);
}

#[tokio::test]
async fn a_taken_address_is_tried_again() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = other.local_addr().expect("address");
    let intake = intake();
    let served = intake.clone();
    tokio::spawn(async move {
        let mut door = door(&address.to_string(), LIMITS, &served);
        door.pause = Duration::from_millis(50);
        door.tcp(|peer| Lines::new(peer, &served)).await;
    });
    // The first attempt fails for certain; only after the port is free can a line arrive.
    tokio::task::yield_now().await;
    drop(other);
    let waiting = async {
        let mut sender = loop {
            match TcpStream::connect(address).await {
                Ok(sender) => break sender,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        sender.write_all(b"a 1\n").await.expect("sent");
        drop(sender);
        taken(&intake, 1, 0).await
    };
    let (samples, _) = timeout(Duration::from_secs(10), waiting).await.expect("bound in time");
    assert_eq!(samples.len(), 1);
}

#[tokio::test]
async fn pickles_cut_anywhere_and_one_that_is_too_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let (address, intake) = (listener.local_addr().expect("address"), intake());
    let served = intake.clone();
    tokio::spawn(async move {
        let door = door("", LIMITS, &served);
        door.serve_tcp(&listener, |peer| pickled::Pickles::new(peer, &served)).await;
    });
    // [('foo', (1700000000, 1.5)), ('bar', 1)], twice.
    let pickle = b"(lp0\n(S'foo'\n(I1700000000\nF1.5\ntta(S'bar'\nI1\nta.";
    let framed = [&(pickle.len() as u32).to_be_bytes()[..], pickle].concat();
    let mut sender = TcpStream::connect(address).await.expect("connected");
    for part in [&framed[..3], &framed[3..20], &framed[20..], &framed[..]] {
        sender.write_all(part).await.expect("sent");
        sender.flush().await.expect("sent");
    }
    let (samples, rejected) = taken(&intake, 2, 2).await;
    let shown: Vec<String> = samples.iter().map(|(labels, value)| format!("{labels} {value}")).collect();
    assert_eq!(shown, [r#"foo{instance="web-1", job="graphite", source="web-1"} 1.5"#]);
    assert_eq!(rejected, BTreeMap::from([("pickle_item_malformed".to_owned(), 2)]));
    sender.write_all(&u32::MAX.to_be_bytes()).await.expect("sent");
    let mut end = [0; 1];
    let closed = timeout(Duration::from_secs(10), sender.read(&mut end)).await.expect("closed in time");
    assert!(closed.is_ok_and(|bytes| bytes == 0));
    let (_, rejected) = taken(&intake, 0, 1).await;
    assert_eq!(rejected, BTreeMap::from([("pickle_too_long".to_owned(), 1)]));
}

#[tokio::test]
async fn a_gateway_takes_what_its_networks_send_and_refuses_others() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (lines, pickles, health) = (free(), free(), free());
    let text = format!(
        "url = \"http://h:1\"\nkey_file = \"k\"\nname = \"gw\"\n[graphite]\nlisten = \"{lines}\"\npickle_listen = \
         \"{pickles}\"\nhealth_listen = \"{health}\"\ngateway = true\nallow = [\"10.0.0.0/8\"]\n"
    );
    let config = crate::config::Config::parse(std::path::Path::new("a.toml"), &text, Default::default()).unwrap();
    let intake = intake();
    let mut running = tokio::task::JoinSet::new();
    for listener in listeners(&config.graphite, &intake) {
        running.spawn(listener.work);
    }
    let well = async || {
        let mut socket = TcpStream::connect(health).await.ok()?;
        socket.write_all(b"GET /health HTTP/1.0\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.ok()?;
        answer.starts_with("HTTP/1.1 200 ").then_some(())
    };
    let waiting = async {
        while well().await.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), waiting).await.expect("well in time");
    TcpStream::connect(lines).await.unwrap().write_all(b"a 1\nb;instance=own 2\n").await.unwrap();
    let (samples, _) = taken(&intake, 2, 0).await;
    let shown: Vec<&String> = samples.keys().collect();
    assert_eq!(shown, [r#"a{job="graphite", source="web-1"}"#, r#"b{instance="own", job="graphite", source="web-1"}"#]);
}

#[tokio::test]
async fn who_is_not_allowed_is_refused_and_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let udp = UdpSocket::bind(address).await.unwrap();
    let intake = intake();
    let served = intake.clone();
    tokio::spawn(async move {
        let mut door = door("", LIMITS, &served);
        door.allowed = Networks::none_at_all();
        tokio::join!(
            door.serve_tcp(&listener, |peer| Lines::new(peer, &served)),
            door.serve_udp(&udp, |datagram, peer| give(parse_body(datagram, now()), peer, &served)),
        );
    });
    let mut sender = TcpStream::connect(address).await.unwrap();
    let mut end = [0; 1];
    let closed = timeout(Duration::from_secs(10), sender.read(&mut end)).await.expect("closed in time");
    assert!(!closed.is_ok_and(|bytes| bytes > 0));
    UdpSocket::bind("127.0.0.1:0").await.unwrap().send_to(b"a 1", address).await.unwrap();
    let (samples, rejected) = taken(&intake, 0, 2).await;
    assert!(samples.is_empty());
    assert_eq!(rejected, BTreeMap::from([("peer_not_allowed".to_owned(), 2)]));
}

/// Runs a script of Python with `module`, the address as its arguments; false where that cannot be.
async fn python(module: &str, script: &str, address: SocketAddr) -> bool {
    let has = std::process::Command::new("python3").args(["-c", &format!("import {module}")]).output();
    if !has.is_ok_and(|has| has.status.success()) {
        eprintln!("skipped: python3 has no module {module} (pip install {module})");
        return false;
    }
    let arguments = ["-c", script, &address.ip().to_string(), &address.port().to_string()].map(str::to_owned);
    let ran = tokio::task::spawn_blocking(move || std::process::Command::new("python3").args(arguments).output());
    let ran = ran.await.unwrap().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    true
}

#[tokio::test]
async fn pypis_graphyte() {
    let (address, intake) = tcp_server(LIMITS).await;
    let script = "import sys, graphyte
s = graphyte.Sender(sys.argv[1], port=int(sys.argv[2]), prefix='shop')
s.send('orders.paid', 42, timestamp=1763800000); s.send('disk', 0.5, tags={'host': 'a', 'mount': '/srv'}); s.stop()
";
    if !python("graphyte", script, address).await {
        return;
    }
    let (samples, rejected) = taken(&intake, 2, 0).await;
    let shown: Vec<&String> = samples.keys().collect();
    assert_eq!(
        shown,
        [
            r#"{__name__="shop.disk", host="a", instance="web-1", job="graphite", mount="/srv", source="web-1"}"#,
            r#"{__name__="shop.orders.paid", instance="web-1", job="graphite", source="web-1"}"#,
        ]
    );
    assert!(rejected.is_empty());
}
