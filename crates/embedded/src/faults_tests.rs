//! Tests of `faults.rs`.

use ports::contract::table::{get_each, write_each};
use ports::{Condition, Lane, TenantId, contract};

use super::*;
use crate::Embedded;

const ALWAYS: u16 = 1_000;

fn rates(change: impl Fn(&mut FaultRates)) -> FaultRates {
    let mut rates = FaultRates::default();
    change(&mut rates);
    rates
}

fn key(sort: &str) -> Key {
    Key::new(Partition::Config(TenantId::default()), sort)
}

fn put(sort: &str) -> Write {
    Write::put(key(sort), "x", Condition::Absent)
}

#[tokio::test]
async fn without_faults_nothing_changes() {
    let memory = Embedded::memory(1).unwrap();
    let ports = memory.embedded.ports();
    let faults = Faults::none();
    let table = Faulty::new(ports.table, Arc::clone(&faults));
    contract::table::run(&table, "faulty", memory.clock_now()).await;
    contract::blobs::run(&Faulty::new(ports.blobs, Arc::clone(&faults)), "faulty").await;
    assert_eq!(faults.injected(), 0);
}

#[tokio::test]
async fn what_is_down_fails_and_comes_back() {
    let memory = Embedded::memory(1).unwrap();
    let faults = Faults::none();
    let ports = faulty_ports(&memory.embedded.ports(), &faults);
    faults.set_down(true);
    assert!(ports.blobs.put("a", Bytes::new()).await.is_err_and(|error| error.is_transient()));
    assert!(ports.blobs.get("a").await.is_err());
    assert!(ports.table.get(&key("a")).await.is_err());
    assert!(ports.stream.put(vec![]).await.is_err());
    faults.set_down(false);
    assert_eq!(ports.blobs.get("a").await, Ok(None), "what failed was not done");
    assert_eq!(faults.injected(), 4);
}

#[tokio::test]
async fn a_lost_answer_was_done_all_the_same() {
    let memory = Embedded::memory(1).unwrap();
    let faults = Faults::new(1, rates(|rates| rates.ambiguous = ALWAYS));
    let table = Faulty::new(memory.embedded.ports().table, Arc::clone(&faults));
    assert!(table.write(put("a")).await.is_err_and(|error| error.is_transient()));
    faults.set_rates(FaultRates::default());
    let again = table.write(put("a")).await.unwrap();
    assert!(matches!(again, Written::ConditionFailed(Some(item)) if item.value == "x"), "it is already mine");
}

#[tokio::test]
async fn a_put_is_refused_in_part_and_the_rest_is_there() {
    let memory = Embedded::memory(1).unwrap();
    let faults = Faults::new(3, rates(|rates| rates.refused_record = 500));
    let stream = Faulty::new(memory.embedded.ports().stream, faults);
    let lane = Lane::new(0).unwrap();
    let records: Vec<StreamRecord> = (0..20u8).map(|n| StreamRecord { lane, data: vec![n].into() }).collect();
    let answers = stream.put(records.clone()).await.unwrap();
    let accepted: Vec<Bytes> = records
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer.is_ok())
        .map(|(record, _)| record.data.clone())
        .collect();
    assert!(!accepted.is_empty() && accepted.len() < 20, "{} of 20", accepted.len());
    let consumer = memory.embedded.shards().consumer("c", 0).await.unwrap();
    let found = consumer.next_batch(100, std::time::Duration::ZERO).await.unwrap();
    assert_eq!(found.into_iter().map(|record| record.data).collect::<Vec<_>>(), accepted);
}

#[tokio::test]
async fn unprocessed_items_come_with_patience() {
    let memory = Embedded::memory(1).unwrap();
    let faults = Faults::new(4, rates(|rates| rates.unprocessed = 500));
    let table = Faulty::new(memory.embedded.ports().table, Arc::clone(&faults));
    let writes = (0..50).map(|n| Write::put(key(&n.to_string()), "x", Condition::Always));
    write_each(&table, writes.collect()).await;
    let found = get_each(&table, (0..50).map(|n| key(&n.to_string())).collect()).await;
    assert_eq!(found.len(), 50);
    let port: &dyn Table = &table;
    let all = port.query_all(&Partition::Config(TenantId::default()), "", "").await.unwrap();
    assert_eq!(all.len(), 50, "pages that end early");
    assert!(faults.injected() > 0);
}

#[tokio::test]
async fn connections_go_and_are_throttled() {
    let memory = Embedded::memory(1).unwrap();
    let id = ConnectionId("c".to_owned());
    let _outgoing = memory.embedded.connections().register(id.clone());
    let faults = Faults::new(5, rates(|rates| rates.gone = ALWAYS));
    let push = Faulty::new(memory.embedded.ports().push, Arc::clone(&faults));
    assert_eq!(push.post(&id, String::new()).await, Ok(Pushed::Gone));
    faults.set_rates(rates(|rates| rates.throttled = ALWAYS));
    assert_eq!(push.post(&id, String::new()).await, Ok(Pushed::Throttled));
    faults.set_rates(FaultRates::default());
    assert_eq!(push.post(&id, String::new()).await, Ok(Pushed::Sent));
}

#[tokio::test]
async fn a_seed_decides() {
    let outcome = |seed| async move {
        let memory = Embedded::memory(1).unwrap();
        let table = Faulty::new(memory.embedded.ports().table, Faults::new(seed, rates(|rates| rates.transient = 300)));
        let mut failed = Vec::new();
        for n in 0..50 {
            failed.push(table.write(put(&n.to_string())).await.is_err());
        }
        failed
    };
    assert_eq!(outcome(1).await, outcome(1).await);
    assert_ne!(outcome(1).await, outcome(2).await);
}
