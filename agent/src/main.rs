//! `daywatch-agent`: reads the command line, the environment and the configuration, and runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use daywatch_agent::config::{self, Config, KeySource, Overrides};
use daywatch_agent::surroundings::Surroundings;
use daywatch_agent::{connect, inputs, run, status};
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

/// Where the configuration is looked for when nothing is said.
const CONFIG_DEFAULT: &str = "/etc/daywatch/agent.toml";
/// The status of `connect` where the server does not take this agent as it is.
const REFUSED: u8 = 3;
/// Threads for work that blocks: file system calls that may hang.
const BLOCKING_THREADS_MAX: usize = 4;
/// How long such a thread waits for more of it: longer than from one collection to the next, and
/// shorter than two of them, so that a second thread is not kept by taking turns.
const THREAD_KEPT: Duration = Duration::from_secs(15);
/// Bytes of their stacks.
const STACK_BYTES: usize = 512 << 10;

/// Watches this host for Daywatch.
#[derive(Parser)]
#[command(name = "daywatch-agent", version)]
struct Arguments {
    /// The configuration [default: /etc/daywatch/agent.toml]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The server's HTTP URL, instead of the configuration's
    #[arg(long, env = "DAYWATCH_URL", global = true)]
    url: Option<String>,
    /// The file that holds the key, instead of the configuration's
    #[arg(long, value_name = "FILE", global = true)]
    key_file: Option<PathBuf>,
    /// The folder of the buffer and the checkpoints, instead of the configuration's
    #[arg(long, value_name = "DIR", env = "DAYWATCH_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Read the configuration, say what is wrong with it, and end
    #[arg(long)]
    check_config: bool,
    /// Print one collection in Prometheus's text format, and end
    #[arg(long)]
    once: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Print the ledger of the agent, running or not
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Send one collection, wait until the server has stored it, and end; status 3 where it refuses
    Connect,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // `connect` says itself what went wrong.
    let quiet = matches!(arguments.command, Some(Command::Connect));
    start_log(if quiet { LevelFilter::OFF } else { LevelFilter::INFO });
    match carry_out(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.downcast_ref::<connect::NotConnected>().is_some_and(|why| why.refused) => {
            eprintln!("daywatch-agent: {error:#}");
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            eprintln!("daywatch-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "main reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn start_log(usual: LevelFilter) {
    let level = environment("DAYWATCH_LOG").and_then(|text| text.parse().ok()).unwrap_or(usual);
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).init();
}

fn carry_out(arguments: &Arguments) -> anyhow::Result<()> {
    let (path, text) = read_config(arguments)?;
    if let Some(Command::Status { json }) = arguments.command {
        let data_dir = config::data_dir(&path, &text, arguments.data_dir.clone())?;
        let found = status::look(&data_dir).with_context(|| format!("the data folder {}", data_dir.display()))?;
        let shown = if json { serde_json::to_string_pretty(&found)? + "\n" } else { found.text() };
        return print(&shown);
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let config = Config::parse(&path, &text, overrides(arguments, &host))?;
    let faults = inputs::faults(&config);
    if arguments.check_config {
        return tell_of_faults(&path, &faults);
    }
    for fault in faults {
        tracing::error!(%fault, "a part of the configuration cannot work and is left out");
    }
    warn_of_open_key(&config.key);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_stack_size(STACK_BYTES)
        .thread_keep_alive(THREAD_KEPT)
        .build()?;
    let surroundings = Surroundings::real();
    if arguments.once {
        return print(&runtime.block_on(run::collect_once(&config, surroundings)));
    }
    if let Some(Command::Connect) = arguments.command {
        let told = runtime.block_on(connect::connect(&config, host, surroundings));
        runtime.shutdown_background();
        return print(&(told? + "\n"));
    }
    let outcome = runtime.block_on(async {
        let ended = end_asked_for()?;
        run::run(config, host, surroundings, ended).await
    });
    // A file system call that hangs must not hold the end up.
    runtime.shutdown_background();
    outcome
}

/// What `--check-config` says of a configuration that could be read.
fn tell_of_faults(path: &Path, faults: &[String]) -> anyhow::Result<()> {
    if faults.is_empty() {
        return print(&format!("{} is fine\n", path.display()));
    }
    for fault in faults {
        eprintln!("{}: {fault}", path.display());
    }
    anyhow::bail!("{} faults in {}", faults.len(), path.display())
}

fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn read_config(arguments: &Arguments) -> anyhow::Result<(PathBuf, String)> {
    let default = Path::new(CONFIG_DEFAULT);
    let path = arguments.config.as_deref().unwrap_or(default);
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((path.to_owned(), text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && arguments.config.is_none() => {
            Ok((path.to_owned(), String::new()))
        }
        Err(error) => Err(error).with_context(|| format!("the configuration {} cannot be read", path.display())),
    }
}

fn overrides(arguments: &Arguments, host: &str) -> Overrides {
    Overrides {
        url: arguments.url.clone(),
        key_file: arguments.key_file.clone(),
        key: environment("DAYWATCH_KEY"),
        data_dir: arguments.data_dir.clone(),
        // Both spellings are in use; the lower case is the older one.
        https_proxy: environment("https_proxy").or_else(|| environment("HTTPS_PROXY")),
        http_proxy: environment("http_proxy").or_else(|| environment("HTTP_PROXY")),
        no_proxy: environment("no_proxy").or_else(|| environment("NO_PROXY")),
        host_name: host.to_owned(),
    }
}

/// A key that everybody on the host can read is worth a word. That the agent's own group may read it
/// is how it is installed.
fn warn_of_open_key(key: &KeySource) {
    use std::os::unix::fs::PermissionsExt;
    if let KeySource::File(path) = key
        && let Ok(metadata) = std::fs::metadata(path)
        && metadata.permissions().mode() & 0o037 != 0
    {
        tracing::warn!(path = %path.display(), "the key file can be read by others; chmod 640 it");
    }
}

fn end_asked_for() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
