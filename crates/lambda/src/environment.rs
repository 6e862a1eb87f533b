//! The variables that a function is configured by: read once, and what is wrong is told all together.
//!
//! A function lists the ones it needs. One that is missing, empty or malformed is named with what it
//! is for and what it should look like; its value is not shown, since a wrong one may be a secret.

use std::collections::BTreeMap;
use std::fmt;

/// A variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    /// The table of documents.
    Table,
    /// The table of manifests.
    ManifestTable,
    /// The stream.
    Stream,
    /// The bucket of blocks.
    BlobsBucket,
    /// The bucket of batches that failed.
    FailedBucket,
    /// The bucket of agent binaries.
    DownloadsBucket,
    /// The topic that wakes people.
    PagerTopicArn,
    /// The topic that tells people.
    MailTopicArn,
    /// The queue of wake-ups.
    TimerQueueUrl,
    /// Where messages are posted to websockets.
    WebsocketApiEndpoint,
    /// Where websockets are opened.
    WebsocketUrl,
    /// Where people open the page.
    ExternalUrl,
    /// How long raw samples are kept.
    RawRetentionDays,
    /// How long rollups of five minutes are kept.
    FiveMinutesRetentionDays,
    /// How long rollups of an hour are kept.
    HoursRetentionDays,
}

/// What a value looks like.
enum Form {
    Name,
    Arn,
    Url(&'static [&'static str]),
    Days,
}

/// Days that raw samples may be kept.
pub const RETENTION_DAYS_MAX: u16 = 3_650;
/// Bytes of a value (Lambda: 4 KB for all of them).
const VALUE_BYTES_MAX: usize = 2_048;

impl Variable {
    /// As it is set in the function's configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "DAYWATCH_TABLE",
            Self::ManifestTable => "DAYWATCH_MANIFEST_TABLE",
            Self::Stream => "DAYWATCH_STREAM",
            Self::BlobsBucket => "DAYWATCH_BLOBS_BUCKET",
            Self::FailedBucket => "DAYWATCH_FAILED_BUCKET",
            Self::DownloadsBucket => "DAYWATCH_DOWNLOADS_BUCKET",
            Self::PagerTopicArn => "DAYWATCH_PAGER_TOPIC_ARN",
            Self::MailTopicArn => "DAYWATCH_MAIL_TOPIC_ARN",
            Self::TimerQueueUrl => "DAYWATCH_TIMER_QUEUE_URL",
            Self::WebsocketApiEndpoint => "DAYWATCH_WEBSOCKET_API_ENDPOINT",
            Self::WebsocketUrl => "DAYWATCH_WEBSOCKET_URL",
            Self::ExternalUrl => "DAYWATCH_EXTERNAL_URL",
            Self::RawRetentionDays => "DAYWATCH_RAW_RETENTION_DAYS",
            Self::FiveMinutesRetentionDays => "DAYWATCH_FIVE_MINUTES_RETENTION_DAYS",
            Self::HoursRetentionDays => "DAYWATCH_HOURS_RETENTION_DAYS",
        }
    }

    /// For a person.
    #[must_use]
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Table => "the DynamoDB table of keys, connections, states and notifications",
            Self::ManifestTable => "the DynamoDB table of manifests",
            Self::Stream => "the Kinesis stream between ingest and everything behind it",
            Self::BlobsBucket => "the S3 bucket of blocks",
            Self::FailedBucket => "the S3 bucket where Kinesis batches go that failed too often",
            Self::DownloadsBucket => "the S3 bucket of agent binaries",
            Self::PagerTopicArn => "the SNS topic that wakes people",
            Self::MailTopicArn => "the SNS topic that tells people",
            Self::TimerQueueUrl => "the SQS queue of wake-ups",
            Self::WebsocketApiEndpoint => "where messages to open websockets are posted",
            Self::WebsocketUrl => "where agents and pages open websockets",
            Self::ExternalUrl => "where people open the page, for links in notifications",
            Self::RawRetentionDays => "how long raw samples are kept",
            Self::FiveMinutesRetentionDays => "how long rollups of five minutes are kept",
            Self::HoursRetentionDays => "how long rollups of an hour are kept",
        }
    }

    fn form(self) -> Form {
        match self {
            Self::PagerTopicArn | Self::MailTopicArn => Form::Arn,
            Self::TimerQueueUrl | Self::WebsocketApiEndpoint | Self::ExternalUrl => Form::Url(&["https", "http"]),
            Self::WebsocketUrl => Form::Url(&["wss", "ws"]),
            Self::RawRetentionDays | Self::FiveMinutesRetentionDays | Self::HoursRetentionDays => Form::Days,
            _ => Form::Name,
        }
    }
}

impl Form {
    fn accepts(&self, value: &str) -> bool {
        let plain = value.len() <= VALUE_BYTES_MAX && value.chars().all(|c| c.is_ascii_graphic());
        plain
            && match self {
                Self::Name => !value.contains(['/', ':']) || value.starts_with("arn:"),
                Self::Arn => value.starts_with("arn:") && value.matches(':').count() >= 5,
                Self::Url(schemes) => {
                    let parts = value.split_once("://");
                    parts.is_some_and(|(scheme, rest)| schemes.contains(&scheme) && !rest.is_empty())
                }
                Self::Days => value.parse().is_ok_and(|days: u16| (1..=RETENTION_DAYS_MAX).contains(&days)),
            }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("a name"),
            Self::Arn => f.write_str("an ARN (arn:aws:sns:REGION:ACCOUNT:NAME)"),
            Self::Url(schemes) => write!(f, "a URL ({}://…)", schemes[0]),
            Self::Days => write!(f, "a whole number of days, 1 to {RETENTION_DAYS_MAX}"),
        }
    }
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<Variable, String>);

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{function} cannot start, its configuration is incomplete: {}", .wrong.join("; "))]
pub struct EnvironmentError {
    /// Whose environment.
    pub function: &'static str,
    /// One text a variable.
    pub wrong: Vec<String>,
}

impl Environment {
    /// Reads the variables by `lookup`.
    pub fn read(
        function: &'static str,
        needed: &[Variable],
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, EnvironmentError> {
        let (mut found, mut wrong) = (BTreeMap::new(), Vec::new());
        for variable in needed {
            let (name, purpose, form) = (variable.name(), variable.purpose(), variable.form());
            match lookup(name).filter(|value| !value.is_empty()) {
                Some(value) if form.accepts(&value) => {
                    found.insert(*variable, value);
                }
                Some(_) => wrong.push(format!("{name} ({purpose}) must be {form}")),
                None => wrong.push(format!("{name} ({purpose}) is not set: {form}")),
            }
        }
        if wrong.is_empty() { Ok(Self(found)) } else { Err(EnvironmentError { function, wrong }) }
    }

    /// A variable, where the function listed it.
    #[must_use]
    pub fn get(&self, variable: Variable) -> Option<&str> {
        self.0.get(&variable).map(String::as_str)
    }

    /// A variable, or an empty text for a function that has no use for it.
    #[must_use]
    pub fn text(&self, variable: Variable) -> String {
        self.get(variable).unwrap_or_default().to_owned()
    }

    /// What the operator chose, as far as this function was told.
    #[must_use]
    pub fn settings(&self) -> pipeline::Settings {
        // A function that refuses no sample is not told.
        let days = self.get(Variable::RawRetentionDays).and_then(|days| days.parse().ok());
        pipeline::Settings {
            raw_retention_ms: days.unwrap_or(i64::from(RETENTION_DAYS_MAX)) * pipeline::DAY_MS,
            external_url: self.text(Variable::ExternalUrl).trim_end_matches('/').to_owned(),
            websocket_url: self.text(Variable::WebsocketUrl),
        }
    }

    /// How long rollups are kept, as far as this function was told.
    #[must_use]
    pub fn rollups_kept(&self) -> pipeline::Retention {
        let days = |variable| self.get(variable).and_then(|days| days.parse::<i64>().ok());
        let default = pipeline::Retention::default();
        pipeline::Retention {
            five_minutes_ms: days(Variable::FiveMinutesRetentionDays)
                .map_or(default.five_minutes_ms, |days| days * pipeline::DAY_MS),
            hour_ms: days(Variable::HoursRetentionDays).map_or(default.hour_ms, |days| days * pipeline::DAY_MS),
            ..default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Variable; 15] = [
        Variable::Table,
        Variable::ManifestTable,
        Variable::Stream,
        Variable::BlobsBucket,
        Variable::FailedBucket,
        Variable::DownloadsBucket,
        Variable::PagerTopicArn,
        Variable::MailTopicArn,
        Variable::TimerQueueUrl,
        Variable::WebsocketApiEndpoint,
        Variable::WebsocketUrl,
        Variable::ExternalUrl,
        Variable::RawRetentionDays,
        Variable::FiveMinutesRetentionDays,
        Variable::HoursRetentionDays,
    ];

    fn good(name: &str) -> Option<String> {
        let value = match name {
            "DAYWATCH_PAGER_TOPIC_ARN" | "DAYWATCH_MAIL_TOPIC_ARN" => "arn:aws:sns:eu-west-1:123456789012:pager",
            "DAYWATCH_TIMER_QUEUE_URL" => "https://sqs.eu-west-1.amazonaws.com/123456789012/timers",
            "DAYWATCH_WEBSOCKET_API_ENDPOINT" => "https://w1x2.execute-api.eu-west-1.amazonaws.com/live",
            "DAYWATCH_WEBSOCKET_URL" => "wss://w1x2.execute-api.eu-west-1.amazonaws.com/live",
            "DAYWATCH_EXTERNAL_URL" => "https://a1b2.execute-api.eu-west-1.amazonaws.com/",
            "DAYWATCH_RAW_RETENTION_DAYS" => "30",
            "DAYWATCH_FIVE_MINUTES_RETENTION_DAYS" => "400",
            "DAYWATCH_HOURS_RETENTION_DAYS" => "800",
            _ => "daywatch-1",
        };
        Some(value.to_owned())
    }

    #[test]
    fn a_whole_environment_is_read() {
        let environment = Environment::read("query", &ALL, good).unwrap();
        let settings = environment.settings();
        assert_eq!(settings.raw_retention_ms, 30 * pipeline::DAY_MS);
        let kept = environment.rollups_kept();
        assert_eq!([kept.five_minutes_ms, kept.hour_ms], [400, 800].map(|days| days * pipeline::DAY_MS));
        assert_eq!(settings.external_url, "https://a1b2.execute-api.eu-west-1.amazonaws.com");
        assert_eq!(environment.get(Variable::Table), Some("daywatch-1"));
    }

    #[test]
    fn everything_missing_is_told_together() {
        let error = Environment::read("query", &ALL, |_| None).unwrap_err();
        assert_eq!(error.wrong.len(), ALL.len());
        for variable in ALL {
            assert!(error.to_string().contains(variable.name()), "{error}");
            assert!(error.to_string().contains(variable.purpose()), "{error}");
        }
    }

    #[test]
    fn malformed_values_are_named_and_not_shown() {
        let table = [
            ("DAYWATCH_TABLE", "a b", "must be a name"),
            ("DAYWATCH_BLOBS_BUCKET", "s3://x", "must be a name"),
            ("DAYWATCH_PAGER_TOPIC_ARN", "pager", "must be an ARN"),
            ("DAYWATCH_WEBSOCKET_URL", "https://x", "must be a URL (wss://…)"),
            ("DAYWATCH_TIMER_QUEUE_URL", "sqs://queue", "must be a URL (https://…)"),
            ("DAYWATCH_RAW_RETENTION_DAYS", "0", "1 to 3650"),
            ("DAYWATCH_RAW_RETENTION_DAYS", "3651", "1 to 3650"),
            ("DAYWATCH_RAW_RETENTION_DAYS", "30d", "1 to 3650"),
            ("DAYWATCH_STREAM", "", "is not set"),
        ];
        for (name, value, expected) in table {
            let lookup = |asked: &str| if asked == name { Some(value.to_owned()) } else { good(asked) };
            let error = Environment::read("query", &ALL, lookup).unwrap_err();
            assert_eq!(error.wrong.len(), 1, "{error}");
            assert!(error.wrong[0].contains(name) && error.wrong[0].contains(expected), "{error}");
            assert!(value.len() < 4 || !error.to_string().contains(value), "{error}");
        }
        let most = |days: &str| Environment::read("query", &[Variable::RawRetentionDays], |_| Some(days.to_owned()));
        assert!(most("3650").is_ok());
    }
}
