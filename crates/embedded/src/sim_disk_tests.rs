//! Tests of `sim_disk.rs`, and of `disk.rs` beside it: what both disks promise.

use super::*;
use crate::disk::RealDisk;

fn both(act: impl Fn(&dyn Disk)) {
    let dir = tempfile::tempdir().unwrap();
    act(&RealDisk::new(dir.path()).unwrap());
    act(&SimDisk::new(1));
}

fn read(disk: &dyn Disk, path: &str) -> Option<Vec<u8>> {
    match disk.read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn both_disks_do_the_same() {
    both(|disk| {
        disk.create_dir_all("a/b").unwrap();
        disk.create_dir_all("a/b").unwrap();
        let file = disk.open("a/b/one").unwrap();
        file.write_at(3, b"xyz").unwrap();
        assert_eq!(read(disk, "a/b/one").unwrap(), b"\0\0\0xyz");
        let mut out = [0; 2];
        file.read_at(4, &mut out).unwrap();
        assert_eq!(&out, b"yz");
        assert_eq!(file.read_at(5, &mut out).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        file.set_len(4).unwrap();
        file.set_len(6).unwrap();
        file.sync().unwrap();
        assert_eq!(read(disk, "a/b/one").unwrap(), b"\0\0\0x\0\0");
        assert!(!file.is_empty().unwrap());

        disk.write_atomic("a/two", "a/b/tmp", b"new").unwrap();
        assert_eq!(disk.open("a/two").unwrap().len().unwrap(), 3, "opening does not cut");
        let names = |dir: &str| disk.list(dir).unwrap().into_iter().map(|entry| (entry.name, entry.is_dir));
        assert_eq!(names("a").collect::<Vec<_>>(), [("b".to_owned(), true), ("two".to_owned(), false)]);
        assert_eq!(names("a/b").collect::<Vec<_>>(), [("one".to_owned(), false)]);
        assert_eq!(names("nowhere").count(), 0);

        disk.remove("a/two").unwrap();
        disk.remove("a/two").unwrap();
        disk.sync_dir("a").unwrap();
        assert!(!disk.exists("a/two").unwrap() && disk.exists("a").unwrap() && disk.exists("a/b/one").unwrap());
        assert!(disk.rename("a/two", "a/three").is_err());
        assert!(disk.open("nowhere/file").is_err());
        assert!(disk.open("a").and_then(|file| file.write_at(0, b"x")).is_err(), "a folder is no file");
    });
}

#[test]
fn what_was_not_synced_is_lost() {
    let disk = SimDisk::new(1);
    let file = disk.open("kept").unwrap();
    file.write_at(0, b"synced").unwrap();
    file.sync().unwrap();
    disk.sync_dir("").unwrap();
    file.write_at(0, b"unsync").unwrap();
    disk.open("unnamed").unwrap().sync().unwrap();
    assert_eq!(read(&disk, "kept").unwrap(), b"unsync", "it is seen until the crash");
    disk.crash(CrashKind::DropAll);
    assert_eq!(read(&disk, "kept").unwrap(), b"synced");
    assert_eq!(read(&disk, "unnamed"), None, "a name whose folder was not synced is lost, synced bytes or not");
    assert!(file.write_at(0, b"x").is_err(), "a file opened before a crash is gone");
}

#[test]
fn a_rename_or_removal_without_sync_is_undone() {
    let disk = SimDisk::new(1);
    disk.write_atomic("one", "tmp", b"old").unwrap();
    disk.open("next").unwrap().write_at(0, b"new").unwrap();
    disk.rename("next", "one").unwrap();
    assert_eq!(read(&disk, "one").unwrap(), b"new");
    disk.crash(CrashKind::DropAll);
    assert_eq!(read(&disk, "one").unwrap(), b"old");
    disk.remove("one").unwrap();
    disk.crash(CrashKind::DropAll);
    assert_eq!(read(&disk, "one").unwrap(), b"old");
}

#[test]
fn faults_come_when_they_were_ordered() {
    let disk = SimDisk::new(1);
    let file = disk.open("f").unwrap();
    let next = disk.operations() + 1;
    disk.set_faults(DiskFaults { fail_at: Some(next), ..DiskFaults::default() });
    assert!(file.write_at(0, b"abcd").is_err());
    assert_eq!(read(&disk, "f").unwrap(), b"ab", "a failed write is half written");
    file.write_at(0, b"abcd").unwrap();

    disk.set_faults(DiskFaults { bytes_max: Some(5), ..DiskFaults::default() });
    file.write_at(4, b"e").unwrap();
    assert_eq!(file.write_at(5, b"f").unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_at(0, b"again").unwrap();

    disk.set_faults(DiskFaults { halt_at: Some(disk.operations() + 2), ..DiskFaults::default() });
    file.sync().unwrap();
    assert!(file.sync().is_err() && file.sync().is_err() && disk.is_halted());
    disk.crash(CrashKind::DropAll);
    assert!(disk.open("f").is_ok() && !disk.is_halted());
}
