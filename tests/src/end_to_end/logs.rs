//! A log file that is rotated, first by rename, then by truncation: every record counts once.

use std::fs::{self, File};
use std::io::Write;

use tests::{Place, until};

use super::host::Host;

pub(super) async fn a_log_is_followed_through_rotation(place: &Place, host: &Host) {
    let name = &host.agent.name;
    let log = &host.log;
    let counted = async |expr: &str, expected: f64| {
        let expr = format!("sum({expr})").replace("SOURCE", &format!("source=\"{name}\""));
        until(&format!("{expr} is {expected}"), async || {
            let value = place.number(&expr).await?;
            assert!(value <= expected, "{expr} is {value}, more than the {expected} that were written");
            ((value - expected).abs() < f64::EPSILON).then_some(())
        })
        .await;
    };
    // A file is followed from where it ended at the first look.
    counted("log_lines_total{SOURCE}", 0.0).await;
    append(log, "INFO login of ann\nINFO took 0.25 s\nWARN disk is slow\n");
    append(log, "ERROR java.lang.IllegalStateException: no seat\n\tat a.B.c(B.java:1)\n\tat a.B.d(B.java:2)\n");
    append(log, "INFO login of bob\n");
    counted("log_lines_total{SOURCE}", 5.0).await;
    counted("log_lines_total{SOURCE,level=\"error\"}", 1.0).await;
    counted("log_exceptions_total{SOURCE,type=~\".*IllegalStateException\"}", 1.0).await;
    counted("logins_total{SOURCE}", 2.0).await;

    // By rename; the writer still finishes a line in the old file.
    let mut old = File::options().append(true).open(log).expect("the log is open");
    fs::rename(log, log.with_extension("log.1")).expect("the log is renamed");
    old.write_all(b"INFO login of cal\n").expect("the log is written");
    append(log, "INFO login of dee\nINFO login of eve\n");
    counted("logins_total{SOURCE}", 5.0).await;

    // By truncation, as `copytruncate` does.
    File::options().write(true).open(log).and_then(|file| file.set_len(0)).expect("the log is truncated");
    append(log, "INFO login of flo\n");
    counted("logins_total{SOURCE}", 6.0).await;
    counted("log_lines_total{SOURCE}", 9.0).await;
}

fn append(log: &std::path::Path, text: &str) {
    let mut file = File::options().create(true).append(true).open(log).expect("the log is open");
    file.write_all(text.as_bytes()).expect("the log is written");
}
