//! `/proc/meminfo` and `/proc/vmstat`.

use super::cpu::whole;
use crate::inputs::sheet::Sheet;

/// Every field of `/proc/meminfo`, named as node_exporter names them: `MemAvailable:  12 kB` is
/// `node_memory_MemAvailable_bytes`, `Active(anon):` is `node_memory_Active_anon_bytes`, and a
/// field without a unit (`HugePages_Total`) is a plain number.
pub(super) fn meminfo(text: &str, sheet: &mut Sheet) {
    let mut name = String::new();
    for line in text.lines() {
        let Some((field, rest)) = line.split_once(':') else { continue };
        let plain = !field.is_empty() && field.bytes().all(|b| b.is_ascii_alphanumeric() || b"_()".contains(&b));
        let mut words = rest.split_ascii_whitespace();
        let (Some(value), unit, true) = (words.next().and_then(whole), words.next(), plain) else { continue };
        name.clear();
        name.push_str("node_memory_");
        name.extend(field.chars().filter(|c| *c != ')').map(|c| if c == '(' { '_' } else { c }));
        match unit {
            Some("kB") => {
                name.push_str("_bytes");
                sheet.put(&name, &[], value * 1024.0);
            }
            None => sheet.put(&name, &[], value),
            Some(_) => {}
        }
    }
}

/// The lines of `/proc/vmstat` that node_exporter takes by default: out-of-memory kills, paging,
/// swapping, page faults.
pub(super) fn vmstat(text: &str, sheet: &mut Sheet) {
    let mut name = String::new();
    for line in text.lines() {
        let taken = line.starts_with("oom_kill")
            || line.starts_with("pgpg")
            || line.starts_with("pswp")
            || (line.starts_with("pg") && line.contains("fault"));
        let Some((field, value)) = line.split_once(' ').filter(|_| taken) else { continue };
        if let Some(value) = whole(value.trim()) {
            name.clear();
            name.push_str("node_vmstat_");
            name.push_str(field);
            sheet.put(&name, &[], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;
    use crate::inputs::host::testing::put;

    fn check(collect: fn(&str, &mut Sheet), text: &str, expected: &Expect) {
        expected.assert_eq(&put(|sheet| collect(text, sheet)));
    }

    #[test]
    fn meminfo_fields() {
        let text = "MemTotal:       16384 kB\nActive(anon):      10 kB\nHugePages_Total:       3\n\
                    Hugepagesize:    2048 kB\nBad: x kB\nNoColon 1 kB\nOdd: 1 MB\n: 5 kB\nMinus: -1 kB\n";
        check(
            meminfo,
            text,
            &expect![[r#"
            node_memory_MemTotal_bytes 16777216
            node_memory_Active_anon_bytes 10240
            node_memory_HugePages_Total 3
            node_memory_Hugepagesize_bytes 2097152
        "#]],
        );
    }

    #[test]
    fn vmstat_fields() {
        let text = "nr_free_pages 5\npgpgin 1\npswpin 2\npswpout 3\npgfault 4\npgmajfault 5\noom_kill 6\npgscan_kswapd 7\npgpgout x\n";
        check(
            vmstat,
            text,
            &expect![[r#"
            node_vmstat_pgpgin 1
            node_vmstat_pswpin 2
            node_vmstat_pswpout 3
            node_vmstat_pgfault 4
            node_vmstat_pgmajfault 5
            node_vmstat_oom_kill 6
        "#]],
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([A-Za-z()_]{0,8}[: ]{0,2}[0-9x-]{0,22}( kB)?\n){0,5}") {
            put(|sheet| meminfo(&text, sheet));
            put(|sheet| vmstat(&text, sheet));
        }
    }
}
