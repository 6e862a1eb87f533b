//! House rules that a compiler does not know, over every file that git tracks.
//!
//! A rule is a function from a file's path and text to a complaint; each is shown to complain about
//! a bad file beside the real ones.

use std::path::Path;
use std::process::Command;

/// Lines of one source file.
const LINES_MAX: usize = 500;

/// The files of the repository; `None` where this is no clone (a source archive).
fn tracked() -> Option<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let answer = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output().ok()?;
    let listed = answer.status.success().then(|| String::from_utf8_lossy(&answer.stdout).into_owned())?;
    Some(listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// Runs a rule over all tracked files; a file that was just removed is passed over, and so is the
/// text of one that is no text.
fn check(rule: fn(&str, &str) -> Option<String>) {
    let Some(paths) = tracked() else {
        eprintln!("skipped: this is no git clone, or git is not installed");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let complaints: Vec<String> = paths
        .iter()
        .filter_map(|path| {
            let bytes = std::fs::read(root.join(path)).ok()?;
            rule(path, std::str::from_utf8(&bytes).unwrap_or_default()).map(|complaint| format!("{path}: {complaint}"))
        })
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn is_source(path: &str) -> bool {
    [".rs", ".ts", ".tsx"].iter().any(|end| path.ends_with(end))
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (is_source(path) && lines > LINES_MAX).then(|| format!("{lines} lines, at most {LINES_MAX}: split it by idea"))
}

fn badly_named(path: &str, _: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name == "mod.rs" {
        return Some("a module is named after itself, `x.rs`, not `x/mod.rs`".to_owned());
    }
    // A folder is a name as well.
    let vague = ["utils", "util", "helpers", "helper", "manager", "common"];
    let parts = path.split('/').filter_map(|part| part.split('.').next());
    parts.filter(|_| is_source(path)).find(|part| vague.contains(part)).map(|part| format!("`{part}` says nothing"))
}

/// Put together here, so that this file does not break its own rules.
fn ignored_test(path: &str, text: &str) -> Option<String> {
    let mark = ["#[", "ignore"].concat();
    let line = text.lines().position(|line| line.trim_start().starts_with(&mark))?;
    path.ends_with(".rs").then(|| format!("line {}: say aloud why a test is skipped instead", line + 1))
}

fn machine_path(_: &str, text: &str) -> Option<String> {
    let folders = ["work", "root"].map(|folder| format!("/{folder}/"));
    let names_one = |line: &str| {
        folders.iter().any(|folder| {
            line.match_indices(folder.as_str()).any(|(at, _)| {
                // `docs/work/` or `../root/` is a path of somewhere else.
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-*}])~$".contains(c))
            })
        })
    };
    let line = text.lines().position(names_one)?;
    Some(format!("line {}: names a folder of one machine", line + 1))
}

#[test]
fn no_source_file_is_too_long() {
    check(too_long);
    assert!(too_long("a.rs", &"x\n".repeat(LINES_MAX)).is_none());
    assert!(too_long("a.rs", &"x\n".repeat(LINES_MAX + 1)).is_some());
    assert!(too_long("a.tsx", &"x\n".repeat(LINES_MAX + 1)).is_some());
    assert!(too_long("Cargo.lock", &"x\n".repeat(LINES_MAX + 1)).is_none());
}

#[test]
fn every_file_is_named_after_what_it_holds() {
    check(badly_named);
    for path in ["a/src/mod.rs", "a/src/utils.rs", "common/a.ts", "a/helpers/b.rs", "manager.tsx", "a/util.test.ts"] {
        assert!(badly_named(path, "").is_some(), "{path}");
    }
    for path in ["a/src/model.rs", "a/src/commonplace.rs", "docs/common.md"] {
        assert!(badly_named(path, "").is_none(), "{path}");
    }
}

#[test]
fn no_test_is_left_out_in_silence() {
    check(ignored_test);
    let mark = ["#[", "ignore"].concat();
    assert!(ignored_test("a.rs", &format!("#[test]\n    {mark}]\nfn a() {{}}")).is_some());
    assert!(ignored_test("a.rs", &format!("{mark} = \"slow\"]")).is_some());
    assert!(ignored_test("a.md", &format!("{mark}]")).is_none());
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    check(machine_path);
    let text = |folder: &str| format!("see {}", ["", folder, "x"].join("/"));
    assert!(machine_path("a.md", &text("work")).is_some());
    assert!(machine_path("a.md", &text("root")).is_some());
    assert!(machine_path("a.md", &text("srv")).is_none());
    assert!(machine_path("a.md", &["docs", "work", "x"].join("/")).is_none());
}
