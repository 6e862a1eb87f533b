//! The stream port on Kinesis.
//!
//! `PutRecords` answers for each record, and this is the one place that tries again: only what was
//! refused, with jitter, within a deadline. What is refused even then is an answer by index, and it
//! is the sender's turn. A retry of the SDK after a lost answer stores a record twice; whoever reads
//! it tells by its content.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry, Shard, ShardFilter, ShardFilterType};
use bytes::Bytes;
use ports::{Accepted, PortError, RECORD_BYTES_MAX, RECORDS_PER_PUT_MAX, Stream, StreamRecord};
use tokio::time::Instant;

use crate::clock::random_below;
use crate::errors::Call;

/// Bytes of one call, keys included (Kinesis: 5 MiB).
pub(crate) const CALL_BYTES_MAX: usize = 5_000_000;
/// After this, what is refused is not tried again.
const PUT_DEADLINE: Duration = Duration::from_secs(3);
/// Tries of a record that the stream refuses.
pub(crate) const TRIES_MAX: u32 = 6;
/// The wait before the second try is random below this, and doubles.
const BACKOFF_MS: u64 = 50;
/// How often the shards are listed for one pulse before it is given up.
const LISTINGS_MAX: usize = 3;
/// Pages of a list of shards, 1,000 each.
const PAGES_MAX: usize = 20;
const PORT: &str = "stream";
const PUT: Call = Call { port: PORT, service: "Kinesis", operation: "PutRecords" };
const LIST: Call = Call { port: PORT, service: "Kinesis", operation: "ListShards" };

/// The stream port.
pub(crate) struct Kinesis {
    client: Client,
    name: String,
}

/// A record on its way out, and where it shall go.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    data: Bytes,
    /// Kinesis hashes it to find the shard.
    key: String,
    /// A shard's own hash key, instead of the hash.
    hash_key: Option<String>,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.data.len() + self.key.len()
    }

    fn request(&self) -> Result<PutRecordsRequestEntry, PortError> {
        PutRecordsRequestEntry::builder()
            .data(Blob::new(self.data.to_vec()))
            .partition_key(&self.key)
            .set_explicit_hash_key(self.hash_key.clone())
            .build()
            .map_err(|error| PortError::permanent(PORT, error))
    }
}

/// The answer for one entry: the shard that took it, or why none did.
type Answer = Result<String, PortError>;

impl Kinesis {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Puts entries and answers for each by its index.
    async fn put_entries(&self, entries: &[Entry]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = entries.iter().map(fits).collect();
        let mut owed: Vec<usize> = (0..entries.len()).filter(|index| answers[*index].is_ok()).collect();
        let deadline = Instant::now() + PUT_DEADLINE;
        for attempt in 0..TRIES_MAX {
            let mut refused = Vec::new();
            for call in calls(entries, &owed) {
                refused.extend(self.put_call(entries, &call, &mut answers).await);
            }
            owed = refused;
            let wait = Duration::from_millis(random_below(BACKOFF_MS << attempt));
            if owed.is_empty() || attempt + 1 == TRIES_MAX || Instant::now() + wait > deadline {
                break;
            }
            tokio::time::sleep(wait).await;
        }
        answers
    }

    /// One call. Notes the answers and returns the indexes that are worth another try. The SDK has
    /// tried a call that failed as a whole several times already.
    async fn put_call(&self, entries: &[Entry], call: &[usize], answers: &mut [Answer]) -> Vec<usize> {
        let requests: Result<Vec<_>, PortError> = call.iter().map(|index| entries[*index].request()).collect();
        let sent = match requests {
            Ok(requests) => {
                let request = self.client.put_records().stream_name(&self.name).set_records(Some(requests));
                request.send().await.map_err(|error| PUT.error(&error))
            }
            Err(error) => Err(error),
        };
        match sent {
            Ok(answer) => note_answers(call, answer.records(), answers),
            Err(error) => {
                for index in call {
                    answers[*index] = Err(error.clone());
                }
                Vec::new()
            }
        }
    }

    /// The shards that take records now.
    async fn open_shards(&self) -> Result<Vec<Shard>, PortError> {
        let mut shards = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let request = match token {
                Some(token) => self.client.list_shards().next_token(token),
                None => {
                    let filter = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build();
                    let filter = filter.map_err(|error| PortError::permanent(PORT, error))?;
                    self.client.list_shards().stream_name(&self.name).shard_filter(filter)
                }
            };
            let page = request.send().await.map_err(|error| LIST.error(&error))?;
            shards.extend(page.shards.unwrap_or_default().into_iter().filter(is_open));
            token = page.next_token;
            if token.is_none() {
                return Ok(shards);
            }
        }
        Err(PortError::permanent(PORT, format!("the stream {} has more than {PAGES_MAX} pages of shards", self.name)))
    }
}

/// An oversize record is refused alone.
fn fits(entry: &Entry) -> Answer {
    if entry.data.len() > RECORD_BYTES_MAX {
        let what = format!("a record of {} bytes, at most {RECORD_BYTES_MAX} are allowed", entry.data.len());
        return Err(PortError::permanent(PORT, what));
    }
    Ok(String::new())
}

/// Splits what is owed into calls that Kinesis takes, in order.
fn calls(entries: &[Entry], owed: &[usize]) -> Vec<Vec<usize>> {
    let mut calls: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for index in owed {
        let more = entries[*index].bytes();
        match calls.last_mut() {
            Some(call) if call.len() < RECORDS_PER_PUT_MAX && bytes + more <= CALL_BYTES_MAX => {
                call.push(*index);
                bytes += more;
            }
            _ => {
                calls.push(vec![*index]);
                bytes = more;
            }
        }
    }
    calls
}

/// Brings the answers of one call back to their records. Returns the indexes to try again.
fn note_answers(call: &[usize], results: &[PutRecordsResultEntry], answers: &mut [Answer]) -> Vec<usize> {
    let mut refused = Vec::new();
    for (position, index) in call.iter().enumerate() {
        let answer = match results.get(position) {
            None => Err(PortError::transient(PORT, format!("{PUT} did not answer for a record"))),
            Some(result) => match (result.error_code(), result.shard_id()) {
                (None, Some(shard)) => Ok(shard.to_owned()),
                (None, None) => Err(PortError::transient(PORT, format!("{PUT} named no shard for a record"))),
                (Some(code), _) => Err(PUT.answered(Some(code), 200, None, "")),
            },
        };
        if answer.as_ref().is_err_and(PortError::is_transient) {
            refused.push(*index);
        }
        answers[*index] = answer;
    }
    refused
}

fn is_open(shard: &Shard) -> bool {
    shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_none())
}

#[async_trait]
impl Stream for Kinesis {
    async fn put(&self, records: Vec<StreamRecord>) -> Result<Vec<Accepted>, PortError> {
        if records.len() > RECORDS_PER_PUT_MAX {
            let what = format!("{} records at once, at most {RECORDS_PER_PUT_MAX} are allowed", records.len());
            return Err(PortError::permanent(PORT, what));
        }
        let entry =
            |record: StreamRecord| Entry { data: record.data, key: record.lane.number().to_string(), hash_key: None };
        let entries: Vec<Entry> = records.into_iter().map(entry).collect();
        Ok(self.put_entries(&entries).await.into_iter().map(|answer| answer.map(drop)).collect())
    }

    async fn put_on_every_shard(&self, data: Bytes) -> Result<BTreeSet<String>, PortError> {
        let mut reached = BTreeSet::new();
        for _ in 0..LISTINGS_MAX {
            let shards = self.open_shards().await?;
            let entry = |shard: &Shard| Entry {
                data: data.clone(),
                key: "pulse".to_owned(),
                hash_key: shard.hash_key_range().map(|range| range.starting_hash_key().to_owned()),
            };
            let missing: Vec<Entry> =
                shards.iter().filter(|shard| !reached.contains(shard.shard_id())).map(entry).collect();
            for answer in self.put_entries(&missing).await {
                reached.insert(answer?);
            }
            let open: BTreeSet<String> = shards.iter().map(|shard| shard.shard_id().to_owned()).collect();
            if open.is_subset(&reached) {
                return Ok(open);
            }
            // A record went through another shard than it was meant for: shards were split or merged.
        }
        Err(PortError::transient(PORT, format!("the shards of {} change faster than they are listed", self.name)))
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
