//! `daywatch notify test`: one test notification on the real way out, each delivery's answer.
//!
//! The notification is owed like every other; whoever sends those sends it, and this command asks
//! what became of it until every way out has answered.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::Where;
use crate::door::{Door, request};

/// How long it waits for answers: a webhook has ten seconds, a queue may take a few to wake somebody.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it asks.
const ASK_EVERY: Duration = Duration::from_millis(200);
const PATH: &str = "/api/v1/notify/test";

#[derive(Subcommand)]
pub(crate) enum NotifyCommand {
    /// Sends a test notification, which ends by itself after five minutes; exit 1 where nobody is
    /// reached or a receiver does not take it.
    Test {
        /// Only this receiver: one of the routing file, or `pager` or `mail` for a topic.
        #[arg(long)]
        receiver: Option<String>,
        #[command(flatten)]
        place: Where,
    },
}

pub(crate) async fn run(command: NotifyCommand) -> anyhow::Result<ExitCode> {
    let NotifyCommand::Test { receiver, place } = command;
    let door = Door::open(&place).await?;
    let mut parameters: Vec<(&str, &str)> = receiver.as_deref().map(|name| ("receiver", name)).into_iter().collect();
    let mut data = door.data(request("POST", PATH, &parameters, "")).await?;
    let id = data["id"].as_str().unwrap_or_default().to_owned();
    parameters.push(("id", &id));
    let asked_at = Instant::now();
    while is_pending(&data) && asked_at.elapsed() < PATIENCE {
        door.send_owed().await?;
        tokio::time::sleep(ASK_EVERY).await;
        data = door.data(request("GET", PATH, &parameters, "")).await?;
    }
    let (text, reached) = told(&data);
    print!("{text}");
    Ok(if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list<'a>(data: &'a Json, name: &str) -> &'a [Json] {
    data[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is_pending(data: &Json) -> bool {
    list(data, "deliveries").iter().any(|delivery| delivery["pending"] == true)
}

/// What is printed, and whether all is well: everybody took it, and somebody was reached.
fn told(data: &Json) -> (String, bool) {
    let deliveries = list(data, "deliveries");
    let mut text = String::new();
    for delivery in deliveries {
        let word = |name: &str| delivery[name].as_str().unwrap_or_default();
        // A webhook's error names the webhook itself.
        let answer = word("answer").strip_prefix(word("to")).and_then(|rest| rest.strip_prefix(": "));
        let answer = answer.unwrap_or(word("answer"));
        let (state, answer) = match (delivery["pending"] == true, delivery["delivered"] == true) {
            (true, _) => ("WAITING  ", format!("not sent within {} s: does evaluate-alerts run?", PATIENCE.as_secs())),
            (_, true) if delivery["reached"] != true => {
                ("UNHEARD  ", format!("{answer}, but nobody has confirmed a subscription"))
            }
            (_, true) => ("delivered", answer.to_owned()),
            _ => ("FAILED   ", answer.to_owned()),
        };
        text.push_str(&format!("{state} {}: {answer}\n", word("to")));
    }
    for subscriber in list(data, "subscribers") {
        let word = |name: &str| subscriber[name].as_str().unwrap_or_default();
        let state = if subscriber["confirmed"] == true { "confirmed" } else { "PENDING  " };
        text.push_str(&format!(
            "{state} {} subscription: {} {}\n",
            word("destination"),
            word("protocol"),
            word("endpoint")
        ));
    }
    if let Some(error) = data["subscribers_error"].as_str() {
        text.push_str(&format!("who is subscribed cannot be read: {error}\n"));
    }
    let reached = deliveries.iter().any(|delivery| delivery["reached"] == true);
    if deliveries.is_empty() {
        text.push_str("no receiver is configured: nobody will be woken\n");
    } else if !reached {
        text.push_str("nobody was reached\n");
    }
    (text, reached && deliveries.iter().all(|delivery| delivery["delivered"] == true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_printed_and_when_it_is_a_failure() {
        let delivery = |to: &str, pending: bool, delivered: bool, reached: bool, answer: &str| json!({ "to": to, "pending": pending, "delivered": delivered, "reached": reached, "answer": answer });
        let check = |deliveries: Vec<Json>, subscribers: Json, expected: &str, well: bool| {
            let data = json!({ "id": "1", "deliveries": deliveries, "subscribers": subscribers });
            assert_eq!(told(&data), (expected.to_owned(), well));
        };
        let pager = || delivery("the pager topic", false, true, true, "message 1-2");
        let deaf = || delivery("the mail topic", false, true, false, "message 3-4");
        let hook = || delivery("http://h/", false, false, false, "http://h/: 404 Not Found in 3 ms");
        let subscribers = json!([
            { "destination": "pager", "protocol": "https", "endpoint": "https://events.example/…", "confirmed": true },
            { "destination": "mail", "protocol": "email", "endpoint": "o…@example.org", "confirmed": false },
        ]);
        check(
            vec![pager(), deaf()],
            subscribers.clone(),
            "delivered the pager topic: message 1-2\nUNHEARD   the mail topic: message 3-4, but nobody has confirmed a subscription\nconfirmed pager subscription: https https://events.example/…\nPENDING   mail subscription: email o…@example.org\n",
            true,
        );
        check(
            vec![pager(), hook()],
            json!([]),
            "delivered the pager topic: message 1-2\nFAILED    http://h/: 404 Not Found in 3 ms\n",
            false,
        );
        check(
            vec![deaf()],
            json!([]),
            "UNHEARD   the mail topic: message 3-4, but nobody has confirmed a subscription\nnobody was reached\n",
            false,
        );
        check(
            vec![delivery("http://h/", true, false, false, "")],
            json!([]),
            "WAITING   http://h/: not sent within 30 s: does evaluate-alerts run?\nnobody was reached\n",
            false,
        );
        check(vec![], json!([]), "no receiver is configured: nobody will be woken\n", false);
        let data = json!({ "deliveries": [pager()], "subscribers": [], "subscribers_error": "AccessDenied" });
        assert!(told(&data).0.ends_with("who is subscribed cannot be read: AccessDenied\n"));
    }
}
