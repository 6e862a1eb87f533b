//! Installing an agent as a user does it: the line `curl … | sh` in a bare Debian root, against a real
//! `daywatch serve`. Seconds to the first stored sample, a second run, an upgrade over a full buffer,
//! removing it, the service under systemd, and everything that a host or a user may have wrong.

mod bad;
mod package;
mod root;
mod service;

use std::fs;
use std::time::Instant;

use tempfile::TempDir;
use tests::process::{Process, free_port};
use tests::{Place, Server, programs, until};

use root::Root;

/// A server that offers agents from a folder of its own.
struct Offer {
    server: Server,
    listen: String,
    downloads: TempDir,
    process: Option<Process>,
}

impl Offer {
    /// One that runs, and what its users have of it.
    async fn started() -> (Self, Place) {
        let downloads = tempfile::tempdir().expect("a folder");
        let listen = format!("127.0.0.1:{}", free_port());
        let mut offer = Self { server: Server::new(), listen, downloads, process: None };
        offer.offer(0);
        offer.start().await;
        let admin_key = fs::read_to_string(offer.server.data().join("admin.key")).expect("the admin's key");
        let place = Place::open(&offer.url(), &admin_key, "install").await;
        (offer, place)
    }

    fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Offers the agent as its `version`th one: what stands behind a program's end changes its checksum
    /// and not what it does.
    fn offer(&self, version: usize) {
        let mut program = fs::read(programs::daywatch_agent()).expect("the agent is built");
        program.resize(program.len() + version, 0);
        let name = format!("daywatch-agent-linux-{}", std::env::consts::ARCH);
        fs::write(self.downloads.path().join(name), program).expect("it is offered");
    }

    async fn start(&mut self) {
        let downloads = self.downloads.path().to_str().expect("a path of UTF-8");
        let mut command = self.server.command(&["serve", "--listen", &self.listen, "--downloads", downloads]);
        let process = Process::start(&mut command, &self.downloads.path().join("log"));
        let process = self.process.insert(process);
        let url = self.server.data().join("url");
        until("the server answers", async || {
            assert!(process.is_running(), "the server has ended:\n{}", process.log());
            url.exists().then_some(())
        })
        .await;
    }

    async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            assert!(process.terminate().await.success(), "{}", process.log());
        }
    }

    /// The line of the contract.
    fn line(&self, key: &str, more: &str) -> String {
        let url = self.url();
        format!("curl -fsS {url}/install.sh | DAYWATCH_KEY={key} sh -s -- --url {url} {more}")
    }
}

const CONNECTED: &str = "connected as web-1, first sample stored";

#[tokio::test(flavor = "multi_thread")]
async fn the_install_line_on_a_bare_debian_root_and_all_that_follows_it() {
    let Some(root) = Root::new() else { return };
    let (mut offer, place) = Offer::started().await;
    let before = root.files();

    #[expect(clippy::disallowed_methods, reason = "the figure that is wanted is one of real time")]
    let started = Instant::now();
    let first = root.run(&offer.line(&place.agent_key, "--name web-1 --no-service"));
    let seconds = started.elapsed().as_secs_f64();
    assert!(first.ok && first.last == CONNECTED, "{}", first.text);
    println!("measured: from the install line to the first sample stored: {seconds:.1} s");
    let load = until("the sample is found", async || place.number("node_load1{source=\"web-1\"}").await).await;
    assert!(load >= 0.0);

    // Files as the issue has them, and the key in one of them alone.
    let modes = "stat -c '%a %U:%G %n' /etc/daywatch /etc/daywatch/* /var/lib/daywatch /usr/bin/daywatch-agent";
    assert_eq!(
        root.run(modes).text,
        "750 root:daywatch /etc/daywatch\n640 root:daywatch /etc/daywatch/agent.key\n\
         640 root:daywatch /etc/daywatch/agent.toml\n750 daywatch:daywatch /var/lib/daywatch\n\
         755 root:root /usr/bin/daywatch-agent\n"
    );
    let secret = place.agent_key.rsplit('_').next().expect("a secret");
    assert!(!first.text.contains(secret), "{}", first.text);
    assert_eq!(root.run(&format!("grep -rl {secret} /etc /var /usr /root /tmp")).text, "/etc/daywatch/agent.key\n");

    // A second run needs neither key nor address, and leaves what the user wrote.
    assert!(root.run("printf '\\n[labels]\\nenv = \"prod\"\\n' >>/etc/daywatch/agent.toml").ok);
    let installed = root.files();
    let second = root.run(&format!("curl -fsS {}/install.sh | sh -s -- --no-service", offer.url()));
    assert!(second.ok && second.last == CONNECTED, "{}", second.text);
    root.assert_unchanged(&installed, "/var/lib/daywatch", "a second run");

    // The server is away, the agent fills its buffer, and a newer agent comes.
    offer.stop().await;
    let alone = root.run(
        "cd /; sed -i 's/interval = \"10s\"/interval = \"1s\"/' /etc/daywatch/agent.toml
         runuser -u daywatch -- timeout 4 daywatch-agent; runuser -u daywatch -- daywatch-agent status",
    );
    assert!(alone.text.contains("\nbuffer  ") && !alone.text.contains("\nbuffer        0 "), "{}", alone.text);
    offer.offer(1);
    offer.start().await;
    let upgrade = root.run(&offer.line(&place.agent_key, "--no-service"));
    assert!(upgrade.ok && upgrade.last == CONNECTED, "{}", upgrade.text);
    let kept = root.run(
        "cat /etc/daywatch/agent.toml; runuser -u daywatch -- daywatch-agent status; cksum </usr/bin/daywatch-agent",
    );
    for part in ["interval = \"1s\"", "env = \"prod\"", "name = \"web-1\"", "buffer        0 batches"] {
        assert!(kept.text.contains(part), "{part}: {}", kept.text);
    }
    let newest = fs::metadata(programs::daywatch_agent()).expect("the agent is built").len() + 1;
    assert!(kept.last.ends_with(&format!(" {newest}")), "the newer agent is installed: {}", kept.last);
    let ledger = until("all of the buffer is stored", async || {
        place.ledger("web-1").await.filter(|ledger| ledger.balances() && ledger.buffered == 0 && ledger.missing == 0)
    })
    .await;
    assert!(ledger.stored > 200 && ledger.evicted == 0, "{ledger:?}");

    let gone = root.run(&format!("curl -fsS {}/install.sh | sh -s -- --uninstall", offer.url()));
    assert!(gone.ok, "{}", gone.text);
    root.assert_unchanged(&before, "", "removing it leaves nothing");
    offer.stop().await;
}
