//! Kill -9 of a real process under load: whatever it had said was accepted is there.
//!
//! The process is this test binary again, told by a variable to run [`as_the_process_that_is_killed`].

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use ports::{Condition, Key, Lane, Partition, StreamRecord, TenantId, Write, Written};

use crate::{Embedded, EmbeddedOptions, ShardOptions};

const VARIABLE: &str = "DAYWATCH_TEST_KILLED_WRITES_TO";
const KILLS: u64 = 5;
const WRITERS: u64 = 8;

fn open(dir: &Path) -> Embedded {
    let shard = ShardOptions { segment_bytes: 20_000, ..ShardOptions::default() };
    Embedded::open(dir, &EmbeddedOptions { shard, ..EmbeddedOptions::default() }).unwrap()
}

fn items() -> Partition {
    Partition::Config(TenantId::default())
}

/// Does nothing unless the variable is set; then writes until it is killed, and says what was
/// accepted, a line each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_the_process_that_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "how the test talks to the process that it kills")]
    let Ok(dir) = std::env::var(VARIABLE) else { return };
    let (dir, life) = dir.rsplit_once(':').unwrap();
    let (ports, life) = (open(Path::new(dir)).ports(), life.parse::<u64>().unwrap());
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let ports = ports.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    let name = format!("{life}-{writer}-{n}");
                    let lane = Lane::new((writer * 5 + n % 3) as u16).unwrap();
                    let record = StreamRecord { lane, data: Bytes::from(name.clone()) };
                    if ports.stream.put(vec![record]).await.unwrap()[0].is_ok() {
                        println!("record {name}");
                    }
                    let write = Write::put(Key::new(items(), name.clone()), name.clone(), Condition::Absent);
                    if let Ok(Written::Done(_)) = ports.table.write(write).await {
                        println!("item {name}");
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Lets a process write until it has said `lines` things, kills it, and returns all it has said.
fn write_and_kill(dir: &Path, life: u64, lines: usize) -> BTreeSet<String> {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill_tests::as_the_process_that_is_killed", "--nocapture"])
        .env(VARIABLE, format!("{}:{life}", dir.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut accepted = BTreeSet::new();
    let note = |line: String, accepted: &mut BTreeSet<String>| {
        // The last line may be cut short: a name that is not whole was not said.
        if let [kind @ ("record" | "item"), name] = line.split(' ').collect::<Vec<_>>()[..] {
            accepted.insert(format!("{kind} {name}"));
        }
    };
    while accepted.len() < lines {
        note(said.next().expect("it writes until it is killed").unwrap(), &mut accepted);
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let rest: Vec<String> = said.map_while(Result::ok).collect();
    let whole = rest.len().saturating_sub(1);
    rest.into_iter().take(whole).for_each(|line| note(line, &mut accepted));
    accepted
}

#[tokio::test]
async fn what_a_killed_process_had_accepted_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut accepted = BTreeSet::new();
    for life in 0..KILLS {
        accepted.extend(write_and_kill(dir.path(), life, 100 + 37 * life as usize));
        let embedded = open(dir.path());
        let mut found = BTreeSet::new();
        for shard in 0..embedded.shards().count() {
            let consumer = embedded.shards().consumer("test", shard).await.unwrap();
            for record in consumer.next_batch(10_000, Duration::ZERO).await.unwrap() {
                let name = String::from_utf8(record.data.to_vec()).unwrap();
                assert!(found.insert(format!("record {name}")), "{name} stands twice in the log");
            }
        }
        let ports = embedded.ports();
        for item in ports.table.query_all(&items(), "", "").await.unwrap() {
            found.insert(format!("item {}", item.sort));
        }
        let lost: Vec<&String> = accepted.difference(&found).collect();
        assert!(lost.is_empty(), "life {life} lost {lost:?}");
        drop(ports);
        embedded.close().await;
    }
}
