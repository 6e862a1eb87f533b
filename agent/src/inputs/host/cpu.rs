//! `/proc/stat`, `/proc/loadavg` and `/proc/pressure/*`: what the processors do and who waits
//! for them. Lines that cannot be read are left out, their neighbours go through.
//!
//! The procfs crate numbers CPUs by their place in `/proc/stat`, which is wrong while one is
//! offline, and panics on a pressure line that is cut short; hence the parsers here.

use crate::inputs::sheet::Sheet;

/// Ticks a second in `/proc/stat` on every Linux that Rust runs on (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// Modes in the order of the columns.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// `/proc/stat`.
pub(super) fn stat(text: &str, sheet: &mut Sheet) {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(key) = words.next() else { continue };
        if let Some(cpu) = key.strip_prefix("cpu") {
            // The line without a number is the sum of the others.
            if !cpu.is_empty() && cpu.bytes().all(|b| b.is_ascii_digit()) {
                processor(cpu, words, sheet);
            }
            continue;
        }
        let name = match key {
            "intr" => "node_intr_total",
            "ctxt" => "node_context_switches_total",
            "btime" => "node_boot_time_seconds",
            "processes" => "node_forks_total",
            "procs_running" => "node_procs_running",
            "procs_blocked" => "node_procs_blocked",
            _ => continue,
        };
        if let Some(value) = words.next().and_then(whole) {
            sheet.put(name, &[], value);
        }
    }
}

fn processor<'a>(cpu: &str, columns: impl Iterator<Item = &'a str>, sheet: &mut Sheet) {
    let ticks: Vec<f64> = columns.map_while(whole).collect();
    for (mode, ticks) in MODES.iter().zip(&ticks) {
        sheet.put("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], ticks / TICKS_PER_SECOND);
    }
    // Time of guests is counted in user and nice as well, as in node_exporter.
    for (mode, ticks) in ["user", "nice"].iter().zip(ticks.iter().skip(MODES.len())) {
        sheet.put("node_cpu_guest_seconds_total", &[("cpu", cpu), ("mode", mode)], ticks / TICKS_PER_SECOND);
    }
}

/// `/proc/loadavg`: the three loads, and how many threads there are.
pub(super) fn loadavg(text: &str, sheet: &mut Sheet) {
    let mut words = text.split_ascii_whitespace();
    for name in ["node_load1", "node_load5", "node_load15"] {
        if let Some(value) = words.next().and_then(decimal) {
            sheet.put(name, &[], value);
        }
    }
    if let Some(threads) = words.next().and_then(|word| word.split_once('/')).and_then(|(_, all)| whole(all)) {
        sheet.put("node_processes_threads", &[], threads);
    }
}

/// `/proc/pressure/<resource>`, totals of which are microseconds.
pub(super) fn pressure(resource: &str, text: &str, sheet: &mut Sheet) {
    for line in text.lines() {
        let name = match (resource, line.split_ascii_whitespace().next()) {
            ("cpu", Some("some")) => "node_pressure_cpu_waiting_seconds_total",
            ("memory", Some("some")) => "node_pressure_memory_waiting_seconds_total",
            ("memory", Some("full")) => "node_pressure_memory_stalled_seconds_total",
            ("io", Some("some")) => "node_pressure_io_waiting_seconds_total",
            ("io", Some("full")) => "node_pressure_io_stalled_seconds_total",
            ("irq", Some("full")) => "node_pressure_irq_stalled_seconds_total",
            _ => continue,
        };
        let total = line.split_ascii_whitespace().find_map(|word| word.strip_prefix("total="));
        if let Some(microseconds) = total.and_then(whole) {
            sheet.put(name, &[], microseconds / 1e6);
        }
    }
}

/// A whole number as the kernel prints it. Signs, `inf` and the like are not.
pub(super) fn whole(word: &str) -> Option<f64> {
    if !word.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    word.parse::<u64>().ok().map(|number| number as f64)
}

fn decimal(word: &str) -> Option<f64> {
    let plain = word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain { word.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;
    use crate::inputs::host::testing::{fixture, put};

    fn check(text: &str, collect: impl Fn(&str, &mut Sheet), expected: &Expect) {
        expected.assert_eq(&put(|sheet| collect(text, sheet)));
    }

    #[test]
    fn stat_with_an_offline_cpu() {
        check(
            &fixture("proc/stat_cpu1_offline"),
            stat,
            &expect![[r#"
            node_cpu_seconds_total{cpu="0", mode="user"} 110.5
            node_cpu_seconds_total{cpu="0", mode="nice"} 1
            node_cpu_seconds_total{cpu="0", mode="system"} 20.02
            node_cpu_seconds_total{cpu="0", mode="idle"} 3000
            node_cpu_seconds_total{cpu="0", mode="iowait"} 0.4
            node_cpu_seconds_total{cpu="0", mode="irq"} 0
            node_cpu_seconds_total{cpu="0", mode="softirq"} 0.07
            node_cpu_seconds_total{cpu="0", mode="steal"} 0.5
            node_cpu_guest_seconds_total{cpu="0", mode="user"} 2
            node_cpu_guest_seconds_total{cpu="0", mode="nice"} 0
            node_cpu_seconds_total{cpu="2", mode="user"} 100
            node_cpu_seconds_total{cpu="2", mode="nice"} 0
            node_cpu_seconds_total{cpu="2", mode="system"} 10
            node_cpu_seconds_total{cpu="2", mode="idle"} 3010
            node_intr_total 123456
            node_context_switches_total 998877
            node_boot_time_seconds 1763800000
            node_forks_total 4321
            node_procs_running 3
            node_procs_blocked 1
        "#]],
        );
    }

    #[test]
    fn malformed_stat_keeps_what_can_be_read() {
        check(
            "cpu0 12 x 3\ncpux 1 2\nctxt -5\nintr\nprocs_running 2\n\n",
            stat,
            &expect![[r#"
            node_cpu_seconds_total{cpu="0", mode="user"} 0.12
            node_procs_running 2
        "#]],
        );
    }

    #[test]
    fn loads_and_threads() {
        check(
            "0.52 1.00 12.75 3/456 7890\n",
            loadavg,
            &expect![[r#"
            node_load1 0.52
            node_load5 1
            node_load15 12.75
            node_processes_threads 456
        "#]],
        );
        check("inf -1 nan x\n", loadavg, &expect![""]);
    }

    #[test]
    fn pressure_of_memory() {
        let text = "some avg10=0.00 avg60=0.12 avg300=0.00 total=2500000\nfull avg10=0.00 total=1\n";
        check(
            text,
            |text, sheet| pressure("memory", text, sheet),
            &expect![[r#"
            node_pressure_memory_waiting_seconds_total 2.5
            node_pressure_memory_stalled_seconds_total 0.000001
        "#]],
        );
        check("some\nfull total=\nfull total=x", |text, sheet| pressure("io", text, sheet), &expect![""]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(cpu[0-9]{0,2}|some|full|ctxt|[ -~])( (total=)?[0-9x.-]{0,20}){0,12}\n?") {
            put(|sheet| stat(&text, sheet));
            put(|sheet| loadavg(&text, sheet));
            put(|sheet| pressure("io", &text, sheet));
        }
    }
}
