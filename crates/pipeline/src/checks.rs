//! The newest result of every check, for the page and the API: one document a source.

use std::collections::BTreeMap;

use ports::{Condition, ITEM_BYTES_MAX, Key, Partition, Ports, TenantId, Write, Written};
use series::SourceName;
use wire::{CheckResult, WatchedCheck};

use crate::connect::parse;
use crate::error::Fault;

/// Bytes of a check's text that are kept here (the agent takes 512 KiB).
pub const TEXT_KEPT_BYTES: usize = 2_048;
/// Checks of one source that are shown.
pub const CHECKS_PER_SOURCE_MAX: usize = 100;
/// Perfdata items of one check that are shown.
const PERFDATA_SHOWN_MAX: usize = 20;
/// How much of each check is kept where all of a source's together do not fit into an item: bytes
/// of text, items of perfdata.
const KEPT: [(usize, usize); 4] = [(TEXT_KEPT_BYTES, PERFDATA_SHOWN_MAX), (512, 10), (128, 0), (0, 0)];

type Document = BTreeMap<String, WatchedCheck>;

/// Remembers results; the newer one of two stays, so order and repetition do not matter.
pub async fn note(ports: &Ports, tenant: &TenantId, source: &SourceName, results: &[CheckResult]) -> Result<(), Fault> {
    let key = Key::new(Partition::Checks(tenant.clone()), source.as_str());
    loop {
        let item = ports.table.get(&key).await?;
        let mut document: Document =
            item.as_ref().map(|item| parse(&item.value, "check document")).transpose()?.unwrap_or_default();
        let before = document.clone();
        for result in results {
            merge(&mut document, shown(source, result));
        }
        if document == before {
            return Ok(());
        }
        let condition = item.as_ref().map_or(Condition::Absent, |item| Condition::Version(item.version));
        let value = fitted(document)?;
        if let Written::Done(_) = ports.table.write(Write::put(key.clone(), value, condition)).await? {
            return Ok(());
        }
    }
}

/// The document's bytes, with less of each check where it would not fit into an item: what can
/// never be stored would stop the alerts of every other source.
fn fitted(mut document: Document) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    for (text_bytes, perfdata) in KEPT {
        for check in document.values_mut() {
            check.text.truncate(cut(&check.text, text_bytes).len());
            check.perfdata.truncate(perfdata);
        }
        bytes = serde_json::to_vec(&document).map_err(|e| Fault::Internal(e.to_string()))?;
        if bytes.len() <= ITEM_BYTES_MAX {
            return Ok(bytes);
        }
    }
    // Only names of control characters, each six bytes of JSON, come so far.
    while bytes.len() > ITEM_BYTES_MAX && document.pop_last().is_some() {
        bytes = serde_json::to_vec(&document).map_err(|e| Fault::Internal(e.to_string()))?;
    }
    Ok(bytes)
}

fn merge(document: &mut Document, new: WatchedCheck) {
    match document.get(&new.check) {
        Some(old) if old.at_ms >= new.at_ms => {}
        Some(_) => {
            document.insert(new.check.clone(), new);
        }
        None if document.len() < CHECKS_PER_SOURCE_MAX => {
            document.insert(new.check.clone(), new);
        }
        None => {}
    }
}

/// A result as the API shows it.
#[must_use]
pub fn shown(source: &SourceName, result: &CheckResult) -> WatchedCheck {
    WatchedCheck {
        source: source.as_str().to_owned(),
        check: result.check.clone(),
        status: result.state.into(),
        hard: result.hard,
        state_since_ms: result.state_since.ms(),
        at_ms: result.at.ms(),
        text: cut(&result.text, TEXT_KEPT_BYTES).to_owned(),
        perfdata: result.perfdata.iter().take(PERFDATA_SHOWN_MAX).cloned().collect(),
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// All checks of a tenant, the worst first.
pub async fn all(ports: &Ports, tenant: &TenantId) -> Result<Vec<WatchedCheck>, Fault> {
    let mut checks = Vec::new();
    for item in ports.table.query_all(&Partition::Checks(tenant.clone()), "", "").await? {
        let document: Document = parse(&item.value, "check document")?;
        checks.extend(document.into_values());
    }
    // CRITICAL, UNKNOWN, WARNING, OK.
    let rank = |status: u8| [3, 2, 0, 1].get(usize::from(status)).copied().unwrap_or(0);
    checks.sort_by(|a, b| (rank(a.status), &a.source, &a.check).cmp(&(rank(b.status), &b.source, &b.check)));
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, at_ms: i64, status: u8) -> WatchedCheck {
        WatchedCheck {
            source: "web-1".to_owned(),
            check: name.to_owned(),
            status,
            hard: true,
            state_since_ms: 0,
            at_ms,
            text: String::new(),
            perfdata: Vec::new(),
        }
    }

    #[test]
    fn the_newer_result_stays_whatever_the_order() {
        let results = [check("load", 2, 1), check("load", 1, 0), check("load", 2, 1), check("disk", 1, 2)];
        let mut forward = Document::new();
        results.iter().cloned().for_each(|r| merge(&mut forward, r));
        let mut backward = Document::new();
        results.iter().rev().cloned().for_each(|r| merge(&mut backward, r));
        assert_eq!(forward, backward);
        assert_eq!(forward["load"].status, 1);
    }

    #[test]
    fn checks_of_a_source_at_the_limit_and_one_past_it() {
        let mut document = Document::new();
        for n in 0..=CHECKS_PER_SOURCE_MAX {
            merge(&mut document, check(&format!("c{n:03}"), 1, 0));
        }
        assert_eq!(document.len(), CHECKS_PER_SOURCE_MAX);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let shown = |text: &str| cut(text, TEXT_KEPT_BYTES).len();
        assert_eq!(cut("short", TEXT_KEPT_BYTES), "short");
        let long = "ä".repeat(TEXT_KEPT_BYTES);
        assert_eq!(shown(&long), TEXT_KEPT_BYTES);
        assert!(shown(&format!("x{long}")) < TEXT_KEPT_BYTES);
    }

    #[test]
    fn the_longest_checks_that_a_source_may_have_fit_into_an_item() {
        let long = |bytes: usize| "\u{1}".repeat(bytes);
        let perfdata = wire::PerfItem {
            label: long(512),
            value: Some(1.0),
            unit: long(512),
            warn: String::new(),
            crit: String::new(),
            min: None,
            max: None,
        };
        let one = |n: usize, filler: &str| {
            let name = format!("{n:03}{}", filler.repeat(wire::limits::CHECK_NAME_BYTES_MAX - 3));
            let mut check = check(&name, 1, 2);
            check.text = long(TEXT_KEPT_BYTES);
            check.perfdata = vec![perfdata.clone(); PERFDATA_SHOWN_MAX];
            (name, check)
        };
        let stored = |checks: usize, filler: &str| {
            let bytes = fitted((0..checks).map(|n| one(n, filler)).collect()).unwrap();
            assert!(bytes.len() <= ITEM_BYTES_MAX, "{checks} checks: {} bytes", bytes.len());
            serde_json::from_slice::<Document>(&bytes).unwrap()
        };
        assert_eq!(stored(1, "x").values().next().unwrap().text.len(), TEXT_KEPT_BYTES);
        assert!(stored(CHECKS_PER_SOURCE_MAX, "\u{1}").len() > CHECKS_PER_SOURCE_MAX * 9 / 10);
        let all = stored(CHECKS_PER_SOURCE_MAX, "x");
        assert!(all.len() == CHECKS_PER_SOURCE_MAX && all.values().all(|check| check.status == 2));
    }
}
