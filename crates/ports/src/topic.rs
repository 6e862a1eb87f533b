//! Where notifications leave the house.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::PortError;

/// Who gets a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// Wakes people (SNS on AWS).
    Pager,
    /// Tells people (SNS on AWS).
    Mail,
    /// An Alertmanager webhook receiver.
    Webhook {
        /// Where it is posted.
        url: String,
    },
}

/// One notification in all its forms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who gets it.
    pub destination: Destination,
    /// ASCII, at most 99 characters.
    pub subject: String,
    /// `severity`, `env`, `rule`, `status`.
    pub attributes: Vec<(String, String)>,
    /// Alertmanager's webhook JSON; what webhooks get.
    pub default: String,
    /// Plain text for mail.
    pub email: String,
    /// At most 140 characters.
    pub sms: String,
}

/// What one receiver answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Who: a topic's name, a webhook's URL without its query and password.
    pub to: String,
    /// Whether it took the message.
    pub delivered: bool,
    /// Its answer, for a person: `200 OK in 12 ms`, `connection refused`.
    pub answer: String,
}

/// Who is subscribed to a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// [`Destination::Pager`] or [`Destination::Mail`].
    pub destination: Destination,
    /// `https`, `email`, `sms`, ….
    pub protocol: String,
    /// Where it goes, for a person: without secrets, numbers and addresses shortened.
    pub endpoint: String,
    /// Whether it has been confirmed; one that has not gets nothing.
    pub confirmed: bool,
}

/// Publishes notifications.
#[async_trait]
pub trait Topic: Send + Sync {
    /// Publishes once, without retrying. A transient error: try again later. A permanent one: this
    /// message will never be taken.
    async fn publish(&self, message: &Message) -> Result<Delivery, PortError>;

    /// Whether there are topics for [`Destination::Pager`] and [`Destination::Mail`]. Without them
    /// only webhooks are sent to.
    fn has_topics(&self) -> bool {
        false
    }

    /// Everybody who is subscribed to the topics.
    async fn subscribers(&self) -> Result<Vec<Subscriber>, PortError> {
        Ok(Vec::new())
    }
}
