//! `daywatch rules check FILE…`: exit 1 where any is wrong, with file, line and caret.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use pipeline::documents;

#[derive(Subcommand)]
pub(crate) enum RulesCommand {
    /// Checks rule files.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

pub(crate) fn run(command: RulesCommand) -> anyhow::Result<ExitCode> {
    let RulesCommand::Check { files } = command;
    let mut failed = false;
    for path in files {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        match documents::rules_of(&path.display().to_string(), &text) {
            Ok(file) => {
                let rules: usize = file.groups.iter().map(|group| group.rules.len()).sum();
                println!("{}: {} groups, {rules} rules", path.display(), file.groups.len());
            }
            Err(error) => {
                failed = true;
                eprintln!("{error}");
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
