//! Stands in for a port that is not configured: every call says which setting is missing.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use ports::{Accepted, Blobs, ConnectionId, PortError, Push, Pushed, Stream, StreamRecord};

/// A setting of [`crate::Config`] that was not given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Missing {
    pub(crate) port: &'static str,
    /// What it is, for a person.
    pub(crate) what: &'static str,
    /// The field, and the variable from which a function reads it.
    pub(crate) setting: &'static str,
}

pub(crate) const STREAM: Missing = Missing { port: "stream", what: "a stream", setting: "DAYWATCH_STREAM" };
pub(crate) const TABLE: Missing = Missing { port: "table", what: "a table", setting: "DAYWATCH_TABLE" };
pub(crate) const MANIFEST: Missing =
    Missing { port: "table", what: "the manifest's table", setting: "DAYWATCH_MANIFEST_TABLE" };
pub(crate) const BLOBS: Missing = Missing { port: "blobs", what: "a bucket", setting: "DAYWATCH_BLOBS_BUCKET" };
pub(crate) const PAGER: Missing = Missing { port: "topic", what: "a pager topic", setting: "DAYWATCH_PAGER_TOPIC_ARN" };
pub(crate) const MAIL: Missing = Missing { port: "topic", what: "a mail topic", setting: "DAYWATCH_MAIL_TOPIC_ARN" };
pub(crate) const PUSH: Missing =
    Missing { port: "push", what: "a websocket API", setting: "DAYWATCH_WEBSOCKET_API_ENDPOINT" };
pub(crate) const TIMER: Missing = Missing { port: "timer", what: "a queue", setting: "DAYWATCH_TIMER_QUEUE_URL" };

impl Missing {
    pub(crate) fn error(&self) -> PortError {
        PortError::permanent(self.port, format!("this needs {}, and {} is not set", self.what, self.setting))
    }
}

#[async_trait]
impl Stream for Missing {
    async fn put(&self, _records: Vec<StreamRecord>) -> Result<Vec<Accepted>, PortError> {
        Err(self.error())
    }

    async fn put_on_every_shard(&self, _data: Bytes) -> Result<BTreeSet<String>, PortError> {
        Err(self.error())
    }
}

#[async_trait]
impl Blobs for Missing {
    async fn put(&self, _name: &str, _bytes: Bytes) -> Result<(), PortError> {
        Err(self.error())
    }

    async fn get(&self, _name: &str) -> Result<Option<Bytes>, PortError> {
        Err(self.error())
    }

    async fn get_range(&self, _name: &str, _offset: u64, _length: u64) -> Result<Option<Bytes>, PortError> {
        Err(self.error())
    }

    async fn length(&self, _name: &str) -> Result<Option<u64>, PortError> {
        Err(self.error())
    }

    async fn delete(&self, _name: &str) -> Result<(), PortError> {
        Err(self.error())
    }

    async fn list(&self, _prefix: &str) -> Result<Vec<String>, PortError> {
        Err(self.error())
    }

    async fn link(&self, _name: &str, _valid_ms: i64) -> Result<Option<String>, PortError> {
        Err(self.error())
    }
}

#[async_trait]
impl Push for Missing {
    async fn post(&self, _connection: &ConnectionId, _text: String) -> Result<Pushed, PortError> {
        Err(self.error())
    }

    async fn disconnect(&self, _connection: &ConnectionId) -> Result<(), PortError> {
        Err(self.error())
    }
}
