//! `daywatch serve`: all six functions in one process over the embedded ports.
//!
//! The same handlers as on AWS; this module does what API Gateway, the event source mappings and
//! EventBridge do there.

mod downloads;
mod graphite;
mod loops;
mod metrics;
mod reads;
mod socket;
mod web;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use embedded::{Embedded, EmbeddedOptions};
use pipeline::connect::Connection;
use pipeline::decoded::{DECODED_BYTES_MAX, DecodedBatches};
use pipeline::documents::{self, Kind};
use pipeline::head::Head;
use pipeline::http::{Request, Response};
use pipeline::ingest::limits::Limits;
use pipeline::keys::{self, KeyKind};
use pipeline::wire::{AgentFrame, BrowserFrame};
use pipeline::{ConnectionId, Context, DAY_MS, Fault, Settings, TenantId, connect};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::watch;
use ws_connect::After;

use crate::commands::apply;

/// How long the end waits for what still holds the store.
const CLOSE: std::time::Duration = std::time::Duration::from_secs(5);
/// How long the end waits for requests under way: a slow client may hold one open for ever.
const FINISH: std::time::Duration = std::time::Duration::from_secs(4);
/// Raw samples are kept this long unless `--retention-days` says otherwise.
const RETENTION_DAYS: u16 = 30;

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Data folder.
    #[arg(long, env = "DAYWATCH_DATA", default_value = "./daywatch-data")]
    data: PathBuf,
    /// Address of the page, the API and the agents' websocket.
    #[arg(long, default_value = "127.0.0.1:9595")]
    listen: SocketAddr,
    /// Rule files; each replaces the stored one of its name.
    #[arg(long)]
    rules: Vec<PathBuf>,
    /// Routing file, Alertmanager's format.
    #[arg(long)]
    alertmanager: Option<PathBuf>,
    /// Address for Graphite's plaintext lines, TCP and UDP; off by default.
    #[arg(long)]
    graphite: Option<SocketAddr>,
    /// The address under which people open the page, for links in notifications.
    #[arg(long)]
    external_url: Option<String>,
    /// Days that raw samples are kept.
    #[arg(long, default_value_t = RETENTION_DAYS, value_parser = clap::value_parser!(u16).range(1..))]
    retention_days: u16,
    /// Days that rollups of five minutes are kept.
    #[arg(long, default_value_t = 396, value_parser = clap::value_parser!(u16).range(1..))]
    five_minutes_retention_days: u16,
    /// Days that rollups of an hour are kept.
    #[arg(long, default_value_t = 1_827, value_parser = clap::value_parser!(u16).range(1..))]
    hours_retention_days: u16,
    /// Folder of the agent's binaries that hosts may download, daywatch-agent-linux-x86_64 and
    /// …-aarch64 [default: where this program is]
    #[arg(long, value_name = "DIR")]
    downloads: Option<PathBuf>,
    /// Pushed series of a tenant that may be active within an hour.
    #[arg(long, env = "DAYWATCH_ACTIVE_SERIES_MAX", default_value_t = Limits::default().active_series_max)]
    active_series_max: usize,
    /// Pushed series of a tenant that may be new within a minute.
    #[arg(long, env = "DAYWATCH_NEW_SERIES_PER_MINUTE_MAX", default_value_t = Limits::default().new_series_per_minute_max)]
    new_series_per_minute_max: usize,
    /// Logs as JSON.
    #[arg(long)]
    pub(crate) log_json: bool,
}

/// The functions and what they stand on.
pub(crate) struct House {
    pub(crate) embedded: Embedded,
    pub(crate) context: Context,
    failures: loops::Failures,
    reads: reads::Reads,
    stop: watch::Sender<bool>,
}

impl House {
    fn open(data: &Path, settings: Settings) -> anyhow::Result<Self> {
        let embedded = Embedded::open(data, &EmbeddedOptions::default())?;
        // Every block goes through this process, so what was put lately may be kept in memory.
        let mut context = Context::new(embedded.ports(), settings).with_head(Head::default());
        // All its readers live here: one of them decodes a record for all.
        context.decoded = DecodedBatches::with_bytes_max(DECODED_BYTES_MAX);
        let (failures, reads) = (loops::Failures::default(), reads::Reads::default());
        Ok(Self { embedded, context, failures, reads, stop: watch::Sender::new(false) })
    }

    /// For a command while no server runs.
    pub(crate) fn offline(data: &Path) -> anyhow::Result<Self> {
        Self::open(data, settings("http://127.0.0.1:9595", RETENTION_DAYS))
    }

    /// Turns true when the process is to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// One request, to the function that it belongs to.
    pub(crate) async fn request(&self, request: &Request) -> Response {
        if request.path == "/metrics" {
            return metrics::answer(self, request).await;
        }
        let response = if ingest::serves(request) {
            ingest::handle(&self.context, request).await
        } else {
            query::handle(&self.context, request).await
        };
        if matches!(response.status, 401 | 403) {
            tracing::warn!(path = request.path, status = response.status, key_id = key_id(request), "refused");
        } else if response.status >= 500 {
            let body = String::from_utf8_lossy(&response.body).into_owned();
            tracing::error!(path = request.path, status = response.status, body, "a request failed");
        }
        response
    }

    /// A name for a websocket, as API Gateway would give it.
    pub(crate) fn new_connection_id(&self) -> ConnectionId {
        let mut bytes = [0u8; 12];
        self.context.ports.entropy.fill(&mut bytes);
        ConnectionId(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A websocket opens.
    pub(crate) async fn connect(&self, id: ConnectionId, request: &Request) -> Result<Connection, Fault> {
        ws_connect::open(&self.context, id, request).await
    }

    /// A frame came. Answers the connection as it is from now on.
    pub(crate) async fn frame(&self, connection: Connection, text: &str) -> Connection {
        let before = connection.clone();
        let result = if connection.page {
            self.page_frame(&connection, text).await.map(|()| connection)
        } else {
            self.agent_frame(connection, text).await
        };
        result.unwrap_or_else(|fault| {
            // The sender keeps what is not acknowledged and sends it again.
            tracing::error!(connection = %before.id, source = ?before.source, "a frame was not taken: {fault}");
            before
        })
    }

    async fn agent_frame(&self, connection: Connection, text: &str) -> Result<Connection, Fault> {
        let frame = match AgentFrame::from_json(text) {
            Ok(frame) => frame,
            Err(error) => {
                return Ok(self.bad_frame(connection, error.reason(), &error.to_string()).await);
            }
        };
        if let AgentFrame::Batch { .. } = frame {
            ingest::message(&self.context, &connection, &frame).await?;
            return Ok(connection);
        }
        match ws_connect::agent_frame(&self.context, connection.clone(), &frame).await? {
            After::Stays(connection) => Ok(connection),
            // It was disconnected through the push port; the socket sees that.
            After::Ends => Ok(connection),
        }
    }

    async fn page_frame(&self, connection: &Connection, text: &str) -> Result<(), Fault> {
        match BrowserFrame::from_json(text) {
            Ok(frame) => ws_connect::page_frame(&self.context, connection, frame).await,
            Err(error) => {
                pipeline::ingest::bad_frame(&self.context, connection, error.reason(), &error.to_string()).await
            }
        }
    }

    /// A frame that is none.
    pub(crate) async fn bad_frame(&self, connection: Connection, reason: &str, text: &str) -> Connection {
        if let Err(fault) = pipeline::ingest::bad_frame(&self.context, &connection, reason, text).await {
            tracing::error!(connection = %connection.id, "a bad frame was not counted: {fault}");
        }
        connection
    }

    /// A websocket has ended.
    pub(crate) async fn disconnected(&self, connection: &Connection) {
        if let Err(fault) = ws_connect::close(&self.context, connection).await {
            // The lease runs out by itself.
            tracing::error!(connection = %connection.id, "a disconnect was not noted: {fault}");
        }
    }
}

fn settings(base: &str, retention_days: u16) -> Settings {
    Settings {
        raw_retention_ms: i64::from(retention_days) * DAY_MS,
        external_url: base.to_owned(),
        websocket_url: "/ws".to_owned(),
    }
}

/// Only the key's public part may be logged.
fn key_id(request: &Request) -> String {
    let token = request.header("authorization").and_then(|header| header.split_once(' ')).map_or("", |(_, t)| t);
    keys::id_of(token).unwrap_or("none").to_owned()
}

/// Runs until Ctrl-C or SIGTERM.
pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    // Bad files are refused before anything is opened.
    let mut files = Vec::new();
    for path in args.rules.iter().chain(&args.alertmanager) {
        files.extend(apply::load(path)?);
    }
    allow_many_sockets();
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!("cannot listen on {}: is another Daywatch running? Try --listen 127.0.0.1:0", args.listen)
    })?;
    let base = format!("http://{}", listener.local_addr()?);
    let mut settings = settings(&base, args.retention_days);
    if let Some(url) = args.external_url {
        settings.external_url = url.trim_end_matches('/').to_owned();
    }
    std::fs::create_dir_all(&args.data).with_context(|| format!("cannot make {}", args.data.display()))?;
    let downloads = downloads::Downloads::new(args.downloads).context("--downloads")?;
    let mut house = House::open(&args.data, settings)?;
    let days = |days: u16| i64::from(days) * DAY_MS;
    let rollups_kept = pipeline::Retention {
        five_minutes_ms: days(args.five_minutes_retention_days),
        hour_ms: days(args.hours_retention_days),
        ..pipeline::Retention::default()
    };
    house.context = house.context.with_downloads(Arc::new(downloads)).with_rollups_kept(rollups_kept);
    let (active_series_max, new_series_per_minute_max) = (args.active_series_max, args.new_series_per_minute_max);
    house.context.limits = Limits { active_series_max, new_series_per_minute_max, ..Limits::default() };
    let house = Arc::new(house);
    first_start(&house, &args.data).await?;
    let documents: Vec<_> = files.into_iter().map(|file| (file.kind, file.name, file.text)).collect();
    fault(documents::put_all(&house.context.ports, &TenantId::default(), &documents).await)?;
    // Sockets of an earlier process cannot live.
    fault(connect::forget_all(&house.context.ports).await)?;

    let url_file = args.data.join("url");
    let loops = loops::start(&house, args.graphite).await?;
    let mut web = tokio::spawn(web::serve(listener, house.clone(), house.stopping()));
    std::fs::write(&url_file, format!("{base}\n")).with_context(|| format!("cannot write {}", url_file.display()))?;
    tracing::info!(url = base, data = %args.data.display(), "Daywatch serves");

    let code = tokio::select! {
        signal = asked_to_stop() => { signal?; ExitCode::SUCCESS }
        fault = loops.failed() => { tracing::error!("{fault}"); ExitCode::FAILURE }
        ended = &mut web => { tracing::error!("the HTTP server ended by itself: {ended:?}"); ExitCode::FAILURE }
    };
    tracing::info!("stopping");
    house.stop.send_replace(true);
    // Whatever goes wrong from here on, the stream and the store are closed.
    if let Err(error) = std::fs::remove_file(&url_file) {
        tracing::warn!("cannot remove {}: {error}", url_file.display());
    }
    if !web.is_finished() {
        match tokio::time::timeout(FINISH, &mut web).await {
            Ok(Ok(Ok(()))) => {}
            Ok(ended) => tracing::error!("the HTTP server ended badly: {ended:?}"),
            Err(_) => web.abort(),
        }
    }
    loops.stop().await;
    // Sockets and requests hold the house for a moment longer.
    let deadline = tokio::time::Instant::now() + CLOSE;
    let mut house = house;
    loop {
        match Arc::try_unwrap(house) {
            Ok(house) => {
                house.embedded.close().await;
                return Ok(code);
            }
            Err(shared) if tokio::time::Instant::now() < deadline => {
                house = shared;
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            // Everything acknowledged is on disk already.
            Err(_) => return Ok(code),
        }
    }
}

/// Each agent and each page holds an open file, and shells start programs with 1,024. Fewer than may
/// be had is no reason not to serve.
fn allow_many_sockets() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(
            "at most {} sockets and files can be open: the limit cannot be raised ({error}); try `ulimit -n`",
            current.unwrap_or_default()
        );
    }
}

/// The first start makes the admin key and stores the starter rules.
async fn first_start(house: &House, data: &Path) -> anyhow::Result<()> {
    let path = data.join("admin.key");
    if path.exists() {
        return Ok(());
    }
    let ports = &house.context.ports;
    let tenant = TenantId::default();
    let key = fault(keys::create(ports, tenant.clone(), KeyKind::Admin, "first-admin").await)?;
    let starter = [(Kind::Rules, "starter.yml".to_owned(), pipeline::alerts::STARTER_RULES.to_owned())];
    fault(documents::put_all(ports, &tenant, &starter).await)?;
    write_secret(&path, &key).with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    // All of it or nothing: half a key would lock the operator out.
    let half = path.with_extension("new");
    match std::fs::remove_file(&half) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&half, path)
}

async fn asked_to_stop() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn fault<T>(result: Result<T, Fault>) -> anyhow::Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(fault) => bail!("{fault}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_its_owners_and_whole_even_after_a_crash_on_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.key");
        std::fs::write(path.with_extension("new"), "dw_adm").unwrap();
        write_secret(&path, "dw_admin_x_y").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "dw_admin_x_y\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
