//! Debian's Prometheus sends to a `daywatch serve` for as long as it is told, then both are asked the
//! same: `cargo run -p tests --example same_answers -- SECONDS`.

use std::process::ExitCode;

use tests::{Server, prometheus};

/// Without an argument.
const SECONDS: u64 = 180;

#[tokio::main]
async fn main() -> ExitCode {
    let seconds = match std::env::args().nth(1).map(|text| text.parse()) {
        None => SECONDS,
        Some(Ok(seconds)) => seconds,
        Some(Err(error)) => {
            eprintln!("usage: same_answers [SECONDS]: {error}");
            return ExitCode::from(2);
        }
    };
    let (_server, place) = Server::started("prometheus").await;
    let mut neighbour = match prometheus::sending_to(&place) {
        Ok(neighbour) => neighbour,
        Err(why) => {
            println!("skipped: {why}");
            return ExitCode::SUCCESS;
        }
    };
    neighbour.scraped(seconds).await;
    let compared = neighbour.compare(&place).await;
    let samples = place.number("sum(scrape_samples_scraped)").await.unwrap_or_default();
    println!("{seconds} s of {samples} samples a second by remote_write, {} queries", prometheus::QUERIES.len());
    println!("{} answers are the same to the last digit", compared.exact);
    println!("{} answers are the same but for rounding", compared.rounded);
    println!("{} answers differ", compared.different.len());
    compared.different.iter().for_each(|one| println!("  {one}"));
    if compared.different.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
