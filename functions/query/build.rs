//! Packs the built page (`dashboard/dist`) into the binary: one origin, no CORS, nothing to
//! install beside it. Where the page is not built, the table is empty and the page says so.

#![expect(clippy::disallowed_methods, reason = "a build script is told its folders by the environment")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?);
    let dist = root.join("../../dashboard/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut table = String::from("/// (path, content) of every file of the built page.\n");
    table.push_str("pub(super) static ASSETS: &[(&str, &[u8])] = &[\n");
    let mut files = Vec::new();
    if dist.is_dir() {
        collect(&dist, &mut files)?;
    }
    files.sort();
    // Copied, so that building the page anew cannot pull a file away from a build that runs.
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    for (number, file) in files.iter().enumerate() {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.strip_prefix(&dist).map_err(io::Error::other)?.to_string_lossy().into_owned();
        fs::copy(file, out.join(format!("asset-{number}")))?;
        writeln!(table, "    ({name:?}, include_bytes!(\"asset-{number}\")),").map_err(io::Error::other)?;
    }
    table.push_str("];\n");
    fs::write(out.join("assets.rs"), table)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
