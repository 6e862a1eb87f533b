//! What a wrong setting, region, name, key or version is told: what is wrong and what to do.

use std::process::Command;

use series::Epoch;
use tests::agent_socket::hello;
use tests::stack::{NAME, outcome, said};
use tests::{Agent, AgentSocket, Stack, Tools, until};
use tokio_tungstenite::tungstenite;
use wire::{AgentFrame, ServerFrame};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_stack_or_its_users_is_named() {
    let Some(tools) = Tools::ready() else { return };
    let mut stack = Stack::deployed(&tools, &[]).await;
    let gateway = stack.gateway().await;
    let place = stack.place(&gateway, "wrong").await;
    commands_name_what_is_missing(&stack);
    wrong_keys_and_versions_are_refused(&place).await;
    a_function_without_its_settings_says_which(&stack, &place).await;
    stack.emulator.stop().await;
    let said = refused(&mut stack.daywatch(&["keys", "list"]));
    assert!(said.contains("AWS_ENDPOINT_URL") && said.contains("refused"), "nobody answers: {said}");
}

/// What a command says that must fail.
fn refused(command: &mut Command) -> String {
    let output = outcome(command);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!output.status.success(), "{command:?} is taken: {said}");
    assert!(!said.contains("panicked"), "{command:?}: {said}");
    said
}

fn commands_name_what_is_missing(stack: &Stack) {
    let list = || stack.daywatch(&["keys", "list"]);
    let said = refused(list().env("AWS_REGION", "eu-central-1").env("AWS_DEFAULT_REGION", "eu-central-1"));
    assert!(said.contains(NAME) && said.contains("eu-central-1") && said.contains("AWS_REGION"), "{said}");
    let said = refused(list().env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION"));
    assert!(said.contains("AWS_REGION"), "{said}");
    let said = refused(list().env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY"));
    assert!(said.contains("credentials"), "{said}");
    let mut elsewhere = stack.emulator.command(&tests::programs::daywatch());
    let said = refused(elsewhere.args(["keys", "list", "--stack", "no-such-stack"]));
    assert!(said.contains("no-such-stack") && said.contains("us-east-1"), "{said}");
    // The deploying side.
    let said = refused(&mut stack.infra(&["outputs", "no-such-stack"]));
    assert!(said.contains("no-such-stack") && said.contains("make deploy"), "{said}");
    let mut deploy = stack.infra(&["deploy", "half", "--zips", "/nowhere"]);
    let said = refused(&mut deploy);
    assert!(said.contains("/nowhere") && said.contains("scripts/lambdas.sh"), "{said}");
    let mut deploy = stack.infra(&["deploy", "half", "--parameter", "ShardCount=many", "--zips"]);
    let said = refused(deploy.arg(&stack.emulator.tools().zips));
    assert!(said.contains("ShardCount"), "{said}");
    // Nothing of it is left that looks healthy.
    let said = refused(&mut stack.infra(&["outputs", "half"]));
    assert!(said.contains("no stack half"), "{said}");
}

async fn wrong_keys_and_versions_are_refused(place: &tests::Place) {
    let mut wrong = place.clone();
    let last = if wrong.agent_key.ends_with('a') { 'b' } else { 'a' };
    wrong.agent_key.pop();
    wrong.agent_key.push(last);
    for (key, status) in [(&wrong.agent_key, 403), (&place.read_key, 403)] {
        match AgentSocket::open(place, key).await {
            Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status().as_u16(), status),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("the websocket was opened"),
        }
    }
    let mut agent = Agent::new(&wrong, "keyless", "[host]\nenabled = false\n");
    agent.start();
    until("the agent says that its key is refused", async || agent.log().contains("key").then_some(())).await;
    until("its status tells so", async || (agent.status()["agent"]["connection"]["refused"] == true).then_some(()))
        .await;
    assert!(agent.terminate().await.success());

    for (version, older) in [(0, "the agent is the older one"), (99, "the server is the older one")] {
        let mut socket = AgentSocket::open(place, &place.agent_key).await.expect("the key is good");
        let AgentFrame::Hello { source, epoch, run_id, host, agent_version, counters, .. } =
            hello("of-another-time", Epoch(9))
        else {
            panic!("a hello");
        };
        let frame = AgentFrame::Hello { version, source, epoch, run_id, host, agent_version, counters };
        socket.send(&frame).await.expect("the connection is open");
        let told = until("the version is refused", async || match socket.next().await {
            Some(ServerFrame::Bye { reason, text, .. }) => Some((reason, text)),
            Some(_) => None,
            None => panic!("the connection was cut without a word"),
        })
        .await;
        assert!(told.0 == "version" && told.1.contains(older), "{told:?}");
    }
}

/// Settings of `query` that are taken away.
const TAKEN: [&str; 2] = ["DAYWATCH_BLOBS_BUCKET", "DAYWATCH_WEBSOCKET_URL"];

async fn a_function_without_its_settings_says_which(stack: &Stack, place: &tests::Place) {
    let function = stack.physical("Query");
    let asked = said(&mut stack.aws(&["lambda", "get-function-configuration", "--function-name", &function]));
    let configuration: serde_json::Value = serde_json::from_str(&asked).expect("JSON");
    let whole = configuration["Environment"].clone();
    let mut less = whole.clone();
    for name in TAKEN {
        let variables = less["Variables"].as_object_mut().expect("variables");
        assert!(variables.remove(name).is_some(), "{name} in {whole}");
    }
    let configure = |environment: &serde_json::Value| {
        let text = environment.to_string();
        let arguments = ["lambda", "update-function-configuration", "--function-name", &function, "--environment"];
        said(stack.aws(&arguments).arg(text));
    };
    configure(&less);
    let endpoints = || place.ask(reqwest::Method::GET, "/api/v1/endpoints", &[], &place.read_key, "");
    let (status, answer) = endpoints().await.expect("an answer");
    assert!(status >= 500, "{status}: {answer}");
    // A log group would have it on AWS; the emulator writes it where it writes its own.
    let log = until("its log names both", async || {
        let log = stack.emulator.log();
        let line = log.lines().find(|line| TAKEN.iter().all(|name| line.contains(name)))?;
        Some(line.to_owned())
    })
    .await;
    assert!(!log.contains("DAYWATCH_TABLE"), "what is there is not complained of: {log}");
    configure(&whole);
    until("it answers again", async || endpoints().await.ok().filter(|(status, _)| *status == 200)).await;
}
