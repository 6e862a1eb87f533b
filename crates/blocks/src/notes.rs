//! Which batches came in, as runs of consecutive numbers: their union, and their bytes in a manifest item.
//!
//! A run is never taken apart into its batches: a day of a thousand agents is 1.4 million of them, and
//! of an agent that flushes every second 86,400.
//!
//! ```text
//! notes   varint epochs  | epochs × 8 bytes, little endian
//!         varint reasons | reasons × (varint bytes | text)
//!         columns, each after its bytes (varint), over the runs of all sources in their order:
//!           runs of each source (varint)
//!           place of the epoch (varint)                zz(window − the one before)
//!           zz(first seq − the last one before)        varint(last seq − first seq)
//!           varint samples                             varint reasons | (place, count) of each
//! ```
//! "Before" is of the same source, 0 at its first run. Columns, because what is regular in time then stands
//! together: the notes of a day shrink to a hundred bytes a source under zstd.

use std::collections::{BTreeMap, BTreeSet};

use series::{Epoch, Timestamp};
use wire::columns::{ColumnError, Reader, put_varint, put_zigzag};
use wire::part;

use crate::sources::{BatchNote, SourceNote};

/// The union of runs, sorted by epoch, window and seq, none overlapping another. Two notes of one batch
/// say the same, because a batch never changes; where they do not (a reader with other limits), the
/// greater number counts. Parts of a batch that is known whole as well say nothing more, and are left out.
pub(crate) fn union(mut notes: Vec<BatchNote>) -> Vec<BatchNote> {
    notes.retain(|note| note.from_seq <= note.to_seq);
    notes.sort_by_key(|note| (note.epoch, note.window, note.from_seq));
    let mut all: Vec<BatchNote> = Vec::with_capacity(notes.len());
    for same in notes.chunk_by(|a, b| (a.epoch, a.window) == (b.epoch, b.window)) {
        if same.windows(2).all(|pair| pair[0].to_seq < pair[1].from_seq) {
            without_known(same.to_vec(), &mut all);
        } else {
            without_known(cut(same), &mut all);
        }
    }
    let mut joined: Vec<BatchNote> = Vec::with_capacity(all.len());
    for note in all {
        match joined.last_mut() {
            Some(last) if continues(last, &note) => last.to_seq = note.to_seq,
            _ => joined.push(note),
        }
    }
    joined
}

/// Adds runs of one window, sorted and none overlapping another, but for parts of batches that are among them whole.
/// (A batch that is sent again may be cut otherwise than before.)
fn without_known(runs: Vec<BatchNote>, out: &mut Vec<BatchNote>) {
    let parts = runs.partition_point(|run| part::of(run.from_seq) == part::WHOLE);
    let (whole, parts) = runs.split_at(parts);
    out.extend_from_slice(whole);
    for run in parts {
        let number = part::of(run.from_seq);
        let named = |seq: u64| part::numbered(seq, number);
        let mut from = run.from_seq;
        let first = whole.partition_point(|known| part::of(known.to_seq) == part::WHOLE && named(known.to_seq) < from);
        for known in &whole[first..] {
            // One that reaches beyond what may be cut is no agent's.
            if part::of(known.to_seq) != part::WHOLE || named(known.from_seq) > run.to_seq {
                break;
            }
            if from < named(known.from_seq) {
                out.push(BatchNote { from_seq: from, to_seq: named(known.from_seq) - 1, ..run.clone() });
            }
            from = named(known.to_seq).saturating_add(1).max(from);
        }
        if from <= run.to_seq {
            out.push(BatchNote { from_seq: from, ..run.clone() });
        }
    }
}

fn continues(last: &BatchNote, next: &BatchNote) -> bool {
    (last.epoch, last.window, last.to_seq.checked_add(1)) == (next.epoch, next.window, Some(next.from_seq))
        && (last.samples, &last.rejected) == (next.samples, &next.rejected)
}

/// Overlapping runs of one window, sorted by their first seq, cut where any of them begins or ends.
fn cut(runs: &[BatchNote]) -> Vec<BatchNote> {
    let ends = runs.iter().filter_map(|run| run.to_seq.checked_add(1));
    let edges: BTreeSet<u64> = runs.iter().map(|run| run.from_seq).chain(ends).collect();
    let edges: Vec<u64> = edges.into_iter().collect();
    let (mut pieces, mut open, mut next) = (Vec::new(), Vec::<&BatchNote>::new(), 0);
    for (place, from) in edges.iter().enumerate() {
        while let Some(run) = runs.get(next).filter(|run| run.from_seq <= *from) {
            open.push(run);
            next += 1;
        }
        open.retain(|run| run.to_seq >= *from);
        let Some((first, others)) = open.split_first() else { continue };
        let to = edges.get(place + 1).map_or(u64::MAX, |edge| edge - 1);
        let mut piece = BatchNote { from_seq: *from, to_seq: to, ..(*first).clone() };
        for other in others {
            piece.samples = piece.samples.max(other.samples);
            for (reason, count) in &other.rejected {
                let known = piece.rejected.entry(reason.clone()).or_default();
                *known = (*known).max(*count);
            }
        }
        pieces.push(piece);
    }
    pieces
}

/// Whether two unions tell of one batch with samples in one window: of the same part, or one of a part and the
/// other of the whole.
pub(crate) fn share_samples(a: &[BatchNote], b: &[BatchNote]) -> bool {
    let (of_a, of_b) = (batches_of_parts(a), batches_of_parts(b));
    share(a, b) || (!of_b.is_empty() && share(a, &of_b)) || (!of_a.is_empty() && share(&of_a, b))
}

/// The batches of which parts are told, under their own numbers.
fn batches_of_parts(runs: &[BatchNote]) -> Vec<BatchNote> {
    let parts = runs.iter().filter(|run| part::of(run.from_seq) != part::WHOLE && run.samples > 0);
    let own = |run: &BatchNote| BatchNote {
        from_seq: part::seq(run.from_seq),
        to_seq: part::seq(run.to_seq),
        rejected: BTreeMap::new(),
        ..run.clone()
    };
    let own: Vec<BatchNote> = parts.map(own).collect();
    if own.is_empty() { own } else { union(own) }
}

fn share(a: &[BatchNote], b: &[BatchNote]) -> bool {
    let (mut left, mut right) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(one), Some(two)) = (left.peek(), right.peek()) {
        let (key, other) = ((one.epoch, one.window), (two.epoch, two.window));
        if key == other && one.from_seq <= two.to_seq && two.from_seq <= one.to_seq && one.samples > 0 {
            return true;
        }
        if (key, one.to_seq) < (other, two.to_seq) {
            left.next();
        } else {
            right.next();
        }
    }
    false
}

/// Samples of a union.
pub(crate) fn samples(union: &[BatchNote]) -> u64 {
    union.iter().map(|run| run.batches().saturating_mul(run.samples)).fold(0, u64::saturating_add)
}

/// The bytes of the sources' notes, in the order of the sources.
pub(crate) fn encode(sources: &[SourceNote]) -> Vec<u8> {
    let all = || sources.iter().flat_map(|source| &source.notes);
    let epochs: BTreeSet<Epoch> = all().map(|note| note.epoch).collect();
    let reasons: BTreeSet<&str> = all().flat_map(|note| note.rejected.keys().map(String::as_str)).collect();
    let place_of = |epoch: &Epoch| epochs.iter().position(|known| known == epoch).unwrap_or(0) as u64;
    let mut columns: [Vec<u8>; 7] = Default::default();
    for source in sources {
        let [runs, places, windows, firsts, lengths, samples, refused] = &mut columns;
        put_varint(runs, source.notes.len() as u64);
        let (mut window, mut last, mut epoch) = (0, 0_u64, (None, 0));
        for note in &source.notes {
            if epoch.0 != Some(note.epoch) {
                epoch = (Some(note.epoch), place_of(&note.epoch));
            }
            put_varint(places, epoch.1);
            put_zigzag(windows, note.window.ms().wrapping_sub(window));
            put_zigzag(firsts, note.from_seq.wrapping_sub(last) as i64);
            put_varint(lengths, note.to_seq.wrapping_sub(note.from_seq));
            put_varint(samples, note.samples);
            put_varint(refused, note.rejected.len() as u64);
            for (reason, count) in &note.rejected {
                put_varint(refused, reasons.iter().position(|known| *known == reason).unwrap_or(0) as u64);
                put_varint(refused, *count);
            }
            (window, last) = (note.window.ms(), note.to_seq);
        }
    }
    let mut out = Vec::new();
    put_varint(&mut out, epochs.len() as u64);
    epochs.iter().for_each(|epoch| out.extend_from_slice(&epoch.0.to_le_bytes()));
    put_varint(&mut out, reasons.len() as u64);
    for text in reasons.iter().map(|reason| reason.as_bytes()).chain(columns.iter().map(Vec::as_slice)) {
        put_varint(&mut out, text.len() as u64);
        out.extend_from_slice(text);
    }
    out
}

/// Reads them back into the sources, whose notes are empty.
pub(crate) fn decode(bytes: &[u8], sources: &mut [SourceNote]) -> Result<(), ColumnError> {
    let mut reader = Reader::new(bytes);
    let mut epochs = Vec::new();
    for _ in 0..reader.varint()? {
        let bytes: [u8; 8] = reader.take(8)?.try_into().map_err(|_| ColumnError::Truncated)?;
        epochs.push(Epoch(u64::from_le_bytes(bytes)));
    }
    let mut reasons = Vec::new();
    for _ in 0..reader.varint()? {
        reasons.push(String::from_utf8_lossy(part(&mut reader)?).into_owned());
    }
    let mut columns = [(); 7].map(|()| Reader::new(&[]));
    for column in &mut columns {
        *column = Reader::new(part(&mut reader)?);
    }
    let [runs, places, windows, firsts, lengths, samples, refused] = &mut columns;
    for source in sources {
        let (mut window, mut last) = (0_i64, 0_u64);
        for _ in 0..runs.varint()? {
            let place = usize::try_from(places.varint()?).unwrap_or(usize::MAX);
            let epoch = *epochs.get(place).ok_or(ColumnError::Truncated)?;
            window = window.wrapping_add(windows.zigzag()?);
            let from_seq = last.wrapping_add(firsts.zigzag()? as u64);
            let to_seq = from_seq.wrapping_add(lengths.varint()?);
            last = to_seq;
            let mut rejected = BTreeMap::new();
            for _ in 0..refused.varint()? {
                let reason = usize::try_from(refused.varint()?).ok().and_then(|place| reasons.get(place));
                rejected.insert(reason.ok_or(ColumnError::Truncated)?.clone(), refused.varint()?);
            }
            let samples = samples.varint()?;
            source.notes.push(BatchNote { epoch, from_seq, to_seq, window: Timestamp(window), samples, rejected });
        }
    }
    Ok(())
}

fn part<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], ColumnError> {
    let bytes = reader.varint()?;
    reader.take(usize::try_from(bytes).map_err(|_| ColumnError::Truncated)?)
}

#[cfg(test)]
mod tests;
