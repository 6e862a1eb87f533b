//! The contract suite against the emulator, one emulator a port. What the emulator gets wrong is
//! tried with scripted answers next to each port.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::types::ShardIteratorType;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use ports::contract;
use ports::contract::push::PushHarness;
use ports::contract::stream::StreamHarness;
use ports::contract::timer::TimerHarness;
use ports::{
    Clock, Condition, ConnectionId, Delivered, Destination, Key, Message, Partition, Push, Stream, Timer, Timestamp,
    Wake, Write, Written,
};
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::connect::{Adapter, adapter};
use crate::emulator::Emulator;
use crate::{Config, Received, SystemClock};

fn adapter_of(emulator: &Emulator, clock: Arc<dyn Clock>) -> Adapter {
    adapter(&emulator.sdk, &emulator.stack.config().unwrap(), clock)
}

fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

/// DynamoDB counts a transaction's items, 4 MB of them; the emulator counts the request's JSON, in
/// which binary values are a third longer.
const EMULATORS_TRANSACTION_BYTES: usize = 2_900_000;

#[tokio::test]
async fn the_table_keeps_its_contract() {
    let Some(emulator) = Emulator::start("the_table_keeps_its_contract").await else { return };
    let clock = system_clock();
    let table = adapter_of(&emulator, Arc::clone(&clock)).ports.table;
    contract::table::run_where_all_takes(EMULATORS_TRANSACTION_BYTES, &*table, "t", clock.now()).await;
    let expected = contract::table::write_what_must_last(&*table, "last").await;
    let again = adapter_of(&emulator, clock).ports.table;
    contract::table::find_what_must_last(&*again, "last", &expected).await;
    spread_partitions_are_listed_in_order(&*again).await;
}

/// The suite lists no partition that is spread.
async fn spread_partitions_are_listed_in_order(table: &dyn ports::Table) {
    let mut sorts: Vec<String> = (0..300).map(|n| format!("c{n:03}")).collect();
    sorts.push(String::new());
    for sort in &sorts {
        let write = Write::put(Key::new(Partition::Connections, sort), sort.clone(), Condition::Absent);
        assert!(matches!(table.write(write).await.unwrap(), Written::Done(_)));
    }
    sorts.sort();
    let list = async |from: &str, to: &str| {
        let items = table.query_all(&Partition::Connections, from, to).await.unwrap();
        items.into_iter().map(|item| item.sort).collect::<Vec<_>>()
    };
    assert_eq!(list("", "").await, sorts);
    assert_eq!(list("c010", "c020").await, sorts[11..21]);
    let page = table.query(&Partition::Connections, "c", "", Some("c297")).await.unwrap();
    let found: Vec<String> = page.items.into_iter().map(|item| item.sort).collect();
    assert_eq!(found, ["c298", "c299"]);
}

#[tokio::test]
async fn blobs_keep_their_contract() {
    let Some(emulator) = Emulator::start("blobs_keep_their_contract").await else { return };
    let blobs = adapter_of(&emulator, system_clock()).ports.blobs;
    contract::blobs::run(&*blobs, "b").await;
    contract::blobs::write_what_must_last(&*blobs, "last").await;
    let again = adapter_of(&emulator, system_clock());
    contract::blobs::find_what_must_last(&*again.ports.blobs, "last").await;
    // More names than a page of S3 has.
    for n in 0..1_010 {
        again.ports.blobs.put(&format!("many/{n:04}"), Bytes::from_static(b"x")).await.unwrap();
    }
    let listed = again.ports.blobs.list("many/").await.unwrap();
    assert!(listed.len() == 1_010 && listed.is_sorted(), "{} names", listed.len());
    let link = again.ports.blobs.link("last/last/kept", 60_000).await.unwrap().unwrap();
    assert!(link.contains("X-Amz-Expires=60"), "{link}");
    let same = again.bucket(&emulator.stack.outputs["BlobsBucket"]);
    assert_eq!(same.get("last/last/kept").await.unwrap(), Some(Bytes::from_static(b"kept")));
}

/// Kinesis, read as a mapping reads it.
struct Shards<'a> {
    emulator: &'a Emulator,
    ports: ports::Ports,
    client: aws_sdk_kinesis::Client,
    names: Vec<String>,
    /// The last record that is done, by shard.
    checkpoints: BTreeMap<u32, String>,
}

impl<'a> Shards<'a> {
    async fn new(emulator: &'a Emulator) -> Self {
        let client = aws_sdk_kinesis::Client::new(&emulator.sdk);
        let stream = &emulator.stack.outputs["StreamName"];
        let shards = client.list_shards().stream_name(stream).send().await.unwrap();
        let names = shards.shards().iter().map(|shard| shard.shard_id().to_owned()).collect();
        let ports = adapter_of(emulator, system_clock()).ports;
        Self { emulator, ports, client, names, checkpoints: BTreeMap::new() }
    }
}

#[async_trait]
impl StreamHarness for Shards<'_> {
    fn stream(&self) -> Arc<dyn Stream> {
        Arc::clone(&self.ports.stream)
    }

    fn shards(&self) -> u32 {
        self.names.len() as u32
    }

    async fn deliver(&mut self, shard: u32, max: usize) -> Vec<Delivered> {
        let name = &self.names[shard as usize];
        let request = self.client.get_shard_iterator().stream_name(&self.emulator.stack.outputs["StreamName"]);
        let request = match self.checkpoints.get(&shard) {
            Some(sequence) => {
                let after = request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber);
                after.starting_sequence_number(sequence)
            }
            None => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        };
        let iterator = request.shard_id(name).send().await.unwrap().shard_iterator;
        let request = self.client.get_records().set_shard_iterator(iterator).limit(max as i32);
        let records = request.send().await.unwrap().records;
        let delivered = records.into_iter().map(|record| Delivered {
            shard: name.clone(),
            sequence: record.sequence_number,
            arrived_at: record.approximate_arrival_timestamp.map_or(Timestamp(0), |at| Timestamp(at.secs() * 1_000)),
            data: Bytes::from(record.data.into_inner()),
        });
        delivered.collect()
    }

    async fn commit(&mut self, shard: u32, sequence: &str) {
        self.checkpoints.insert(shard, sequence.to_owned());
    }

    async fn reopen(&mut self) {
        self.ports = adapter_of(self.emulator, system_clock()).ports;
    }
}

#[tokio::test]
async fn the_stream_keeps_its_contract() {
    let Some(emulator) = Emulator::start("the_stream_keeps_its_contract").await else { return };
    contract::stream::run(&mut Shards::new(&emulator).await).await;
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Websockets at the emulator's gateway.
struct Sockets<'a> {
    emulator: &'a Emulator,
    push: Arc<dyn Push>,
    open: BTreeMap<ConnectionId, Socket>,
}

/// The next text; `None` where the socket is closed.
async fn next_text(socket: &mut Socket) -> Option<String> {
    loop {
        match tokio::time::timeout(Duration::from_secs(30), socket.next()).await.expect("a frame in time") {
            Some(Ok(Frame::Text(text))) => return Some(text.to_string()),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
            _ => return None,
        }
    }
}

#[async_trait]
impl PushHarness for Sockets<'_> {
    fn push(&self) -> Arc<dyn Push> {
        Arc::clone(&self.push)
    }

    async fn connect(&mut self) -> ConnectionId {
        let url = self.emulator.stack.outputs["WebsocketUrl"].as_str();
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        socket.send(Frame::text(r#"{"action":"who"}"#)).await.unwrap();
        let id = ConnectionId(next_text(&mut socket).await.unwrap());
        self.open.insert(id.clone(), socket);
        id
    }

    async fn receive(&mut self, connection: &ConnectionId) -> Option<String> {
        next_text(self.open.get_mut(connection)?).await
    }

    async fn leave(&mut self, connection: &ConnectionId) {
        drop(self.open.remove(connection));
        // The gateway notices a moment later that the other end has gone.
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.push.post(connection, "?".to_owned()).await.unwrap() != ports::Pushed::Gone {
            assert!(Instant::now() < deadline, "the gateway has not noticed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn push_keeps_its_contract() {
    let Some(emulator) = Emulator::start("push_keeps_its_contract").await else { return };
    let push = adapter_of(&emulator, system_clock()).ports.push;
    contract::push::run(&mut Sockets { emulator: &emulator, push, open: BTreeMap::new() }).await;
}

/// A clock that the suite sets.
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// SQS, received as a mapping receives it. The queue's delays run in real time, the port's clock is
/// set by the suite: a wake-up that is due by that clock is waited for.
struct Queue<'a> {
    emulator: &'a Emulator,
    clock: Arc<SetClock>,
    adapter: Adapter,
    sqs: aws_sdk_sqs::Client,
    asked_at: Instant,
    started: Timestamp,
    receipts: HashSet<String>,
}

impl<'a> Queue<'a> {
    fn new(emulator: &'a Emulator, started: Timestamp) -> Self {
        let clock = Arc::new(SetClock(AtomicI64::new(started.ms())));
        let adapter = adapter_of(emulator, Arc::clone(&clock) as Arc<dyn Clock>);
        let sqs = aws_sdk_sqs::Client::new(&emulator.sdk);
        Self { emulator, clock, adapter, sqs, asked_at: Instant::now(), started, receipts: HashSet::new() }
    }

    fn url(&self) -> &str {
        &self.emulator.stack.outputs["TimerQueueUrl"]
    }

    /// Until no delay ends any more before `now`.
    async fn delays_have_passed(&self, now: Timestamp) {
        use aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessagesDelayed as Delayed;
        let ms = u64::try_from(now.ms() - self.started.ms()).unwrap();
        let end = self.asked_at + Duration::from_millis(ms + 200);
        while Instant::now() < end {
            let request = self.sqs.get_queue_attributes().queue_url(self.url()).attribute_names(Delayed);
            let answer = request.send().await.unwrap();
            if answer.attributes().and_then(|attributes| attributes.get(&Delayed)).is_some_and(|count| count == "0") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[async_trait]
impl TimerHarness for Queue<'_> {
    fn timer(&self) -> Arc<dyn Timer> {
        Arc::clone(&self.adapter.ports.timer)
    }

    async fn due(&mut self, now: Timestamp) -> Vec<Wake> {
        self.delays_have_passed(now).await;
        self.receipts.clear();
        let mut found = Vec::new();
        loop {
            // Hidden until all have been seen, then there again.
            let request = self.sqs.receive_message().queue_url(self.url()).max_number_of_messages(10);
            let answer = request.visibility_timeout(30).send().await.unwrap();
            if answer.messages().is_empty() {
                break;
            }
            found.extend(answer.messages.unwrap_or_default());
        }
        self.clock.0.store(now.ms(), Ordering::SeqCst);
        let mut due = Vec::new();
        for message in found {
            let receipt = message.receipt_handle().unwrap();
            let wake: Wake = serde_json::from_str(message.body().unwrap()).unwrap();
            if wake.at <= now {
                let received = self.adapter.timers.received(message.body().unwrap()).await.unwrap();
                assert_eq!(received, Received::Due(wake.clone()));
                due.push(wake);
                self.receipts.insert(receipt.to_owned());
            }
            let again = self.sqs.change_message_visibility().queue_url(self.url()).receipt_handle(receipt);
            again.visibility_timeout(0).send().await.unwrap();
        }
        due.sort();
        self.clock.0.store(self.started.ms(), Ordering::SeqCst);
        self.asked_at = Instant::now();
        due
    }

    async fn handle(&mut self) {
        for receipt in std::mem::take(&mut self.receipts) {
            self.sqs.delete_message().queue_url(self.url()).receipt_handle(receipt).send().await.unwrap();
        }
    }

    async fn reopen(&mut self) {
        self.adapter = adapter_of(self.emulator, Arc::clone(&self.clock) as Arc<dyn Clock>);
    }
}

#[tokio::test]
async fn the_timer_keeps_its_contract() {
    let Some(emulator) = Emulator::start("the_timer_keeps_its_contract").await else { return };
    let now = system_clock().now();
    contract::timer::run(&mut Queue::new(&emulator, now), now).await;
}

#[tokio::test]
async fn topics_take_messages_and_name_their_subscribers() {
    let Some(emulator) = Emulator::start("topics_take_messages_and_name_their_subscribers").await else { return };
    let topic = adapter_of(&emulator, system_clock()).ports.topic;
    assert!(topic.has_topics());
    assert_eq!(topic.subscribers().await.unwrap(), []);
    let sns = aws_sdk_sns::Client::new(&emulator.sdk);
    let sqs = aws_sdk_sqs::Client::new(&emulator.sdk);
    let pager = &emulator.stack.outputs["PagerTopicArn"];
    let queue = sqs.create_queue().queue_name("listener").send().await.unwrap().queue_url.unwrap();
    let subscribe = async |protocol: &str, endpoint: &str| {
        sns.subscribe().topic_arn(pager).protocol(protocol).endpoint(endpoint).send().await.unwrap();
    };
    subscribe("sqs", "arn:aws:sqs:eu-central-1:000000000000:listener").await;
    subscribe("email", "someone@example.com").await;
    let message = Message {
        destination: Destination::Pager,
        subject: "ALARM: DiskFull web-1".to_owned(),
        attributes: vec![("severity".to_owned(), "page".to_owned()), ("env".to_owned(), String::new())],
        default: r#"{"version":"4","alerts":[]}"#.to_owned(),
        email: "The disk of web-1 is full.".to_owned(),
        sms: "DiskFull web-1".to_owned(),
    };
    let delivery = topic.publish(&message).await.unwrap();
    assert!(delivery.delivered && delivery.answer.starts_with("accepted by SNS as "), "{delivery:?}");
    let received = sqs.receive_message().queue_url(queue).wait_time_seconds(5).send().await.unwrap();
    let body: serde_json::Value = serde_json::from_str(received.messages()[0].body().unwrap()).unwrap();
    assert_eq!(body["Message"], message.default, "other protocols get the default form");
    assert_eq!(body["Subject"], message.subject);
    assert_eq!(body["MessageAttributes"]["severity"]["Value"], "page");
    let mut subscribers = topic.subscribers().await.unwrap();
    subscribers.sort_by(|a, b| a.protocol.cmp(&b.protocol));
    let told: Vec<_> = subscribers.iter().map(|one| (one.protocol.as_str(), one.endpoint.as_str())).collect();
    assert_eq!(told, [("email", "s…@example.com"), ("sqs", "listener")]);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let Some(emulator) = Emulator::start("what_is_not_there_is_named").await else { return };
    let there = emulator.stack.config().unwrap();
    let wrong = |name: &str| Some(name.to_owned());
    let config = Config {
        table: wrong("no-such-table"),
        stream: wrong("no-such-stream"),
        blobs_bucket: wrong("no-such-bucket"),
        timer_queue_url: there.timer_queue_url.as_ref().map(|url| format!("{url}-not")),
        pager_topic_arn: there.pager_topic_arn.as_ref().map(|arn| format!("{arn}-not")),
        ..there
    };
    let ports = adapter(&emulator.sdk, &config, system_clock()).ports;
    let mut said = Vec::new();
    said.push(ports.table.get(&Key::new(Partition::Keys, "x")).await.unwrap_err());
    said.push(ports.blobs.put("x", Bytes::new()).await.unwrap_err());
    let record = ports::StreamRecord { lane: ports::Lane::new(1).unwrap(), data: Bytes::from_static(b"x") };
    said.push(ports.stream.put(vec![record]).await.unwrap().remove(0).unwrap_err());
    for error in said {
        assert!(error.is_transient() && error.what.contains("it does not exist in this region"), "{error}");
    }
    let client = aws_sdk_cloudformation::Client::new(&emulator.sdk);
    let error = crate::stack::describe(&client, "nobody", "eu-central-1".to_owned()).await.unwrap_err();
    assert!(error.what.contains("there is no stack nobody in eu-central-1"), "{error}");
}
