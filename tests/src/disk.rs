//! What stands on a server's disk or in its bucket, read without the server: its blocks.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use blocks::Block;
use bytes::Bytes;
use reqwest::Url;
use series::{Labels, Timestamp};

use crate::place::http;

/// Where blocks lie.
#[derive(Debug, Clone)]
pub enum Blocks {
    /// Files of a `daywatch serve`.
    Folder(PathBuf),
    /// Objects: an address of S3 that asks for no credentials, with the bucket's name at its end.
    Bucket(String),
}

impl Blocks {
    /// A bucket of an emulator.
    #[must_use]
    pub fn bucket(endpoint: &str, name: &str) -> Self {
        Self::Bucket(format!("{endpoint}/{name}"))
    }

    /// Every block's name and bytes.
    fn all(&self) -> Vec<(String, Bytes)> {
        match self {
            Self::Folder(data) => {
                let mut found = Vec::new();
                files_below(&data.join("blobs"), &mut found);
                found
            }
            Self::Bucket(url) => {
                let asked = async { objects(url).await.unwrap_or_else(|error| panic!("{url}: {error}")) };
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(asked))
            }
        }
    }
}

impl From<&Blocks> for Blocks {
    fn from(blocks: &Blocks) -> Self {
        blocks.clone()
    }
}

impl From<&PathBuf> for Blocks {
    fn from(data: &PathBuf) -> Self {
        Self::Folder(data.clone())
    }
}

/// Samples of one source in blocks.
#[derive(Debug, Default)]
pub struct OnDisk {
    /// All of them, without `up`, which Daywatch makes under the same label.
    pub samples: u64,
    /// Those of `up`.
    pub up: u64,
    /// All identities, without `up`.
    pub identities: BTreeSet<(Labels, Timestamp)>,
}

impl OnDisk {
    /// What the ledger may call stored before windows are compacted: a sample that lost to one in
    /// another block still counts, and where samples of a block lost, `up` cannot be told apart.
    #[must_use]
    pub fn stored(&self) -> RangeInclusive<u64> {
        self.samples..=self.samples + self.up
    }

    /// How many samples of `metric` there are.
    #[must_use]
    pub fn of(&self, metric: &str) -> usize {
        self.identities.iter().filter(|(labels, _)| labels.metric_name() == Some(metric)).count()
    }
}

/// Everything of `source` in the blocks.
#[must_use]
pub fn look(data: impl Into<Blocks>, source: &str) -> OnDisk {
    let mut found = OnDisk::default();
    for (name, bytes) in data.into().all() {
        let block = Block::decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        for column in block.columns().iter().filter(|column| column.labels.get("source") == Some(source)) {
            if column.labels.metric_name() == Some("up") {
                found.up += column.samples.len() as u64;
                continue;
            }
            found.samples += column.samples.len() as u64;
            found.identities.extend(column.samples.iter().map(|sample| (column.labels.clone(), sample.at)));
        }
    }
    found
}

fn files_below(folder: &Path, found: &mut Vec<(String, Bytes)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, found);
        } else if let Ok(bytes) = fs::read(&path) {
            found.push((path.display().to_string(), bytes.into()));
        }
    }
}

/// By S3's own protocol: a page of names after the other, then each object.
async fn objects(bucket: &str) -> Result<Vec<(String, Bytes)>, reqwest::Error> {
    let client = http();
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let mut url = Url::parse(bucket).expect("an address");
        url.query_pairs_mut().extend_pairs([("list-type", "2"), ("start-after", &after)]);
        let asked = client.get(url).send().await?;
        let page = asked.error_for_status()?.text().await?;
        let keys: Vec<&str> =
            page.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0)).collect();
        for key in &keys {
            let object = client.get(format!("{bucket}/{key}")).send().await?;
            // Compacted and removed meanwhile.
            if object.status() != reqwest::StatusCode::NOT_FOUND {
                found.push(((*key).to_owned(), object.error_for_status()?.bytes().await?));
            }
        }
        match keys.last() {
            Some(last) if page.contains("<IsTruncated>true") => after = (*last).to_owned(),
            _ => return Ok(found),
        }
    }
}
