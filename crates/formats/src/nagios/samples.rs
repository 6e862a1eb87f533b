//! A check's result as ordinary samples, so that rules and graphs need nothing special for checks.
//!
//! `check_status{check}` is 0 to 3; `check_value{check,label,unit}` is an item's value, and
//! `check_warn`, `check_crit`, `check_min`, `check_max` are its bounds where they are plain
//! numbers. All have `job="check"`; whoever ran the check adds where it ran.

use series::{LabelError, Labels, METRIC_NAME, Sample, Timestamp};

use super::State;
use super::perfdata::{PerfItem, Threshold};

/// The samples of one result. Fails only where `check` cannot be a label's value.
pub fn samples(
    check: &str,
    state: State,
    items: &[PerfItem],
    at: Timestamp,
) -> Result<Vec<(Labels, Sample)>, LabelError> {
    let status = Labels::from_pairs([(METRIC_NAME, "check_status"), ("check", check), ("job", "check")])?;
    let mut out = vec![(status, Sample { at, value: f64::from(state.number()) })];
    for item in items {
        let plain = |threshold: &Option<Threshold>| threshold.as_ref().and_then(Threshold::plain);
        for (name, value) in [
            ("check_value", item.value),
            ("check_warn", plain(&item.warn)),
            ("check_crit", plain(&item.crit)),
            ("check_min", item.min),
            ("check_max", item.max),
        ] {
            let Some(value) = value else { continue };
            let labels = Labels::from_pairs([
                (METRIC_NAME, name),
                ("check", check),
                ("job", "check"),
                ("label", &item.label),
                ("unit", &item.unit),
            ])?;
            out.push((labels, Sample { at, value }));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn check(output: &str, expected: &[&str]) {
        let seen = samples("load", State::Warning, &parse(output.as_bytes()).perf, Timestamp(5)).unwrap();
        let seen: Vec<String> = seen.iter().map(|(labels, s)| format!("{labels} {}", s.value)).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn names_and_labels_of_the_contract() {
        check(
            "OK | used=5%;80;@90:100;0;100",
            &[
                r#"check_status{check="load", job="check"} 1"#,
                r#"check_value{check="load", job="check", label="used", unit="%"} 5"#,
                r#"check_warn{check="load", job="check", label="used", unit="%"} 80"#,
                r#"check_min{check="load", job="check", label="used", unit="%"} 0"#,
                r#"check_max{check="load", job="check", label="used", unit="%"} 100"#,
            ],
        );
    }

    #[test]
    fn an_undetermined_value_is_no_sample() {
        check("OK | a=U;;;;", &[r#"check_status{check="load", job="check"} 1"#]);
    }

    #[test]
    fn a_check_name_that_cannot_be_a_label_is_an_error() {
        assert!(samples("a\0", State::Ok, &[], Timestamp(0)).is_err());
    }
}
