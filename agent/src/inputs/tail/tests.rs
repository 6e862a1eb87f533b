//! The tail as a listener: a real folder, a real intake, real inotify.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use series::SourceName;

use super::*;

struct Host {
    folder: tempfile::TempDir,
    intake: Intake,
    running: tokio::task::JoinHandle<()>,
}

impl Host {
    fn start(folder: tempfile::TempDir) -> Self {
        let intake = Intake::new(SourceName::new("web-1").expect("valid"), &BTreeMap::new(), Arc::default());
        let pattern = folder.path().join("*.log");
        let log: Log =
            toml::from_str(&format!("paths = [{:?}]\ninterval = \"100ms\"\n", pattern.display().to_string()))
                .expect("a section");
        let running = tokio::spawn(listener(&log, &folder.path().join("data"), &intake).work);
        Self { folder, intake, running }
    }

    fn append(&self, name: &str, text: &str) {
        let file = std::fs::File::options().create(true).append(true).open(self.folder.path().join(name));
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
    }

    fn checkpoint_text(&self) -> String {
        let folder = self.folder.path().join("data/logs");
        let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        files.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
    }

    /// Flushes again and again until `done` with the newest value of each series and the
    /// records so far.
    async fn until(&self, done: impl Fn(&BTreeMap<String, f64>, &[String]) -> bool) {
        let (mut values, mut records) = (BTreeMap::new(), Vec::new());
        let waiting = async {
            loop {
                let pending = self.intake.take();
                for (labels, samples) in pending.series {
                    let level = labels.get("level").or(labels.get("type")).unwrap_or_default();
                    let file = labels.get("file").unwrap_or_default().rsplit('/').next().unwrap_or_default();
                    values.insert(format!("{file} {level}"), samples[samples.len() - 1].value);
                }
                records.extend(pending.logs.into_iter().map(|record| format!("{} {}", record.level, record.text)));
                pending.when_safe.into_iter().for_each(|action| action());
                if done(&values, &records) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(20), waiting).await.is_err() {
            panic!("not in 20 s: {values:#?} {records:#?}");
        }
    }
}

#[tokio::test]
async fn lines_become_counters_and_records_and_survive_a_kill() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("old.log"), "ERROR from before\n").expect("written");
    let host = Host::start(folder);
    host.until(|values, _| values.get("old.log error") == Some(&0.0)).await;
    host.append("old.log", "INFO a\nERROR b\njava.lang.Error: x\n\tat y\nINFO c\n");
    host.append("new.log", "WARN a\n");
    host.until(|values, records| {
        values.get("old.log error") == Some(&1.0)
            && values.get("old.log java.lang.Error") == Some(&1.0)
            && values.get("old.log info") == Some(&2.0)
            && values.get("new.log warn") == Some(&1.0)
            && records.len() == 2
            && records.iter().any(|record| record == "error ERROR b\njava.lang.Error: x\n\tat y")
    })
    .await;
    // Everything is counted and safe; wait until the checkpoint says so.
    let size = std::fs::metadata(host.folder.path().join("old.log")).expect("there").len();
    let checkpointed = async {
        while !host.checkpoint_text().contains(&format!("\"at\":{size}")) {
            host.intake.take().when_safe.into_iter().for_each(|action| action());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), checkpointed).await.expect("a checkpoint");
    host.running.abort();
    host.append("old.log", "ERROR while away\n");
    let host = Host::start(host.folder);
    host.until(|values, _| values.get("old.log error") == Some(&2.0) && values.get("old.log info") == Some(&2.0)).await;
    host.running.abort();
}

#[test]
fn steps_are_multiples_of_the_interval() {
    for (now, expected) in [(0, 10), (9, 10), (10, 20), (-1, 0)] {
        assert_eq!(next_step(Timestamp(now), 10), Timestamp(expected));
    }
}
