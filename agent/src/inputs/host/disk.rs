//! `/proc/diskstats`: traffic, utilisation and queue of block devices. Line parser: procfs.
//!
//! Utilisation is `rate(node_disk_io_time_seconds_total)`, the mean queue is
//! `rate(node_disk_io_time_weighted_seconds_total)`.

use procfs::DiskStat;

use crate::inputs::sheet::Sheet;

/// The kernel counts sectors of this size whatever the device's own are.
const SECTOR_BYTES: f64 = 512.0;

/// Block devices, without partitions, RAM disks, loop devices and floppies (node_exporter's
/// default).
pub(super) fn diskstats(text: &str, sheet: &mut Sheet) {
    for line in text.lines() {
        if let Ok(stat) = DiskStat::from_line(line)
            && !left_out(&stat.name)
        {
            device(&stat, sheet);
        }
    }
}

fn device(stat: &DiskStat, sheet: &mut Sheet) {
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    let always = [
        ("node_disk_reads_completed_total", stat.reads as f64),
        ("node_disk_reads_merged_total", stat.merged as f64),
        ("node_disk_read_bytes_total", stat.sectors_read as f64 * SECTOR_BYTES),
        ("node_disk_read_time_seconds_total", seconds(stat.time_reading)),
        ("node_disk_writes_completed_total", stat.writes as f64),
        ("node_disk_writes_merged_total", stat.writes_merged as f64),
        ("node_disk_written_bytes_total", stat.sectors_written as f64 * SECTOR_BYTES),
        ("node_disk_write_time_seconds_total", seconds(stat.time_writing)),
        ("node_disk_io_now", stat.in_progress as f64),
        ("node_disk_io_time_seconds_total", seconds(stat.time_in_progress)),
        ("node_disk_io_time_weighted_seconds_total", seconds(stat.weighted_time_in_progress)),
    ];
    // Kernels before 4.18 and 5.5 do not have these.
    let newer = [
        ("node_disk_discards_completed_total", stat.discards.map(|n| n as f64)),
        ("node_disk_discards_merged_total", stat.discards_merged.map(|n| n as f64)),
        ("node_disk_discarded_sectors_total", stat.sectors_discarded.map(|n| n as f64)),
        ("node_disk_discard_time_seconds_total", stat.time_discarding.map(seconds)),
        ("node_disk_flush_requests_total", stat.flushes.map(|n| n as f64)),
        ("node_disk_flush_requests_time_seconds_total", stat.time_flushing.map(seconds)),
    ];
    let labels = [("device", stat.name.as_str())];
    for (name, value) in always {
        sheet.put(name, &labels, value);
    }
    for (name, value) in newer {
        if let Some(value) = value {
            sheet.put(name, &labels, value);
        }
    }
}

/// Whether `name` is a partition (`sda1`, `nvme0n1p2`) or a device without a disk behind it.
fn left_out(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == name.len() {
        return false;
    }
    if matches!(stem, "ram" | "zram" | "loop" | "fd") {
        return true;
    }
    let drive_letter = |rest: &str| rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_lowercase());
    if ["hd", "sd", "vd", "xvd"].iter().any(|kind| stem.strip_prefix(kind).is_some_and(drive_letter)) {
        return true;
    }
    // nvme<n>n<n>p<n>
    let numbers = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let nvme = stem.strip_prefix("nvme").and_then(|rest| rest.strip_suffix('p'));
    nvme.and_then(|rest| rest.split_once('n')).is_some_and(|(controller, space)| numbers(controller) && numbers(space))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;
    use crate::inputs::host::testing::{fixture, put};

    #[test]
    fn partitions_and_devices_without_a_disk_are_left_out() {
        for (name, expected) in [
            ("sda", false),
            ("sda1", true),
            ("vda", false),
            ("vda15", true),
            ("xvda1", true),
            ("nvme0n1", false),
            ("nvme0n1p2", true),
            ("mmcblk0", false),
            ("dm-0", false),
            ("md0", false),
            ("loop7", true),
            ("zram0", true),
            ("ram1", true),
            ("sr0", false),
            ("sd1", false),
            ("", false),
            ("1", false),
        ] {
            assert_eq!(left_out(name), expected, "{name:?}");
        }
    }

    #[test]
    fn old_and_new_kernels_and_a_line_cut_short() {
        let shown = put(|sheet| diskstats(&fixture("proc/diskstats"), sheet));
        expect![[r#"
            node_disk_reads_completed_total{device="vda"} 100
            node_disk_reads_merged_total{device="vda"} 2
            node_disk_read_bytes_total{device="vda"} 1024
            node_disk_read_time_seconds_total{device="vda"} 1.5
            node_disk_writes_completed_total{device="vda"} 200
            node_disk_writes_merged_total{device="vda"} 4
            node_disk_written_bytes_total{device="vda"} 4096
            node_disk_write_time_seconds_total{device="vda"} 2.5
            node_disk_io_now{device="vda"} 3
            node_disk_io_time_seconds_total{device="vda"} 3.5
            node_disk_io_time_weighted_seconds_total{device="vda"} 4.5
            node_disk_discards_completed_total{device="vda"} 5
            node_disk_discards_merged_total{device="vda"} 6
            node_disk_discarded_sectors_total{device="vda"} 7
            node_disk_discard_time_seconds_total{device="vda"} 0.008
            node_disk_flush_requests_total{device="vda"} 9
            node_disk_flush_requests_time_seconds_total{device="vda"} 0.01
            node_disk_reads_completed_total{device="sdb"} 1
            node_disk_reads_merged_total{device="sdb"} 0
            node_disk_read_bytes_total{device="sdb"} 512
            node_disk_read_time_seconds_total{device="sdb"} 0.001
            node_disk_writes_completed_total{device="sdb"} 0
            node_disk_writes_merged_total{device="sdb"} 0
            node_disk_written_bytes_total{device="sdb"} 0
            node_disk_write_time_seconds_total{device="sdb"} 0
            node_disk_io_now{device="sdb"} 0
            node_disk_io_time_seconds_total{device="sdb"} 0.001
            node_disk_io_time_weighted_seconds_total{device="sdb"} 0.001
        "#]]
        .assert_eq(&shown);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([a-z0-9 -]{0,60}\n){0,4}") {
            put(|sheet| diskstats(&text, sheet));
            left_out(&text);
        }
    }
}
