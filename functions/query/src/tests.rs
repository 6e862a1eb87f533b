//! Requests and their answers, as Prometheus's clients and `daywatch` see them.

use std::sync::Arc;
use std::time::Duration;

use embedded::{Embedded, Memory, MemoryTopic};
use pipeline::keys::{self, KeyKind};
use pipeline::{DAY_MS, Settings, TenantId, aggregate, ingest, outbox};
use serde_json::{Value, json};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipeline::http::RawRequest;

use super::*;

mod clients;

struct Bench {
    context: Context,
    embedded: Embedded,
    topic: Arc<MemoryTopic>,
    admin: String,
    read: String,
    agent: String,
    stranger: String,
}

impl Bench {
    async fn new() -> Self {
        let Memory { embedded, topic, .. } = Embedded::memory(1).unwrap();
        let settings = Settings {
            raw_retention_ms: 30 * DAY_MS,
            external_url: "http://daywatch.invalid".to_owned(),
            websocket_url: "/ws".to_owned(),
        };
        let context = Context::new(embedded.ports(), settings);
        let tenant = TenantId::default();
        let other = TenantId::new("other").unwrap();
        let make = |tenant: &TenantId, kind| keys::create(&context.ports, tenant.clone(), kind, "");
        let admin = make(&tenant, KeyKind::Admin).await.unwrap();
        let read = make(&tenant, KeyKind::Read).await.unwrap();
        let agent = make(&tenant, KeyKind::Agent).await.unwrap();
        let stranger = make(&other, KeyKind::Admin).await.unwrap();
        Self { context, embedded, topic, admin, read, agent, stranger }
    }

    /// Stores Graphite lines.
    async fn store(&self, lines: &str) {
        let caller = keys::authenticate_text(&self.context.ports, &self.agent).await.unwrap();
        let request = Request { body: lines.to_owned().into(), ..Request::default() };
        ingest::graphite(&self.context, &caller, &request).await.unwrap();
        let shards = self.embedded.shards();
        for shard in 0..shards.count() {
            let consumer = shards.consumer("aggregate", shard).await.unwrap();
            let batch = consumer.next_batch(1_000, Duration::ZERO).await.unwrap();
            aggregate::stream(&self.context, &batch).await.unwrap();
        }
    }

    /// `target` is a path with an undecoded query.
    async fn send(&self, method: &str, target: &str, key: &str, body: &str) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parameters = query.split('&').filter_map(|pair| pair.split_once('='));
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            parameters: parameters.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            headers: vec![
                ("authorization".to_owned(), format!("Bearer {key}")),
                ("host".to_owned(), "daywatch.invalid:9595".to_owned()),
            ],
            body: body.to_owned().into(),
        };
        handle(&self.context, &request).await
    }

    /// `data` of a form that is posted, as Grafana does it, with the key as a password.
    async fn form(&self, target: &str, form: &str) -> Value {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let token = STANDARD.encode(format!("grafana:{}", self.read));
        let headers = [
            ("authorization", format!("Basic {token}")),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let raw = RawRequest { method: "POST", path, query, headers, body: form.to_owned().into() };
        let response = handle(&self.context, &raw.decode().unwrap()).await;
        let json: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!((response.status, &json["status"]), (200, &json!("success")), "{target} {form}: {json}");
        json["data"].clone()
    }

    async fn data(&self, target: &str, key: &str) -> Value {
        let response = self.send("GET", target, key, "").await;
        let json: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!((response.status, &json["status"]), (200, &json!("success")), "{target}: {json}");
        json["data"].clone()
    }
}

#[tokio::test]
async fn what_is_refused_and_how() {
    let bench = Bench::new().await;
    let (admin, read, agent) = (bench.admin.as_str(), bench.read.as_str(), bench.agent.as_str());
    let rules = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up ==\n";
    let table: &[(&str, &str, &str, &str, u16, &str, &str)] = &[
        ("GET", "/api/v1/query?query=up", "", "", 401, "unauthorized", "not valid"),
        ("GET", "/api/v1/query?query=up", "dw_read_x_y", "", 401, "unauthorized", "not valid"),
        ("GET", "/api/v1/query?query=up", agent, "", 403, "forbidden", "may not read data"),
        ("GET", "/api/v1/sources", agent, "", 403, "forbidden", "may not read data"),
        ("POST", "/api/v1/ticket", agent, "", 403, "forbidden", "may not read data"),
        ("GET", "/api/v1/keys", read, "", 403, "forbidden", "may not change"),
        ("PUT", "/api/v1/config/rules/a", read, "groups: []", 403, "forbidden", "may not change"),
        ("POST", "/api/v1/notify/test", read, "", 403, "forbidden", "may not change"),
        ("GET", "/api/v1/notify/test?id=1", read, "", 403, "forbidden", "may not change"),
        ("GET", "/api/v1/notify/test", admin, "", 400, "bad_data", "\"id\" is missing"),
        ("POST", "/api/v1/notify/test", admin, "", 422, "execution", "no routing file"),
        ("POST", "/api/v1/notify/test?receiver=who", admin, "", 404, "not_found", "\"who\""),
        ("GET", "/api/v1/nothing", read, "", 404, "not_found", "/api/v1/nothing"),
        ("GET", "/api/v2/nothing", read, "", 404, "not_found", "/api/v2/nothing"),
        ("GET", "/nothing", "", "", 404, "not_found", "/nothing"),
        ("POST", "/v1/nothing", "", "", 404, "not_found", "/v1/nothing"),
        ("GET", "/api/v1/config/rules/none", read, "", 404, "not_found", "none"),
        ("DELETE", "/api/v1/config/rules/none", admin, "", 404, "not_found", "none"),
        ("PUT", "/api/v1/config/songs/a", admin, "la", 404, "not_found", "songs"),
        ("DELETE", "/api/v1/keys/none", admin, "", 404, "not_found", "none"),
        ("DELETE", "/api/v1/query", read, "", 405, "bad_data", "DELETE"),
        ("GET", "/api/v1/ticket", read, "", 405, "bad_data", "GET"),
        ("PUT", "/api/v1/endpoints", "", "", 405, "bad_data", "PUT"),
        ("POST", "/", "", "", 405, "bad_data", "POST"),
        ("PATCH", "/api/v1/keys", admin, "", 405, "bad_data", "PATCH"),
        ("GET", "/api/v1/query", read, "", 400, "bad_data", "parameter \"query\""),
        ("GET", "/api/v1/query?query=up &time=x", read, "", 400, "bad_data", "\"time\""),
        ("GET", "/api/v1/query?query=sum(", read, "", 400, "bad_data", "\"query\""),
        ("GET", "/api/v1/query?query=up&lookback_delta=0", read, "", 400, "bad_data", "lookback_delta"),
        ("GET", "/api/v1/query_range?query=up&start=0&end=1&step=0", read, "", 400, "bad_data", "\"step\""),
        ("GET", "/api/v1/query_range?query=up&start=2&end=1&step=1", read, "", 400, "bad_data", "\"end\""),
        (
            "GET",
            "/api/v1/query_range?query=up&start=0&end=99999&step=1",
            read,
            "",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries",
        ),
        ("GET", "/api/v1/query?query=up&timeout=0", read, "", 503, "timeout", "query timed out"),
        (
            "GET",
            "/api/v1/query_range?query=1&start=0&end=1&step=1&timeout=0s",
            read,
            "",
            503,
            "timeout",
            "query timed out",
        ),
        ("GET", "/api/v1/query?query=up&timeout=x", read, "", 400, "bad_data", "\"timeout\""),
        ("GET", "/api/v1/query?query=up&limit=-1", read, "", 400, "bad_data", "limit must be non-negative"),
        ("GET", "/api/v1/format_query?query=sum(", read, "", 400, "bad_data", "\"query\""),
        ("GET", "/api/v1/metadata?limit=x", read, "", 400, "bad_data", "limit must be a number"),
        ("GET", "/api/v1/rules?type=song", read, "", 400, "bad_data", "not supported value \"song\""),
        ("GET", "/api/v1/rules?group_next_token=x", read, "", 400, "bad_data", "group_limit needs to be present"),
        ("GET", "/api/v1/status/tsdb?limit=0", read, "", 400, "bad_data", "limit must be a positive number"),
        ("GET", "/api/v1/status/songs", read, "", 404, "not_found", "/api/v1/status/songs"),
        ("POST", "/api/v1/rules", read, "", 405, "bad_data", "POST"),
        ("POST", "/api/v1/label/a/values", read, "", 405, "bad_data", "POST"),
        ("GET", "/api/v1/label//values", read, "", 400, "bad_data", "invalid label name"),
        ("GET", "/api/v1/series", read, "", 400, "bad_data", "match[]"),
        ("GET", "/api/v1/series?match[]={", read, "", 400, "bad_data", "match[]"),
        ("GET", "/api/v1/series?match[]={}", read, "", 400, "bad_data", "match[]"),
        ("GET", "/api/v1/labels?match[]={a=\"\"}", read, "", 400, "bad_data", "match[]"),
        ("GET", "/api/v1/labels?limit=few", read, "", 400, "bad_data", "\"limit\""),
        ("PUT", "/api/v1/config/rules/a.yml", admin, rules, 400, "bad_data", "a.yml"),
        ("PUT", "/api/v1/config/rules/a b", admin, "groups: []", 400, "bad_data", "a b"),
        ("PUT", "/api/v1/config/alertmanager/other", admin, "route: {}", 400, "bad_data", "default"),
        ("POST", "/api/v1/config", admin, "{", 400, "bad_data", "line 1, column"),
        ("POST", "/api/v1/keys", admin, r#"{"kind":"boss"}"#, 400, "bad_data", "boss"),
        ("POST", "/api/v1/keys", admin, r#"{"kind":"read","name":"two words"}"#, 400, "bad_data", "name"),
        ("POST", "/api/v1/keys", &bench.stranger, r#"{"kind":"admin","tenant":"default"}"#, 403, "forbidden", "tenant"),
    ];
    for (method, target, key, body, status, kind, part) in table {
        let response = bench.send(method, target, key, body).await;
        let text = String::from_utf8(response.body.to_vec()).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{method} {target}: {e}: {text}"));
        assert_eq!(response.status, *status, "{method} {target}: {text}");
        assert_eq!((&json["status"], &json["errorType"]), (&json!("error"), &json!(kind)), "{method} {target}");
        let error = json["error"].as_str().unwrap();
        assert!(error.contains(part), "{method} {target}: {error}");
        let challenge = response.headers.iter().any(|(name, _)| name == "www-authenticate");
        assert_eq!(challenge, *status == 401, "{method} {target}");
        let allow = response.headers.iter().any(|(name, _)| name == "allow");
        assert_eq!(allow, *status == 405, "{method} {target}");
    }
}

#[tokio::test]
async fn a_node_that_is_not_built_is_a_422_that_names_it_or_works() {
    let bench = Bench::new().await;
    bench.store("m 1\n").await;
    // Many to many: understood, and cannot be evaluated.
    bench.store("a;x=1 1\na;x=2 2\nb;y=1 1\nb;y=2 2\n").await;
    let response = bench.send("GET", "/api/v1/query?query=a * on() b", &bench.read, "").await;
    let json: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((response.status, &json["errorType"]), (422, &json!("execution")), "{json}");
}

#[tokio::test]
async fn prometheus_shapes() {
    let bench = Bench::new().await;
    bench.store("m;x=1 1.5\nm;x=2 2\n").await;
    let read = bench.read.as_str();
    let now_s = bench.context.ports.clock.now().ms().div_euclid(1_000);

    let data = bench.data(r#"/api/v1/query?query=m{x="1"}"#, read).await;
    assert_eq!(data["resultType"], "vector");
    assert_eq!(data["result"][0]["metric"], json!({ "__name__": "m", "x": "1" }));
    assert_eq!(data["result"][0]["value"][1], "1.5");
    assert!(data["result"][0]["value"][0].is_number());

    let data = bench.data("/api/v1/query?query=1%2", read).await;
    assert_eq!((&data["resultType"], &data["result"][1]), (&json!("scalar"), &json!("1")));

    let target = format!("/api/v1/query_range?query=sum(m)&start={now_s}&end={}&step=60", now_s + 60);
    let data = bench.data(&target, read).await;
    assert_eq!(data["resultType"], "matrix");
    assert_eq!(data["result"][0]["metric"], json!({}));
    assert_eq!(data["result"][0]["values"][1], json!([now_s + 60, "3.5"]));

    let data = bench.data("/api/v1/series?match[]=m", read).await;
    assert_eq!(data, json!([{ "__name__": "m", "x": "1" }, { "__name__": "m", "x": "2" }]));
    assert_eq!(bench.data("/api/v1/labels", read).await, json!(["__name__", "x"]));
    assert_eq!(bench.data("/api/v1/label/x/values", read).await, json!(["1", "2"]));
    assert_eq!(bench.data("/api/v1/label/x/values?limit=1", read).await, json!(["1"]));
    assert_eq!(bench.data("/api/v1/label/none/values", read).await, json!([]));
    assert_eq!(bench.data("/api/v1/metadata", read).await, json!({}));
    assert_eq!(bench.data("/api/v1/rules", read).await, json!({ "groups": [] }));
    assert_eq!(bench.data("/api/v1/alerts", read).await, json!({ "alerts": [] }));
    assert!(bench.data("/api/v1/status/buildinfo", read).await["version"].is_string());

    // Nothing of it is another tenant's.
    let data = bench.data("/api/v1/query?query=m", &bench.stranger).await;
    assert_eq!(data["result"], json!([]));
    assert_eq!(bench.data("/api/v1/sources", &bench.stranger).await, json!([]));
    assert_eq!(bench.data("/api/v1/keys", &bench.stranger).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_ways_around_the_data() {
    let bench = Bench::new().await;
    let (admin, read) = (bench.admin.as_str(), bench.read.as_str());
    let endpoints = bench.send("GET", "/api/v1/endpoints", "", "").await;
    let endpoints: Value = serde_json::from_slice(&endpoints.body).unwrap();
    assert_eq!(endpoints, json!({ "websocket": "ws://daywatch.invalid:9595/ws" }));
    let ticket = bench.send("POST", "/api/v1/ticket", read, "").await;
    let ticket: Value = serde_json::from_slice(&ticket.body).unwrap();
    assert_eq!(ticket["data"]["ws_url"], "ws://daywatch.invalid:9595/ws");
    assert!(ticket["data"]["ticket"].is_string() && ticket["data"]["expires_at_ms"].is_i64());

    let stored = bench.send("PUT", "/api/v1/config/rules/a.yml", admin, "groups: []\n").await;
    assert_eq!(stored.status, 200);
    let read_back = bench.send("GET", "/api/v1/config/rules/a.yml", read, "").await;
    assert_eq!((read_back.status, read_back.body.as_ref()), (200, b"groups: []\n".as_slice()));
    assert_eq!(bench.send("GET", "/api/v1/config/rules/a.yml", &bench.stranger, "").await.status, 404);
    assert_eq!(bench.send("DELETE", "/api/v1/config/rules/a.yml", admin, "").await.status, 200);

    let made = bench.send("POST", "/api/v1/keys", admin, r#"{"kind":"read","name":"grafana"}"#).await;
    let made: Value = serde_json::from_slice(&made.body).unwrap();
    let key = made["data"]["key"].as_str().unwrap();
    assert_eq!(bench.send("GET", "/api/v1/labels", key, "").await.status, 200);
    let listed = bench.data("/api/v1/keys", admin).await;
    let one = listed.as_array().unwrap().iter().find(|one| one["name"] == "grafana").unwrap();
    assert!(!listed.to_string().contains("hash"), "{listed}");
    let target = format!("/api/v1/keys/{}", one["id"].as_str().unwrap());
    assert_eq!(bench.send("DELETE", &target, &bench.stranger, "").await.status, 404);
    assert_eq!(bench.send("DELETE", &target, admin, "").await.status, 200);
    assert_eq!(bench.send("GET", "/api/v1/labels", key, "").await.status, 401);
}

#[tokio::test]
async fn a_test_notification_and_the_state_of_the_pager() {
    let bench = Bench::new().await;
    let (admin, read) = (bench.admin.as_str(), bench.read.as_str());
    bench.topic.set_has_topics(true);
    let response = bench.send("POST", "/api/v1/notify/test?receiver=pager", admin, "").await;
    let owed: Value = serde_json::from_slice(&response.body).unwrap();
    let deliveries = |data: &Value| {
        let each = data["deliveries"].as_array().unwrap().iter();
        each.map(|one| (one["receiver"].clone(), one["pending"] == true, one["delivered"] == true)).collect::<Vec<_>>()
    };
    assert_eq!(deliveries(&owed["data"]), [(json!("pager"), true, false)]);
    let target = format!("/api/v1/notify/test?receiver=pager&id={}", owed["data"]["id"].as_str().unwrap());
    assert_eq!(deliveries(&bench.data(&target, admin).await), [(json!("pager"), true, false)]);
    outbox::dispatch(&bench.context, &TenantId::default()).await.unwrap();
    assert_eq!(deliveries(&bench.data(&target, admin).await), [(json!("pager"), false, true)]);

    let status = bench.data("/api/v1/status/pager", read).await;
    let names: Vec<&String> = status.as_object().unwrap().keys().collect();
    assert_eq!(names, ["connected", "receivers", "subscribers", "subscribers_error", "topics", "waiting"]);
    assert_eq!((&status["connected"], &status["receivers"][0]["delivered"]), (&json!(false), &json!(true)));
}
