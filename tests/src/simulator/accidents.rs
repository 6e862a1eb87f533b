//! What happens to the stream from outside: shards are split and merged, records come that nobody can
//! read, and records that kill who reads them.

use bytes::Bytes;
use pipeline::wire::{Batch, StreamEnvelope, StreamKind};
use pipeline::{SourceName, TenantId};
use series::Epoch;

use super::shards::HASH_SPACE;
use super::world::World;

impl World {
    /// What happens to the stream from outside.
    pub(super) fn accidents(&mut self) {
        if self.random.chance(self.plan.reshards) {
            let open = self.stream.open();
            let place = self.random.below(open.len() as u64) as usize;
            let split = open.len() == 1 || (open.len() < 6 && self.random.chance(500));
            let done = match open.get(place + 1) {
                Some(next) if !split => self.stream.merge(open[place], *next),
                _ => self.stream.split(open[place]),
            };
            self.happened.reshards += u64::from(done);
        }
        if self.random.chance(self.plan.poison) {
            let (data, reason) = self.bad_record();
            self.stream.put_raw("bad", self.random.below(HASH_SPACE), data.clone());
            self.poison.push((data, reason));
            self.happened.poison += 1;
        }
        if self.random.chance(self.plan.killers) {
            let newest: Vec<u128> =
                self.stream.with(|shards| shards.iter().filter_map(|s| s.records.last()).map(|r| r.sequence).collect());
            let place = self.random.below(newest.len() as u64) as usize;
            if let Some(sequence) = newest.get(place) {
                self.killers.insert(*sequence);
                self.happened.killers += 1;
            }
        }
        if self.random.chance(150) {
            // What killed the function was mended.
            self.killers.clear();
        }
    }

    /// Bytes that are no record, or a record whose batch is none.
    fn bad_record(&mut self) -> (Bytes, &'static str) {
        let mut bytes: Vec<u8> = (0..20 + self.random.below(80)).map(|_| self.random.next_u64() as u8).collect();
        bytes[0] = 0xff;
        let garbage = Bytes::from(bytes);
        if self.random.chance(500) {
            let reason = StreamEnvelope::decode(garbage.clone()).expect_err("no record").reason();
            return (garbage, reason);
        }
        let reason = Batch::decode(&garbage).expect_err("no batch").reason();
        let envelope = StreamEnvelope {
            tenant: TenantId::default(),
            source: SourceName::new("stranger").unwrap(),
            received_at: self.now(),
            kind: StreamKind::Batch { epoch: Epoch(9), seq: 1, batch: garbage },
            rejected: Vec::new(),
            connection: None,
        };
        (envelope.encode(), reason)
    }
}
