//! `daywatch notify test`: one test notification on the real way out, each delivery's answer.

use std::process::ExitCode;

use clap::Subcommand;

use crate::Where;
use crate::door::{Door, request};

#[derive(Subcommand)]
pub(crate) enum NotifyCommand {
    /// Sends a test notification; exit 1 unless every receiver takes it.
    Test {
        /// Only this receiver.
        #[arg(long)]
        receiver: Option<String>,
        #[command(flatten)]
        place: Where,
    },
}

pub(crate) async fn run(command: NotifyCommand) -> anyhow::Result<ExitCode> {
    let NotifyCommand::Test { receiver, place } = command;
    let parameters: Vec<(&str, &str)> = receiver.as_deref().map(|name| ("receiver", name)).into_iter().collect();
    let data = Door::open(&place).await?.data(request("POST", "/api/v1/notify/test", &parameters, "")).await?;
    let deliveries = data.as_array().cloned().unwrap_or_default();
    let mut all_taken = !deliveries.is_empty();
    if deliveries.is_empty() {
        println!("no receiver is configured: nobody will be woken");
    }
    for delivery in deliveries {
        let taken = delivery["delivered"].as_bool().unwrap_or(false);
        all_taken &= taken;
        println!(
            "{} {}: {}",
            if taken { "delivered" } else { "FAILED   " },
            delivery["to"].as_str().unwrap_or(""),
            delivery["answer"].as_str().unwrap_or("")
        );
    }
    Ok(if all_taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
