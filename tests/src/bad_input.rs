//! What bad input gets: an answer that says what and where, a count under a reason, and no harm to
//! its neighbours.

use std::fs;

use reqwest::Method;
use series::Epoch;
use tests::agent_socket::hello;
use tests::wait::now_ms;
use tests::{Agent, AgentSocket, Place, Server, until};
use tokio_tungstenite::tungstenite::{self, Message};
use wire::{AgentFrame, Batch, Counters, ServerFrame};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_gets_401_or_403_and_a_log_line_without_it() {
    let (mut server, place) = Server::started("keys").await;
    let status_of = async |method: Method, path: &str, key: &str| {
        place.ask(method, path, &[], key, "x 1\n").await.expect("an answer").0
    };
    let secret = |key: &str| key.rsplit('_').next().unwrap_or_default().to_owned();
    // One character of the secret is another one.
    let last = if place.agent_key.ends_with('a') { 'b' } else { 'a' };
    let wrong = format!("{}{last}", &place.agent_key[..place.agent_key.len() - 1]);
    for key in [wrong.as_str(), "dw_agent_nobody_verysecretverysecret", "verysecretverysecret"] {
        assert_eq!(status_of(Method::POST, "/graphite", key).await, 401);
        assert_eq!(status_of(Method::GET, "/api/v1/sources", key).await, 401);
        assert_eq!(refusal(AgentSocket::open(&place, key).await), 401);
    }
    assert_eq!(status_of(Method::POST, "/graphite", &place.read_key).await, 403);
    assert_eq!(status_of(Method::GET, "/api/v1/sources", &place.agent_key).await, 403);
    assert_eq!(status_of(Method::PUT, "/api/v1/config/rules/x", &place.read_key).await, 403);
    assert_eq!(refusal(AgentSocket::open(&place, &place.read_key).await), 403);
    let url = place.websocket_url().await.expect("an address");
    let ticket = tokio_tungstenite::connect_async(format!("{url}?ticket=verysecretverysecret")).await;
    assert_eq!(refusal(ticket), 401);

    let log = server.log();
    let refused = log.lines().filter(|line| line.contains("refused")).count();
    assert!(refused >= 14, "{refused} refusals are logged:\n{log}");
    let id = place.read_key.split('_').nth(2).expect("a key's id");
    assert!(log.contains(id), "a refused key is named by its id:\n{log}");
    for key in [&wrong, &place.agent_key, &place.read_key] {
        assert!(!log.contains(&secret(key)), "the log holds a secret");
    }
    assert!(!log.contains("verysecret"), "the log holds a secret:\n{log}");
    server.stop().await;
}

/// The HTTP status with which a websocket was refused.
fn refusal<T>(opened: Result<T, tungstenite::Error>) -> u16 {
    match opened {
        Err(tungstenite::Error::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the websocket was opened"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_are_answered_and_counted_and_the_connection_stays() {
    let (mut server, place) = Server::started("frames").await;
    let mut socket = AgentSocket::open(&place, &place.agent_key).await.expect("the key is good");
    let batch = AgentFrame::Batch { payload: good_batch(1).to_payload(), epoch: Some(Epoch(7)), seq: Some(1) };
    // Before the hello there is no source to count under; the answer says what to do.
    socket.send(&batch).await.expect("the connection stays");
    assert_eq!(error(&mut socket).await.0, "no_hello");
    socket.send(&hello("frames-1", Epoch(7))).await.expect("the connection stays");
    while !matches!(socket.next().await, Some(ServerFrame::Welcome { .. })) {}

    let oversize = format!("{{\"action\":\"heartbeat\",\"x\":\"{}\"}}", "x".repeat(wire::FRAME_BYTES_MAX));
    let cases = [
        (Message::text("this is no JSON"), "frame_not_json", "line 1, column"),
        (Message::text("[1]"), "frame_not_json", "not a JSON object"),
        (Message::text("{\"kind\":1}"), "frame_without_kind", "action"),
        (Message::text("{\"action\":\"batch\",\n\"payload\":5}"), "frame_field", "line 2, column 1"),
        (Message::text(oversize), "frame_too_large", "32768"),
        (Message::binary(vec![1, 2, 3]), "binary_frame", "text"),
        (Message::text("{\"action\":\"batch\",\"payload\":\"%%%\"}"), "batch_not_base64", ""),
        (Message::text("{\"action\":\"batch\",\"payload\":\"AAAA\"}"), "batch_not_zstd", ""),
    ];
    for (message, reason, place_of_it) in cases.clone() {
        socket.send_message(message).await.expect("the connection stays");
        let (found, text) = error(&mut socket).await;
        assert!(found == reason && text.contains(place_of_it), "{reason}: {found}: {text}");
    }
    // A frame of a later version is no error.
    socket.send_message(Message::text("{\"action\":\"dance\",\"steps\":3}")).await.expect("the connection stays");
    socket.send(&batch).await.expect("the connection stays");
    match socket.next().await {
        Some(ServerFrame::Ack { epoch, ranges, rejected }) => {
            assert_eq!((epoch, ranges[0].from, ranges[0].to, rejected.len()), (Epoch(7), 1, 1, 0));
        }
        other => panic!("{other:?}"),
    }
    // A batch that can be named but not read would come for ever: it is kept aside and acknowledged.
    let unreadable = AgentFrame::Batch { payload: "AAAA".to_owned(), epoch: Some(Epoch(7)), seq: Some(2) };
    socket.send(&unreadable).await.expect("the connection stays");
    match socket.next().await {
        Some(ServerFrame::Ack { ranges, rejected, .. }) => {
            assert_eq!((ranges[0].from, ranges[0].to, rejected[0].reason.as_str()), (2, 2, "batch_not_zstd"));
        }
        other => panic!("{other:?}"),
    }
    let ledger = until("every refusal is counted and the good batch is stored", async || {
        place
            .ledger("frames-1")
            .await
            .filter(|ledger| ledger.stored == 1 && ledger.rejected.values().sum::<u64>() > cases.len() as u64)
    })
    .await;
    for (_, reason, _) in &cases {
        assert!(ledger.rejected.contains_key(*reason), "{reason} in {ledger:?}");
    }
    assert_eq!(ledger.rejected["frame_not_json"], 2, "{ledger:?}");
    server.stop().await;
}

/// The next frame, which is an error.
async fn error(socket: &mut AgentSocket) -> (String, String) {
    loop {
        match socket.next().await {
            Some(ServerFrame::Error { reason, text }) => return (reason, text),
            Some(ServerFrame::Wish { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn good_batch(seq: u64) -> Batch {
    let labels = series::Labels::from_pairs([("__name__", "frames"), ("source", "frames-1")]).unwrap();
    let at = series::Timestamp(now_ms());
    Batch {
        source: series::SourceName::new("frames-1").unwrap(),
        epoch: Epoch(7),
        seq,
        created_at: at,
        ack_now: true,
        series: vec![wire::SeriesColumn { labels, samples: vec![series::Sample { at, value: 1.0 }] }],
        checks: Vec::new(),
        logs: Vec::new(),
        metadata: Vec::new(),
        counters: Counters { generated: seq, ..Counters::default() },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_named_and_counted_and_its_neighbours_are_stored() {
    let (mut server, place) = Server::started("lines").await;
    let (status, answer) = place.push("good.one 1\nbad.one five\ngood.two 2\n".to_owned()).await.expect("an answer");
    assert_eq!((status, &answer["data"]["accepted"]), (400, &2.into()), "{answer}");
    assert_eq!(answer["data"]["rejected"][0]["reason"], "value_not_a_number", "{answer}");
    assert!(answer["error"].as_str().is_some_and(|text| text.contains("line 2, column 9")), "{answer}");
    let ledger =
        until("the neighbours are stored", async || place.ledger("lines").await.filter(|ledger| ledger.stored == 2))
            .await;
    assert_eq!((ledger.rejected["value_not_a_number"], ledger.balances()), (1, true), "{ledger:?}");
    assert_eq!(place.number("{__name__=\"good.two\"}").await, Some(2.0));

    // The same by an agent: counted under the agent's name.
    let mut agent = Agent::new(&place, "liner", "[host]\nenabled = false\n[buffer]\nflush = \"200ms\"\n");
    agent.start();
    agent.send_lines("good.three 3\nbad.three\ngood.four 4\n").await;
    until("the agent's bad line is counted", async || {
        place.ledger("liner").await.filter(|ledger| ledger.rejected.get("value_missing") == Some(&1))
    })
    .await;
    until("its neighbours are stored", async || place.number("{__name__=\"good.four\",source=\"liner\"}").await).await;
    assert!(agent.terminate().await.success());
    server.stop().await;
}

const BAD_RULES: &str = "groups:
- name: a
  rules:
  - alert: Broken
    expr: up ==
";

#[tokio::test(flavor = "multi_thread")]
async fn bad_documents_are_refused_with_line_and_column() {
    let (mut server, place) = Server::started("documents").await;
    let before = rules(&place).await;
    let (status, answer) = place.put("rules", "bad.yml", BAD_RULES).await;
    let said = answer["error"].as_str().unwrap_or_default();
    assert!(status == 400 && said.contains("bad.yml:5:"), "{status}: {answer}");
    let (status, answer) = place.put("rules", "bad.yml", "groups:\n- name: [\n").await;
    assert!(status == 400 && answer["error"].as_str().is_some_and(|text| text.contains("bad.yml:")), "{answer}");
    let routing = "route:\n  receiver: x\n  group_by: [a]\nreceivers:\n- name: x\n";
    let (status, answer) = place.put("alertmanager", "default", routing).await;
    let said = answer["error"].as_str().unwrap_or_default();
    assert!(status == 400 && said.contains(":3:") && said.contains("group_by"), "{status}: {answer}");
    assert_eq!(rules(&place).await, before, "nothing of them is stored");
    let (status, answer) =
        place.ask(Method::GET, "/api/v1/query", &[("query", "up +")], &place.read_key, "").await.unwrap();
    assert!(status == 400 && answer["error"].as_str().is_some_and(|text| !text.is_empty()), "{status}: {answer}");

    let folder = tempfile::tempdir().unwrap();
    let (bad, good) = (folder.path().join("bad.yml"), folder.path().join("good.yml"));
    fs::write(&bad, BAD_RULES).unwrap();
    fs::write(&good, BAD_RULES.replace("up ==", "up == 0")).unwrap();
    let check = |path: &std::path::Path| {
        let mut command = std::process::Command::new(tests::programs::daywatch());
        let output = command.args(["rules", "check"]).arg(path).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = check(&bad);
    assert!(code == Some(1) && said.contains("bad.yml:5:") && said.contains("expr: up ==\n"), "{code:?}: {said}");
    assert!(said.lines().any(|line| line.trim_end().ends_with('^')), "a caret: {said}");
    let (code, said) = check(&good);
    assert_eq!(code, Some(0), "{said}");
    server.stop().await;
}

async fn rules(place: &Place) -> Option<serde_json::Value> {
    place.data("/api/v1/config/rules", &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_of_the_agent_is_refused_with_its_line() {
    let (mut server, place) = Server::started("configurations").await;
    let lines = |config: &str| {
        let agent = Agent::new(&place, "configured", config);
        let output = agent.command().arg("--check-config").output().unwrap();
        assert!(!output.status.success(), "{config} is taken");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    // The generated head of the file has six lines.
    for (config, wanted) in [
        ("[host]\nintervall = \"10s\"\n", "agent.toml:8:1: unknown field `intervall`"),
        ("[host]\ninterval = \"soon\"\n", "agent.toml:8:12"),
        ("[[check]]\nname = \"a\"\n", "agent.toml:8:"),
        (
            "[[check]]\nname = \"a\"\nbuiltin = \"load\"\n[[check]]\nname = \"a\"\nbuiltin = \"disk\"\n",
            "agent.toml:11:",
        ),
        ("[buffer\n", "agent.toml:7:"),
    ] {
        let said = lines(config);
        assert!(said.contains(wanted), "{config:?}: {said}");
    }
    server.stop().await;
}
