//! The ways out of an alert: the two topics where there are any, besides the webhooks of the routing
//! file. Pure.

use alerts::routing::{Channel, Routing, topics};
use series::Labels;

/// The pager's topic, as a receiver's name.
pub const PAGER: &str = "pager";
/// The mail's topic, as a receiver's name.
pub const MAIL: &str = "mail";
/// Ways out of one alert: what is owed to all of them is written at once.
pub const WAYS_MAX: usize = alerts::routing::WEBHOOKS_MAX + 2;

/// How long changes are collected where there is no routing file to say it, ms. Shorter than where a
/// file says nothing: the topics alone must wake people without anybody having tuned anything.
pub const GROUP_WAIT_MS_WITHOUT_FILE: i64 = 10_000;

/// One way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// The receiver's name.
    pub(super) receiver: String,
    /// Where to.
    pub(super) channel: Channel,
    /// How long changes are collected, ms.
    pub(super) group_wait_ms: i64,
}

/// Where notifications can go at all.
#[derive(Debug, Clone)]
pub(super) struct Ways {
    pub(super) has_topics: bool,
    pub(super) routing: Option<Routing>,
}

impl Ways {
    /// Those of an alert.
    pub(super) fn of(&self, labels: &Labels) -> Vec<Way> {
        let chosen = self.routing.as_ref().map(|routing| routing.receiver.as_str());
        let topics = if self.has_topics { topics(labels) } else { Vec::new() };
        topics.into_iter().map(|channel| self.topic(channel)).chain(self.webhooks(chosen)).collect()
    }

    /// Those of an alert that lead to one receiver: of this name in the routing file, or a topic.
    pub(super) fn to(&self, receiver: &str, labels: &Labels) -> Vec<Way> {
        let mut ways = self.of(labels);
        ways.retain(|way| way.receiver == receiver && !matches!(way.channel, Channel::Webhook { .. }));
        ways.extend(self.webhooks(Some(receiver)));
        ways
    }

    /// Every one that some alert may take.
    pub(super) fn all(&self) -> Vec<Way> {
        let topics = if self.has_topics { vec![Channel::Pager, Channel::Mail] } else { Vec::new() };
        let chosen = self.routing.as_ref().map(|routing| routing.receiver.as_str());
        topics.into_iter().map(|channel| self.topic(channel)).chain(self.webhooks(chosen)).collect()
    }

    /// Whether somebody has this name.
    pub(super) fn knows(&self, receiver: &str) -> bool {
        let named = |routing: &Routing| routing.receivers.iter().any(|known| known.name == receiver);
        (self.has_topics && matches!(receiver, PAGER | MAIL)) || self.routing.as_ref().is_some_and(named)
    }

    fn topic(&self, channel: Channel) -> Way {
        let receiver = if channel == Channel::Pager { PAGER } else { MAIL };
        Way { receiver: receiver.to_owned(), channel, group_wait_ms: self.group_wait_ms() }
    }

    fn webhooks(&self, receiver: Option<&str>) -> Vec<Way> {
        let Some((routing, name)) = self.routing.as_ref().zip(receiver) else { return Vec::new() };
        let group_wait_ms = self.group_wait_ms();
        let way = |channel| Way { receiver: name.to_owned(), channel, group_wait_ms };
        routing.channels_of(name).into_iter().map(way).collect()
    }

    fn group_wait_ms(&self) -> i64 {
        self.routing.as_ref().map_or(GROUP_WAIT_MS_WITHOUT_FILE, |routing| routing.group_wait_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "route: {receiver: a, group_wait: 1s}\nreceivers: [{name: a, webhook_configs: [{url: 'http://a/'}]}, {name: pager, webhook_configs: [{url: 'http://p/'}]}, {name: nobody}]";

    /// `receiver:way`, and the one wait of all.
    fn shown(ways: &[Way]) -> String {
        let way = |way: &Way| match &way.channel {
            Channel::Pager => format!("{}:P", way.receiver),
            Channel::Mail => format!("{}:M", way.receiver),
            Channel::Webhook { url, .. } => format!("{}:{url}", way.receiver),
        };
        ways.iter().map(way).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_case() {
        let file = || Some(alerts::routing::parse("f", FILE).unwrap());
        for (has_topics, routing, severity, env, expected) in [
            (false, None, "page", "prod", ""),
            (false, file(), "page", "prod", "a:http://a/"),
            (false, file(), "info", "staging", "a:http://a/"),
            (true, None, "page", "prod", "pager:P mail:M"),
            (true, None, "page", "staging", "mail:M"),
            (true, None, "warning", "prod", "mail:M"),
            (true, file(), "page", "prod", "pager:P mail:M a:http://a/"),
            (true, file(), "page", "staging", "mail:M a:http://a/"),
        ] {
            let labels = Labels::from_pairs([("severity", severity), ("env", env)]).unwrap();
            let ways = Ways { has_topics, routing };
            assert_eq!(shown(&ways.of(&labels)), expected, "{has_topics} {severity} {env}");
        }
    }

    #[test]
    fn one_receiver_by_its_name() {
        let page = Labels::from_pairs([("severity", "page")]).unwrap();
        let both = Ways { has_topics: true, routing: Some(alerts::routing::parse("f", FILE).unwrap()) };
        let to = |name: &str| (both.knows(name), shown(&both.to(name, &page)));
        assert_eq!(to("a"), (true, "a:http://a/".to_owned()));
        assert_eq!(to("pager"), (true, "pager:P pager:http://p/".to_owned()), "both of that name");
        assert_eq!(to("mail"), (true, "mail:M".to_owned()));
        assert_eq!(to("nobody"), (true, String::new()));
        assert_eq!(to("who"), (false, String::new()));
        assert_eq!(shown(&both.all()), "pager:P mail:M a:http://a/");
        assert!(both.all().iter().all(|way| way.group_wait_ms == 1_000));
        let topics = Ways { has_topics: true, routing: None };
        assert!(topics.all().iter().all(|way| way.group_wait_ms == GROUP_WAIT_MS_WITHOUT_FILE));
        assert!(!Ways { has_topics: false, routing: None }.knows("pager"));
    }
}
