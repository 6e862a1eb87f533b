//! A topic that only remembers, for tests.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ports::{Delivery, Destination, Message, PortError, Subscriber, Topic};

/// Remembers what was published and answers as it was told. It begins as `serve` is: without topics
/// for pager and mail.
#[derive(Debug, Default)]
pub struct MemoryTopic(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    published: Vec<Message>,
    answers: VecDeque<Result<(), PortError>>,
    has_topics: bool,
    subscribers: Option<Result<Vec<Subscriber>, PortError>>,
}

impl MemoryTopic {
    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next calls get these answers, in order; afterwards everything is delivered.
    pub fn answer_with(&self, answers: impl IntoIterator<Item = Result<(), PortError>>) {
        self.remembered().answers.extend(answers);
    }

    /// From now on there are topics for pager and mail, or not.
    pub fn set_has_topics(&self, has_topics: bool) {
        self.remembered().has_topics = has_topics;
    }

    /// From now on this is what is known of the topics' subscribers.
    pub fn set_subscribers(&self, subscribers: Result<Vec<Subscriber>, PortError>) {
        self.remembered().subscribers = Some(subscribers);
    }

    /// What was delivered so far.
    #[must_use]
    pub fn published(&self) -> Vec<Message> {
        self.remembered().published.clone()
    }

    /// What was delivered since the last call of this.
    #[must_use]
    pub fn take_published(&self) -> Vec<Message> {
        std::mem::take(&mut self.remembered().published)
    }
}

#[async_trait]
impl Topic for MemoryTopic {
    async fn publish(&self, message: &Message) -> Result<Delivery, PortError> {
        let mut remembered = self.remembered();
        let to = match &message.destination {
            Destination::Webhook { url } => shown(url),
            Destination::Pager | Destination::Mail if !remembered.has_topics => {
                return Err(PortError::permanent("topic", "no topics here: use a webhook receiver"));
            }
            Destination::Pager => "pager".to_owned(),
            Destination::Mail => "mail".to_owned(),
        };
        remembered.answers.pop_front().unwrap_or(Ok(()))?;
        remembered.published.push(message.clone());
        Ok(Delivery { to, delivered: true, answer: "200 OK in 0 ms".to_owned() })
    }

    fn has_topics(&self) -> bool {
        self.remembered().has_topics
    }

    async fn subscribers(&self) -> Result<Vec<Subscriber>, PortError> {
        self.remembered().subscribers.clone().unwrap_or_else(|| Ok(Vec::new()))
    }
}

/// Without user, password, query and fragment, as receivers are shown.
fn shown(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    match (plain.split_once("://"), plain.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => plain.to_owned(),
    }
}

#[cfg(test)]
#[path = "topic_tests.rs"]
mod tests;
