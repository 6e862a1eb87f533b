//! `daywatch`: the operator's binary. Reads the command line, the environment and the clock, and
//! chooses the adapters; everything else is behind it.

mod commands;
mod door;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Monitoring that lets a small team sleep at night.
#[derive(Parser)]
#[command(name = "daywatch", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs all of Daywatch in this process.
    Serve(serve::ServeArgs),
    /// Makes, lists and revokes API keys.
    Keys {
        #[command(subcommand)]
        command: commands::keys::KeysCommand,
    },
    /// Stores rule and routing files; all or none.
    Apply(commands::apply::ApplyArgs),
    /// Works on rule files without a server.
    Rules {
        #[command(subcommand)]
        command: commands::rules::RulesCommand,
    },
    /// Evaluates a PromQL expression.
    Query(commands::query::QueryArgs),
    /// Sends notifications.
    Notify {
        #[command(subcommand)]
        command: commands::notify::NotifyCommand,
    },
    /// What a month on AWS costs, by part.
    Cost(commands::cost::CostArgs),
    /// Many agents with the real protocol, for a while; prints JSON.
    Load(commands::load::LoadArgs),
    /// A stack on AWS: its outputs, a new admin key.
    Stack {
        #[command(subcommand)]
        command: commands::stack::StackCommand,
    },
    /// Trips and clears the demo alert and prints each step with its time.
    Trip(commands::trip::TripArgs),
}

/// Where the Daywatch is that a command talks to.
#[derive(Args, Debug, Clone)]
struct Where {
    /// Data folder of a `daywatch serve` on this machine.
    #[arg(long, env = "DAYWATCH_DATA", default_value = "./daywatch-data")]
    data: PathBuf,
    /// Address of a Daywatch; with --key-file.
    #[arg(long, env = "DAYWATCH_URL", requires = "key_file")]
    url: Option<String>,
    /// File that holds the key.
    #[arg(long, env = "DAYWATCH_KEY_FILE")]
    key_file: Option<PathBuf>,
    /// Name of a stack on AWS, found with your AWS credentials.
    #[arg(long, env = "DAYWATCH_STACK", conflicts_with_all = ["url", "key_file"])]
    stack: Option<String>,
    /// Where the stack lies; by default where AWS_REGION or the profile says.
    #[arg(long, requires = "stack")]
    region: Option<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = matches!(&cli.command, Command::Serve(args) if args.log_json);
    start_log(json);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("daywatch: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("daywatch: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Keys { command } => commands::keys::run(command).await,
        Command::Apply(args) => commands::apply::run(args).await,
        Command::Rules { command } => commands::rules::run(command),
        Command::Query(args) => commands::query::run(args).await,
        Command::Notify { command } => commands::notify::run(command).await,
        Command::Cost(args) => commands::cost::run(&args),
        Command::Load(args) => commands::load::run(args).await,
        Command::Stack { command } => commands::stack::run(command).await,
        Command::Trip(args) => commands::trip::run(args).await,
    }
}

fn start_log(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DAYWATCH_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if json {
        builder.json().init();
    } else {
        builder.init();
    }
}
