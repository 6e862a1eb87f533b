//! The buffer against a model of ten lines, under random actions, faults and crashes; and each
//! kind of damage by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use series::{Labels, Sample};
use wire::{Batch, SeriesColumn};

use super::sim_disk::SimDisk;
use super::*;

fn settings(bytes_max: u64, sync_each: bool) -> Settings {
    Settings { source: SourceName::new("web-1").unwrap(), bytes_max, sync_each }
}

fn open_with(disk: &SimDisk, settings: Settings) -> Buffer<SimDisk> {
    let disk = disk.clone();
    let mut epoch = fresh_epoch();
    let random = move || {
        epoch += 1;
        epoch
    };
    Buffer::open(settings, Timestamp(0), random, move || Ok(disk.clone()))
}

/// Another number for each buffer, as the real random numbers are.
fn fresh_epoch() -> u64 {
    static OPENED: Mutex<u64> = Mutex::new(0);
    let mut opened = OPENED.lock().unwrap();
    *opened += 1_000_000;
    *opened
}

fn open(disk: &SimDisk) -> Buffer<SimDisk> {
    open_with(disk, settings(BIG, true))
}

const BIG: u64 = 50 << 20;

/// A batch that holds `samples` samples, which are told apart by `value`.
fn draft(samples: u64, value: u64) -> Draft {
    let labels = Labels::from_pairs([("__name__", "x")]).unwrap();
    let samples = (0..samples).map(|n| Sample { at: Timestamp(n as i64), value: noise(value << 20 | n) }).collect();
    let contents = Contents { series: vec![SeriesColumn { labels, samples }], ..Contents::default() };
    Draft { contents, rejected: BTreeMap::new(), created_at: Timestamp(value as i64), ack_now: false }
}

/// A number that does not compress.
fn noise(n: u64) -> f64 {
    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 17) as f64 / 3.0
}

fn ack(from: u64, to: u64) -> Vec<SeqRange> {
    vec![SeqRange { from, to }]
}

/// What would be sent: (epoch, seq) and the value of the first sample.
fn sendable(buffer: &mut Buffer<SimDisk>) -> BTreeMap<(Epoch, u64), f64> {
    let mut found = BTreeMap::new();
    let epochs = [buffer.disk_state().map(|state| state.epoch), Some(buffer.memory_state().epoch)];
    for epoch in epochs.into_iter().flatten() {
        let mut from = 0;
        while let Some(seq) = buffer.next_unacked(epoch, from) {
            if let Some(bytes) = buffer.read(epoch, seq) {
                let batch = Batch::decode(&bytes).unwrap().batch;
                assert_eq!((batch.epoch, batch.seq), (epoch, seq));
                found.insert((epoch, seq), batch.series[0].samples[0].value);
            }
            from = seq + 1;
        }
    }
    found
}

fn disk_state(buffer: &Buffer<SimDisk>) -> LogState {
    buffer.disk_state().unwrap()
}

fn assert_balance(state: &LogState) {
    let LogState { ledger, buffered, .. } = state;
    assert_eq!(ledger.put, ledger.acked + ledger.evicted + buffered, "{state:?}");
}

#[derive(Debug, Clone)]
enum Action {
    Put(u64),
    Ack(u64, u64),
    Sync,
    Kill,
    Crash(u64),
    Room(Option<usize>),
    SyncsFail(bool),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        10 => (1..40_u64).prop_map(Action::Put),
        4 => (0..60_u64, 0..8_u64).prop_map(|(from, more)| Action::Ack(from, from + more)),
        2 => Just(Action::Sync),
        1 => Just(Action::Kill),
        1 => any::<u64>().prop_map(Action::Crash),
        1 => prop_oneof![Just(None), (0..600_usize).prop_map(Some)].prop_map(Action::Room),
        1 => any::<bool>().prop_map(Action::SyncsFail),
    ]
}

/// The model: what was sendable stays sendable, with the same contents, until it is acknowledged
/// (or evicted, which these buffers are too large for); and no name is given twice.
fn run(actions: &[Action], sync_each: bool) {
    let disk = SimDisk::default();
    let mut buffer = open_with(&disk, settings(BIG, sync_each));
    let mut unacked: BTreeMap<(Epoch, u64), f64> = BTreeMap::new();
    let mut ever: BTreeMap<(Epoch, u64), f64> = BTreeMap::new();
    for (step, action) in actions.iter().enumerate() {
        match action {
            Action::Put(samples) => buffer.put(draft(*samples, step as u64)),
            Action::Sync => buffer.sync(),
            Action::Ack(from, to) => {
                let Some(epoch) = buffer.disk_state().map(|state| state.epoch) else { continue };
                buffer.ack(epoch, &ack(*from, *to));
                unacked.retain(|(of, seq), _| *of != epoch || !(*from..=*to).contains(seq));
            }
            Action::Room(room) => disk.set_room(*room),
            Action::SyncsFail(fail) => disk.fail_syncs(*fail),
            Action::Kill | Action::Crash(_) => {
                disk.set_room(None);
                disk.fail_syncs(false);
                let memory = buffer.memory_state().epoch;
                if let Action::Crash(keep) = action {
                    disk.crash(*keep);
                }
                buffer = open_with(&disk, settings(BIG, sync_each));
                unacked.retain(|(epoch, _), _| *epoch != memory);
                assert_balance(&disk_state(&buffer));
            }
        }
        let found = sendable(&mut buffer);
        for (name, value) in &unacked {
            assert_eq!(found.get(name), Some(value), "{name:?} was lost or changed by step {step}, {action:?}");
        }
        for (name, value) in &found {
            assert_eq!(ever.insert(*name, *value).unwrap_or(*value), *value, "{name:?} was given twice");
        }
        // An ack that a crash forgot brings its batch back: at-least-once.
        unacked = found;
    }
}

/// How many random lives the buffer is led through: 300, or ten times what the soak asks for.
#[expect(clippy::disallowed_methods, reason = "the soak is asked for by the environment")]
fn lives() -> u32 {
    let soak: Option<u32> = std::env::var("DAYWATCH_SOAK").ok().and_then(|text| text.parse().ok());
    soak.map_or(300, |count| count.saturating_mul(10))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(lives()) })]

    #[test]
    fn every_fsynced_batch_stays_until_it_is_acknowledged(
        actions in proptest::collection::vec(action(), 1..60),
        sync_each in any::<bool>(),
    ) {
        run(&actions, sync_each);
    }
}

#[test]
fn a_batch_is_sendable_only_when_it_is_durable() {
    let disk = SimDisk::default();
    let mut buffer = open_with(&disk, settings(BIG, false));
    buffer.put(draft(1, 1));
    assert!(sendable(&mut buffer).is_empty());
    buffer.sync();
    assert_eq!(sendable(&mut buffer).len(), 1);
}

#[test]
fn the_ledger_survives_when_all_is_acknowledged() {
    let disk = SimDisk::default();
    let mut buffer = open(&disk);
    for n in 1..=5 {
        let rejected = BTreeMap::from([("queue_full".to_owned(), n)]);
        buffer.put(Draft { rejected, ..draft(10, n) });
    }
    let before = disk_state(&buffer);
    buffer.ack(before.epoch, &ack(0, u64::MAX));
    buffer = open(&disk);
    buffer.put(draft(1, 9));
    drop(buffer);
    disk.crash(0);
    let after = disk_state(&open(&disk));
    assert_eq!((after.epoch, after.next_seq, after.ledger.put), (before.epoch, 7, 51));
    assert_eq!(after.counters().rejected["queue_full"], 15);
    assert_eq!(after.counters().generated, 51 + 15);
}

#[test]
fn the_oldest_is_evicted_first_and_counted() {
    let disk = SimDisk::default();
    let max = 64 << 10;
    let mut buffer = open_with(&disk, settings(max, true));
    for n in 0..400 {
        buffer.put(draft(100, n));
        assert!(disk_state(&buffer).bytes <= max, "{:?}", disk_state(&buffer));
    }
    let state = disk_state(&buffer);
    assert_balance(&state);
    assert!(state.ledger.evicted > 0 && buffer.over_half());
    let seqs: Vec<u64> = sendable(&mut buffer).keys().map(|(_, seq)| *seq).collect();
    assert_eq!(seqs, (state.next_seq - state.batches..state.next_seq).collect::<Vec<_>>());
    drop(buffer);
    disk.crash(0);
    let again = disk_state(&open_with(&disk, settings(max, true)));
    assert_eq!(again.ledger, state.ledger);
}

#[test]
fn a_full_disk_means_memory_and_another_epoch() {
    let disk = SimDisk::default();
    let mut buffer = open(&disk);
    buffer.put(draft(1, 1));
    disk.set_room(Some(30));
    buffer.put(draft(1, 2));
    assert!(buffer.memory_only());
    assert_eq!(buffer.disk_errors(), 1);
    disk.set_room(None);
    buffer.put(draft(1, 3));
    assert!(!buffer.memory_only());
    let names: Vec<_> = sendable(&mut buffer).keys().map(|(_, seq)| *seq).collect();
    assert_eq!(names, [1, 1, 2]);
    drop(buffer);
    assert_eq!(disk_state(&open(&disk)).batches, 2);
}

#[test]
fn memory_is_bounded_and_counts_what_it_evicts() {
    let disk = SimDisk::default();
    let mut buffer = open(&disk);
    disk.set_room(Some(0));
    for n in 0..1_500 {
        buffer.put(draft(500, n));
    }
    let memory = buffer.memory_state();
    assert!(memory.bytes <= MEMORY_BYTES_MAX as u64 && memory.ledger.evicted > 0);
    assert_balance(&memory);
    buffer.ack(memory.epoch, &ack(0, u64::MAX));
    assert_eq!(buffer.memory_state().batches, 0);
}

#[test]
fn a_folder_that_cannot_be_opened_is_tried_again() {
    let disk = SimDisk::default();
    let tries = Arc::new(Mutex::new(0));
    let (counted, opened) = (tries.clone(), disk.clone());
    let open = move || {
        *counted.lock().unwrap() += 1;
        if *counted.lock().unwrap() < 3 {
            Err(io::Error::from(io::ErrorKind::PermissionDenied))
        } else {
            Ok(opened.clone())
        }
    };
    let mut buffer = Buffer::open(settings(BIG, true), Timestamp(0), || 5, open);
    assert!(buffer.memory_only());
    let at = |ms| Draft { created_at: Timestamp(ms), ..draft(1, 1) };
    buffer.put(at(REOPEN_MS - 1));
    assert_eq!(*tries.lock().unwrap(), 1);
    buffer.put(at(REOPEN_MS));
    buffer.put(at(2 * REOPEN_MS));
    assert_eq!((*tries.lock().unwrap(), buffer.memory_only()), (3, false));
    assert_eq!((disk_state(&buffer).batches, buffer.memory_state().batches), (1, 2));
}

#[test]
fn a_damaged_batch_is_counted_and_its_neighbours_stay() {
    let disk = SimDisk::default();
    let mut buffer = open(&disk);
    (0..5).for_each(|n| buffer.put(draft(10, n)));
    drop(buffer);
    disk.damage("00000001.seg", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
    });
    let mut buffer = open(&disk);
    let state = disk_state(&buffer);
    assert_balance(&state);
    assert_eq!((state.batches, state.ledger.evicted, state.next_seq), (4, 10, 6));
    assert_eq!(sendable(&mut buffer).len(), 4);
}

#[test]
fn numbers_behind_a_damaged_end_are_not_used_again() {
    let disk = SimDisk::default();
    let mut buffer = open(&disk);
    (0..5).for_each(|n| buffer.put(draft(10, n)));
    drop(buffer);
    disk.damage("00000001.seg", |bytes| {
        let end = bytes.len() - 100;
        bytes[end..].fill(0xaa);
    });
    let state = disk_state(&open(&disk));
    assert!(state.batches < 5 && state.next_seq > 6, "{state:?}");
}

#[test]
fn a_file_of_another_format_is_put_aside() {
    let disk = SimDisk::default();
    let payload = br#"H{"format":2,"shape":"new"}"#;
    let mut bytes = Vec::new();
    wire::segment::encode_into(&mut bytes, 0, payload).unwrap();
    disk.clone().append("00000007.seg", 0, &bytes).unwrap();
    disk.clone().append("00000008.seg", 0, b"not a segment at all").unwrap();
    disk.clone().append("00000009.seg", 0, b"").unwrap();
    let mut buffer = open(&disk);
    assert!(!buffer.memory_only());
    buffer.put(draft(1, 1));
    let names = disk.list().unwrap();
    assert_eq!(names, ["00000007.seg.quarantine", "00000008.seg.quarantine", "00000010.seg"]);
}

#[test]
fn quarantined_files_at_the_limit_and_one_past_it() {
    let disk = SimDisk::default();
    for number in 1..=QUARANTINED_MAX + 1 {
        disk.clone().append(&format!("{number:08}.seg"), 0, b"not a segment at all").unwrap();
    }
    let _ = open(&disk);
    assert_eq!(disk.list().unwrap().len(), QUARANTINED_MAX);
}

#[test]
fn batches_at_the_limit_and_one_past_it() {
    let disk = SimDisk::default();
    let mut buffer = open(&disk);
    for _ in 0..BATCHES_MAX {
        buffer.put(Draft { contents: Contents::default(), ..draft(0, 0) });
    }
    assert_eq!(disk_state(&buffer).batches, BATCHES_MAX as u64);
    buffer.put(draft(1, 0));
    assert!(disk_state(&buffer).batches < BATCHES_MAX as u64);
}

#[test]
fn reasons_beyond_the_protocols_limit_are_counted_as_other() {
    let mut ledger = Ledger::default();
    let max = wire::limits::REASONS_MAX;
    ledger.reject((0..max + 2).map(|n| (format!("r{n:02}"), 1)).collect());
    ledger.reject(BTreeMap::from([("x".repeat(wire::limits::REASON_BYTES_MAX + 1), 1)]));
    assert_eq!((ledger.rejected.len(), ledger.rejected["other"]), (max, 4));
}
