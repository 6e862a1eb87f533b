//! What Prometheus's clients ask beside queries, and how they find out whom they talk to.

use super::*;

/// Grafana's data source asks this when it is set up, and when its editor opens.
#[tokio::test]
async fn the_sequence_of_a_data_source() {
    let bench = Bench::new().await;
    bench.store("http_requests;job=api;instance=a 1\nhttp_requests;job=web;instance=b 2\nup;job=api 1\n").await;
    let read = bench.read.as_str();
    let now_s = bench.context.ports.clock.now().ms().div_euclid(1_000);
    let (start, end) = (now_s - 3_600, now_s);
    // "Save & test".
    let data = bench.form("/api/v1/query", "query=1%2B1").await;
    assert_eq!((&data["resultType"], &data["result"][1]), (&json!("scalar"), &json!("2")));
    assert_eq!(bench.data("/api/v1/status/buildinfo", read).await["version"], "3.0.0");
    assert_eq!(bench.data("/api/v1/rules", read).await, json!({ "groups": [] }));
    assert_eq!(bench.data("/api/v1/metadata?limit=40000", read).await, json!({}));
    assert_eq!(bench.data("/api/v1/query_exemplars?query=up", read).await, json!([]));
    // The editor's lists.
    let form = format!("start={start}&end={end}&limit=40000");
    let names = bench.form("/api/v1/labels", &form).await;
    assert_eq!(names, json!(["__name__", "instance", "job"]));
    let target = format!("/api/v1/label/__name__/values?start={start}&end={end}&limit=40000");
    assert_eq!(bench.data(&target, read).await, json!(["http_requests", "up"]));
    let target = format!("/api/v1/label/job/values?start={start}&end={end}&match[]=http_requests{{instance=\"b\"}}");
    assert_eq!(bench.data(&target, read).await, json!(["web"]));
    let form = format!("start={start}&end={end}&match%5B%5D=http_requests&match%5B%5D=up");
    assert_eq!(bench.form("/api/v1/series", &form).await.as_array().unwrap().len(), 3);
    // A panel: a form, and its parameters may be split between query and body.
    let form = format!("query=sum+by+(job)+(http_requests)&start={start}&end={}&step=15", now_s + 15);
    let data = bench.form("/api/v1/query_range", &form).await;
    assert_eq!(data["resultType"], "matrix");
    let jobs: Vec<&Value> = data["result"].as_array().unwrap().iter().map(|one| &one["metric"]["job"]).collect();
    assert_eq!(jobs, ["api", "web"]);
    let data = bench.form(&format!("/api/v1/query?time={now_s}&query=2"), "query=1").await;
    assert_eq!(data["result"], json!([now_s, "1"]), "the body goes first");
}

#[tokio::test]
async fn what_prometheus_is_asked_beside_data() {
    let bench = Bench::new().await;
    bench.store("m;x=1 1\nm;x=2 1\nn 1\n").await;
    let read = bench.read.as_str();
    assert_eq!(bench.data("/api/v1/format_query?query=sum(m)  /  n", read).await, "sum(m) / n");
    assert_eq!(bench.data("/api/v1/parse_query?query=sum(m)", read).await["expr"]["name"], "m");
    let empty = json!({ "activeAlertmanagers": [], "droppedAlertmanagers": [] });
    assert_eq!(bench.data("/api/v1/alertmanagers", read).await, empty);
    assert_eq!(bench.data("/api/v1/targets", read).await["droppedTargets"], json!([]));
    assert_eq!(bench.data("/api/v1/targets/metadata", read).await, json!([]));
    assert_eq!(bench.data("/api/v1/status/flags", read).await["query.timeout"], "120s");
    assert_eq!(bench.data("/api/v1/status/runtimeinfo", read).await["storageRetention"], "30d");
    assert!(bench.data("/api/v1/status/config", read).await["yaml"].is_string());
    assert_eq!(bench.data("/api/v1/status/walreplay", read).await, json!({ "min": 0, "max": 0, "current": 0 }));

    let tsdb = bench.data("/api/v1/status/tsdb?limit=1", read).await;
    assert_eq!(tsdb["headStats"]["numSeries"], 3);
    assert!(tsdb["headStats"]["chunkCount"].as_u64().unwrap() >= 3, "{tsdb}");
    assert!(tsdb["headStats"]["minTime"].as_i64() <= tsdb["headStats"]["maxTime"].as_i64());
    assert_eq!(tsdb["seriesCountByMetricName"], json!([{ "name": "m", "value": 2 }]));
    assert_eq!(bench.data("/api/v1/status/tsdb", &bench.stranger).await["headStats"]["numSeries"], 0);
    let rows_max = prometheus::ROWS_MAX;
    bench.data(&format!("/api/v1/status/tsdb?limit={rows_max}"), read).await;
    let past = bench.send("GET", &format!("/api/v1/status/tsdb?limit={}", rows_max + 1), read, "").await;
    assert_eq!(past.status, 400);
}

#[tokio::test]
async fn what_is_cut_says_so_and_numbers_come_where_they_are_asked_for() {
    let bench = Bench::new().await;
    bench.store("m;x=1 1\nm;x=2 1\n").await;
    let whole = async |target: &str| -> Value {
        let response = bench.send("GET", target, &bench.read, "").await;
        serde_json::from_slice(&response.body).unwrap()
    };
    let cut = json!(["results truncated due to limit"]);
    for target in ["query?query=m", "series?match[]=m", "labels?a=b", "label/x/values?a=b"] {
        let at_limit = whole(&format!("/api/v1/{target}&limit=2")).await;
        assert_eq!(at_limit["warnings"], Value::Null, "{target}");
        let past = whole(&format!("/api/v1/{target}&limit=1")).await;
        assert_eq!(past["warnings"], cut, "{target}");
    }
    let stats = &whole("/api/v1/query?query=m&stats=all").await["data"]["stats"];
    assert_eq!(stats["samples"]["totalQueryableSamples"], 2);
    assert!(stats["timings"]["evalTotalTime"].is_number());
    assert_eq!(whole("/api/v1/query?query=m").await["data"]["stats"], Value::Null);
}

#[tokio::test]
async fn rules_are_picked() {
    let bench = Bench::new().await;
    let one = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up == 0\n    labels: {team: x}\n  - record: r:r\n    expr: up\n";
    let two = "groups:\n- name: h\n  rules:\n  - alert: B\n    expr: up == 0\n";
    for (name, text) in [("one.yml", one), ("two.yml", two)] {
        let stored = bench.send("PUT", &format!("/api/v1/config/rules/{name}"), &bench.admin, text).await;
        assert_eq!(stored.status, 200);
    }
    let names = async |parameters: &str| {
        let data = bench.data(&format!("/api/v1/rules?{parameters}"), &bench.read).await;
        let groups = data["groups"].as_array().unwrap().clone();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        rules.map(|rule| rule["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["A", "r:r", "B"]);
    assert_eq!(names("type=alert").await, ["A", "B"]);
    assert_eq!(names("type=record").await, ["r:r"]);
    assert_eq!(names("rule_name[]=A&rule_name[]=B").await, ["A", "B"]);
    assert_eq!(names("rule_group[]=h").await, ["B"]);
    assert_eq!(names("file[]=one.yml").await, ["A", "r:r"]);
    assert_eq!(names("match[]={team=\"x\"}").await, ["A"]);
    let page = bench.data("/api/v1/rules?group_limit=1", &bench.read).await;
    let token = page["groupNextToken"].as_str().unwrap();
    assert_eq!(names(&format!("group_limit=1&group_next_token={token}")).await, ["B"]);
    assert_eq!(bench.data("/api/v1/rules?group_limit=2", &bench.read).await["groupNextToken"], Value::Null);
}

#[tokio::test]
async fn browsers_and_watchdogs() {
    let bench = Bench::new().await;
    let header = |response: &Response, wanted: &str| {
        response.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
    };
    let asked = bench.send("OPTIONS", "/api/v1/query_range", "", "").await;
    assert_eq!((asked.status, header(&asked, "access-control-allow-origin").as_deref()), (204, Some("*")));
    assert!(header(&asked, "access-control-allow-methods").unwrap().contains("POST"));
    // What is not Prometheus's stays with the page's own origin.
    let own = bench.send("OPTIONS", "/api/v1/keys", &bench.admin, "").await;
    assert_eq!((own.status, header(&own, "access-control-allow-origin")), (405, None));
    let refused = bench.send("DELETE", "/api/v1/query", &bench.read, "").await;
    assert_eq!(header(&refused, "allow").as_deref(), Some("GET, HEAD, POST, OPTIONS"));
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(bench.send("GET", path, "", "").await.status, 200, "{path}");
        assert_eq!(bench.send("POST", path, "", "").await.status, 405, "{path}");
    }
}
