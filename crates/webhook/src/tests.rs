//! Against receivers on this host.

use ports::ErrorClass;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn message(destination: Destination) -> Message {
    Message {
        destination,
        subject: "ALARM: x web-1".to_owned(),
        attributes: vec![],
        default: r#"{"version":"4"}"#.to_owned(),
        email: "mail".to_owned(),
        sms: "sms".to_owned(),
    }
}

fn webhook(url: &str) -> Message {
    message(Destination::Webhook { url: url.to_owned() })
}

/// Answers one request with `status_line`, and gives the request back.
async fn receiver(status_line: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&request).contains("\"4\"}") {
            let count = socket.read(&mut buffer).await.unwrap();
            assert!(count > 0, "the request ended early");
            request.extend_from_slice(&buffer[..count]);
        }
        let answer = format!("HTTP/1.1 {status_line}\r\ncontent-length: 0\r\nlocation: /elsewhere\r\n\r\n");
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (at, task)
}

#[tokio::test]
async fn a_webhook_gets_the_default_text_and_its_answer_is_told() {
    let topic = WebhookTopic::new().unwrap();
    let (at, request) = receiver("200 OK").await;
    let url = format!("http://user:secret@{at}/hook/1?token=secret#x");
    let delivery = topic.publish(&webhook(&url)).await.unwrap();
    assert!(delivery.delivered);
    assert_eq!(delivery.to, format!("http://{at}/hook/1"), "nothing secret is shown");
    let (status, time) = delivery.answer.split_once(" in ").unwrap();
    assert_eq!(status, "200 OK");
    assert!(time.strip_suffix(" ms").unwrap().parse::<u64>().is_ok(), "{time}");
    let request = request.await.unwrap();
    assert!(request.starts_with("POST /hook/1?token=secret HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/json\r\n") && request.contains("authorization: Basic"));
    assert!(request.ends_with(r#"{"version":"4"}"#));
}

#[tokio::test]
async fn the_status_decides_whether_a_retry_helps() {
    use ErrorClass::{Permanent, Transient};
    let topic = WebhookTopic::new().unwrap();
    for (status_line, class) in [
        ("204 No Content", None),
        ("302 Found", Some(Transient)),
        ("400 Bad Request", Some(Permanent)),
        ("404 Not Found", Some(Permanent)),
        ("410 Gone", Some(Permanent)),
        ("408 Request Timeout", Some(Transient)),
        ("429 Too Many Requests", Some(Transient)),
        ("500 Internal Server Error", Some(Transient)),
        ("503 Service Unavailable", Some(Transient)),
    ] {
        let (at, request) = receiver(status_line).await;
        let answer = topic.publish(&webhook(&format!("http://{at}/?token=secret"))).await;
        request.await.unwrap();
        assert_eq!(answer.as_ref().err().map(|error| error.class), class, "{status_line}: {answer:?}");
        if let Err(error) = answer {
            assert!(error.what.contains(status_line) && !error.what.contains("secret"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_receiver_that_is_not_there_or_says_nothing_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let topic = WebhookTopic::with_timeout(Duration::from_millis(50)).unwrap();
    let error = topic.publish(&webhook(&format!("http://{at}/?token=secret"))).await.unwrap_err();
    assert!(error.is_transient() && error.what.contains("no answer"), "{error}");
    drop(listener);
    let error = topic.publish(&webhook(&format!("http://{at}/?token=secret"))).await.unwrap_err();
    assert!(error.is_transient() && !error.what.contains("secret"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_reached_from_here_is_refused() {
    let topic = WebhookTopic::new().unwrap();
    for refused in [message(Destination::Pager), message(Destination::Mail), webhook("not a url")] {
        let error = topic.publish(&refused).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent, "{error}");
    }
}

#[tokio::test]
async fn a_webhook_is_no_topic() {
    let topic = WebhookTopic::new().unwrap();
    assert!(!topic.has_topics());
    assert_eq!(topic.subscribers().await, Ok(vec![]));
}
