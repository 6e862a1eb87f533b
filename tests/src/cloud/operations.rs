//! `docs/operations.md`: its commands, run block by block on the emulator as they stand there.
//!
//! A comment before a block says what the block waits for or who runs it: `yours` are settings, for
//! which the test has values of its own; `only on AWS: …` and `on each host: …` are skipped aloud.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tests::stack::{NAME, outcome};
use tests::{Agent, Emulator, Place, Tools, programs, until};

use crate::pagerduty::PagerDuty;

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
    let folder = tempfile::tempdir().expect("a folder");
    let yours = [
        ("STACK", NAME),
        ("REGION", "us-east-1"),
        ("PAGERDUTY_URL", &pagerduty.url),
        ("OPSGENIE_URL", &opsgenie.url),
        ("MAIL_ADDRESS", "oncall@example.org"),
        ("PHONE", "+491701234567"),
        ("AWS_REGION", "us-east-1"),
    ];
    let shell = Shell { emulator: &emulator, tools: &tools, folder: folder.path(), yours: &yours };
    let mut agents: Vec<Agent> = Vec::new();
    let mut ran = 0;
    for block in blocks(&document()) {
        let at = format!("docs/operations.md:{}", block.line);
        match block.note.as_str() {
            "" => {}
            "yours" => {
                only_these_names(&block.commands, &yours);
                continue;
            }
            "two agents" => {
                let line = fs::read_to_string(folder.path().join("said")).expect("the install line");
                agents = two_agents(&line).await;
            }
            "the pager tells of Trip" => {
                told(&pagerduty, true).await;
                told(&opsgenie, true).await;
            }
            "the pager tells that Trip is over" => {
                told(&pagerduty, false).await;
                told(&opsgenie, false).await;
            }
            note => {
                assert!(note.starts_with("only on AWS: ") || note.starts_with("on each host: "), "{at}: {note}");
                eprintln!("skipped: {at}: {note}");
                continue;
            }
        }
        shell.run(&at, &block.commands);
        ran += 1;
    }
    println!("{ran} blocks ran");
    assert!(ran > 10, "{ran} blocks");
    for agent in &mut agents {
        agent.kill();
    }
    let mut left = emulator.command(&tools.programs.join("aws"));
    let left = outcome(left.args(["cloudformation", "describe-stacks", "--stack-name", NAME]));
    assert!(!left.status.success(), "the stack is still there");
}

/// Where the blocks run: one after the other, with what they export and the functions they define.
struct Shell<'a> {
    emulator: &'a Emulator,
    tools: &'a Tools,
    folder: &'a Path,
    yours: &'a [(&'a str, &'a str)],
}

impl Shell<'_> {
    fn run(&self, at: &str, commands: &str) {
        let state = self.folder.join("state");
        let keep = "{ export -p; declare -f; }";
        let script = format!(
            "set -eu\n[ ! -e '{0}' ] || . '{0}'\n{commands}\n{keep} >'{0}.new'\nmv '{0}.new' '{0}'\n",
            state.display()
        );
        let mut command = self.emulator.command(Path::new("bash"));
        let operator = programs::daywatch();
        let beside = operator.parent().expect("a folder").display();
        let own_path = std::env::join_paths(
            [operator.parent().expect("a folder"), &self.tools.programs]
                .into_iter()
                .map(Path::to_path_buf)
                .chain(std::env::split_paths(&path_variable())),
        );
        command
            .args(["-c", &script])
            .current_dir(repository())
            .env("PATH", own_path.unwrap_or_else(|error| panic!("{beside}: {error}")))
            .env("DAYWATCH_BIN", &operator)
            .env("DAYWATCH_AGENT_BIN", programs::daywatch_agent())
            .env("ZIPS", &self.tools.zips)
            .env("YES", NAME)
            .env("EMULATOR_ADDRESS", self.emulator.address())
            .envs(self.yours.iter().copied());
        let output = outcome(&mut command);
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("{at}\n{commands}{said}{errors}");
        assert!(output.status.success(), "{at}: {}\n{commands}{said}{errors}", output.status);
        fs::write(self.folder.join("said"), said.as_bytes()).expect("a file");
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
