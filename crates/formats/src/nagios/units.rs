//! Units of performance data brought to base units, as Prometheus likes them. Off by default:
//! samples carry the value and the unit that the plugin wrote, unless a user asks for this.
//!
//! `KB` is 1,000 bytes and `KiB` is 1,024; small letters `b` are bits. A unit that is not in the
//! table stays as it is.

use super::perfdata::{PerfItem, Threshold};
use super::range::Range;

/// Unit, what to multiply by, what to divide by, base unit. Dividing keeps 1000ms at exactly 1 s.
const UNITS: &[(&str, f64, f64, &str)] = &[
    ("ns", 1.0, 1e9, "s"),
    ("us", 1.0, 1e6, "s"),
    ("µs", 1.0, 1e6, "s"),
    ("ms", 1.0, 1e3, "s"),
    ("m", 60.0, 1.0, "s"),
    ("min", 60.0, 1.0, "s"),
    ("h", 3_600.0, 1.0, "s"),
    ("d", 86_400.0, 1.0, "s"),
    ("KB", 1e3, 1.0, "B"),
    ("kB", 1e3, 1.0, "B"),
    ("MB", 1e6, 1.0, "B"),
    ("GB", 1e9, 1.0, "B"),
    ("TB", 1e12, 1.0, "B"),
    ("PB", 1e15, 1.0, "B"),
    ("EB", 1e18, 1.0, "B"),
    ("KiB", 1_024.0, 1.0, "B"),
    ("MiB", 1_048_576.0, 1.0, "B"),
    ("GiB", 1_073_741_824.0, 1.0, "B"),
    ("TiB", 1_099_511_627_776.0, 1.0, "B"),
    ("PiB", 1_125_899_906_842_624.0, 1.0, "B"),
    ("kb", 1e3, 1.0, "b"),
    ("Kb", 1e3, 1.0, "b"),
    ("Mb", 1e6, 1.0, "b"),
    ("Gb", 1e9, 1.0, "b"),
    ("Tb", 1e12, 1.0, "b"),
];

/// The item in base units: value, thresholds and bounds.
#[must_use]
pub fn normalised(item: &PerfItem) -> PerfItem {
    let Some((_, times, by, base)) = UNITS.iter().find(|(unit, ..)| *unit == item.unit) else { return item.clone() };
    let scale = |value: f64| value * times / by;
    let threshold = |threshold: &Threshold| match threshold.range {
        Some(range) => {
            let range = Range { start: scale(range.start), end: scale(range.end), ..range };
            Threshold { text: range.to_string(), range: Some(range) }
        }
        None => threshold.clone(),
    };
    PerfItem {
        label: item.label.clone(),
        value: item.value.map(scale),
        unit: (*base).to_owned(),
        warn: item.warn.as_ref().map(threshold),
        crit: item.crit.as_ref().map(threshold),
        min: item.min.map(scale),
        max: item.max.map(scale),
    }
}

#[cfg(test)]
mod tests {
    use super::super::perfdata::parse;
    use super::*;

    fn check(text: &str, value: f64, unit: &str, warn: &str, crit: &str) {
        let item = normalised(&parse(text).items[0]);
        let shown = |threshold: &Option<Threshold>| threshold.as_ref().map_or(String::new(), |t| t.text.clone());
        assert_eq!((item.value, item.unit.as_str()), (Some(value), unit), "{text}");
        assert_eq!((shown(&item.warn).as_str(), shown(&item.crit).as_str()), (warn, crit), "{text}");
    }

    #[test]
    fn values_and_thresholds_are_scaled_together() {
        check("test=1000ms;200;500", 1.0, "s", "0.2", "0.5");
        check("testA=2m;3;4;1;5", 120.0, "s", "180", "240");
        check("test=+1.5E-15EB", 1_500.0, "B", "", "");
        check("test=2KB;@1:;~:3", 2_000.0, "B", "@1000:", "~:3000");
        check("test=2KiB", 2_048.0, "B", "", "");
        check("test=3Mb", 3e6, "b", "", "");
    }

    #[test]
    fn what_has_no_other_unit_stays() {
        check("test=2foobar;3", 2.0, "foobar", "3", "");
        check("test=42c", 42.0, "c", "", "");
        check("test=5%;80;90", 5.0, "%", "80", "90");
        check("test=5s", 5.0, "s", "", "");
        check("test=5ms;20:10", 0.005, "s", "20:10", "");
    }

    #[test]
    fn bounds_are_scaled_too() {
        let item = normalised(&parse("testA=2m;3;4;1;5").items[0]);
        assert_eq!((item.min, item.max), (Some(60.0), Some(300.0)));
    }
}
