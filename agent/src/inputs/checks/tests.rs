//! Checks as jobs: what a run puts into the intake. Debian's monitoring-plugins are run where
//! they are installed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use series::SourceName;

use super::*;
use crate::config::{Config, Overrides};
use crate::intake::Pending;

fn intake() -> Intake {
    Intake::new(SourceName::new("web-1").expect("valid"), &BTreeMap::new(), Arc::default())
}

fn job(section: &str, intake: &Intake) -> CheckJob {
    let text = format!("url = \"http://127.0.0.1:1\"\nkey_file = \"k\"\nname = \"web-1\"\n{section}");
    let config = Config::parse(Path::new("/etc/agent.toml"), &text, Overrides::default()).expect("a configuration");
    CheckJob::new(&config.checks[0], intake)
}

async fn ran(section: &str) -> (Pending, NextRun) {
    let intake = intake();
    let next = job(section, &intake).run(Timestamp(1_000_000)).await;
    (intake.take(), next)
}

fn values(pending: &Pending) -> BTreeMap<String, f64> {
    let own =
        |labels: &series::Labels| labels.without(|name| ["instance", "source", "job"].contains(&name)).to_string();
    pending.series.iter().map(|(labels, samples)| (own(labels), samples[0].value)).collect()
}

#[tokio::test]
async fn a_result_and_its_samples() {
    let section = "[[check]]\nname = \"x\"\ncommand = [\"/bin/sh\", \"-c\", \"\"\"echo 'BAD text | a=5%;80;90;0;100 b=oops c=1'; echo more; exit 1\"\"\"]\n";
    let (pending, next) = ran(section).await;
    assert_eq!(next, NextRun::OnTheStep);
    let result = &pending.checks[0];
    assert_eq!((result.check.as_str(), result.state, result.hard), ("x", CheckState::Warning, true));
    assert_eq!((result.text.as_str(), result.exit_code, result.interval_ms), ("BAD text\nmore", Some(1), 60_000));
    assert!(result.at >= Timestamp(1_000_000) && !result.truncated);
    assert_eq!(result.perfdata.len(), 2);
    assert_eq!((result.perfdata[0].warn.as_str(), result.perfdata[0].max), ("80", Some(100.0)));
    assert_eq!(pending.rejected.values().sum::<u64>(), 1, "{:?}", pending.rejected);
    let values = values(&pending);
    assert_eq!(values["check_status{check=\"x\"}"], 1.0);
    assert_eq!(values["check_value{check=\"x\", label=\"a\", unit=\"%\"}"], 5.0);
    assert_eq!(values["check_crit{check=\"x\", label=\"a\", unit=\"%\"}"], 90.0);
    assert_eq!(values["check_value{check=\"x\", label=\"c\"}"], 1.0);
    assert_eq!(values.len(), 7);
}

#[tokio::test]
async fn what_ends_badly_is_unknown_with_its_raw_code() {
    for (command, code, text) in [
        (r#"["/bin/sh", "-c", "no-such-program"]"#, Some(127), "exit code 127: "),
        (r#"["/bin/sh", "-c", "echo x >&2; kill -TERM $$"]"#, Some(143), "killed by signal 15: x"),
        (r#"["/does/not/exist"]"#, None, "could not be started: /does/not/exist: No such file"),
        (r#"["/bin/sh", "-c", "sleep 60"]"#, None, "timed out after 0.3s"),
    ] {
        let section = format!("[[check]]\nname = \"x\"\ntimeout = \"300ms\"\ncommand = {command}\n");
        let (pending, _) = ran(&section).await;
        let result = &pending.checks[0];
        assert_eq!((result.state, result.exit_code), (CheckState::Unknown, code), "{command}");
        assert!(result.text.starts_with(text), "{:?} for {command}", result.text);
    }
}

#[tokio::test]
async fn metrics_that_a_plugin_prints() {
    let section = "[[check]]\nname = \"x\"\nformat = \"prometheus\"\ncommand = [\"/bin/sh\", \"-c\", \"\"\"\
        echo '# TYPE a gauge'; echo 'a{b=\"c\"} 1'; echo 'a{check=\"own\"} 2'; echo bad; exit ${1:-2}\"\"\"]\n";
    let (pending, _) = ran(section).await;
    let result = &pending.checks[0];
    assert_eq!((result.state, result.exit_code), (CheckState::Critical, Some(2)));
    assert_eq!(result.text, "2 samples, 1 lines refused");
    assert_eq!(pending.rejected, BTreeMap::from([("value_missing".to_owned(), 1)]));
    let values = values(&pending);
    assert_eq!(values["a{b=\"c\", check=\"x\"}"], 1.0);
    assert_eq!(values["a{check=\"own\"}"], 2.0);
    assert_eq!(values["check_status{check=\"x\"}"], 2.0);
    assert_eq!(values.len(), 3);
    assert!(pending.series.keys().all(|labels| labels.get("job") == Some("check")));
    assert_eq!((pending.metadata[0].metric.as_str(), pending.metadata[0].kind.as_str()), ("a", "gauge"));
    let said = section.replace("echo bad", "echo 'only | one' >&2");
    assert_eq!(ran(&said).await.0.checks[0].text, "only   one");
    let silent = "[[check]]\nname = \"x\"\nformat = \"prometheus\"\ncommand = [\"/does/not/exist\"]\n";
    let (pending, _) = ran(silent).await;
    assert!(pending.checks[0].text.starts_with("could not be started: /does/not/exist"));
    assert_eq!(pending.checks[0].state, CheckState::Unknown);
}

#[tokio::test]
async fn a_soft_state_is_tried_again_sooner() {
    let section = "[[check]]\nname = \"x\"\nattempts = 2\nretry_interval = \"5s\"\ncommand = [\"/bin/false\"]\n";
    let intake = intake();
    let mut job = job(section, &intake);
    assert_eq!(job.run(Timestamp(1_000)).await, NextRun::After(Duration::from_secs(5)));
    assert_eq!(job.run(Timestamp(6_000)).await, NextRun::OnTheStep);
    let hard: Vec<bool> = intake.take().checks.iter().map(|result| result.hard).collect();
    assert_eq!(hard, [false, true]);
}

#[tokio::test]
async fn text_at_its_limit_and_one_byte_past_it() {
    for (bytes, truncated) in [(RESULT_TEXT_BYTES_MAX, false), (RESULT_TEXT_BYTES_MAX + 1, true)] {
        let section = format!(
            "[[check]]\nname = \"x\"\ncommand = [\"/bin/sh\", \"-c\", \"head -c {bytes} /dev/zero | tr '\\\\0' x\"]\n"
        );
        let (pending, _) = ran(&section).await;
        let result = &pending.checks[0];
        assert_eq!((result.text.len(), result.truncated), (RESULT_TEXT_BYTES_MAX, truncated));
    }
}

#[tokio::test]
async fn performance_data_at_its_limit_and_one_item_past_it() {
    for items in [RESULT_PERF_ITEMS_MAX, RESULT_PERF_ITEMS_MAX + 1] {
        let section = format!(
            "[[check]]\nname = \"x\"\ncommand = [\"/bin/sh\", \"-c\", \"echo OK '|' $(seq -f a%g=1 {items})\"]\n"
        );
        let (pending, _) = ran(&section).await;
        assert_eq!(pending.checks[0].perfdata.len(), RESULT_PERF_ITEMS_MAX);
        assert_eq!(pending.samples, items + 1, "every item is a sample");
    }
}

#[tokio::test]
async fn a_built_in_check_goes_the_same_way() {
    let (pending, _) = ran("[[check]]\nname = \"mem\"\nbuiltin = \"memory\"\nwarn = \"101\"\ncrit = \"101\"\n").await;
    assert!(pending.checks[0].text.starts_with("MEMORY OK - "), "{}", pending.checks[0].text);
    assert!(values(&pending).contains_key("check_value{check=\"mem\", label=\"used\", unit=\"%\"}"));
}

#[tokio::test]
async fn debians_plugins() {
    let folder = "/usr/lib/nagios/plugins";
    for (plugin, arguments, text, label) in [
        ("check_load", r#""-w", "1000", "-c", "2000""#, "OK", "load1"),
        ("check_disk", r#""-w", "0", "-c", "0", "-p", "/""#, "DISK OK", "/"),
        ("check_procs", r#""-w", "100000""#, "PROCS OK", "procs"),
        ("check_dummy", r#""2", "made up""#, "CRITICAL: made up", ""),
    ] {
        let program = format!("{folder}/{plugin}");
        if !Path::new(&program).exists() {
            println!("skipped: {program} is not installed");
            continue;
        }
        let section = format!("[[check]]\nname = \"{plugin}\"\ncommand = [\"{program}\", {arguments}]\n");
        let (pending, _) = ran(&section).await;
        let result = &pending.checks[0];
        assert!(result.text.starts_with(text) || result.text.contains(text), "{plugin}: {}", result.text);
        assert!(pending.rejected.is_empty(), "{plugin}: {:?}", pending.rejected);
        if !label.is_empty() {
            let found = result.perfdata.iter().any(|item| item.label == label && item.value.is_some());
            assert!(found, "{plugin}: {:?}", result.perfdata);
        }
    }
}
