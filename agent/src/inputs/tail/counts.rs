//! What is counted of one file, and the samples that it becomes. Counters only rise; they are
//! kept in the checkpoint together with the place up to which they count.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::exception::exception_type;
use super::joiner::Record;
use super::level::Level;
use crate::config::Log;
use crate::inputs::sheet::Sheet;

/// Exception types told apart in one file; further ones are counted as `other`.
pub(super) const EXCEPTION_TYPES_MAX: usize = 50;

/// Bytes of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that one pattern may take while it is at work.
const PATTERN_CACHE_BYTES: usize = 256 * 1024;

/// Compiles a pattern within the limits of an agent.
pub(super) fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_CACHE_BYTES).build()
}

/// The counters and extractions of one `[[log]]` section, compiled.
#[derive(Debug, Default)]
pub(super) struct Rules {
    counts: Vec<(String, Regex)>,
    extracts: Vec<(String, Regex)>,
}

impl Rules {
    /// Compiles them. What cannot be compiled is left out and told, one text each.
    pub(super) fn compiled(log: &Log) -> (Self, Vec<String>) {
        let mut rules = Self::default();
        let mut faults = Vec::new();
        for count in &log.count {
            match compiled(&count.pattern) {
                Ok(pattern) => rules.counts.push((count.name.clone(), pattern)),
                Err(error) => faults.push(format!("[[log.count]] {:?}: {error}", count.name)),
            }
        }
        for extract in &log.extract {
            match compiled(&extract.pattern) {
                Ok(pattern) if pattern.captures_len() > 1 => rules.extracts.push((extract.name.clone(), pattern)),
                Ok(_) => faults.push(format!("[[log.extract]] {:?}: the pattern has no group", extract.name)),
                Err(error) => faults.push(format!("[[log.extract]] {:?}: {error}", extract.name)),
            }
        }
        (rules, faults)
    }
}

/// The counters of one file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FileCounts {
    /// Records by level, in the order of [`Level::ALL`].
    levels: [u64; 5],
    exceptions: BTreeMap<String, u64>,
    counts: BTreeMap<String, u64>,
    extracts: BTreeMap<String, Extracted>,
    /// Last extracted values that have not become samples yet.
    #[serde(skip)]
    latest: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Extracted {
    count: u64,
    /// Bits of the sum: JSON's numbers do not keep every f64.
    sum_bits: u64,
}

/// What one record was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    /// Its level; an exception in a record that does not say is an error.
    pub(super) level: Level,
    /// Whether it tells of an exception.
    pub(super) exception: bool,
    /// Numbers that an extraction matched, but that are none.
    pub(super) not_numbers: u64,
}

impl FileCounts {
    /// Counts one record.
    pub(super) fn add(&mut self, record: &Record, rules: &Rules) -> Counted {
        let exception = exception_type(record);
        let level = match (record.level, &exception) {
            (Level::Unknown, Some(_)) => Level::Error,
            (level, _) => level,
        };
        self.levels[level as usize] += 1;
        let is_exception = exception.is_some();
        if let Some(kind) = exception {
            let known = self.exceptions.contains_key(&kind) || self.exceptions.len() < EXCEPTION_TYPES_MAX;
            *self.exceptions.entry(if known { kind } else { "other".to_owned() }).or_default() += 1;
        }
        for (name, pattern) in &rules.counts {
            if pattern.is_match(&record.text) {
                *self.counts.entry(name.clone()).or_default() += 1;
            }
        }
        let mut not_numbers = 0;
        for (name, pattern) in &rules.extracts {
            let Some(found) = pattern.captures(&record.text) else { continue };
            // A group that took no part in the match is no number that is missing.
            let Some(text) = found.name("value").or_else(|| found.get(1)) else { continue };
            match text.as_str().parse::<f64>().ok().filter(|value| value.is_finite()) {
                Some(value) => {
                    let extracted = self.extracts.entry(name.clone()).or_default();
                    extracted.count += 1;
                    extracted.sum_bits = (f64::from_bits(extracted.sum_bits) + value).to_bits();
                    self.latest.insert(name.clone(), value);
                }
                None => not_numbers += 1,
            }
        }
        Counted { level, exception: is_exception, not_numbers }
    }

    /// Writes the samples of the file called `file`. Counters that rules name begin at 0.
    pub(super) fn samples(&mut self, file: &str, rules: &Rules, sheet: &mut Sheet) {
        for level in Level::ALL {
            let labels = [("file", file), ("level", level.name())];
            sheet.put("log_lines_total", &labels, self.levels[level as usize] as f64);
        }
        for (kind, count) in &self.exceptions {
            sheet.put("log_exceptions_total", &[("file", file), ("type", kind)], *count as f64);
        }
        for (name, _) in &rules.counts {
            sheet.put(name, &[("file", file)], self.counts.get(name).copied().unwrap_or_default() as f64);
        }
        for (name, _) in &rules.extracts {
            let extracted = self.extracts.get(name).copied().unwrap_or_default();
            sheet.put(&format!("{name}_count"), &[("file", file)], extracted.count as f64);
            sheet.put(&format!("{name}_sum"), &[("file", file)], f64::from_bits(extracted.sum_bits));
            if let Some(value) = self.latest.remove(name) {
                sheet.put(name, &[("file", file)], value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::joiner::{Record, Trace};
    use super::*;
    use crate::inputs::host::testing::put;

    fn log(section: &str) -> Log {
        toml::from_str(&format!("paths = [\"/x\"]\n{section}")).expect("a section")
    }

    fn record(text: &str) -> Record {
        Record { text: text.to_owned(), lines: 1, level: super::super::level::level(text), trace: Trace::None }
    }

    #[test]
    fn levels_exceptions_counters_and_numbers() {
        let section = "[[count]]\nname = \"slow_total\"\npattern = \"slow\"\n\
                       [[count]]\nname = \"never_total\"\npattern = \"nothing\"\n\
                       [[extract]]\nname = \"seconds\"\npattern = 'took (?P<unit>[a-z]+)?(?P<value>[0-9.e]+)'\n";
        let (rules, faults) = Rules::compiled(&log(section));
        assert!(faults.is_empty());
        let mut counts = FileCounts::default();
        let mut not_numbers = 0;
        for text in ["ERROR slow, took 0.5", "INFO took 0.25", "took 1.2.3", "x java.io.IOException: y", "plain"] {
            not_numbers += counts.add(&record(text), &rules).not_numbers;
        }
        assert_eq!(not_numbers, 1);
        expect![[r#"
            log_lines_total{file="/a", level="error"} 2
            log_lines_total{file="/a", level="warn"} 0
            log_lines_total{file="/a", level="info"} 1
            log_lines_total{file="/a", level="debug"} 0
            log_lines_total{file="/a", level="unknown"} 2
            log_exceptions_total{file="/a", type="java.io.IOException"} 1
            slow_total{file="/a"} 1
            never_total{file="/a"} 0
            seconds_count{file="/a"} 2
            seconds_sum{file="/a"} 0.75
            seconds{file="/a"} 0.25
        "#]]
        .assert_eq(&put(|sheet| counts.samples("/a", &rules, sheet)));
        assert!(!put(|sheet| counts.samples("/a", &rules, sheet)).contains("seconds{"), "no new value, no sample");
        let json = serde_json::to_string(&counts).expect("written");
        assert_eq!(serde_json::from_str::<FileCounts>(&json).expect("read"), counts);
    }

    #[test]
    fn a_pattern_that_cannot_be_compiled_is_told_and_its_neighbours_work() {
        let section = "[[count]]\nname = \"bad\"\npattern = \"(\"\n[[count]]\nname = \"good\"\npattern = \"x\"\n\
                       [[extract]]\nname = \"groupless\"\npattern = \"x\"\n";
        let (rules, faults) = Rules::compiled(&log(section));
        assert_eq!((rules.counts.len(), rules.extracts.len(), faults.len()), (1, 0, 2));
        assert!(faults[0].starts_with("[[log.count]] \"bad\": "), "{faults:?}");
        assert_eq!(faults[1], "[[log.extract]] \"groupless\": the pattern has no group");
    }

    #[test]
    fn a_pattern_over_its_limit_is_refused() {
        assert!(compiled("x{1000}").is_ok());
        assert!(compiled("(x{1000}){1000}").is_err());
    }

    #[test]
    fn exception_types_at_the_limit_and_one_past_it() {
        let rules = Rules::default();
        let mut counts = FileCounts::default();
        for number in 0..=EXCEPTION_TYPES_MAX {
            counts.add(&record(&format!("a.B{number}Error: x")), &rules);
        }
        counts.add(&record("a.B0Error: x"), &rules);
        assert_eq!(counts.exceptions.len(), EXCEPTION_TYPES_MAX + 1);
        assert_eq!((counts.exceptions["other"], counts.exceptions["a.B0Error"]), (1, 2));
    }
}
