//! What stands on a server's disk, read without the server: the blocks of its data folder.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use blocks::Block;
use series::{Labels, Timestamp};

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

/// Everything of `source` in the blocks of the data folder `data`.
#[must_use]
pub fn look(data: &Path, source: &str) -> OnDisk {
    let mut found = OnDisk::default();
    look_below(&data.join("blobs"), source, &mut found);
    found
}

fn look_below(folder: &Path, source: &str, found: &mut OnDisk) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            look_below(&path, source, found);
            continue;
        }
        let Ok(bytes) = fs::read(&path) else { continue };
        let block = Block::decode(bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for column in block.columns().iter().filter(|column| column.labels.get("source") == Some(source)) {
            if column.labels.metric_name() == Some("up") {
                found.up += column.samples.len() as u64;
                continue;
            }
            found.samples += column.samples.len() as u64;
            found.identities.extend(column.samples.iter().map(|sample| (column.labels.clone(), sample.at)));
        }
    }
}
