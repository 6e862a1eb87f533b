//! Tests of `embedded.rs` and `lock.rs`: a data folder as a whole.

use bytes::Bytes;
use ports::{Condition, ConnectionId, Key, Partition, Written};

use super::*;

fn open(dir: &Path) -> Result<Embedded, OpenError> {
    Embedded::open(dir, &EmbeddedOptions::default())
}

#[tokio::test]
async fn a_folder_in_use_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    let refused = open(dir.path()).err().unwrap().to_string();
    assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
    assert!(refused.contains(&dir.path().display().to_string()), "{refused}");
    first.close().await;
    open(dir.path()).expect("free again").close().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let refused = open(&file.join("data")).err().unwrap();
    assert!(matches!(refused, OpenError::Io { .. }) && refused.to_string().contains("file/data"), "{refused}");
}

#[tokio::test]
async fn a_closed_store_refuses_for_now_and_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let embedded = open(&dir.path().join("made/on/the/way")).unwrap();
    let ports = embedded.ports();
    let mut outgoing = embedded.connections().register(ConnectionId("c".to_owned()));
    let key = Key::new(Partition::Keys, "k");
    let write = ports::Write::put(key.clone(), "v", Condition::Absent);
    assert!(matches!(ports.table.write(write.clone()).await, Ok(Written::Done(_))));
    ports.blobs.put("b", Bytes::from_static(b"x")).await.unwrap();
    embedded.close().await;
    assert_eq!(outgoing.next().await, None, "connections are closed");
    assert!(ports.table.get(&key).await.is_err_and(|error| error.is_transient()));
    assert!(ports.table.write(write).await.is_err_and(|error| error.is_transient()));

    let embedded = open(&dir.path().join("made/on/the/way")).unwrap();
    let ports = embedded.ports();
    assert_eq!(ports.table.get(&key).await.unwrap().unwrap().value, "v");
    assert_eq!(ports.blobs.get("b").await, Ok(Some(Bytes::from_static(b"x"))));
    embedded.close().await;
}

#[tokio::test]
async fn what_is_stored_is_nobody_elses_business() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let embedded = open(dir.path()).unwrap();
    embedded.ports().blobs.put("b", Bytes::from_static(b"x")).await.unwrap();
    for file in ["store.redb", "blobs/b", "stream/0/00000000000000000001.log"] {
        let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} is readable by others: {mode:o}");
    }
    embedded.close().await;
}

#[tokio::test]
async fn memory_stands_still_and_repeats_itself() {
    let bytes = |seed| {
        let memory = Embedded::memory(seed).unwrap();
        let mut bytes = [0; 8];
        memory.embedded.ports().entropy.fill(&mut bytes);
        assert_eq!(memory.embedded.ports().clock.now(), memory.clock_now());
        bytes
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}
