//! `daywatch keys create | list | revoke`.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use crate::Where;
use crate::door::{Door, request};

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    Agent,
    Read,
    Admin,
}

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Makes a key and prints only it.
    Create {
        /// What it may do.
        #[arg(long)]
        kind: Kind,
        /// Whose it is.
        #[arg(long)]
        tenant: Option<String>,
        /// A name for people; the source's name of data that is pushed with it.
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        place: Where,
    },
    /// Lists the keys, without their secrets.
    List {
        #[command(flatten)]
        place: Where,
    },
    /// Revokes a key and ends its connections.
    Revoke {
        /// The key's id, as `list` shows it.
        id: String,
        #[command(flatten)]
        place: Where,
    },
}

pub(crate) async fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::Create { kind, tenant, name, place } => {
            let kind = match kind {
                Kind::Agent => "agent",
                Kind::Read => "read",
                Kind::Admin => "admin",
            };
            let body = json!({ "kind": kind, "tenant": tenant, "name": name }).to_string();
            let data = Door::open(&place).await?.data(request("POST", "/api/v1/keys", &[], body)).await?;
            println!("{}", data["key"].as_str().unwrap_or_default());
        }
        KeysCommand::List { place } => {
            let data = Door::open(&place).await?.data(request("GET", "/api/v1/keys", &[], "")).await?;
            println!("{:<12} {:<6} {:<12} {:<24} STATE", "ID", "KIND", "TENANT", "NAME");
            for key in data.as_array().into_iter().flatten() {
                let text = |field: &str| key[field].as_str().unwrap_or("").to_owned();
                let state = if key["revoked_at_ms"].is_null() { "valid" } else { "revoked" };
                println!("{:<12} {:<6} {:<12} {:<24} {state}", text("id"), text("kind"), text("tenant"), text("name"));
            }
        }
        KeysCommand::Revoke { id, place } => {
            let path = format!("/api/v1/keys/{id}");
            let data = Door::open(&place).await?.data(request("DELETE", &path, &[], "")).await?;
            let was_valid = data["was_valid"].as_bool().unwrap_or(false);
            println!("{id} {}", if was_valid { "is revoked" } else { "was revoked before" });
        }
    }
    Ok(ExitCode::SUCCESS)
}
