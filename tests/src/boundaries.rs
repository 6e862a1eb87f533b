//! Who may depend on whom, and what the inner crates may never pull in.
//!
//! [`ALLOWED`] is the table of `docs/architecture.md`; the two change together. The judgement is a
//! pure function of `cargo metadata`'s answer, so that forged edges can show that it refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use serde::Deserialize;

/// A package and the packages of ours that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("series", &[]),
    ("formats", &["series"]),
    ("wire", &["series"]),
    ("blocks", &["wire", "series"]),
    ("promql", &["series"]),
    ("alerts", &["promql", "series"]),
    ("ports", PURE),
    ("pipeline", &["ports", "series", "formats", "wire", "blocks", "promql", "alerts"]),
    ("webhook", &["ports"]),
    ("embedded", &["ports", "webhook"]),
    ("aws", &["ports", "webhook"]),
    // What the six `main.rs` share. Only its feature `runtime` names the adapter.
    ("lambda", &["pipeline", "ports", "aws"]),
    ("ingest", FUNCTION),
    ("ws-connect", FUNCTION),
    ("aggregate", FUNCTION),
    ("evaluate-alerts", FUNCTION),
    ("broadcast", FUNCTION),
    ("query", FUNCTION),
    ("daywatch-agent", &["series", "formats", "wire"]),
    // These two choose adapters, so they may name everything but each other.
    ("daywatch", CHOOSERS),
    ("tests", CHOOSERS),
];

/// `lambda` stands behind features of theirs: `make up` and the embedded server are built without.
const FUNCTION: &[&str] = &["pipeline", "lambda"];

/// The crates without a network, a clock or an adapter.
const PURE: &[&str] = &["series", "formats", "wire", "blocks", "promql", "alerts"];

const CHOOSERS: &[&str] = &[
    "series",
    "formats",
    "wire",
    "blocks",
    "promql",
    "alerts",
    "ports",
    "pipeline",
    "webhook",
    "embedded",
    "aws",
    "lambda",
    "ingest",
    "ws-connect",
    "aggregate",
    "evaluate-alerts",
    "broadcast",
    "query",
];

/// The store in memory serves the tests of what stands above the ports.
const ALLOWED_IN_TESTS: &[(&str, &str)] = &[
    ("pipeline", "embedded"),
    ("ingest", "embedded"),
    ("ws-connect", "embedded"),
    ("aggregate", "embedded"),
    ("evaluate-alerts", "embedded"),
    ("broadcast", "embedded"),
    ("query", "embedded"),
    ("lambda", "embedded"),
];

/// Everything below `pipeline`.
const BELOW_PIPELINE: &[&str] = &["series", "formats", "wire", "blocks", "promql", "alerts", "ports"];

/// Runtimes, HTTP and AWS, told by the beginning of a crate's name.
const OUTSIDE: &[&str] = &[
    "aws-",
    "aws_",
    "lambda_",
    "tokio",
    "async-std",
    "smol",
    "mio",
    "hyper",
    "h2",
    "reqwest",
    "ureq",
    "axum",
    "tower",
    "tungstenite",
];

/// Edges by package name.
type Edges = BTreeMap<String, BTreeSet<String>>;

/// What `cargo metadata` says, as far as it matters here.
#[derive(Clone, Default)]
struct Graph {
    workspace: BTreeSet<String>,
    /// What is built into a package, build scripts' dependencies included.
    built_in: Edges,
    /// What only its tests use.
    in_tests: Edges,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// Cargo's answer for Linux alone: what only other systems use need not have been downloaded.
fn metadata_bytes(mode: &str) -> Result<Vec<u8>, String> {
    let answer = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", mode, "--filter-platform"])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if answer.status.success() { Ok(answer.stdout) } else { Err(String::from_utf8_lossy(&answer.stderr).into_owned()) }
}

fn read_graph() -> Graph {
    // The network is asked only where a crate of the graph was never fetched.
    let answer = metadata_bytes("--offline").or_else(|_| metadata_bytes("--locked")).expect("cargo metadata answers");
    let metadata: Metadata = serde_json::from_slice(&answer).expect("cargo metadata is JSON of its format 1");
    let names: BTreeMap<&str, &str> = metadata.packages.iter().map(|p| (p.id.as_str(), p.name.as_str())).collect();
    let name = |id: &str| names[id].to_owned();

    let mut graph =
        Graph { workspace: metadata.workspace_members.iter().map(|id| name(id)).collect(), ..Graph::default() };
    for node in &metadata.resolve.nodes {
        for dependency in &node.deps {
            for kind in &dependency.dep_kinds {
                let only_in_tests = kind.kind.as_deref() == Some("dev");
                let edges = if only_in_tests { &mut graph.in_tests } else { &mut graph.built_in };
                edges.entry(name(&node.id)).or_default().insert(name(&dependency.pkg));
            }
        }
    }
    graph
}

/// The real graph, read once for all tests.
fn graph() -> Graph {
    static GRAPH: LazyLock<Graph> = LazyLock::new(read_graph);
    GRAPH.clone()
}

/// Every edge or crate that must not be; empty where the house is in order.
fn refused(graph: &Graph) -> Vec<String> {
    let mut refused = Vec::new();
    let table: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let ours = |edges: &Edges, from: &str| -> Vec<String> {
        edges.get(from).into_iter().flatten().filter(|to| graph.workspace.contains(*to)).cloned().collect()
    };
    for from in &graph.workspace {
        let Some(allowed) = table.get(from.as_str()) else {
            refused.push(format!("{from} is not in the table"));
            continue;
        };
        for to in ours(&graph.built_in, from) {
            if !allowed.contains(&to.as_str()) {
                refused.push(format!("{from} -> {to}"));
            }
        }
        for to in ours(&graph.in_tests, from) {
            if !allowed.contains(&to.as_str()) && !ALLOWED_IN_TESTS.contains(&(from, &to)) {
                refused.push(format!("{from} -> {to} in its tests"));
            }
        }
    }
    for from in BELOW_PIPELINE {
        for name in reached(&graph.built_in, from) {
            if OUTSIDE.iter().any(|outside| name.starts_with(outside)) {
                refused.push(format!("{from} pulls in {name}"));
            }
        }
    }
    refused
}

/// Every crate that is built in through any number of steps.
fn reached(edges: &Edges, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(next) = open.pop() {
        for to in edges.get(&next).into_iter().flatten() {
            if seen.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    seen
}

#[test]
fn every_edge_is_in_the_table() {
    assert_eq!(refused(&graph()), Vec::<String>::new());
}

#[test]
fn the_table_names_no_package_that_is_gone() {
    let workspace = graph().workspace;
    let gone: Vec<&str> = ALLOWED.iter().map(|(name, _)| *name).filter(|name| !workspace.contains(*name)).collect();
    assert_eq!(gone, Vec::<&str>::new());
}

/// Adds one edge to the real graph and tells what is then refused.
fn with_edge(from: &str, to: &str, choose: fn(&mut Graph) -> &mut Edges) -> Vec<String> {
    let mut forged = graph();
    choose(&mut forged).entry(from.to_owned()).or_default().insert(to.to_owned());
    refused(&forged)
}

#[test]
fn forged_edges_are_refused() {
    let built_in: fn(&mut Graph) -> &mut Edges = |graph| &mut graph.built_in;
    assert_eq!(with_edge("series", "wire", built_in)[..1], ["series -> wire"]);
    assert_eq!(with_edge("embedded", "pipeline", built_in), ["embedded -> pipeline"]);
    assert_eq!(with_edge("ingest", "embedded", built_in), ["ingest -> embedded"]);
    assert_eq!(with_edge("daywatch-agent", "blocks", built_in), ["daywatch-agent -> blocks"]);
    assert_eq!(with_edge("daywatch", "daywatch-agent", built_in), ["daywatch -> daywatch-agent"]);

    let in_tests: fn(&mut Graph) -> &mut Edges = |graph| &mut graph.in_tests;
    assert_eq!(with_edge("ingest", "embedded", in_tests), Vec::<String>::new());
    assert_eq!(with_edge("alerts", "pipeline", in_tests), ["alerts -> pipeline in its tests"]);
}

#[test]
fn forged_runtimes_are_refused_however_deep_they_sit() {
    let built_in: fn(&mut Graph) -> &mut Edges = |graph| &mut graph.built_in;
    assert!(with_edge("ports", "tokio", built_in).contains(&"ports pulls in tokio".to_owned()));
    for outside in ["aws-sdk-kinesis", "aws_lambda_events", "lambda_runtime", "reqwest", "axum", "tokio-tungstenite"] {
        // `thiserror` stands in every inner crate.
        let refused = with_edge("thiserror", outside, built_in);
        for inner in BELOW_PIPELINE {
            assert!(refused.contains(&format!("{inner} pulls in {outside}")), "{inner}, {outside}: {refused:?}");
        }
    }
}

#[test]
fn a_package_that_the_table_does_not_know_is_refused() {
    let mut forged = graph();
    forged.workspace.insert("newcomer".to_owned());
    assert_eq!(refused(&forged), ["newcomer is not in the table"]);
}

/// The table of a document: crate, what it may use, what its tests may use too. Only rows whose
/// first cell is code count. "all of the above" stands for the crates of the rows before it.
fn table_of(document: &str) -> Vec<(String, BTreeSet<String>, BTreeSet<String>)> {
    let names = |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut rows: Vec<(String, BTreeSet<String>, BTreeSet<String>)> = Vec::new();
    let cells = document.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix('|'));
    for cells in cells.map(|line| format!("`{line}")) {
        let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
        let [who, may_use, in_tests] = cells[..] else { continue };
        let above = || rows.iter().map(|(name, ..)| name.clone()).collect();
        let may_use = if may_use == "all of the above" { above() } else { names(may_use) };
        rows.extend(names(who).into_iter().map(|name| (name, may_use.clone(), names(in_tests))));
    }
    rows
}

#[test]
fn the_table_is_the_one_in_the_documentation() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/architecture.md");
    let document = std::fs::read_to_string(path).expect("docs/architecture.md is there");
    let documented: BTreeMap<_, _> =
        table_of(&document).into_iter().map(|(name, may_use, in_tests)| (name, (may_use, in_tests))).collect();
    let set = |names: &mut dyn Iterator<Item = &str>| -> BTreeSet<String> { names.map(str::to_owned).collect() };
    let ours: BTreeMap<_, _> = ALLOWED
        .iter()
        .map(|(name, may_use)| {
            let mut in_tests = ALLOWED_IN_TESTS.iter().filter(|(from, _)| from == name).map(|(_, to)| *to);
            ((*name).to_owned(), (set(&mut may_use.iter().copied()), set(&mut in_tests)))
        })
        .collect();
    assert_eq!(documented, ours);
}

#[test]
fn a_documented_table_is_read_cell_by_cell() {
    let text = "| crate | may use | tests |\n|---|---|---|\n| `a` | | |\n| `b`, `c` | `a` | `d` |\n\
        | `e` | all of the above | |\n| no code | `a` | |\n| `f` | two cells |\n";
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let row = |name: &str, may_use: &[&str], in_tests: &[&str]| (name.to_owned(), set(may_use), set(in_tests));
    let expected =
        [row("a", &[], &[]), row("b", &["a"], &["d"]), row("c", &["a"], &["d"]), row("e", &["a", "b", "c"], &[])];
    assert_eq!(table_of(text), expected);
}
