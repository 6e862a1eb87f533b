//! The way to a stack on AWS: its outputs say where it is, and its first admin key is made with the
//! caller's AWS credentials, straight in its table. From then on everything goes over HTTP.
//!
//! The key lies in `$XDG_CONFIG_HOME/daywatch/stacks/REGION-NAME.key`, for its owner alone.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use aws::stack::Stack;
use pipeline::TenantId;
use pipeline::keys::{self, KeyKind};

use crate::serve::write_secret;

/// What a stack that works has for commands over HTTP.
const API_URL: &str = "ApiUrl";
/// The name under which `keys list` shows the first key.
const FIRST_KEY: &str = "first-admin";

/// An address and a key for it.
pub(super) struct Reached {
    pub(super) base: String,
    pub(super) key: String,
    pub(super) key_file: PathBuf,
}

/// Finds the stack, and makes its first admin key where this user has none yet.
pub(super) async fn reach(name: &str, region: Option<&str>) -> anyhow::Result<Reached> {
    let stack = find(name, region).await?;
    let base = stack.output(API_URL)?.trim_end_matches('/').to_owned();
    let key_file = key_file(&stack.region, &stack.name)?;
    let key = match std::fs::read_to_string(&key_file) {
        Ok(text) if text.trim().is_empty() => bail!("{} is empty: remove it", key_file.display()),
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make_key(&stack, &key_file).await?,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", key_file.display())),
    };
    Ok(Reached { base, key, key_file })
}

/// A stack by its name.
pub(crate) async fn find(name: &str, region: Option<&str>) -> anyhow::Result<Stack> {
    Ok(aws::stack::find_in(name, region).await?)
}

/// Makes an admin key with the caller's AWS credentials and keeps it. What the file held before is
/// not revoked: it may be in use elsewhere.
pub(crate) async fn new_key(name: &str, region: Option<&str>) -> anyhow::Result<PathBuf> {
    let stack = find(name, region).await?;
    let file = key_file(&stack.region, &stack.name)?;
    make_key(&stack, &file).await?;
    Ok(file)
}

async fn make_key(stack: &Stack, file: &Path) -> anyhow::Result<String> {
    let folder = file.parent().ok_or_else(|| anyhow!("{} lies in no folder", file.display()))?;
    // Before the key is made: one that cannot be kept would stay in the table for ever.
    make_folder(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let adapter = aws::connect_in(&stack.config()?, Some(&stack.region)).await?;
    let made = keys::create(&adapter.ports, TenantId::default(), KeyKind::Admin, FIRST_KEY).await;
    let key = made
        .map_err(|fault| anyhow!("{fault}"))
        .with_context(|| format!("cannot write an admin key into the table of the stack {}", stack.name))?;
    write_secret(file, &key).with_context(|| format!("cannot write {}", file.display()))?;
    tracing::info!(stack = stack.name, file = %file.display(), "a new admin key of this stack is kept here");
    Ok(key)
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn key_file(region: &str, name: &str) -> anyhow::Result<PathBuf> {
    let variable = |name: &str| {
        #[expect(
            clippy::disallowed_methods,
            reason = "where this user's configuration lies is told by the environment"
        )]
        std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    let folder = variable("XDG_CONFIG_HOME")
        .filter(|folder| folder.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".config")))
        .ok_or_else(|| anyhow!("neither XDG_CONFIG_HOME nor HOME is set: where shall the stack's key be kept?"))?;
    Ok(folder.join("daywatch").join("stacks").join(format!("{region}-{name}.key")))
}
