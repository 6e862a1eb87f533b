//! Small figures of the kernel: file handles, conntrack, its name and version, the clock's state.

use super::cpu::whole;
use super::files::Files;
use crate::inputs::sheet::Sheet;

/// `/proc/sys/fs/file-nr`: allocated, free, maximum.
pub(super) fn file_handles(text: &str, sheet: &mut Sheet) {
    let mut words = text.split_ascii_whitespace();
    if let Some(allocated) = words.next().and_then(whole) {
        sheet.put("node_filefd_allocated", &[], allocated);
    }
    if let Some(maximum) = words.nth(1).and_then(whole) {
        sheet.put("node_filefd_maximum", &[], maximum);
    }
}

/// Files with one number each.
pub(super) fn single_numbers(files: &mut Files, sheet: &mut Sheet) {
    // Conntrack's files are there only where the module is loaded: no note.
    for (path, name) in [
        ("proc/sys/net/netfilter/nf_conntrack_count", "node_nf_conntrack_entries"),
        ("proc/sys/net/netfilter/nf_conntrack_max", "node_nf_conntrack_entries_limit"),
        ("proc/sys/kernel/pid_max", "node_processes_max_processes"),
        ("proc/sys/kernel/threads-max", "node_processes_max_threads"),
        ("proc/sys/kernel/random/entropy_avail", "node_entropy_available_bits"),
    ] {
        if let Some(value) = files.read_line(path).and_then(|text| whole(text.trim())) {
            sheet.put(name, &[], value);
        }
    }
}

/// `node_uname_info`.
pub(super) fn uname(sheet: &mut Sheet) {
    let uname = rustix::system::uname();
    let text = |field: &std::ffi::CStr| field.to_string_lossy().into_owned();
    let domain = text(uname.domainname());
    sheet.put(
        "node_uname_info",
        &[
            ("sysname", &text(uname.sysname())),
            ("release", &text(uname.release())),
            ("version", &text(uname.version())),
            ("machine", &text(uname.machine())),
            ("nodename", &text(uname.nodename())),
            ("domainname", &domain),
        ],
        1.0,
    );
}

/// Whether a time service keeps the clock, as far as files tell: `None` where none is seen.
///
/// The kernel's own answer (adjtimex) has no safe interface in Rust, and this code has no unsafe
/// block; systemd-timesyncd and chrony leave marks in `/run`.
pub(crate) fn clock_synchronized(root: &std::path::Path) -> Option<bool> {
    let run = root.join("run");
    if run.join("systemd/timesync").is_dir() {
        return Some(run.join("systemd/timesync/synchronized").exists());
    }
    let others = ["chrony/chronyd.pid", "chronyd.pid", "chrony/chronyd.sock", "ntpd.pid", "ntpd-rs/observe"];
    others.iter().any(|mark| run.join(mark).exists()).then_some(true)
}

/// Collections for which the state of the clock stands: it takes up to seven looks into `/run`.
const CLOCK_ROUNDS: u32 = 6;

/// `node_timex_sync_status`.
#[derive(Debug, Default)]
pub(super) struct Clock {
    known: Option<bool>,
    /// Collections until it is looked at again.
    wait: u32,
}

impl Clock {
    pub(super) fn collect(&mut self, files: &mut Files, sheet: &mut Sheet) {
        if self.wait == 0 {
            (self.known, self.wait) = (clock_synchronized(files.root()), CLOCK_ROUNDS);
        }
        self.wait -= 1;
        clock(self.known, files, sheet);
    }
}

fn clock(synchronized: Option<bool>, files: &mut Files, sheet: &mut Sheet) {
    match synchronized {
        Some(synchronized) => sheet.put("node_timex_sync_status", &[], f64::from(u8::from(synchronized))),
        None => files.note("clock", "no time service is seen in /run; node_timex_sync_status is left out"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::inputs::host::testing::put;

    #[test]
    fn file_handles_and_malformed() {
        let shown = put(|sheet| {
            file_handles("1248\t0\t4096\n", sheet);
            file_handles("x y", sheet);
            file_handles("7", sheet);
        });
        expect![[r#"
            node_filefd_allocated 1248
            node_filefd_maximum 4096
            node_filefd_allocated 7
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn the_clock_by_marks_of_time_services() {
        let folder = tempfile::tempdir().expect("folder");
        assert_eq!(clock_synchronized(folder.path()), None);
        let timesync = folder.path().join("run/systemd/timesync");
        std::fs::create_dir_all(&timesync).expect("made");
        assert_eq!(clock_synchronized(folder.path()), Some(false));
        std::fs::write(timesync.join("synchronized"), "").expect("written");
        assert_eq!(clock_synchronized(folder.path()), Some(true));
    }

    #[test]
    fn the_clock_is_looked_at_once_in_some_rounds() {
        let folder = tempfile::tempdir().expect("folder");
        let timesync = folder.path().join("run/systemd/timesync");
        std::fs::create_dir_all(&timesync).expect("made");
        let (mut clock, mut files) = (Clock::default(), Files::new(folder.path()));
        let mut collected = || put(|sheet| clock.collect(&mut files, sheet));
        assert_eq!(collected(), "node_timex_sync_status 0\n");
        std::fs::write(timesync.join("synchronized"), "").expect("written");
        for _ in 1..CLOCK_ROUNDS {
            assert_eq!(collected(), "node_timex_sync_status 0\n");
        }
        assert_eq!(collected(), "node_timex_sync_status 1\n");
    }

    #[test]
    fn this_machine_has_a_name() {
        let shown = put(uname);
        assert!(shown.contains(r#"sysname="Linux""#) && shown.ends_with(" 1\n"), "{shown}");
    }
}
