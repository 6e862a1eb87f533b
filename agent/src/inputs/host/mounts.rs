//! `/proc/mounts`: which filesystems there are. The procfs crate leaves `\040` (a space) in
//! mount points as it is and gives up at the first odd line, hence the parser here.

/// Where they are told, the first that can be read: as the host's first process sees them, else as
/// this one does. A service with `ProtectSystem` sees more of them than there are, and read-only.
pub(crate) const FILES: [&str; 2] = ["proc/1/mounts", "proc/mounts"];

/// One mounted filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The block device, or what stands in its place.
    pub(crate) device: String,
    /// Where it is mounted.
    pub(crate) mountpoint: String,
    /// `ext4`, `xfs`, ….
    pub(crate) fstype: String,
    /// Whether it is mounted read-only.
    pub(crate) read_only: bool,
}

/// Filesystems that say something about disks: node_exporter's default exclusions, and each
/// device and mount point once (the last one hides the earlier).
pub(crate) fn mounts(text: &str) -> Vec<Mount> {
    let mut found: Vec<Mount> = Vec::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(mountpoint), Some(fstype), Some(options)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let mount = Mount {
            device: unescaped(device),
            mountpoint: unescaped(mountpoint),
            fstype: unescaped(fstype),
            read_only: options.split(',').any(|option| option == "ro"),
        };
        if pseudo(&mount.fstype) || hidden(&mount.mountpoint) || !mount.mountpoint.starts_with('/') {
            continue;
        }
        match found.iter_mut().find(|earlier| earlier.mountpoint == mount.mountpoint) {
            Some(earlier) => *earlier = mount,
            None => found.push(mount),
        }
    }
    found
}

/// Filesystems without a disk behind them.
fn pseudo(fstype: &str) -> bool {
    matches!(
        fstype,
        "autofs"
            | "binfmt_misc"
            | "bpf"
            | "cgroup"
            | "cgroup2"
            | "configfs"
            | "debugfs"
            | "devpts"
            | "devtmpfs"
            | "erofs"
            | "fusectl"
            | "hugetlbfs"
            | "iso9660"
            | "mqueue"
            | "nsfs"
            | "overlay"
            | "proc"
            | "procfs"
            | "pstore"
            | "rpc_pipefs"
            | "securityfs"
            | "selinuxfs"
            | "squashfs"
            | "sysfs"
            | "tracefs"
    )
}

/// Mount points of the system and of containers.
fn hidden(mountpoint: &str) -> bool {
    let below =
        |folder: &str| mountpoint.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let inside = |folder: &str| mountpoint.strip_prefix(folder).is_some_and(|rest| rest.len() > 1);
    below("/dev")
        || below("/proc")
        || below("/sys")
        || inside("/run/credentials/")
        || inside("/var/lib/docker/")
        || inside("/var/lib/containers/storage/")
}

/// Filesystems whose server may be away: asking them may hang.
pub(crate) fn remote(fstype: &str) -> bool {
    fstype.starts_with("nfs")
        || fstype.starts_with("fuse")
        || matches!(
            fstype,
            "cifs" | "smb3" | "smbfs" | "ceph" | "glusterfs" | "lustre" | "9p" | "afs" | "gfs2" | "ocfs2"
        )
}

/// The kernel writes space, tab, newline, backslash and `#` as three octal digits.
fn unescaped(word: &str) -> String {
    if !word.contains('\\') {
        return word.to_owned();
    }
    let bytes = word.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits =
            bytes.get(at + 1..at + 4).filter(|digits| byte == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        let code = digits.map(|digits| digits.iter().fold(0u32, |sum, digit| sum * 8 + u32::from(digit - b'0')));
        match code.and_then(|code| u8::try_from(code).ok()) {
            Some(code) => {
                plain.push(code);
                at += 4;
            }
            None => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let shown: Vec<String> = mounts(text)
            .into_iter()
            .map(|mount| {
                let mode = if mount.read_only { "ro" } else { "rw" };
                format!("{} {} {} {mode}", mount.device, mount.mountpoint, mount.fstype)
            })
            .collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn default_exclusions() {
        check(
            "/dev/vda / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n\
             tmpfs /run tmpfs rw,nosuid 0 0\noverlay /merged overlay rw 0 0\n\
             /dev/sdb /var/lib/docker/overlay2/x ext4 rw 0 0\n/dev/sdc /var/lib/docker ext4 rw 0 0\n\
             /dev/sdd /devices xfs ro 0 0\nx /run/credentials/a.service ramfs ro 0 0\n",
            &[
                "/dev/vda / ext4 rw",
                "tmpfs /run tmpfs rw",
                "/dev/sdc /var/lib/docker ext4 rw",
                "/dev/sdd /devices xfs ro",
            ],
        );
    }

    #[test]
    fn escapes_empty_devices_and_lines_cut_short() {
        check(
            "/dev/sda /mnt/my\\040disk\\134x ext4 rw 0 0\n /a tmpfs ro 0 0\n/dev/sdb /b\n\n/dev/sdc /c\\9x ext4 rw 0 0\n",
            &["/dev/sda /mnt/my disk\\x ext4 rw", " /a tmpfs ro", "/dev/sdc /c\\9x ext4 rw"],
        );
    }

    #[test]
    fn the_later_mount_hides_the_earlier() {
        check("/dev/a /m ext4 rw 0 0\n/dev/b /m xfs ro 0 0\n", &["/dev/b /m xfs ro"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([/a-z\\\\0-9é ]{0,20} ?){0,8}\n?") {
            mounts(&text);
        }
    }
}
