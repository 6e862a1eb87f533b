//! `docs/operations.md`: its commands, run block by block on the emulator as they stand there.
//!
//! A comment before a block says what the block waits for or who runs it: `yours` are settings, for
//! which the test has values of its own; `only on AWS: …` and `on each host: …` are skipped aloud.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tests::stack::{NAME, outcome};
use tests::{Agent, Emulator, Place, Tools, programs, until, until_in};

use crate::pagerduty::PagerDuty;

/// How long a block may take: a deployment to an emulator takes seconds.
const BLOCK_MAX: Duration = Duration::from_secs(180);

/// A block of commands, and the comment before it.
#[derive(Debug, PartialEq)]
struct Block {
    line: usize,
    note: String,
    commands: String,
}

/// The blocks of a document in their order.
fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut note = String::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            Some(_) if line == "```" => found.extend(open.take()),
            Some(block) => {
                block.commands.push_str(line);
                block.commands.push('\n');
            }
            None if line == "```sh" => {
                open = Some(Block { line: number + 1, note: std::mem::take(&mut note), commands: String::new() });
            }
            None => {
                let comment = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
                note = comment.unwrap_or_default().to_owned();
            }
        }
    }
    assert!(open.is_none(), "the last block has no end");
    found
}

#[test]
fn blocks_are_found_with_their_notes() {
    let found = blocks("a\n```sh\nx\ny\n```\n<!-- yours -->\n```sh\nz\n```\n```toml\nno\n```\n");
    let block = |line, note: &str, commands: &str| Block { line, note: note.into(), commands: commands.into() };
    assert_eq!(found, [block(2, "", "x\ny\n"), block(7, "yours", "z\n")]);
}

fn document() -> String {
    fs::read_to_string(repository().join("docs/operations.md")).expect("docs/operations.md")
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn every_alarm_of_the_template_has_its_line() {
    let template = fs::read_to_string(repository().join("infra/template.yaml")).expect("the template");
    let lines: Vec<&str> = template.lines().collect();
    let alarms = lines.windows(2).filter(|pair| pair[1].trim() == "Type: AWS::CloudWatch::Alarm");
    let alarms: BTreeSet<String> = alarms.map(|pair| format!("`{}`", pair[0].trim().trim_end_matches(':'))).collect();
    assert!(alarms.len() > 20, "{alarms:?}");
    let document = document();
    let table: String = document.lines().filter(|line| line.starts_with("| `")).collect();
    let missing: Vec<_> = alarms.iter().filter(|alarm| !table.contains(*alarm)).collect();
    assert!(missing.is_empty(), "docs/operations.md tells nobody what to do about {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_operations_document_work() {
    let Some(tools) = Tools::ready() else { return };
    let emulator = Emulator::started(&tools).await;
    let (pagerduty, opsgenie) = (PagerDuty::start().await, PagerDuty::start().await);
    let yours = [
        ("STACK", NAME),
        ("REGION", "us-east-1"),
        ("PAGERDUTY_URL", &pagerduty.url),
        ("OPSGENIE_URL", &opsgenie.url),
        ("MAIL_ADDRESS", "oncall@example.org"),
        ("PHONE", "+491701234567"),
        ("AWS_REGION", "us-east-1"),
    ];
    let mut shell = Shell::start(&emulator, &yours);
    let mut agents: Vec<Agent> = Vec::new();
    let mut said = String::new();
    for block in blocks(&document()) {
        let at = format!("docs/operations.md:{}", block.line);
        match block.note.as_str() {
            "" => {}
            "yours" => {
                only_these_names(&block.commands, &yours);
                continue;
            }
            "two agents" => {
                agents = two_agents(&said).await;
            }
            "the pager tells of Trip" => {
                told(&pagerduty, true).await;
                told(&opsgenie, true).await;
            }
            "the pager tells that Trip is over" => {
                told(&pagerduty, false).await;
                told(&opsgenie, false).await;
            }
            "after the replay" => {}
            note => {
                assert!(note.starts_with("only on AWS: ") || note.starts_with("on each host: "), "{at}: {note}");
                eprintln!("skipped: {at}: {note}");
                continue;
            }
        }
        said = shell.run(&at, &block.commands).await;
    }
    println!("{} blocks ran", shell.ran);
    assert!(shell.ran > 10, "{} blocks", shell.ran);
    for agent in &mut agents {
        agent.kill();
    }
    let mut left = emulator.command(&tools.programs.join("aws"));
    let left = outcome(left.args(["cloudformation", "describe-stacks", "--stack-name", NAME]));
    assert!(!left.status.success(), "the stack is still there");
}

/// One shell for all blocks, as a person would have it.
struct Shell {
    child: Child,
    folder: TempDir,
    ran: usize,
}

impl Shell {
    fn start(emulator: &Emulator, yours: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let operator = programs::daywatch();
        let beside = operator.parent().expect("a folder").to_path_buf();
        let own = [beside, emulator.tools().programs.clone()].into_iter();
        let path = std::env::join_paths(own.chain(std::env::split_paths(&path_variable()))).expect("a path");
        let log = || File::options().create(true).append(true).open(folder.path().join("log")).expect("a log");
        let mut command = emulator.command(Path::new("bash"));
        command
            .args(["-e", "-u", "-o", "pipefail"])
            .current_dir(repository())
            .env("PATH", path)
            .env("DAYWATCH_BIN", &operator)
            .env("DAYWATCH_AGENT_BIN", programs::daywatch_agent())
            .env("DAYWATCH_CLOUD_VENV", emulator.tools().programs.parent().expect("a folder"))
            .env("ZIPS", &emulator.tools().zips)
            .env("AGENTS", folder.path())
            .env("EMULATOR_ADDRESS", emulator.address())
            .env("YES", NAME)
            .envs(yours.iter().copied())
            .stdin(Stdio::piped())
            .stdout(log())
            .stderr(log());
        let child = command.spawn().unwrap_or_else(|error| panic!("bash: {error}"));
        Self { child, folder, ran: 0 }
    }

    /// Runs a block to its end; what it says.
    async fn run(&mut self, at: &str, commands: &str) -> String {
        self.ran += 1;
        let block = self.folder.path().join("block");
        fs::write(&block, commands).expect("a file");
        let before = self.log().len();
        let done = format!("-- block {} is done", self.ran);
        let line = format!(". '{}' </dev/null; printf '\n%s\n' '{done}'\n", block.display());
        self.child.stdin.as_mut().expect("a pipe").write_all(line.as_bytes()).expect("the shell runs");
        let said = until_in(BLOCK_MAX, at, async || {
            let said = self.log().split_off(before);
            if let Some(ended) = self.child.try_wait().expect("a child can be asked for") {
                panic!("{at}: {ended}\n{commands}{said}");
            }
            said.contains(&done).then_some(said)
        })
        .await;
        println!("{at}\n{commands}{said}");
        said
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the commands want the tools of this host")]
fn path_variable() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// The document asks for no setting that the test does not give.
fn only_these_names(commands: &str, yours: &[(&str, &str)]) {
    let words = commands.split_whitespace().filter_map(|word| word.split_once('='));
    let names = words.map(|(name, _)| name).filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    for name in names {
        assert!(name == "PATH" || yours.iter().any(|(known, _)| *known == name), "no value for {name}");
    }
}

/// Stand in for two hosts: agents with the key and the address of the install line.
async fn two_agents(line: &str) -> Vec<Agent> {
    let after = |mark: &str| {
        let rest = line.split_once(mark).unwrap_or_else(|| panic!("{mark} in {line}")).1;
        rest.split_whitespace().next().expect("a word").to_owned()
    };
    let place = Place::known(&after("--url "), &after("DAYWATCH_KEY="));
    let mut agents: Vec<_> = ["web-1", "web-2"].map(|name| Agent::new(&place, name, "")).into();
    for agent in &mut agents {
        agent.start();
    }
    for agent in &agents {
        until("the agent's first sample is stored", async || {
            let status = agent.status();
            (status["agent"]["connection"]["stored"] == true).then_some(())
        })
        .await;
    }
    agents
}

/// Waits until the pager has an incident of the trial, open or over.
async fn told(pager: &PagerDuty, open: bool) {
    until("the pager is told of the trial", async || {
        let incidents = pager.incidents();
        incidents.iter().any(|incident| incident.name.contains("Trip") && incident.open == open).then_some(())
    })
    .await;
}
