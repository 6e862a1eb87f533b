//! Daywatch deployed to an emulator: `infra/template.yaml` with the six functions, as its users get
//! it, and what they do with a deployed stack.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Output};

use tokio::task::block_in_place;

use crate::emulator::{Emulator, Tools, repository};
use crate::gateway::{Gateway, Limits};
use crate::place::Place;
use crate::{disk, programs};

/// The stack's name.
pub const NAME: &str = "daywatch";

/// A deployed stack and its emulator. Its calls block: they want a runtime of several threads.
pub struct Stack {
    /// Where it is deployed.
    pub emulator: Emulator,
    /// What it says about itself.
    pub outputs: BTreeMap<String, String>,
    parameters: Vec<(String, String)>,
}

impl Stack {
    /// Starts an emulator and deploys to it; `parameters` are the template's.
    pub async fn deployed(tools: &Tools, parameters: &[(&str, &str)]) -> Self {
        let emulator = Emulator::started(tools).await;
        let own = [("EmulatorAddress", emulator.address().as_str()), ("Architecture", architecture())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let given = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        // A parameter that is given stands for our own.
        let parameters = own.into_iter().chain(given).collect();
        let mut stack = Self { emulator, outputs: BTreeMap::new(), parameters };
        stack.deploy();
        stack
    }

    /// Deploys, or deploys again.
    pub fn deploy(&mut self) {
        let mut command = self.infra(&["deploy", NAME, "--zips"]);
        command.arg(&self.emulator.tools().zips);
        for (name, value) in &self.parameters {
            command.arg("--parameter").arg(format!("{name}={value}"));
        }
        said(&mut command);
        let lines = said(&mut self.infra(&["outputs", NAME]));
        let pairs = lines.lines().filter_map(|line| line.split_once('='));
        self.outputs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }

    /// `infra/stack.py` with the emulator as its AWS.
    #[must_use]
    pub fn infra(&self, arguments: &[&str]) -> Command {
        let mut command = self.emulator.command(&self.emulator.tools().programs.join("python"));
        command.arg(repository().join("infra/stack.py")).args(arguments);
        command
    }

    /// AWS's own command line.
    #[must_use]
    pub fn aws(&self, arguments: &[&str]) -> Command {
        let mut command = self.emulator.command(&self.emulator.tools().programs.join("aws"));
        command.args(arguments);
        command
    }

    /// `daywatch … --stack`.
    #[must_use]
    pub fn daywatch(&self, arguments: &[&str]) -> Command {
        let mut command = self.emulator.command(&programs::daywatch());
        command.args(arguments).args(["--stack", NAME]);
        command
    }

    /// An output.
    #[must_use]
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).unwrap_or_else(|| panic!("no output {name} among {:?}", self.outputs))
    }

    /// The name that AWS gave to a resource of the template.
    #[must_use]
    pub fn physical(&self, logical: &str) -> String {
        let mut asked = self.aws(&["cloudformation", "describe-stack-resource", "--stack-name", NAME]);
        asked.args(["--query", "StackResourceDetail.PhysicalResourceId", "--output", "text"]);
        said(asked.args(["--logical-resource-id", logical])).trim().to_owned()
    }

    /// A gateway before it, as strict as AWS's own: the emulator's takes anything.
    pub async fn gateway(&self) -> Gateway {
        Gateway::before(self.output("ApiUrl"), Some(self.output("WebsocketUrl")), Limits::default()).await
    }

    /// Keys for it, named `name`, at the gateway's address: the admin's by the account's credentials, as
    /// its users get it.
    pub async fn place(&self, gateway: &Gateway, name: &str) -> Place {
        let admin_key = said(&mut self.daywatch(&["keys", "create", "--kind", "admin", "--name", name]));
        let mut place = Place::open(&gateway.base_url(), &admin_key, name).await;
        place.data = Some(disk::Blocks::bucket(&self.emulator.endpoint(), self.output("BlobsBucket")));
        place
    }
}

/// Of this machine, in the words of the template.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }
}

/// Runs a command that must succeed: what it says on stdout. What it says on stderr is shown with
/// the test's own output.
pub fn said(command: &mut Command) -> String {
    let output = outcome(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    let _ = std::io::stderr().write_all(&output.stderr);
    String::from_utf8(output.stdout).expect("text")
}

/// Runs a command to its end.
pub fn outcome(command: &mut Command) -> Output {
    for name in ["DAYWATCH_URL", "DAYWATCH_KEY", "DAYWATCH_KEY_FILE", "DAYWATCH_DATA"] {
        command.env_remove(name);
    }
    block_in_place(|| command.output()).unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"))
}
