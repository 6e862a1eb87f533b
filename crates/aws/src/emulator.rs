//! The emulator of AWS, one for each test that wants it: on a free port, in memory, ended with the
//! test. Where its Python environment is not there, tests say that they were skipped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::{Credentials, Region};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::connect::loader;
use crate::http::LazyClient;
use crate::stack::{Stack, describe};

const REGION: &str = "eu-central-1";
/// It is ready in 0.6 s on an idle machine.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// All that the ports need, and a function that tells a websocket its connection's id.
const TEMPLATE: &str = include_str!("emulator_template.yaml");

/// A running emulator with a stack.
pub(crate) struct Emulator {
    process: Child,
    /// Its temporary files.
    dir: PathBuf,
    pub(crate) sdk: SdkConfig,
    pub(crate) stack: Stack,
}

impl Emulator {
    /// `None`, and a word about it, where it is not installed.
    pub(crate) async fn start(test: &str) -> Option<Self> {
        let Some(python) = python() else {
            eprintln!("skipped: {test}: there is no emulator; scripts/cloud-tools.sh installs it");
            return None;
        };
        let port = free_port().await;
        let dir = std::env::temp_dir().join(format!("daywatch-aws-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let process = spawn(&python, port, &dir);
        let endpoint = format!("http://127.0.0.1:{port}");
        let sdk = loader(SharedHttpClient::new(LazyClient::default()))
            .region(Region::new(REGION))
            .endpoint_url(&endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .load()
            .await;
        let stack = Stack { name: String::new(), region: String::new(), outputs: Default::default() };
        let mut emulator = Self { process, dir, sdk, stack };
        emulator.ready(port).await;
        emulator.deploy(port).await;
        Some(emulator)
    }

    async fn ready(&mut self, port: u16) {
        let deadline = Instant::now() + READY_DEADLINE;
        while !is_healthy(port).await {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "the emulator ended: {ended:?}; see {}", self.dir.display());
            assert!(Instant::now() < deadline, "the emulator is not ready after {READY_DEADLINE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn deploy(&mut self, port: u16) {
        let client = aws_sdk_cloudformation::Client::new(&self.sdk);
        let template = TEMPLATE.replace("ADDRESS", &format!("127.0.0.1:{port}"));
        client.create_stack().stack_name("contract").template_body(template).send().await.unwrap();
        let deadline = Instant::now() + READY_DEADLINE;
        self.stack = loop {
            match describe(&client, "contract", REGION.to_owned()).await {
                Ok(stack) => break stack,
                Err(error) if error.is_transient() && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        };
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // In memory alone: there is nothing that it could save.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[expect(clippy::disallowed_methods, reason = "where the tools are is a matter of the machine")]
fn python() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    let venv = variable("DAYWATCH_CLOUD_VENV").or_else(|| cache().map(|cache| cache.join("daywatch/cloud-venv")))?;
    let has_it = venv.join("bin/ministack").is_file();
    Some(venv.join("bin/python")).filter(|python| has_it && python.is_file())
}

fn spawn(python: &Path, port: u16, dir: &Path) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../localstack/emulator.py");
    let log = std::fs::File::create(dir.join("log")).unwrap();
    Command::new(python)
        .arg(script)
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("GATEWAY_PORT", port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("MINISTACK_HOST", "127.0.0.1")
        .env("TMPDIR", dir)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

async fn is_healthy(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let request = "GET /_ministack/health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_to_string(&mut answer).await.is_ok()
        && answer.starts_with("HTTP/1.1 200")
}
