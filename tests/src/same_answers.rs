//! Debian's Prometheus sends to us by `remote_write`; then both answer the same, `promtool` can read
//! both, and both refuse the same with the same codes. For minutes of it: `cargo run -p tests
//! --example same_answers -- 240`.

use std::path::Path;
use std::process::Command;

use tests::{Server, prometheus, until};

use crate::refusing::Refusing;

/// How often each target is scraped before answers are compared: longer than any range in them.
const SCRAPES: u64 = 45;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_sends_and_both_answer_the_same() {
    let (_server, place) = Server::started("prometheus").await;
    let mut neighbour = match prometheus::sending_to(&place) {
        Ok(neighbour) => neighbour,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    neighbour.scraped(SCRAPES).await;
    let compared = neighbour.compare(&place).await;
    eprintln!("{} answers are the same, {} but for rounding", compared.exact, compared.rounded);
    assert!(compared.different.is_empty(), "{:#?}", compared.different);
    assert_eq!(compared.exact + compared.rounded, 2 * prometheus::QUERIES.len());

    let (theirs, ours) = neighbour.metadata(&place, "prometheus_http_requests_total").await;
    assert_eq!(theirs, ours);

    for (path, parameters) in [
        ("/api/v1/query", &[("query", "up"), ("time", "x")][..]),
        ("/api/v1/query", &[("query", "sum(")]),
        ("/api/v1/query", &[("query", "up"), ("timeout", "x")]),
        ("/api/v1/query", &[("query", "a * on(x) b"), ("time", "-1")]),
        ("/api/v1/query", &[("query", "{__name__=~\"go_gc.*\"} * on () up")]),
        ("/api/v1/query_range", &[("query", "up"), ("start", "0"), ("end", "11001"), ("step", "1")]),
        ("/api/v1/query_range", &[("query", "up"), ("start", "0"), ("end", "11000"), ("step", "1")]),
        ("/api/v1/query_range", &[("query", "up"), ("start", "2"), ("end", "1"), ("step", "1")]),
        ("/api/v1/query_range", &[("query", "up"), ("start", "0"), ("end", "1"), ("step", "0")]),
        ("/api/v1/query_range", &[("query", "up[1m]"), ("start", "0"), ("end", "1"), ("step", "1")]),
        ("/api/v1/series", &[]),
        ("/api/v1/series", &[("match[]", "{}")]),
        ("/api/v1/labels", &[("match[]", "{a=\"\"}")]),
        ("/api/v1/labels", &[("start", "x")]),
        ("/api/v1/metadata", &[("limit", "x")]),
        ("/api/v1/rules", &[("type", "x")]),
        ("/api/v1/status/buildinfo", &[]),
        ("/api/v1/status/tsdb", &[]),
        ("/api/v1/alertmanagers", &[]),
        ("/api/v1/query_exemplars", &[("query", "up"), ("start", "0"), ("end", "1")]),
    ] {
        let (theirs, ours) = neighbour.status(&place, path, parameters).await;
        let shown = (theirs.0, &theirs.1["status"], &theirs.1["errorType"]);
        assert_eq!(shown, (ours.0, &ours.1["status"], &ours.1["errorType"]), "{path} {parameters:?}: {}", ours.1);
    }
}

/// Other settings of `remote_write`, too: basic authentication, headers, exemplars.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_for_now_is_sent_again_and_what_was_refused_for_good_is_not() {
    let (_server, place) = Server::started("refused").await;
    let door = Refusing::before(&place).await;
    let settings = format!(
        "url: {}/api/v1/write\n    basic_auth: {{username: prometheus, password: {}}}\n    headers: {{X-Team: shop}}\n    \
         send_exemplars: true",
        door.url, place.agent_key
    );
    door.answer(&[503, 429, 503]);
    // Without this, Prometheus drops what is answered by 429.
    let mut neighbour = match prometheus::sending(&settings, ", retry_on_http_429: true") {
        Ok(neighbour) => neighbour,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    neighbour.scraped(8).await;
    let own = |name: &str| format!("sum(prometheus_remote_storage_samples_{name}_total)");
    let theirs = async |expr: &str| neighbour.place().number(expr).await.unwrap_or_default();
    until("writes were refused and sent again", async || {
        (door.answered(503) == 2 && door.answered(429) == 1 && door.answered(204) > 3).then_some(())
    })
    .await;
    assert!(door.header("authorization").is_some_and(|header| header.starts_with("Basic ")));
    assert_eq!(theirs(&own("failed")).await, 0.0, "nothing was given up");
    assert!(theirs(&own("retried")).await > 0.0);
    // Each scrape of the past is here, from the first one on, which came while writes were refused.
    let at = (tests::wait::now_ms() / 1_000 - 3).to_string();
    let count = [("query", "sum(count_over_time(up[1h]))"), ("time", at.as_str())];
    let value = |data: Option<serde_json::Value>| data.map(|data| data["result"][0]["value"][1].clone());
    let scrapes = value(neighbour.place().data("/api/v1/query", &count).await).expect("Prometheus answers");
    until(&format!("all {scrapes} scrapes are here"), async || {
        value(place.data("/api/v1/query", &count).await).filter(|ours| *ours == scrapes)
    })
    .await;

    door.answer(&[400]);
    until("a write was refused for good", async || (door.answered(400) == 1).then_some(())).await;
    let taken = door.answered(204);
    until("later ones go on", async || (door.answered(204) > taken + 2).then_some(())).await;
    until("Prometheus has given the refused one up", async || (theirs(&own("failed")).await > 0.0).then_some(())).await;
    assert_eq!(door.answered(400), 1, "and has not sent it again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_reads() {
    let promtool = Path::new("/usr/bin/promtool");
    if !promtool.exists() {
        return eprintln!("skipped: promtool is not installed (Debian: prometheus)");
    }
    let (_server, place) = Server::started("promtool").await;
    let now = tests::wait::now_ms() / 1_000;
    let lines = format!("req;job=api 1 {}\nreq;job=api 4 {now}\nreq;job=web 2 {now}\n", now - 60);
    place.push(lines).await.expect("the lines are taken");
    until("they can be read", async || place.number("count(req)").await.filter(|count| *count == 2.0)).await;
    let url = place.base_url.replace("http://", &format!("http://promtool:{}@", place.read_key));
    let run = |arguments: &[&str]| {
        let mut command = Command::new(promtool);
        let output = command.arg("query").args(arguments).output().expect("promtool runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let (start, end) = ((now - 60).to_string(), now.to_string());
    let span = [format!("--start={start}"), format!("--end={end}")];
    let instant = run(&["instant", &format!("--time={end}"), &url, "sort_desc(req)"]);
    assert_eq!(instant, format!("req{{job=\"api\"}} => 4 @[{end}]\nreq{{job=\"web\"}} => 2 @[{end}]\n"));
    let range = run(&["range", &span[0], &span[1], "--step=60s", &url, "sum(req)"]);
    assert_eq!(range, format!("{{}} =>\n1 @[{start}]\n6 @[{end}]\n"));
    let series = run(&["series", &span[0], &span[1], "--match=req{job=\"web\"}", &url]);
    assert_eq!(series, "{__name__=\"req\", job=\"web\"}\n");
    assert_eq!(run(&["labels", &span[0], &span[1], &url, "job"]), "api\nweb\n");
    assert!(run(&["instant", "-o", "json", &url, "1+1"]).contains("\"2\""));
}
