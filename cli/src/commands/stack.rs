//! `daywatch stack`: what a stack on AWS says of itself, and a new admin key for it.

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum StackCommand {
    /// Prints the stack's outputs, a line `NAME=VALUE` each.
    Show {
        /// The stack's name.
        name: String,
        /// Where it lies; by default where AWS_REGION or the profile says.
        #[arg(long)]
        region: Option<String>,
        /// Prints only the value of this output.
        #[arg(long)]
        output: Option<String>,
    },
    /// Makes a new admin key with your AWS credentials and keeps it for `--stack`.
    NewKey {
        /// The stack's name.
        name: String,
        /// Where it lies; by default where AWS_REGION or the profile says.
        #[arg(long)]
        region: Option<String>,
    },
}

#[cfg(feature = "aws")]
pub(crate) async fn run(command: StackCommand) -> anyhow::Result<ExitCode> {
    use crate::door::stack;
    match command {
        StackCommand::Show { name, region, output } => {
            let stack = stack::find(&name, region.as_deref()).await?;
            match output {
                Some(output) => println!("{}", stack.output(&output)?),
                None => stack.outputs.iter().for_each(|(name, value)| println!("{name}={value}")),
            }
        }
        StackCommand::NewKey { name, region } => {
            let file = stack::new_key(&name, region.as_deref()).await?;
            println!("{}", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "it is the other one's stand-in")]
pub(crate) async fn run(_: StackCommand) -> anyhow::Result<ExitCode> {
    anyhow::bail!("{}", crate::door::WITHOUT_AWS)
}
