//! Metrics of this host, with node_exporter's names, labels, meanings and units (`job="node"`).
//!
//! Parsers take text and write samples; [`HostMetrics`] alone reads files. What is missing on
//! this host is noted once and left out. Nothing here knows the clock: the time is handed in.

mod cpu;
mod disk;
mod files;
pub(crate) mod filesystem;
mod job;
pub(crate) mod kernel;
mod memory;
pub(crate) mod mounts;
mod network;
mod processes;

use std::path::Path;

use series::{Labels, Timestamp};

pub(super) use job::HostJob;

use files::Files;
use filesystem::Filesystems;
use network::Attributes;
use processes::Processes;

use super::sheet::Sheet;

/// Network interfaces that are taken; hosts with thousands of containers have thousands of
/// virtual ones.
pub(super) const INTERFACES_MAX: usize = 256;
/// Filesystems that are taken.
pub(super) const FILESYSTEMS_MAX: usize = 256;

/// Collects the host's metrics. Reading blocks, so it belongs on a thread that may.
#[derive(Debug)]
pub struct HostMetrics {
    files: Files,
    sheet: Sheet,
    filesystems: Filesystems,
    processes: Processes,
    interfaces: Vec<String>,
    attributes: Attributes,
    clock: kernel::Clock,
}

impl HostMetrics {
    /// Of the host whose `proc`, `sys` and `run` are in `root` (`/`, but for tests). Every sample
    /// carries `base`.
    #[must_use]
    pub fn new(root: &Path, base: Labels) -> Self {
        Self {
            files: Files::new(root),
            sheet: Sheet::new(base),
            filesystems: Filesystems::default(),
            processes: Processes::default(),
            interfaces: Vec::new(),
            attributes: Attributes::default(),
            clock: kernel::Clock::default(),
        }
    }

    /// One collection; all its samples have the time `at`.
    pub fn collect(&mut self, at: Timestamp) -> &Sheet {
        self.sheet.begin(at);
        self.sheet.put("node_time_seconds", &[], at.seconds());
        self.processors();
        self.memory();
        self.disks();
        self.network();
        self.kernel();
        &self.sheet
    }

    /// The last collection.
    #[must_use]
    pub fn sheet(&self) -> &Sheet {
        &self.sheet
    }

    /// What was found missing since the last call, for the log.
    pub fn take_notes(&mut self) -> Vec<String> {
        self.files.take_notes()
    }

    fn processors(&mut self) {
        let Self { files, sheet, .. } = self;
        if let Some(text) = files.read("proc/stat") {
            cpu::stat(&text, sheet);
        }
        if let Some(text) = files.read("proc/loadavg") {
            cpu::loadavg(&text, sheet);
        }
        for resource in ["cpu", "memory", "io"] {
            if let Some(text) = files.read(&format!("proc/pressure/{resource}")) {
                cpu::pressure(resource, &text, sheet);
            }
        }
        // Only kernels from 6.1 on that count the time of interrupts have it.
        if let Some(text) = files.read_optional("proc/pressure/irq") {
            cpu::pressure("irq", &text, sheet);
        }
    }

    fn memory(&mut self) {
        let Self { files, sheet, .. } = self;
        if let Some(text) = files.read("proc/meminfo") {
            memory::meminfo(&text, sheet);
        }
        if let Some(text) = files.read("proc/vmstat") {
            memory::vmstat(&text, sheet);
        }
    }

    fn disks(&mut self) {
        let Self { files, sheet, filesystems, .. } = self;
        if let Some(text) = files.read("proc/diskstats") {
            disk::diskstats(&text, sheet);
        }
        let [host, own] = mounts::FILES;
        let seen = files.read_optional(host).map(|text| mounts::mounts(&text));
        let mounts = match seen {
            Some(mounts) => mounts,
            None => files.read(own).map(|text| mounts::mounts(&text)).unwrap_or_default(),
        };
        if mounts.len() > FILESYSTEMS_MAX {
            files.note("filesystems", &format!("{} filesystems, the first {FILESYSTEMS_MAX} are taken", mounts.len()));
        }
        for mount in mounts.iter().take(FILESYSTEMS_MAX) {
            filesystem::filesystem(mount, filesystems.space(mount), sheet);
        }
    }

    fn network(&mut self) {
        let Self { files, sheet, interfaces, attributes, .. } = self;
        attributes.begin();
        interfaces.clear();
        let mut more = 0;
        if let Some(text) = files.read("proc/net/dev") {
            let text = limited_lines(&text, INTERFACES_MAX + 2, &mut more);
            network::devices(text, sheet, |name| interfaces.push(name.to_owned()));
        }
        if more > 0 {
            files.note("interfaces", &format!("{more} network interfaces above {INTERFACES_MAX} are left out"));
        }
        for device in interfaces.iter() {
            if let Some(text) = files.read_line(&format!("sys/class/net/{device}/operstate")) {
                network::operstate(device, &text, sheet);
            }
            attributes.collect(device, files, sheet);
        }
        for path in ["proc/net/netstat", "proc/net/snmp"] {
            if let Some(text) = files.read(path) {
                network::paired_lines(&text, sheet);
            }
        }
        // Hosts without IPv6 have no such files, and that is fine.
        if let Some(text) = files.read_optional("proc/net/snmp6") {
            network::snmp6(&text, sheet);
        }
        let page_bytes = rustix::param::page_size() as f64;
        if let Some(text) = files.read("proc/net/sockstat") {
            network::sockstat(&text, page_bytes, sheet);
        }
        if let Some(text) = files.read_optional("proc/net/sockstat6") {
            network::sockstat(&text, page_bytes, sheet);
        }
    }

    fn kernel(&mut self) {
        let Self { files, sheet, processes, clock, .. } = self;
        if let Some(text) = files.read("proc/sys/fs/file-nr") {
            kernel::file_handles(&text, sheet);
        }
        kernel::single_numbers(files, sheet);
        kernel::uname(sheet);
        clock.collect(files, sheet);
        processes.collect(files, sheet);
    }
}

/// The first `lines` lines of `text`; `more` is set to how many follow.
fn limited_lines<'a>(text: &'a str, lines: usize, more: &mut usize) -> &'a str {
    match text.match_indices('\n').nth(lines.saturating_sub(1)) {
        Some((end, _)) => {
            let (taken, rest) = text.split_at(end + 1);
            *more = rest.lines().count();
            taken
        }
        None => text,
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::inputs::sheet::shown;

    /// What `collect` writes, as text.
    pub(crate) fn put(collect: impl FnOnce(&mut Sheet)) -> String {
        let mut sheet = Sheet::new(Labels::empty());
        sheet.begin(Timestamp(0));
        collect(&mut sheet);
        shown(&sheet)
    }

    /// A file of `agent/fixtures`.
    pub(crate) fn fixture(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::sheet::shown;

    #[test]
    fn this_host_tells_its_basics() {
        let mut host = HostMetrics::new(Path::new("/"), Labels::empty());
        let text = shown(host.collect(Timestamp(1_763_800_000_000)));
        for name in [
            "node_time_seconds 1763800000\n",
            "node_cpu_seconds_total{cpu=\"0\", mode=\"idle\"} ",
            "node_load1 ",
            "node_memory_MemAvailable_bytes ",
            "node_memory_SwapTotal_bytes ",
            "node_vmstat_pswpin ",
            "node_filesystem_avail_bytes{",
            "node_network_receive_bytes_total{device=\"lo\"} ",
            "node_boot_time_seconds ",
            "node_uname_info{",
            "node_filefd_allocated ",
            "node_processes_pids ",
            "node_processes_state{state=\"S\"} ",
            "node_sockstat_TCP_inuse ",
        ] {
            assert!(text.contains(name), "{name} is missing in\n{text}");
        }
        assert!(host.sheet.rejected().is_empty());
    }

    /// Files of a real virtual machine (Linux 6.18). What comes from system calls is left out.
    #[test]
    fn a_recorded_host() {
        let mut host = HostMetrics::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/host"), Labels::empty());
        let text = shown(host.collect(Timestamp(1_763_800_000_000)));
        let own = |line: &&str| !line.starts_with("node_filesystem_") && !line.starts_with("node_uname_info");
        let recorded: String = text.lines().filter(own).map(|line| format!("{line}\n")).collect();
        expect_test::expect_file!["../../fixtures/host.expected"].assert_eq(&recorded);
        assert!(text.contains("node_filesystem_readonly{device=\"/dev/vda\", fstype=\"ext4\", mountpoint=\"/\"} 0\n"));
    }

    #[test]
    fn an_empty_host_is_noted_once_and_still_tells_the_time() {
        let folder = tempfile::tempdir().expect("folder");
        let mut host = HostMetrics::new(folder.path(), Labels::empty());
        assert!(shown(host.collect(Timestamp(1_000))).starts_with("node_time_seconds 1\n"));
        assert!(host.take_notes().len() > 5);
        host.collect(Timestamp(2_000));
        assert!(host.take_notes().is_empty());
    }

    #[test]
    fn interfaces_at_the_limit_and_one_past_it() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::create_dir_all(folder.path().join("proc/net")).expect("made");
        for (count, noted) in [(INTERFACES_MAX, 0), (INTERFACES_MAX + 1, 1)] {
            let lines: String = (0..count).map(|n| format!("veth{n}: 1\n")).collect();
            std::fs::write(folder.path().join("proc/net/dev"), format!("head\nhead\n{lines}")).expect("written");
            let mut host = HostMetrics::new(folder.path(), Labels::empty());
            let text = shown(host.collect(Timestamp(0)));
            assert_eq!(text.matches("receive_bytes_total").count(), INTERFACES_MAX);
            assert_eq!(host.take_notes().iter().filter(|note| note.contains("interfaces above")).count(), noted);
        }
    }
}
