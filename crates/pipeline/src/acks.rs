//! Acks: when a source is told that it may forget a batch.
//!
//! An ack for each batch would cost as much as the batches themselves. So where acks are cumulative
//! ([`Acks::WhenCompacted`]), a source hears once in half an hour which of its batches stand in
//! compacted blocks; a batch that asks for its ack (`ack_now`: replay, shutdown, a buffer over half
//! full) or of which something was refused is answered at once, when the stream has it.
//!
//! Of a batch that was cut ([`wire::part`]) the ack hangs on its home part alone: that one was put when the stream had all
//! the others, and everything that the stream had before it is proven to be stored too.
//!
//! A batch may reach into several windows, and an invocation that is cut off may have stored one of
//! them. So a window's batches are acknowledged only once everything is proven to be stored that
//! the stream had accepted when the newest of them was read ([`crate::progress`]). An ack that is not sent, or
//! lost, comes with the next half hour's; after that the agent sends the batch again and asks.

use std::collections::BTreeMap;

use blocks::{Level, ManifestItem};
use ports::{TenantId, Timestamp};
use series::{Epoch, MINUTE_MS, SourceName, Window};
use wire::{SeqRange, ServerFrame, part};

use crate::error::Fault;
use crate::{Context, connect, live, manifest, progress};

/// When a batch is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acks {
    /// When the stream has it durably.
    #[default]
    AtOnce,
    /// When its window is compacted.
    WhenCompacted,
}

/// The windows that end within such a stretch are told of with the last of them: each message is billed.
pub const TOLD_EACH_MS: i64 = 30 * MINUTE_MS;
/// When agents may expect a cumulative ack at the latest: a batch waits for its half hour's end, ten
/// minutes in which the last window still takes fresh blocks, and the compaction's next run, within five.
pub const ACK_DELAY_MS: u64 = 48 * 60_000;
/// Windows that ended longer ago than this are not acknowledged any more: agents have sent their
/// batches again and asked for the ack.
pub const ACKED_WITHIN_MS: i64 = 60 * MINUTE_MS;
/// How much further than the newest batch the proof must reach: clocks of the stream and of who
/// puts pulses on it may differ.
pub const PROOF_MARGIN_MS: i64 = 5_000;
/// Ranges of one ack.
pub const RANGES_PER_ACK_MAX: usize = 500;
/// Acks that are on their way at once.
const POSTS_AT_ONCE: usize = 32;

impl Acks {
    /// How long an agent should wait for the ack of a batch that did not ask for one, ms; 0: not at all.
    #[must_use]
    pub fn delay_ms(self) -> u64 {
        match self {
            Self::AtOnce => 0,
            Self::WhenCompacted => ACK_DELAY_MS,
        }
    }
}

/// A window is compacted: its sources may forget what stands in it. It may be called any number of
/// times; it never acknowledges what is not in the manifest.
pub async fn compacted(context: &Context, tenant: &TenantId, item: &ManifestItem) -> Result<(), Fault> {
    let ports = &context.ports;
    let recent = item.window.end.plus_ms(ACKED_WITHIN_MS) > ports.clock.now();
    let stretch = Window::of_block(item.window.end, TOLD_EACH_MS);
    if context.acks == Acks::AtOnce || !recent || stretch.end != item.window.end {
        return Ok(());
    }
    // The half hour before as well: its acks may have been lost with a process.
    let between = (stretch.previous().start.plus_ms(1), item.window.start);
    let earlier = manifest::level_between(ports, &context.blocks, tenant, Level::Ten, between).await?;
    let proven = progress::current_through(ports).await?;
    let items = earlier.iter().map(|placed| placed.item.as_ref()).chain([item]);
    let ranges = ranges(items.filter(|item| is_proven(item, proven)));
    if ranges.is_empty() {
        return Ok(());
    }
    let mut frames = Vec::new();
    for (source, presence) in connect::presences(ports, tenant).await? {
        let Some(epochs) = ranges.get(&source).filter(|_| presence.gone_at_ms.is_none()) else { continue };
        for (epoch, all) in epochs {
            for part in all.chunks(RANGES_PER_ACK_MAX) {
                let ack = ServerFrame::Ack { epoch: *epoch, ranges: part.to_vec(), rejected: Vec::new() };
                frames.push((presence.connection.clone(), ack));
            }
        }
    }
    // Gone or throttled: it keeps the batches and sends them again.
    live::post_all(ports, frames, POSTS_AT_ONCE).await
}

fn is_proven(item: &ManifestItem, current_through: Option<Timestamp>) -> bool {
    current_through.is_some_and(|through| through >= item.arrived_through.plus_ms(PROOF_MARGIN_MS))
}

type Ranges = BTreeMap<SourceName, BTreeMap<Epoch, Vec<SeqRange>>>;

/// The batches that items tell of, neighbours as one range.
fn ranges<'a>(items: impl IntoIterator<Item = &'a ManifestItem>) -> Ranges {
    let mut found = Ranges::new();
    for note in items.into_iter().flat_map(|item| &item.sources) {
        let telling = note.notes.iter().filter(|run| part::of(run.from_seq) <= part::HOME);
        for batches in telling.filter(|run| part::of(run.from_seq) == part::of(run.to_seq)) {
            let epochs = found.entry(note.source.clone()).or_default();
            let range = SeqRange { from: part::seq(batches.from_seq), to: part::seq(batches.to_seq) };
            epochs.entry(batches.epoch).or_default().push(range);
        }
    }
    for ranges in found.values_mut().flat_map(BTreeMap::values_mut) {
        ranges.sort_unstable();
        ranges.dedup_by(|next, known| {
            let touches = next.from <= known.to.saturating_add(1);
            if touches {
                known.to = known.to.max(next.to);
            }
            touches
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use blocks::{BatchNote, SourceNote};
    use series::TEN_MINUTES_MS;

    use super::*;

    fn item(arrived_through: i64, notes: &[(u64, u64)]) -> ManifestItem {
        let window = Window::around(Timestamp(0), TEN_MINUTES_MS);
        let mut source = SourceNote::new(SourceName::new("web-1").unwrap(), Timestamp(0));
        source.notes = notes
            .iter()
            .map(|(from, to)| BatchNote { to_seq: *to, ..BatchNote::new(Epoch(1), *from, window.start, 1) })
            .collect();
        ManifestItem::notes_only(window, vec![source], Timestamp(arrived_through))
    }

    #[test]
    fn neighbours_are_one_range_whatever_their_order() {
        let items = [item(0, &[(7, 9), (1, 2)]), item(0, &[(3, 3), (2, 2), (11, 11), (8, 9)])];
        let all = ranges(&items);
        let of_epoch = &all[&SourceName::new("web-1").unwrap()][&Epoch(1)];
        let shown: Vec<(u64, u64)> = of_epoch.iter().map(|range| (range.from, range.to)).collect();
        assert_eq!(shown, [(1, 3), (7, 9), (11, 11)]);
    }

    #[test]
    fn a_batch_that_was_cut_is_told_of_by_its_home_part_and_by_no_other() {
        let numbered = |seq, number| part::numbered(seq, number);
        let cut = |number| (numbered(4, number), numbered(5, number));
        let of = |notes: &[(u64, u64)]| {
            let all = ranges(&[item(0, notes)]);
            let ranges = all.values().flat_map(BTreeMap::values).flatten();
            ranges.map(|range| (range.from, range.to)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[(1, 3), cut(part::HOME)]), [(1, 5)]);
        assert_eq!(of(&[(1, 3), cut(part::FIRST_SPREAD), cut(17)]), [(1, 3)]);
        assert_eq!(of(&[(part::SEQ_MAX, part::SEQ_MAX + 1)]), [], "no agent has such numbers");
    }

    #[test]
    fn the_proof_at_the_margin_and_one_short_of_it() {
        let item = item(1_000, &[(1, 1)]);
        assert!(is_proven(&item, Some(Timestamp(1_000 + PROOF_MARGIN_MS))));
        assert!(!is_proven(&item, Some(Timestamp(999 + PROOF_MARGIN_MS))));
        assert!(!is_proven(&item, None));
    }
}
