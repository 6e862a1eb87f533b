//! OpenTelemetry's names as Prometheus's: `http.server.duration` in `ms` → `http_server_duration_milliseconds`.
//!
//! Rules of Prometheus's translation "UnderscoreEscapingWithSuffixes".

/// UCUM units as Prometheus writes them.
const UNITS: [(&str, &str); 29] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("kBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
    ("bit", "bits"),
    ("bit/s", "bits"),
];
const PER_UNITS: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// What decides about a suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suffix {
    Counter,
    Gauge,
    None,
}

fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':')).filter(|token| !token.is_empty())
}

fn mapped(table: &[(&str, &str)], unit: &str) -> String {
    let unit = unit.trim();
    if unit.contains(['{', '}']) {
        return String::new();
    }
    let found = table.iter().find(|(ucum, _)| *ucum == unit).map(|(_, word)| (*word).to_owned());
    found.unwrap_or_else(|| tokens(unit).collect::<Vec<_>>().join("_"))
}

/// A metric's name. Empty where nothing of the name can stand in one.
pub(super) fn metric(name: &str, unit: &str, suffix: Suffix) -> String {
    let mut parts: Vec<String> = tokens(name).map(str::to_owned).collect();
    if parts.is_empty() {
        return String::new();
    }
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let main = mapped(&UNITS, main);
    if !main.is_empty() && !parts.contains(&main) {
        parts.push(main);
    }
    let per = mapped(&PER_UNITS, per);
    if !per.is_empty() && !parts.contains(&per) {
        parts.extend(["per".to_owned(), per]);
    }
    let mut last = |word: &str| {
        parts.retain(|part| part != word);
        parts.push(word.to_owned());
    };
    match suffix {
        Suffix::Counter => last("total"),
        Suffix::Gauge if unit.trim() == "1" => last("ratio"),
        Suffix::Gauge | Suffix::None => {}
    }
    let joined = parts.join("_");
    if joined.starts_with(|c: char| c.is_ascii_digit()) { format!("_{joined}") } else { joined }
}

/// An attribute's name as a label's.
pub(super) fn label(name: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if clean.starts_with(|c: char| c.is_ascii_digit()) {
        format!("key_{clean}")
    } else if clean.starts_with('_') && !clean.starts_with("__") {
        format!("key{clean}")
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics() {
        for (name, unit, suffix, expected) in [
            ("http.server.request.duration", "s", Suffix::None, "http_server_request_duration_seconds"),
            ("http.server.active_requests", "{request}", Suffix::None, "http_server_active_requests"),
            ("system.network.io", "By", Suffix::Counter, "system_network_io_bytes_total"),
            ("requests.total", "", Suffix::Counter, "requests_total"),
            ("total.requests", "1", Suffix::Counter, "requests_total"),
            ("cpu.utilization", "1", Suffix::Gauge, "cpu_utilization_ratio"),
            ("speed", "m/s", Suffix::Gauge, "speed_meters_per_second"),
            ("disk bytes", "By", Suffix::Gauge, "disk_bytes"),
            ("2xx.count", "", Suffix::None, "_2xx_count"),
            ("a__b..c", "", Suffix::None, "a_b_c"),
            ("ns:x", "furlong", Suffix::None, "ns:x_furlong"),
            ("temp", "Cel", Suffix::Gauge, "temp_celsius"),
            ("é", "", Suffix::None, ""),
        ] {
            assert_eq!(metric(name, unit, suffix), expected, "{name} {unit}");
        }
    }

    #[test]
    fn labels() {
        for (name, expected) in
            [("http.method", "http_method"), ("1st", "key_1st"), ("_x", "key_x"), ("__x", "__x"), ("é", "key_")]
        {
            assert_eq!(label(name), expected);
        }
    }
}
