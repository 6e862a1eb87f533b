//! `/proc/net/dev`, `/proc/net/{netstat,snmp,snmp6,sockstat,sockstat6}`.

use std::collections::HashMap;

use super::cpu::whole;
use super::files::Files;
use crate::inputs::sheet::Sheet;

/// Columns of `/proc/net/dev`, in order.
const DEVICE_METRICS: [&str; 16] = [
    "node_network_receive_bytes_total",
    "node_network_receive_packets_total",
    "node_network_receive_errs_total",
    "node_network_receive_drop_total",
    "node_network_receive_fifo_total",
    "node_network_receive_frame_total",
    "node_network_receive_compressed_total",
    "node_network_receive_multicast_total",
    "node_network_transmit_bytes_total",
    "node_network_transmit_packets_total",
    "node_network_transmit_errs_total",
    "node_network_transmit_drop_total",
    "node_network_transmit_fifo_total",
    "node_network_transmit_colls_total",
    "node_network_transmit_carrier_total",
    "node_network_transmit_compressed_total",
];

/// Traffic of each interface. Calls `seen` with each interface's name.
pub(super) fn devices(text: &str, sheet: &mut Sheet, mut seen: impl FnMut(&str)) {
    for line in text.lines().skip(2) {
        // A name may hold a colon (an alias); the numbers never do.
        let Some((name, columns)) = line.rsplit_once(':') else { continue };
        let name = name.trim();
        if name.is_empty() {
            continue;
        }
        seen(name);
        for (metric, value) in DEVICE_METRICS.iter().zip(columns.split_ascii_whitespace().map_while(whole)) {
            sheet.put(metric, &[("device", name)], value);
        }
    }
}

/// Whether an interface is up, from `/sys/class/net/<device>/operstate`.
pub(super) fn operstate(device: &str, text: &str, sheet: &mut Sheet) {
    sheet.put("node_network_up", &[("device", device)], f64::from(u8::from(text.trim() == "up")));
}

/// Figures of an interface that hardly ever change; read anew once in [`ATTRIBUTE_ROUNDS`]
/// collections, for each is a file of its own.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    known: HashMap<String, [Option<f64>; ATTRIBUTES.len()]>,
    round: u32,
}

/// Collections for which attributes of interfaces stand.
const ATTRIBUTE_ROUNDS: u32 = 6;

/// Files in `/sys/class/net/<device>`, their metrics, and by what their numbers are multiplied.
const ATTRIBUTES: [(&str, &str, f64); 3] = [
    ("mtu", "node_network_mtu_bytes", 1.0),
    ("carrier", "node_network_carrier", 1.0),
    // Megabits, of the decimal kind.
    ("speed", "node_network_speed_bytes", 125_000.0),
];

impl Attributes {
    pub(super) fn begin(&mut self) {
        self.round += 1;
        if self.round >= ATTRIBUTE_ROUNDS {
            (self.round, self.known) = (0, HashMap::new());
        }
    }

    pub(super) fn collect(&mut self, device: &str, files: &mut Files, sheet: &mut Sheet) {
        let values = self.known.entry(device.to_owned()).or_insert_with(|| {
            ATTRIBUTES.map(|(file, _, factor)| {
                // An interface without a cable tells a speed of -1, one that is down nothing at all.
                let text = files.read_line(&format!("sys/class/net/{device}/{file}"))?;
                whole(text.trim()).map(|number| number * factor)
            })
        });
        for ((_, name, _), value) in ATTRIBUTES.iter().zip(values) {
            if let Some(value) = value {
                sheet.put(name, &[("device", device)], *value);
            }
        }
    }
}

/// `/proc/net/netstat` and `/proc/net/snmp`: a line of names, then a line of values.
pub(super) fn paired_lines(text: &str, sheet: &mut Sheet) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((protocol, names)), Some((same, values))) = (names.split_once(':'), values.split_once(':')) else {
            continue;
        };
        if protocol != same {
            continue;
        }
        for (field, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
            netstat(protocol, field, value, sheet);
        }
    }
}

/// `/proc/net/snmp6`: `Ip6InOctets 12`.
pub(super) fn snmp6(text: &str, sheet: &mut Sheet) {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(field), Some(value)) = (words.next(), words.next()) else { continue };
        if let Some((protocol, field)) =
            ["Ip6", "Icmp6", "Udp6"].iter().find_map(|protocol| Some((*protocol, field.strip_prefix(protocol)?)))
        {
            netstat(protocol, field, value, sheet);
        }
    }
}

fn netstat(protocol: &str, field: &str, value: &str, sheet: &mut Sheet) {
    // `Tcp_MaxConn` is -1 where there is no limit; nothing that is taken here is negative.
    if let Some(value) = whole(value).filter(|_| taken(protocol, field)) {
        let mut name = String::with_capacity(40);
        name.push_str("node_netstat_");
        name.push_str(protocol);
        name.push('_');
        name.push_str(field);
        sheet.put(&name, &[], value);
    }
}

/// node_exporter's default choice.
fn taken(protocol: &str, field: &str) -> bool {
    if field == "InErrors" || field == "InErrs" {
        return true;
    }
    match protocol {
        "Ip" => field == "Forwarding",
        "IpExt" | "Ip6" => matches!(field, "InOctets" | "OutOctets"),
        "Icmp" | "Icmp6" => matches!(field, "InMsgs" | "OutMsgs"),
        "TcpExt" => {
            field.starts_with("Listen")
                || field.starts_with("Syncookies")
                || matches!(field, "TCPSynRetrans" | "TCPTimeouts" | "TCPOFOQueue" | "TCPRcvQDrop")
        }
        "Tcp" => matches!(
            field,
            "ActiveOpens" | "InSegs" | "OutSegs" | "OutRsts" | "PassiveOpens" | "RetransSegs" | "CurrEstab"
        ),
        "Udp" | "Udp6" => {
            matches!(field, "InDatagrams" | "OutDatagrams" | "NoPorts" | "RcvbufErrors" | "SndbufErrors")
        }
        _ => false,
    }
}

/// `/proc/net/sockstat` and `sockstat6`: `TCP: inuse 4 orphan 0 mem 1`. Memory is in pages.
pub(super) fn sockstat(text: &str, page_bytes: f64, sheet: &mut Sheet) {
    let mut name = String::new();
    for line in text.lines() {
        let Some((protocol, rest)) = line.split_once(':') else { continue };
        let mut words = rest.split_ascii_whitespace();
        while let (Some(field), Some(value)) = (words.next(), words.next()) {
            let Some(value) = whole(value) else { continue };
            name.clear();
            for part in ["node_sockstat_", protocol, "_", field] {
                name.push_str(part);
            }
            sheet.put(&name, &[], value);
            if field == "mem" {
                name.push_str("_bytes");
                sheet.put(&name, &[], value * page_bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;
    use crate::inputs::host::testing::put;

    #[test]
    fn interfaces() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes    packets\n\
                    \x20   lo: 10 1 0 0 0 0 0 0 10 1 0 0 0 0 0 0\n\
                    eth0:4294967296000 2 3 4\neth0:1: 5\nbroken\n: 1 2\n";
        let mut names = Vec::new();
        let shown = put(|sheet| devices(text, sheet, |name| names.push(name.to_owned())));
        assert_eq!(names, ["lo", "eth0", "eth0:1"]);
        let some: String =
            shown.lines().filter(|line| !line.contains("\"lo\"")).map(|line| format!("{line}\n")).collect();
        expect![[r#"
            node_network_receive_bytes_total{device="eth0"} 4294967296000
            node_network_receive_packets_total{device="eth0"} 2
            node_network_receive_errs_total{device="eth0"} 3
            node_network_receive_drop_total{device="eth0"} 4
            node_network_receive_bytes_total{device="eth0:1"} 5
        "#]]
        .assert_eq(&some);
        assert_eq!(shown.lines().count(), 16 + 5);
    }

    #[test]
    fn a_device_is_up_only_where_the_kernel_says_up() {
        let shown = put(|sheet| {
            operstate("eth0", "up\n", sheet);
            operstate("lo", "unknown\n", sheet);
        });
        expect![[r#"
            node_network_up{device="eth0"} 1
            node_network_up{device="lo"} 0
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn attributes_are_read_once_in_some_rounds() {
        let folder = tempfile::tempdir().expect("folder");
        let device = folder.path().join("sys/class/net/eth0");
        std::fs::create_dir_all(&device).expect("made");
        for (file, text) in [("mtu", "1500\n"), ("carrier", "1\n"), ("speed", "-1\n")] {
            std::fs::write(device.join(file), text).expect("written");
        }
        let mut attributes = Attributes::default();
        let mut files = Files::new(folder.path());
        let mut collected = || {
            attributes.begin();
            put(|sheet| attributes.collect("eth0", &mut files, sheet))
        };
        let before = "node_network_mtu_bytes{device=\"eth0\"} 1500\nnode_network_carrier{device=\"eth0\"} 1\n";
        assert_eq!(collected(), before);
        std::fs::write(device.join("speed"), "1000\n").expect("written");
        for _ in 2..ATTRIBUTE_ROUNDS {
            assert_eq!(collected(), before);
        }
        assert_eq!(collected(), format!("{before}node_network_speed_bytes{{device=\"eth0\"}} 125000000\n"));
    }

    #[test]
    fn netstat_takes_the_default_fields() {
        let text = "TcpExt: SyncookiesSent ListenOverflows TCPTimeouts Other\nTcpExt: 1 2 3 4\n\
                    Tcp: MaxConn CurrEstab RetransSegs\nTcp: -1 7 8\nUdp: InErrors\nIp: 5\n";
        let shown = put(|sheet| {
            paired_lines(text, sheet);
            snmp6("Ip6InOctets 9\nUdp6InErrors 1\nIcmp6InEchos 5\nodd\n", sheet);
        });
        expect![[r#"
            node_netstat_TcpExt_SyncookiesSent 1
            node_netstat_TcpExt_ListenOverflows 2
            node_netstat_TcpExt_TCPTimeouts 3
            node_netstat_Tcp_CurrEstab 7
            node_netstat_Tcp_RetransSegs 8
            node_netstat_Ip6_InOctets 9
            node_netstat_Udp6_InErrors 1
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn sockets() {
        let shown = put(|sheet| sockstat("sockets: used 9\nTCP: inuse 4 mem 2 odd\nUDP: inuse x\n", 4096.0, sheet));
        expect![[r#"
            node_sockstat_sockets_used 9
            node_sockstat_TCP_inuse 4
            node_sockstat_TCP_mem 2
            node_sockstat_TCP_mem_bytes 8192
        "#]]
        .assert_eq(&shown);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([A-Za-z0-9]{0,8}:?( [A-Za-z0-9-]{0,22}){0,18}\n){0,6}") {
            put(|sheet| devices(&text, sheet, |_| {}));
            put(|sheet| paired_lines(&text, sheet));
            put(|sheet| snmp6(&text, sheet));
            put(|sheet| sockstat(&text, 4096.0, sheet));
        }
    }
}
