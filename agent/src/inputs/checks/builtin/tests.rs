use std::path::Path;

use super::*;
use crate::inputs::host::filesystem::Space;

/// A made-up host: files by path.
fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    folder
}

fn builtin(kind: Builtin, root: &Path, warn: Option<&str>, crit: Option<&str>) -> BuiltinCheck {
    BuiltinCheck {
        kind,
        warn: warn.map(str::to_owned),
        crit: crit.map(str::to_owned),
        path: None,
        root: root.to_owned(),
        filesystems: Arc::default(),
    }
}

async fn check(kind: Builtin, files: &[(&str, &str)], warn: Option<&str>, crit: Option<&str>, expected: &str) {
    let folder = host(files);
    let figures = Figures::default();
    figures.buffer_bytes.set(30 << 20);
    figures.buffer_bytes_max.set(50 << 20);
    figures.buffer_samples.set(1_234);
    let printed = builtin(kind, folder.path(), warn, crit).run(&figures, Duration::from_secs(10)).await;
    assert_eq!(shown(printed), expected);
}

fn shown(printed: Printed) -> String {
    let parsed = formats::nagios::parse(&printed.stdout);
    assert!(parsed.rejected.is_empty() && parsed.notes.is_empty(), "{parsed:?}");
    format!("{:?} {}", printed.ended, String::from_utf8_lossy(&printed.stdout).trim_end())
}

#[tokio::test]
async fn load_per_core() {
    let stat = ("proc/stat", "cpu  1 2\ncpu0 1\ncpu1 1\nintr 5\n");
    let files = [("proc/loadavg", "0.10 5.00 9.99 1/2 3\n"), stat];
    let perfdata = "'load5_per_core'=2.5;2;4;0; load1=0.1;;;0; load5=5;;;0; load15=9.99;;;0;";
    let text = "LOAD WARNING - 2.5 a core, load average 0.1, 5, 9.99 on 2 cores";
    check(Builtin::Load, &files, None, None, &format!("Code(1) {text} | {perfdata}")).await;
    check(
        Builtin::Load,
        &[("proc/loadavg", "x"), stat],
        None,
        None,
        "Code(3) LOAD UNKNOWN - /proc/loadavg cannot be read",
    )
    .await;
    check(Builtin::Load, &[], Some("x"), None, "Code(3) `warn = \"x\"`: \"x\" is not a number").await;
}

#[tokio::test]
async fn memory_in_use() {
    let files =
        [("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 40 kB\nSwapTotal: 10 kB\nSwapFree: 5 kB\n")];
    let text = "MEMORY CRITICAL - 96% used, 40.0 KiB of 1000.0 KiB available, swap 50% used";
    let perfdata = "'used'=96%;90;95;0;100 available=40960B;;;0;1024000 swap_used=50%;;;0;100";
    check(Builtin::Memory, &files, None, None, &format!("Code(2) {text} | {perfdata}")).await;
    let unknown = "Code(3) MEMORY UNKNOWN - /proc/meminfo does not tell MemTotal and MemAvailable";
    check(Builtin::Memory, &[("proc/meminfo", "MemTotal: 5 kB\n")], None, None, unknown).await;
}

#[tokio::test]
async fn processes_beside_the_numbers_that_there_are() {
    let files = [
        ("proc/1/stat", ""),
        ("proc/22/stat", ""),
        ("proc/self/stat", ""),
        ("proc/loadavg", "0 0 0 1/85 3\n"),
        ("proc/sys/kernel/pid_max", "100\n"),
        ("proc/sys/kernel/threads-max", "400\n"),
    ];
    let warning = "Code(1) PROCESSES WARNING - 2 processes, 85 threads of 100 that the kernel has room for \
                   | 'processes'=2;;;0; 'threads'=85;80;90;0;100";
    check(Builtin::Processes, &files, None, None, warning).await;
    let critical = "Code(2) PROCESSES CRITICAL - 2 processes | 'processes'=2;;5:;0;";
    check(Builtin::Processes, &files[..2], None, Some("5:"), critical).await;
}

#[tokio::test]
async fn the_own_buffer() {
    let text = "BUFFER WARNING - 60% used, 30.0 MiB";
    let perfdata = "'used'=60%;50;80;0;100 bytes=31457280B;;;0;52428800 samples=1234;;;0; evicted=0c";
    check(Builtin::Buffer, &[], None, None, &format!("Code(1) {text} | {perfdata}")).await;
}

#[tokio::test]
async fn the_clock_before_a_server_was_reached() {
    let none = "Code(0) TIME OK - not compared: no server was reached yet; no time service is seen on this host \
                | synchronized=U;;;0;1";
    check(Builtin::Time, &[], None, None, none).await;
    let kept = "Code(0) TIME OK - not compared: no server was reached yet; a time service keeps the clock \
                | synchronized=1;;;0;1";
    check(Builtin::Time, &[("run/systemd/timesync/synchronized", "")], None, None, kept).await;
}

#[tokio::test]
async fn the_clock_beside_the_servers() {
    for (offset_ms, expected) in [
        (1_000, "Code(0) TIME OK - this host's clock was 1 s behind"),
        (1_001, "Code(1) TIME WARNING - this host's clock was 1.001 s behind"),
        (-60_000, "Code(1) TIME WARNING - this host's clock was 60 s ahead of"),
        (-60_010, "Code(2) TIME CRITICAL - this host's clock was 60.01 s ahead of"),
    ] {
        let folder = host(&[]);
        let figures = Figures::default();
        figures.clock_offset.set_ms(offset_ms);
        let printed = builtin(Builtin::Time, folder.path(), None, None).run(&figures, Duration::from_secs(10)).await;
        let offset = offset_ms as f64 / 1_000.0;
        let rest = format!(
            " the server's when the agent last connected; no time service is seen on this host \
             | 'offset'={offset}s;-1:1;-60:60; synchronized=U;;;0;1"
        );
        assert_eq!(shown(printed), format!("{expected}{rest}"));
    }
}

#[test]
fn disks_worst_first() {
    let bounds = Bounds { warn: "80".parse().ok(), crit: "90".parse().ok() };
    let space = |used: f64, files_used: f64| Space {
        size_bytes: 1_048_576.0,
        free_bytes: 1_048_576.0 * (1.0 - used),
        avail_bytes: 1_048_576.0 * (1.0 - used),
        files: 1_000.0,
        files_free: (1_000.0 * (1.0 - files_used)).round(),
    };
    let no_inodes = Space { files: 0.0, files_free: 0.0, ..space(0.5, 0.0) };
    let spaces = [("/".to_owned(), Some(space(0.25, 0.95))), ("/it's | x".to_owned(), Some(no_inodes))];
    let finding = disk::disk(&spaces, &bounds).expect("found");
    let expected = "Code(2) DISK CRITICAL - / inodes 95.0% used, 50 free; /it's / x 50.0% used, 512.0 KiB free; \
                    / 25.0% used, 768.0 KiB free \
                    | '/'=25%;80;90;0;100 '/ inodes'=95%;80;90;0;100 '/it''s | x'=50%;80;90;0;100";
    assert_eq!(shown(finding.printed()), expected);
    let finding = disk::disk(&[("/gone".to_owned(), None)], &bounds).expect("found");
    assert_eq!(shown(finding.printed()), "Code(2) DISK CRITICAL - /gone does not answer");
    assert!(disk::disk(&[], &bounds).is_err());
}

#[tokio::test]
async fn the_disks_of_this_host() {
    let mut check = builtin(Builtin::Disk, Path::new("/"), Some("101"), Some("101"));
    let all = shown(check.run(&Figures::default(), Duration::from_secs(10)).await);
    assert!(all.starts_with("Code(0) DISK OK - ") && all.contains("'/'="), "{all}");
    check.path = Some("/tmp".to_owned());
    let one = shown(check.run(&Figures::default(), Duration::from_secs(10)).await);
    assert!(one.contains(" | '/tmp'="), "{one}");
}
