//! The deployed stack: `infra/template.yaml` with the six functions on an emulator of AWS, by the
//! real agent, the real `daywatch` and AWS's own tools.
//!
//! Each test has an emulator of its own. They run where `scripts/cloud-test.sh` has packed the
//! functions (the stage "cloud" of `make test`), else they say that they are skipped. What the
//! emulator gets wrong is not proved here: see `simulator` and `gateway`.

mod bad_input;
mod operations;
mod restarts;

use tests::stack::said;
use tests::{Stack, Tools, until};

use crate::end_to_end::main_job;
use crate::pagerduty::PagerDuty;

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_stack_does_the_main_job_and_wakes_people_once() {
    let Some(tools) = Tools::ready() else { return };
    let duty = PagerDuty::start().await;
    let mut stack = Stack::deployed(&tools, &[]).await;
    // By hand: what the template subscribes counts as confirmed on this emulator, and nobody is asked.
    let topic = stack.output("PagerTopicArn");
    let subscribe = ["sns", "subscribe", "--protocol", "http", "--topic-arn", topic, "--notification-endpoint"];
    said(stack.aws(&subscribe).arg(&duty.url));
    until("the pager has confirmed its subscription", async || duty.confirmed().pop()).await;
    let gateway = stack.gateway().await;
    let place = stack.place(&gateway, "end-to-end").await;
    main_job(&place).await;
    // The webhook of the main job was told once of each; so was the pager's topic.
    let incidents = until("the pager's incident is over", async || {
        let incidents = duty.incidents();
        incidents.iter().any(|incident| !incident.open).then_some(incidents)
    })
    .await;
    let told: Vec<_> = incidents.iter().map(|incident| (incident.triggers, incident.open)).collect();
    assert_eq!(told, [(1, false)], "{incidents:?}");
    assert_eq!(duty.dropped(), [""; 0]);
    // All of it went by what AWS takes.
    let counted = |counter| gateway.statistics.of(counter);
    assert!(counted(|all| &all.connections) >= 2 && counted(|all| &all.messages_in) > 20);
    assert_eq!((counted(|all| &all.cut_binary), counted(|all| &all.cut_large)), (0, 0));
    println!(
        "websocket: {} messages in, {} out, {} overtaken",
        counted(|all| &all.messages_in),
        counted(|all| &all.messages_out),
        counted(|all| &all.overtaken)
    );
    stack.emulator.stop().await;
}
