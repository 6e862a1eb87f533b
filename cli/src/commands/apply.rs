//! `daywatch apply`: files whose kind is told by their top key.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use pipeline::documents::{self, Kind};
use serde_json::json;

use crate::Where;
use crate::door::{Door, request};

#[derive(Args)]
pub(crate) struct ApplyArgs {
    /// A file, or a folder of .yml and .yaml files; standard input where none is given.
    #[arg(short = 'f', long = "file")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    place: Where,
}

/// A file that was read and checked.
pub(crate) struct Loaded {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) text: String,
}

pub(crate) async fn run(args: ApplyArgs) -> anyhow::Result<ExitCode> {
    let mut loaded = Vec::new();
    if args.files.is_empty() {
        let text = std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?;
        loaded.push(load_text("stdin.yml", text)?);
    }
    for path in &args.files {
        loaded.extend(load(path)?);
    }
    let body: Vec<_> =
        loaded.iter().map(|file| json!({ "kind": file.kind.as_str(), "name": file.name, "text": file.text })).collect();
    let door = Door::open(&args.place).await?;
    door.data(request("POST", "/api/v1/config", &[], json!(body).to_string())).await?;
    for file in loaded {
        println!("{}/{} stored in {}", file.kind.as_str(), file.name, door.name());
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads and checks a file, or all of a folder; every fault is reported, not only the first.
pub(crate) fn load(path: &Path) -> anyhow::Result<Vec<Loaded>> {
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        paths = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml"));
        paths.sort();
    }
    let (mut loaded, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match load_text(&name, text) {
            Ok(file) => loaded.push(file),
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(loaded)
}

fn load_text(name: &str, text: String) -> anyhow::Result<Loaded> {
    let kind = kind_of(&text).with_context(|| {
        format!("{name}: neither `groups:` (rules) nor `route:` (Alertmanager) stands at the top level")
    })?;
    let name = match kind {
        Kind::Rules => name.replace(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')), "-"),
        Kind::Alertmanager => "default".to_owned(),
    };
    documents::check(kind, &name, &text).map_err(|fault| anyhow::anyhow!("{fault}"))?;
    Ok(Loaded { kind, name, text })
}

/// By the keys at the start of a line, so that a file with an error further down is still known.
fn kind_of(text: &str) -> Option<Kind> {
    text.lines().find_map(|line| match line.split(':').next().map(str::trim_end)? {
        "groups" => Some(Kind::Rules),
        "route" | "receivers" | "global" => Some(Kind::Alertmanager),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_the_top_key() {
        assert_eq!(kind_of("# rules\ngroups:\n- name: a\n"), Some(Kind::Rules));
        assert_eq!(kind_of("route:\n  receiver: x\n"), Some(Kind::Alertmanager));
        assert_eq!(kind_of("  groups: []\n"), None);
        assert_eq!(kind_of(""), None);
    }
}
