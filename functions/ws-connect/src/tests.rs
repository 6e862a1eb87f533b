//! Who may open a websocket, and what a page's frames are answered.

use std::time::Duration;

use embedded::{Embedded, Memory, Outgoing};
use pipeline::keys::KeyKind;
use pipeline::live::{SELECTORS_MAX, SUBSCRIPTION_ID_CHARS_MAX, SUBSCRIPTIONS_PER_PAGE_MAX};
use pipeline::{DAY_MS, Settings, TenantId};

use super::*;

struct Bench {
    context: Context,
    embedded: Embedded,
}

impl Bench {
    fn new() -> Self {
        let Memory { embedded, .. } = Embedded::memory(1).unwrap();
        let settings = Settings {
            raw_retention_ms: 30 * DAY_MS,
            external_url: "http://daywatch.invalid".to_owned(),
            websocket_url: "/ws".to_owned(),
        };
        Self { context: Context::new(embedded.ports(), settings), embedded }
    }

    async fn key(&self, kind: KeyKind) -> String {
        keys::create(&self.context.ports, TenantId::default(), kind, "").await.unwrap()
    }

    async fn ticket(&self) -> String {
        let key = self.key(KeyKind::Read).await;
        let caller = keys::authenticate_text(&self.context.ports, &key).await.unwrap();
        tickets::issue(&self.context.ports, &caller).await.unwrap().0
    }

    /// Opens with an `Authorization` header, or with a ticket.
    async fn open(&self, key: &str, ticket: &str) -> Result<(Connection, Outgoing), Fault> {
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let request = Request {
            headers: if key.is_empty() { Vec::new() } else { one("authorization", &format!("Bearer {key}")) },
            parameters: if ticket.is_empty() { Vec::new() } else { one("ticket", ticket) },
            ..Request::default()
        };
        let id = ConnectionId(format!("c{}", self.embedded.connections().open()));
        let outgoing = self.embedded.connections().register(id.clone());
        open(&self.context, id, &request).await.map(|connection| (connection, outgoing))
    }

    async fn page(&self) -> (Connection, Outgoing) {
        self.open("", &self.ticket().await).await.unwrap()
    }

    /// What a page is told about a frame, if anything.
    async fn answer(&self, page: &mut (Connection, Outgoing), frame: &str) -> Option<String> {
        page_frame(&self.context, &page.0, BrowserFrame::from_json(frame).unwrap()).await.unwrap();
        tokio::time::timeout(Duration::from_millis(1), page.1.next()).await.ok().flatten()
    }
}

#[tokio::test]
async fn who_may_open_a_websocket() {
    let bench = Bench::new();
    let (agent, read) = (bench.key(KeyKind::Agent).await, bench.key(KeyKind::Read).await);
    let admin = bench.key(KeyKind::Admin).await;
    let ticket = bench.ticket().await;
    let table: [(&str, &str, Result<bool, u16>); 9] = [
        (&agent, "", Ok(false)),
        (&admin, "", Ok(false)),
        // A key that only looks is no agent's, and a key is no ticket.
        (&read, "", Err(403)),
        ("", &read, Err(401)),
        ("", "", Err(401)),
        ("dw_agent_x_y", "", Err(401)),
        ("", &ticket, Ok(true)),
        ("", &ticket, Err(401)),
        // A used ticket is not made good by a key beside it.
        (&agent, &ticket, Err(401)),
    ];
    for (number, (key, ticket, expected)) in table.into_iter().enumerate() {
        let opened = bench.open(key, ticket).await;
        assert_eq!(opened.map(|(connection, _)| connection.page).map_err(|f| f.status()), expected, "row {number}");
    }
}

#[tokio::test]
async fn subscriptions_at_their_limits_and_one_past_them() {
    let bench = Bench::new();
    let mut page = bench.page().await;
    let subscribe = |id: &str, selectors: &[&str]| {
        let selectors: Vec<String> = selectors.iter().map(|text| format!("{text:?}")).collect();
        format!(r#"{{"action":"subscribe","id":"{id}","match":[{}]}}"#, selectors.join(","))
    };
    let long = |chars: usize| "x".repeat(chars);
    let refused = [
        (subscribe("", &["up"]), "subscribe.id"),
        (subscribe("a/b", &["up"]), "subscribe.id"),
        (subscribe(&long(SUBSCRIPTION_ID_CHARS_MAX + 1), &["up"]), "subscribe.id"),
        (subscribe("1", &["up{"]), "match"),
        (subscribe("1", &["up"; SELECTORS_MAX + 1]), "at most 20 selectors"),
    ];
    for (frame, part) in refused {
        let answer = bench.answer(&mut page, &frame).await.unwrap();
        assert!(answer.contains(r#""kind":"error""#) && answer.contains(part), "{frame}: {answer}");
    }
    let longest = subscribe(&long(SUBSCRIPTION_ID_CHARS_MAX), &["up"; SELECTORS_MAX]);
    assert_eq!(bench.answer(&mut page, &longest).await, None);
    for n in 1..SUBSCRIPTIONS_PER_PAGE_MAX {
        assert_eq!(bench.answer(&mut page, &subscribe(&n.to_string(), &["up"])).await, None, "{n}");
    }
    let past = bench.answer(&mut page, &subscribe("past", &["up"])).await.unwrap();
    assert!(past.contains("at most 20 subscriptions"), "{past}");
    // The same id replaces, and one that ends makes room.
    assert_eq!(bench.answer(&mut page, &subscribe("1", &["load"])).await, None);
    assert_eq!(bench.answer(&mut page, r#"{"action":"unsubscribe","id":"1"}"#).await, None);
    assert_eq!(bench.answer(&mut page, &subscribe("past", &["up"])).await, None);
    // Frames of later versions are no errors.
    assert_eq!(bench.answer(&mut page, r#"{"action":"dance"}"#).await, None);
    // Nothing of a page is left when it has gone.
    close(&bench.context, &page.0).await.unwrap();
    assert!(live::subscriptions(&bench.context.ports, &TenantId::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_agent_that_speaks_another_version_is_told_which_of_the_two_is_older() {
    for (version, older) in [(0, "the agent is the older one"), (2, "the server is the older one")] {
        let bench = Bench::new();
        let key = bench.key(KeyKind::Agent).await;
        let (connection, mut outgoing) = bench.open(&key, "").await.unwrap();
        let hello = format!(
            "{{\"action\":\"hello\",\"version\":{version},\"source\":\"web-1\",\"epoch\":\"0000000000000001\",\
             \"run_id\":\"r\",\"agent_version\":\"9.9.9\"}}"
        );
        let frame = AgentFrame::from_json(&hello).unwrap();
        assert!(matches!(agent_frame(&bench.context, connection, &frame).await.unwrap(), After::Ends));
        let told = outgoing.next().await.unwrap();
        for part in ["\"bye\"", "\"version\"", "9.9.9", older] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
    }
}
