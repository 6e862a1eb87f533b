//! What other people's senders push over HTTP, through `serve`, to a query and the ledger.

use std::io::Write as _;

use tests::remote_write::{HEADERS as REMOTE_WRITE, body as write, compressed, labels_text, put_series, raw_labels};
use tests::{Place, Server, until};

fn now_ms() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("a clock").as_millis()).expect("a time")
}

async fn post(url: &str, key: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut request = reqwest::Client::new().post(url).bearer_auth(key).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_found_counted_and_bounded() {
    let (mut server, place) = Server::started("pusher").await;
    let (now, url, key) = (now_ms(), server.base_url(), place.agent_key.clone());
    let good: &[(f64, i64)] = &[(1.0, now - 20_000), (2.0, now - 10_000), (3.0, now)];
    let body =
        write(&[(&[("__name__", "pushed"), ("job", "a")], good), (&[("__name__", "pushed"), ("job", "b")], good)]);
    for _ in 0..3 {
        let answer = post(&format!("{url}/api/v1/write"), &key, &REMOTE_WRITE, body.clone()).await;
        assert_eq!(answer, (204, String::new()));
    }
    let bad = write(&[(&[("__name__", "late")], &[(1.0, 7)]), (&[("__name__", "pushed"), ("job", "c")], good)]);
    let (status, said) = post(&format!("{url}/api/v1/write"), &key, &REMOTE_WRITE, bad).await;
    assert_eq!((status, said.contains("3 accepted, 1 rejected; first too_old: late at 7 ms")), (400, true), "{said}");
    let sum = until("every sample counts once", async || {
        place.number("sum(count_over_time(pushed[5m]))").await.filter(|count| *count >= 9.0)
    })
    .await;
    assert!((sum - 9.0).abs() < f64::EPSILON, "{sum}");

    let otlp = format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},
        "scopeMetrics":[{{"metrics":[{{"name":"orders","sum":{{"aggregationTemporality":2,"isMonotonic":true,
        "dataPoints":[{{"timeUnixNano":"{now}000000","asInt":"5"}}]}}}}]}}]}}]}}"#
    );
    let json = [("content-type", "application/json")];
    assert_eq!(post(&format!("{url}/v1/metrics"), &key, &json, otlp.into_bytes()).await, (200, "{}".to_owned()));
    let orders = until("the order is there", async || place.number("orders_total{job=\"shop\"}").await).await;
    assert!((orders - 5.0).abs() < f64::EPSILON);

    let packed = zstd::bulk::compress(b"packed.line 4\n", 3).expect("zstd");
    let (status, said) = post(&format!("{url}/graphite"), &key, &[("content-encoding", "zstd")], packed).await;
    assert_eq!(status, 200, "{said}");
    until("the packed line is there", async || place.number("{__name__=\"packed.line\"}").await).await;

    // 10 GB, in frames that do not say so.
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).expect("zstd");
    for _ in 0..128 {
        encoder.write_all(&[0; 1 << 20]).expect("memory");
    }
    let bomb = encoder.finish().expect("zstd").repeat(80);
    let before = peak_kib(server.pid().expect("it runs"));
    let (status, said) = post(&format!("{url}/graphite"), &key, &[("content-encoding", "zstd")], bomb).await;
    assert_eq!((status, said.contains("decompress")), (413, true), "{said}");
    let more = peak_kib(server.pid().expect("it runs")) - before;
    assert!(more < 128 * 1024, "the bomb took {more} KiB");

    let ledger = until("the ledger has it all", async || {
        // 9 samples by remote write, 12 of them twice or thrice superseded, one refused; an order, a line.
        place.ledger("pusher").await.filter(|ledger| ledger.balances())
    })
    .await;
    assert!(ledger.balances());
    server.stop().await;
}

fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.split_whitespace().next().and_then(|text| text.parse().ok()).expect("a number")
}

/// What is answered, and how many samples of `name` can be read.
async fn check(place: &Place, (plain, status, said): (Vec<u8>, u16, &str), (name, stored): (&str, f64)) {
    let url = format!("{}/api/v1/write", place.base_url);
    let answer = post(&url, &place.agent_key, &REMOTE_WRITE, plain).await;
    assert_eq!((answer.0, answer.1.contains(said)), (status, true), "{name}: {answer:?}");
    let expr = format!("sum(count_over_time({{__name__=\"{name}\"}}[1h] offset -15m))");
    let found = async || place.number(&expr).await.filter(|count| *count >= stored).or((stored == 0.0).then_some(0.0));
    assert!((until(&expr, found).await - stored).abs() < f64::EPSILON, "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_parts_of_a_write_are_named_and_the_good_ones_stored() {
    let (mut server, place) = Server::started("bad-writes").await;
    let now = now_ms();
    let good = |name: &str| labels_text(&[("__name__", name)]);
    let request = |name: &str, labels: Vec<u8>, samples: &[(f64, i64)]| {
        let mut plain = Vec::new();
        put_series(&mut plain, &labels, samples);
        put_series(&mut plain, &good(name), &[(1.0, now)]);
        compressed(&plain)
    };
    // Labels that no sender should send.
    for (name, pairs, reason) in [
        ("twice", &[("__name__", "x"), ("a", "1"), ("a", "2")][..], "label_duplicate"),
        ("unordered_twice", &[("b", "1"), ("__name__", "x"), ("a", "1"), ("b", "2")], "label_duplicate"),
        ("empty_name", &[("__name__", "x"), ("", "1")], "label_name_empty"),
        ("nameless", &[("a", "1")], "no_metric_name"),
    ] {
        let said = format!("1 accepted, 1 rejected; first {reason}");
        check(&place, (request(name, raw_labels(pairs), &[(1.0, now)]), 400, &said), (name, 1.0)).await;
    }
    let unordered = raw_labels(&[("z", "1"), ("__name__", "unordered"), ("a", "1")]);
    check(&place, (request("beside", unordered, &[(1.0, now)]), 204, ""), ("unordered", 1.0)).await;
    // Times at their bounds and past them. Now goes on meanwhile, so the bounds have a minute to spare.
    let minutes = |minutes: i64| now + minutes * 60_000;
    let days = |days: i64| now - days * 24 * 60 * 60_000;
    let ahead = request("not_ahead", good("ahead"), &[(1.0, minutes(9)), (1.0, minutes(12))]);
    check(&place, (ahead, 400, "2 accepted, 1 rejected; first too_far_ahead: ahead at"), ("ahead", 1.0)).await;
    let old = request("not_old", good("old"), &[(1.0, days(31)), (1.0, days(29)), (2.0, now)]);
    check(&place, (old, 400, "3 accepted, 1 rejected; first too_old: old at"), ("old", 1.0)).await;
    let values = [(f64::NAN, now - 3), (f64::INFINITY, now - 2), (f64::NEG_INFINITY, now - 1), (-0.0, now)];
    check(&place, (request("n", good("odd"), &values), 204, ""), ("odd", 4.0)).await;
    let kept = until("odd values are kept", async || place.query("odd[5m]").await.filter(|found| !found.is_empty()));
    let kept: Vec<f64> = kept.await[0].points.iter().map(|(_, value)| *value).collect();
    assert!(kept[0].is_nan() && kept[1..3] == [f64::INFINITY, f64::NEG_INFINITY] && kept[3].is_sign_negative());

    // What cannot be read as a whole, or only up to a place.
    let whole = request("cut", good("cut2"), &[(1.0, now)]);
    check(&place, (whole[..whole.len() - 3].to_vec(), 400, "snappy"), ("cut", 0.0)).await;
    let claims = [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &whole].concat();
    check(&place, (claims, 413, "decompress"), ("cut", 0.0)).await;
    let mut absurd = Vec::new();
    put_series(&mut absurd, &good("before"), &[(1.0, now)]);
    absurd.extend_from_slice(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    let before = peak_kib(server.pid().expect("it runs"));
    check(&place, (compressed(&absurd), 400, "1 accepted, 1 rejected; first not_protobuf"), ("before", 1.0)).await;
    let more = peak_kib(server.pid().expect("it runs")) - before;
    assert!(more < 32 * 1024, "absurd lengths took {more} KiB");

    let ledger =
        until("the ledger balances", async || place.ledger("bad-writes").await.filter(tests::place::Ledger::balances));
    assert!(ledger.await.rejected.len() >= 6);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passive_checks_may_be_compressed() {
    let (mut server, place) = Server::started("passive").await;
    let url = format!("{}/api/v1/checks", server.base_url());
    let result = |check: &str| format!(r#"[{{"check":"{check}","status":1,"text":"late"}}]"#).into_bytes();
    let packed = zstd::bulk::compress(&result("by-zstd"), 3).expect("zstd");
    let (status, said) = post(&url, &place.agent_key, &[("content-encoding", "zstd")], packed).await;
    assert_eq!(status, 200, "{said}");
    let (status, said) = post(&url, &place.agent_key, &[], result("plain")).await;
    assert_eq!(status, 200, "{said}");
    for check in ["by-zstd", "plain"] {
        until(&format!("{check} is shown"), async || place.check("passive", check).await).await;
    }
    let (status, said) = post(&url, &place.agent_key, &[("content-encoding", "zstd")], result("not")).await;
    assert_eq!(status, 400, "{said}");
    server.stop().await;
}
