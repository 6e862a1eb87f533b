//! Space and inodes of each mounted filesystem.
//!
//! Asking a filesystem whose server is away may hang for ever. Such a filesystem is asked on a
//! thread of its own, with a deadline, and not again until that thread has come back.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

use rustix::fs::{StatVfs, statvfs};

use super::mounts::{Mount, remote};
use crate::inputs::sheet::Sheet;

/// How long a filesystem on another host may take to answer.
const REMOTE_ANSWER_MAX: Duration = Duration::from_secs(2);

/// Room on one filesystem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Space {
    pub(crate) size_bytes: f64,
    pub(crate) free_bytes: f64,
    /// Free for those who are not root.
    pub(crate) avail_bytes: f64,
    pub(crate) files: f64,
    pub(crate) files_free: f64,
}

impl From<StatVfs> for Space {
    fn from(stat: StatVfs) -> Self {
        let bytes = |blocks: u64| blocks as f64 * stat.f_frsize as f64;
        Self {
            size_bytes: bytes(stat.f_blocks),
            free_bytes: bytes(stat.f_bfree),
            avail_bytes: bytes(stat.f_bavail),
            files: stat.f_files as f64,
            files_free: stat.f_ffree as f64,
        }
    }
}

/// Asks filesystems for their room.
#[derive(Debug, Default)]
pub(crate) struct Filesystems {
    /// Those that have not answered yet, by mount point.
    stuck: HashMap<String, Receiver<Option<Space>>>,
}

impl Filesystems {
    /// The room on `mount`; `None` where it does not answer or may not be asked.
    pub(crate) fn space(&mut self, mount: &Mount) -> Option<Space> {
        if !remote(&mount.fstype) {
            return statvfs(mount.mountpoint.as_str()).ok().map(Space::from);
        }
        if let Some(answer) = self.stuck.get(&mount.mountpoint) {
            match answer.try_recv() {
                Err(TryRecvError::Empty) => return None,
                Ok(_) | Err(TryRecvError::Disconnected) => self.stuck.remove(&mount.mountpoint),
            };
        }
        let path = mount.mountpoint.clone();
        self.asked_with_deadline(&mount.mountpoint, move || statvfs(path.as_str()).ok().map(Space::from))
    }

    fn asked_with_deadline(
        &mut self,
        mountpoint: &str,
        ask: impl FnOnce() -> Option<Space> + Send + 'static,
    ) -> Option<Space> {
        let (answer, answered) = channel();
        let thread = std::thread::Builder::new().name("statvfs".to_owned()).stack_size(64 * 1024);
        // Nobody listens any more where the agent has ended meanwhile.
        thread.spawn(move || answer.send(ask()).unwrap_or_default()).ok()?;
        match answered.recv_timeout(REMOTE_ANSWER_MAX) {
            Ok(space) => space,
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                self.stuck.insert(mountpoint.to_owned(), answered);
                None
            }
        }
    }
}

/// Writes one filesystem's samples.
pub(super) fn filesystem(mount: &Mount, space: Option<Space>, sheet: &mut Sheet) {
    let labels = [
        ("device", mount.device.as_str()),
        ("fstype", mount.fstype.as_str()),
        ("mountpoint", mount.mountpoint.as_str()),
    ];
    sheet.put("node_filesystem_device_error", &labels, f64::from(u8::from(space.is_none())));
    let Some(space) = space else { return };
    for (name, value) in [
        ("node_filesystem_size_bytes", space.size_bytes),
        ("node_filesystem_free_bytes", space.free_bytes),
        ("node_filesystem_avail_bytes", space.avail_bytes),
        ("node_filesystem_files", space.files),
        ("node_filesystem_files_free", space.files_free),
        ("node_filesystem_readonly", f64::from(u8::from(mount.read_only))),
    ] {
        sheet.put(name, &labels, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::host::testing::put;

    fn mount(fstype: &str, mountpoint: &str) -> Mount {
        Mount { device: "d".into(), mountpoint: mountpoint.into(), fstype: fstype.into(), read_only: false }
    }

    #[test]
    fn the_root_has_room_and_a_missing_one_has_an_error() {
        let mut filesystems = Filesystems::default();
        let root = filesystems.space(&mount("ext4", "/")).expect("the root answers");
        assert!(root.size_bytes >= root.free_bytes && root.free_bytes >= root.avail_bytes && root.size_bytes > 0.0);
        assert_eq!(filesystems.space(&mount("nfs4", "/")).map(|space| space.size_bytes), Some(root.size_bytes));
        let gone = mount("ext4", "/does/not/exist");
        let space = filesystems.space(&gone);
        assert_eq!(
            put(|sheet| filesystem(&gone, space, sheet)),
            "node_filesystem_device_error{device=\"d\", fstype=\"ext4\", mountpoint=\"/does/not/exist\"} 1\n"
        );
    }

    #[test]
    fn a_filesystem_that_hangs_is_not_asked_again_until_it_answers() {
        let mut filesystems = Filesystems::default();
        let (release, released) = channel::<()>();
        let hung = filesystems.asked_with_deadline("/", move || {
            released.recv().ok();
            None
        });
        assert_eq!(hung, None);
        assert_eq!(filesystems.space(&mount("nfs", "/")), None, "it is still being asked");
        drop(release);
        while filesystems.stuck.contains_key("/") {
            filesystems.space(&mount("nfs", "/"));
            std::thread::yield_now();
        }
        assert!(filesystems.space(&mount("nfs", "/")).is_some());
    }
}
