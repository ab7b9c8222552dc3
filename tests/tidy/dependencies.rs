//! Who may depend on whom, on what licence, and in how many versions. Asks `cargo metadata`, without the network.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::{read, root};

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
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

#[derive(Deserialize)]
struct Allowed {
    licences: Vec<String>,
    duplicates: BTreeMap<String, String>,
}

fn metadata() -> &'static Metadata {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    METADATA.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--offline", "--locked"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(root())
            .output()
            .expect("cargo runs, as it runs this test");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("cargo prints JSON of this form")
    })
}

fn allowed() -> Allowed {
    toml::from_str(&read(&root().join("tests/tidy/allowed.toml"))).expect("allowed.toml has this form")
}

fn package(id: &str) -> &'static Package {
    metadata().packages.iter().find(|package| package.id == id).expect("every node is a package")
}

/// The names of what a package of the workspace needs to be built and run, directly or through others.
fn closure(name: &str) -> BTreeSet<&'static str> {
    let nodes: BTreeMap<&str, &Node> = metadata().resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let start = metadata().packages.iter().find(|package| package.name == name && package.source.is_none());
    let mut open = vec![start.unwrap_or_else(|| panic!("no crate {name}")).id.as_str()];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        for dependency in &nodes[id].deps {
            let normal = dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
            if normal && seen.insert(dependency.pkg.as_str()) {
                open.push(&dependency.pkg);
            }
        }
    }
    seen.into_iter().map(|id| package(id).name.as_str()).collect()
}

#[test]
fn dependencies_point_from_server_to_engine_to_operator_to_protocol() {
    let order = ["weir-protocol", "weir-operator", "weir-engine", "weir"];
    for (index, name) in order.iter().enumerate() {
        let closure = closure(name);
        for above in &order[index + 1..] {
            assert!(
                !closure.contains(above),
                "{name} depends on {above}, against server → engine → operator → protocol"
            );
        }
        for tests in ["weir-tests", "weir-simulator", "weir-fuzz"] {
            assert!(!closure.contains(tests), "{name} depends on {tests}");
        }
    }
}

#[test]
fn protocol_is_free_of_async_io_wasm_and_databases() {
    let forbidden = [
        "tokio",
        "futures",
        "async-trait",
        "mio",
        "wasmtime",
        "wasmparser",
        "object_store",
        "rocksdb",
        "rand",
        "rustix",
        "libc",
        "axum",
        "reqwest",
    ];
    let closure = closure("weir-protocol");
    let found: Vec<_> = forbidden.iter().filter(|name| closure.contains(*name)).collect();
    assert!(found.is_empty(), "weir-protocol depends on {found:?}");
}

#[test]
fn only_the_operator_crate_knows_wasmtime() {
    for name in ["weir-engine", "weir"] {
        let start = metadata().packages.iter().find(|package| package.name == name && package.source.is_none());
        let id = &start.expect("a crate of the workspace").id;
        let node = metadata().resolve.nodes.iter().find(|node| &node.id == id).expect("every package is a node");
        let direct = node.deps.iter().any(|dependency| package(&dependency.pkg).name.starts_with("wasmtime"));
        assert!(!direct, "{name} depends on wasmtime; only weir-operator may");
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let allowed = allowed().licences;
    // `A OR B` needs one that is allowed, `A AND B` both; `/` is an old way to write OR.
    let fits =
        |expression: &str| {
            expression.replace('/', " OR ").replace(['(', ')'], " ").split(" OR ").any(|choice| {
                choice.split(" AND ").all(|licence| allowed.iter().any(|allowed| allowed == licence.trim()))
            })
        };
    let refused: Vec<String> = metadata()
        .packages
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(fits))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    assert!(refused.is_empty(), "not allowed by tests/tidy/allowed.toml:\n{}", refused.join("\n"));
}

#[test]
fn every_dependency_has_one_version_or_a_reason() {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &metadata().packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let reasons = allowed().duplicates;
    let several: BTreeMap<_, _> = versions.into_iter().filter(|(_, versions)| versions.len() > 1).collect();
    let unexplained: Vec<_> = several.iter().filter(|(name, _)| !reasons.contains_key(**name)).collect();
    assert!(unexplained.is_empty(), "several versions without a reason in tests/tidy/allowed.toml: {unexplained:?}");
    let stale: Vec<_> = reasons.keys().filter(|name| !several.contains_key(name.as_str())).collect();
    assert!(stale.is_empty(), "one version only by now; remove from tests/tidy/allowed.toml: {stale:?}");
}
