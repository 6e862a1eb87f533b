//! Where the ports lie in an account. Region, credentials and endpoint are not here: the SDK finds
//! them by its own rules (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL`, …).

/// Names of what was deployed. What a function does not need stays `None`, and the port that would
/// need it answers a permanent error that names the setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The main table's name.
    pub table: Option<String>,
    /// The manifest's own table, the one with a change stream.
    pub manifest_table: Option<String>,
    /// The stream's name.
    pub stream: Option<String>,
    /// The bucket of blocks.
    pub blobs_bucket: Option<String>,
    /// The topic that wakes people.
    pub pager_topic_arn: Option<String>,
    /// The topic that tells people.
    pub mail_topic_arn: Option<String>,
    /// The queue of wake-ups.
    pub timer_queue_url: Option<String>,
    /// Where the websocket API takes messages for its connections: `https://…/live`, not `wss:`.
    pub websocket_endpoint: Option<String>,
}
