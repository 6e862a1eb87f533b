//! The topic port on SNS: two topics, and webhook receivers by the crate that `serve` uses too.

use std::sync::OnceLock;
use std::time::Instant;

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::{MessageAttributeValue, Subscription};
use ports::{Delivery, Destination, Message, PortError, Subscriber, Topic};
use webhook::WebhookTopic;

use crate::config::Config;
use crate::errors::Call;
use crate::missing::{self, Missing};

/// Bytes of a message in all its forms, attributes included (SNS).
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Pages of a list of subscriptions, 100 each.
const PAGES_MAX: usize = 100;
const PORT: &str = "topic";
const PUBLISH: Call = Call { port: PORT, service: "SNS", operation: "Publish" };
const LIST: Call = Call { port: PORT, service: "SNS", operation: "ListSubscriptionsByTopic" };

/// The topic port.
pub(crate) struct Topics {
    client: Client,
    pager: Option<String>,
    mail: Option<String>,
    // Most functions never post to a webhook, and its client loads the host's certificates.
    webhook: OnceLock<WebhookTopic>,
}

impl Topics {
    pub(crate) fn new(client: Client, config: &Config) -> Self {
        let (pager, mail) = (config.pager_topic_arn.clone(), config.mail_topic_arn.clone());
        Self { client, pager, mail, webhook: OnceLock::new() }
    }

    fn webhook(&self) -> Result<&WebhookTopic, PortError> {
        match self.webhook.get() {
            Some(webhook) => Ok(webhook),
            None => {
                let made = WebhookTopic::new()?;
                Ok(self.webhook.get_or_init(|| made))
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this adapter measures how long SNS takes")]
    async fn publish_to(&self, arn: &str, message: &Message) -> Result<Delivery, PortError> {
        let text = forms(message)?;
        let mut request = self.client.publish().topic_arn(arn).message_structure("json").message(text);
        if !message.subject.is_empty() {
            request = request.subject(&message.subject);
        }
        // SNS refuses an empty value.
        for (name, value) in message.attributes.iter().filter(|(_, value)| !value.is_empty()) {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            request = request.message_attributes(name, value.map_err(|error| PortError::permanent(PORT, error))?);
        }
        let started = Instant::now();
        let answer = request.send().await.map_err(|error| PUBLISH.error(&error))?;
        let took_ms = started.elapsed().as_millis();
        let id = answer.message_id().unwrap_or("without an id");
        Ok(Delivery {
            to: name_of(arn).to_owned(),
            delivered: true,
            answer: format!("accepted by SNS as {id} in {took_ms} ms"),
        })
    }

    async fn subscribers_of(&self, destination: Destination, arn: &str) -> Result<Vec<Subscriber>, PortError> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let request = self.client.list_subscriptions_by_topic().topic_arn(arn).set_next_token(token);
            let page = request.send().await.map_err(|error| LIST.error(&error))?;
            found.extend(page.subscriptions().iter().filter_map(|one| subscriber(&destination, one)));
            token = page.next_token;
            if token.is_none() {
                return Ok(found);
            }
        }
        Err(PortError::permanent(PORT, format!("more than {PAGES_MAX} pages of subscriptions")))
    }
}

/// The message in each protocol's form, as SNS wants it.
fn forms(message: &Message) -> Result<String, PortError> {
    let forms = serde_json::json!({ "default": message.default, "email": message.email, "sms": message.sms });
    let text = forms.to_string();
    let attributes: usize = message.attributes.iter().map(|(name, value)| name.len() + value.len() + 6).sum();
    let bytes = text.len() + attributes;
    if bytes > MESSAGE_BYTES_MAX {
        let what = format!("a message of {bytes} bytes in all its forms, at most {MESSAGE_BYTES_MAX} are allowed");
        return Err(PortError::permanent(PORT, what));
    }
    Ok(text)
}

/// An ARN's last part.
fn name_of(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

/// `None` for one that was deleted and is still listed.
fn subscriber(destination: &Destination, subscription: &Subscription) -> Option<Subscriber> {
    let arn = subscription.subscription_arn().unwrap_or_default();
    if arn == "Deleted" {
        return None;
    }
    let protocol = subscription.protocol().unwrap_or("unknown").to_owned();
    Some(Subscriber {
        destination: destination.clone(),
        endpoint: shown(&protocol, subscription.endpoint().unwrap_or_default()),
        // While it waits, a word stands in the ARN's place.
        confirmed: arn.starts_with("arn:"),
        protocol,
    })
}

/// An endpoint fit for a page. The path of an integration's URL is its secret; addresses and
/// numbers are shortened.
fn shown(protocol: &str, endpoint: &str) -> String {
    match protocol {
        "http" | "https" => host_of(endpoint),
        "email" | "email-json" => match endpoint.rsplit_once('@') {
            Some((name, host)) => format!("{}…@{host}", name.chars().take(1).collect::<String>()),
            None => "…".to_owned(),
        },
        "sms" => {
            let digits: Vec<char> = endpoint.chars().filter(char::is_ascii_digit).collect();
            let kept = if digits.len() >= 8 { 4 } else { digits.len().min(2) };
            format!("…{}", digits[digits.len() - kept..].iter().collect::<String>())
        }
        "sqs" | "lambda" => name_of(endpoint).to_owned(),
        _ => "…".to_owned(),
    }
}

/// Scheme, host and port, without user, password, path and query.
fn host_of(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "…".to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/…")
}

fn configured<'a>(arn: Option<&'a String>, missing: &Missing) -> Result<&'a str, PortError> {
    arn.map(String::as_str).ok_or_else(|| missing.error())
}

#[async_trait]
impl Topic for Topics {
    async fn publish(&self, message: &Message) -> Result<Delivery, PortError> {
        let arn = match &message.destination {
            Destination::Pager => configured(self.pager.as_ref(), &missing::PAGER)?,
            Destination::Mail => configured(self.mail.as_ref(), &missing::MAIL)?,
            Destination::Webhook { .. } => return self.webhook()?.publish(message).await,
        };
        self.publish_to(arn, message).await
    }

    fn has_topics(&self) -> bool {
        self.pager.is_some() || self.mail.is_some()
    }

    async fn subscribers(&self) -> Result<Vec<Subscriber>, PortError> {
        let mut found = Vec::new();
        for (destination, arn) in [(Destination::Pager, &self.pager), (Destination::Mail, &self.mail)] {
            if let Some(arn) = arn {
                found.extend(self.subscribers_of(destination, arn).await?);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
#[path = "topic_tests.rs"]
mod tests;
