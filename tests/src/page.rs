//! A browser's websocket: opened with a ticket, because browsers cannot set headers.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use wire::{BrowserFrame, PageFrame};

use crate::place::Place;

/// A page's connection.
pub struct Page(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Page {
    /// Asks for a ticket and opens the websocket with it.
    pub async fn open(place: &Place) -> Self {
        let (status, answer) =
            place.ask(Method::POST, "/api/v1/ticket", &[], &place.read_key, "").await.expect("an answer");
        assert_eq!(status, 200, "{answer}");
        let data = &answer["data"];
        let text = |field: &str| data[field].as_str().unwrap_or_else(|| panic!("{field} in {answer}"));
        let url = format!("{}?ticket={}", text("ws_url"), text("ticket"));
        let (socket, _) = tokio_tungstenite::connect_async(url).await.expect("the ticket opens the websocket");
        Self(socket)
    }

    /// Watches series.
    pub async fn subscribe(&mut self, id: &str, selectors: &[&str]) {
        let selectors = selectors.iter().map(|text| (*text).to_owned()).collect();
        let frame = BrowserFrame::Subscribe { id: id.to_owned(), selectors };
        self.0.send(Message::text(frame.to_json())).await.expect("the connection is open");
    }

    /// The first thing that `wanted` takes out of a frame; fails with `what` after `limit`.
    pub async fn until<T>(
        &mut self,
        limit: Duration,
        what: &str,
        mut wanted: impl FnMut(&PageFrame) -> Option<T>,
    ) -> T {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let next = tokio::time::timeout_at(deadline, self.0.next()).await;
            let message = next.unwrap_or_else(|_| panic!("not within {limit:?}: {what}"));
            let message = message.expect("the connection stays open").expect("the connection stays open");
            let Message::Text(text) = message else { continue };
            let frame = PageFrame::from_json(&text).expect("a frame of ours");
            if let Some(found) = wanted(&frame) {
                return found;
            }
        }
    }

    /// Waits until anything of subscription `id` comes: from then on nothing that is new is missed. (A
    /// new subscription may miss what comes in its first second; a page reads that over HTTP.)
    pub async fn until_watching(&mut self, limit: Duration, id: &str) {
        let watching = |frame: &PageFrame| matches!(frame, PageFrame::Samples { id: of, .. } if of == id).then_some(());
        self.until(limit, &format!("the subscription {id} gets something"), watching).await;
    }

    /// The time of the first sample of value `value` that subscription `id` gets.
    pub async fn until_value(&mut self, limit: Duration, id: &str, value: &str) -> i64 {
        self.until(limit, &format!("the value {value} is on the page"), |frame| match frame {
            PageFrame::Samples { id: of, series } if of == id => {
                let mut points = series.iter().flat_map(|series| &series.points);
                points.find(|(_, shown)| shown == value).map(|(at, _)| *at)
            }
            _ => None,
        })
        .await
    }
}
