//! Tests of `blobs.rs`: what the contract suite cannot see.

use super::*;
use crate::sim_disk::{CrashKind, DiskFaults, SimDisk};

fn open(disk: &SimDisk) -> FileBlobs {
    FileBlobs::open(Arc::new(disk.clone()), "blobs", "tmp").unwrap()
}

#[tokio::test]
async fn what_was_never_finished_is_swept_away() {
    let disk = SimDisk::new(1);
    let blobs = open(&disk);
    disk.open("tmp/7").unwrap().write_at(0, b"half").unwrap();
    disk.sync_dir("tmp").unwrap();
    blobs.put("a", Bytes::from_static(b"x")).await.unwrap();
    disk.crash(CrashKind::DropAll);
    let blobs = open(&disk);
    assert_eq!(disk.list("tmp").unwrap(), []);
    assert_eq!(blobs.list("").await.unwrap(), ["a"], "what is unfinished is never listed");
}

#[tokio::test]
async fn a_failed_put_is_transient_and_leaves_nothing_in_part() {
    let disk = SimDisk::new(1);
    let blobs = open(&disk);
    for step in 1.. {
        disk.set_faults(DiskFaults { fail_at: Some(disk.operations() + step), ..DiskFaults::default() });
        let name = format!("d/{step}");
        match blobs.put(&name, Bytes::from_static(b"content")).await {
            Ok(()) => break,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        let found = blobs.get(&name).await.unwrap();
        assert!(found.is_none_or(|found| found == "content"), "in part after a fault at operation {step}");
        disk.set_faults(DiskFaults::default());
        blobs.put(&name, Bytes::from_static(b"content")).await.unwrap();
        assert_eq!(disk.list("tmp").unwrap(), []);
    }
}

#[tokio::test]
async fn names_at_the_limit_and_one_past_it() {
    let blobs = open(&SimDisk::new(1));
    let past = |put: Result<(), PortError>| put.is_err_and(|error| !error.is_transient());
    let segment = |bytes: usize| "n".repeat(bytes);
    assert!(blobs.put(&segment(SEGMENT_BYTES_MAX), Bytes::new()).await.is_ok());
    assert!(past(blobs.put(&segment(SEGMENT_BYTES_MAX + 1), Bytes::new()).await));
    let name = |bytes: usize| format!("{}/{}/{}", segment(200), segment(200), segment(bytes - 402));
    assert!(blobs.put(&name(NAME_BYTES_MAX), Bytes::new()).await.is_ok());
    assert!(past(blobs.put(&name(NAME_BYTES_MAX + 1), Bytes::new()).await));
    let deep = |segments: usize| vec!["d"; segments].join("/");
    assert!(blobs.put(&deep(DEPTH_MAX), Bytes::new()).await.is_ok());
    assert!(past(blobs.put(&deep(DEPTH_MAX + 1), Bytes::new()).await));
    assert_eq!(blobs.list("d/").await.unwrap(), [deep(DEPTH_MAX)]);
}
