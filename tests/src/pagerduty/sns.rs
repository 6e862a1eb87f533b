//! A double of SNS with two topics, as strict as the real one about what it takes. It asks for
//! confirmation, posts to whoever has confirmed, and says nothing of what became of that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ports::{Delivery, Destination, Message, PortError, Subscriber, Topic};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{client, requests};

/// Bytes of a message with its attributes.
const BYTES_MAX: usize = 256 * 1_024;
/// Characters of a Subject.
const SUBJECT_CHARS_MAX: usize = 99;

#[derive(Debug, Clone)]
struct Subscription {
    topic: Destination,
    url: String,
    token: String,
    confirmed: bool,
}

/// SNS. It ends with the runtime.
#[derive(Debug, Clone)]
pub(crate) struct Sns {
    url: String,
    subscriptions: Arc<Mutex<Vec<Subscription>>>,
}

impl Sns {
    /// Listens on a free port, for confirmations.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sns = Self { url, subscriptions: Arc::default() };
        let each = sns.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let sns = each.clone();
                tokio::spawn(requests(socket, move |path| sns.confirm(&path)));
            }
        });
        sns
    }

    fn subscriptions(&self) -> MutexGuard<'_, Vec<Subscription>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Subscribes an endpoint and asks it to confirm.
    pub(crate) async fn subscribe(&self, topic: Destination, url: &str) {
        let token = format!("token-{}", self.subscriptions().len());
        let asked = json!({
            "Type": "SubscriptionConfirmation",
            "MessageId": token,
            "Token": token,
            "TopicArn": arn(&topic),
            "SubscribeURL": format!("{}/?Action=ConfirmSubscription&Token={token}", self.url),
        });
        self.subscriptions().push(Subscription { topic, url: url.to_owned(), token, confirmed: false });
        post(url, &asked).await;
    }

    fn confirm(&self, path: &str) -> (u16, String) {
        let token = path.rsplit_once("Token=").map(|(_, token)| token).unwrap_or_default();
        match self.subscriptions().iter_mut().find(|one| one.token == token) {
            Some(one) => {
                one.confirmed = true;
                (200, "<ConfirmSubscriptionResponse/>".to_owned())
            }
            None => (400, "InvalidParameter: Token".to_owned()),
        }
    }

    /// Posts to everybody who has confirmed. Without a subject there is none in what is posted.
    pub(crate) async fn post_all(&self, topic: &Destination, subject: Option<&str>, message: &str) {
        let of_topic = |one: &&Subscription| one.topic == *topic && one.confirmed;
        let urls: Vec<String> = self.subscriptions().iter().filter(of_topic).map(|one| one.url.clone()).collect();
        for url in urls {
            let mut envelope = json!({
                "Type": "Notification",
                "MessageId": "0-1",
                "TopicArn": arn(topic),
                "Message": message,
                "Timestamp": "2026-11-22T12:00:00.000Z",
                "SignatureVersion": "2",
                "Signature": "none",
            });
            if let Some(subject) = subject {
                envelope["Subject"] = subject.into();
            }
            post(&url, &envelope).await;
        }
    }
}

fn arn(topic: &Destination) -> String {
    let name = if *topic == Destination::Pager { "pager" } else { "mail" };
    format!("arn:aws:sns:us-east-1:000000000000:{name}")
}

async fn post(url: &str, body: &Value) {
    let kind = body["Type"].as_str().unwrap().to_owned();
    let request = client().post(url).header("x-amz-sns-message-type", kind).body(body.to_string());
    assert_eq!(request.send().await.unwrap().status(), 200);
}

/// Why SNS would not take it.
fn refused(message: &Message) -> Option<String> {
    let subject = &message.subject;
    if subject.is_empty() || subject.chars().count() > SUBJECT_CHARS_MAX {
        return Some(format!("Subject: {} characters", subject.chars().count()));
    }
    if !subject.chars().all(|c| c.is_ascii_graphic() || c == ' ') || subject.starts_with(' ') {
        return Some(format!("Subject: {subject:?}"));
    }
    let parts = json!({ "default": message.default, "email": message.email, "sms": message.sms }).to_string();
    let attributes: usize = message.attributes.iter().map(|(name, value)| name.len() + value.len() + 6).sum();
    if parts.len() + attributes > BYTES_MAX {
        return Some(format!("{} bytes", parts.len() + attributes));
    }
    let wrong = |value: &str| value.is_empty() || value.contains(|c: char| c.is_control() && !c.is_whitespace());
    let wrong = message.attributes.iter().find(|(_, value)| wrong(value));
    wrong.map(|(name, value)| format!("the attribute {name} is {value:?}"))
}

#[async_trait::async_trait]
impl Topic for Sns {
    async fn publish(&self, message: &Message) -> Result<Delivery, PortError> {
        let (Destination::Pager | Destination::Mail) = message.destination else {
            return Err(PortError::permanent("topic", "no topic"));
        };
        if let Some(why) = refused(message) {
            return Err(PortError::permanent("topic", format!("InvalidParameter: {why}")));
        }
        self.post_all(&message.destination, Some(&message.subject), &message.default).await;
        Ok(Delivery { to: arn(&message.destination), delivered: true, answer: "message 0-1".to_owned() })
    }

    fn has_topics(&self) -> bool {
        true
    }

    async fn subscribers(&self) -> Result<Vec<Subscriber>, PortError> {
        let shown = |one: &Subscription| Subscriber {
            destination: one.topic.clone(),
            protocol: "http".to_owned(),
            endpoint: "http://127.0.0.1/…".to_owned(),
            confirmed: one.confirmed,
        };
        Ok(self.subscriptions().iter().map(shown).collect())
    }
}

#[test]
fn it_refuses_what_sns_refuses() {
    let good = Message {
        destination: Destination::Pager,
        subject: "x".repeat(SUBJECT_CHARS_MAX),
        attributes: vec![("env".to_owned(), "prod".to_owned())],
        default: "{}".to_owned(),
        email: String::new(),
        sms: String::new(),
    };
    assert_eq!(refused(&good), None);
    let attribute = |value: &str| vec![("env".to_owned(), value.to_owned())];
    for bad in [
        Message { subject: "x".repeat(SUBJECT_CHARS_MAX + 1), ..good.clone() },
        Message { subject: "a\nb".to_owned(), ..good.clone() },
        Message { subject: "ä".to_owned(), ..good.clone() },
        Message { subject: String::new(), ..good.clone() },
        Message { email: "x".repeat(BYTES_MAX), ..good.clone() },
        Message { attributes: attribute(""), ..good.clone() },
        Message { attributes: attribute("\u{1}"), ..good.clone() },
    ] {
        assert!(refused(&bad).is_some(), "{:?}", bad.subject);
    }
}
