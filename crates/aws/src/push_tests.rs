use super::*;
use crate::connect::adapter;
use crate::stub::{Answer, Stub};
use crate::{Config, SystemClock};
use std::sync::Arc;

async fn push(stub: &Stub) -> Arc<dyn Push> {
    let config = Config { websocket_endpoint: Some("https://x.example/live/".to_owned()), ..Config::default() };
    adapter(&stub.config().await, &config, Arc::new(SystemClock::default())).ports.push
}

fn id() -> ConnectionId {
    ConnectionId("L0SM9cOFvHcCIhw=".to_owned())
}

#[tokio::test]
async fn what_became_of_a_message_is_a_value() {
    let cases = [
        (Answer::Http(200, String::new()), Ok(Pushed::Sent)),
        (Answer::error(410, "GoneException"), Ok(Pushed::Gone)),
        (Answer::Http(410, String::new()), Ok(Pushed::Gone)),
        (Answer::error(400, "BadRequestException"), Ok(Pushed::Gone)),
        (Answer::error(413, "PayloadTooLargeException"), Ok(Pushed::TooLarge)),
        (Answer::error(429, "LimitExceededException"), Ok(Pushed::Throttled)),
        (Answer::Http(429, String::new()), Ok(Pushed::Throttled)),
        (Answer::error(403, "ForbiddenException"), Err("lacks this right")),
        (Answer::error(500, "InternalServerError"), Err("InternalServerError (status 500)")),
        (Answer::Lost, Err("could not be asked")),
    ];
    for (answer, expected) in cases {
        let stub = Stub::script([answer.clone()]);
        let posted = push(&stub).await.post(&id(), "text".to_owned()).await;
        match (&posted, expected) {
            (Ok(posted), Ok(expected)) => assert_eq!(*posted, expected, "{answer:?}"),
            (Err(error), Err(text)) => assert!(error.is_transient() && error.what.contains(text), "{error}"),
            _ => panic!("{answer:?} became {posted:?}"),
        }
        assert_eq!(stub.seen().len(), 1, "never twice by itself");
    }
}

#[tokio::test]
async fn the_address_is_the_stages_and_the_id_is_escaped() {
    let stub = Stub::script([Answer::Http(200, String::new()), Answer::Http(204, String::new())]);
    let push = push(&stub).await;
    push.post(&id(), "text".to_owned()).await.unwrap();
    push.disconnect(&id()).await.unwrap();
    let seen = stub.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].body.as_str()), ("POST", "text"));
    assert_eq!(seen[0].uri, "https://x.example/live/@connections/L0SM9cOFvHcCIhw%3D");
    assert_eq!((seen[1].method.as_str(), &seen[1].uri), ("DELETE", &seen[0].uri));
}

#[tokio::test]
async fn a_message_past_the_limit_is_never_sent() {
    let stub = Stub::script([Answer::Http(200, String::new())]);
    let push = push(&stub).await;
    assert_eq!(push.post(&id(), "x".repeat(PUSH_BYTES_MAX + 1)).await, Ok(Pushed::TooLarge));
    assert_eq!(stub.seen().len(), 0);
    assert_eq!(push.post(&id(), "x".repeat(PUSH_BYTES_MAX)).await, Ok(Pushed::Sent));
}

#[tokio::test]
async fn disconnecting_what_is_gone_is_a_success() {
    for answer in [Answer::error(410, "GoneException"), Answer::error(400, "BadRequestException")] {
        assert_eq!(push(&Stub::script([answer])).await.disconnect(&id()).await, Ok(()));
    }
    let error = push(&Stub::script([Answer::error(403, "ForbiddenException")])).await.disconnect(&id()).await;
    assert!(error.unwrap_err().is_transient());
}
