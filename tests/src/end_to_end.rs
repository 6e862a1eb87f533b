//! The main job on real input, from a host to a query, a page and a webhook.
//!
//! [`body`](body::body) runs against any address. Here it gets a `daywatch serve` of its own; with
//! `DAYWATCH_E2E_URL` and `DAYWATCH_E2E_ADMIN_KEY` it runs against that Daywatch as well, whose
//! webhooks must reach this machine's 127.0.0.1.

mod body;
mod collectors;
mod host;
mod logs;
mod senders;

use tests::{Place, Server};

/// The main job at any Daywatch.
pub(crate) async fn main_job(place: &Place) {
    body::body(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_carries_samples_checks_logs_and_pages_from_a_host_to_people() {
    let (mut server, place) = Server::started("end-to-end").await;
    body::body(&place).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the environment names the Daywatch to test")]
async fn the_same_holds_at_the_address_that_the_environment_names() {
    let Ok(url) = std::env::var("DAYWATCH_E2E_URL") else {
        eprintln!("skipped: DAYWATCH_E2E_URL names no Daywatch that is to be tested from outside");
        return;
    };
    let admin_key = std::env::var("DAYWATCH_E2E_ADMIN_KEY").expect("DAYWATCH_E2E_ADMIN_KEY goes with DAYWATCH_E2E_URL");
    let place = Place::open(&url, &admin_key, "end-to-end").await;
    body::body(&place).await;
}
