//! Builds the components that tests and benches load, and tells where they are.
//!
//! Guests are workspaces of their own, with a target and a profile of their own; they are built into the folder
//! `guests` of the target folder, never into the folder whose lock the build that runs this holds. The answer is
//! `guests.rs` in `OUT_DIR`: a constant with the path of each component, and a list of all. Beside them it builds the
//! disk that fails, which nodes are started with.

use std::env;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Workspaces of guests, from the root of the repository.
const WORKSPACES: [&str; 2] = ["tests/guests", "examples"];
/// What else the guests are made from.
const SOURCES: [&str; 2] = ["wit", "guest-sdk/rust"];
const TARGET: &str = "wasm32-wasip2";

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let target = guests_target(&out);
    let mut constants = String::new();
    let mut names = String::new();
    for workspace in WORKSPACES {
        println!("cargo::rerun-if-changed={}", root.join(workspace).display());
        build(&root.join(workspace), &target);
        for package in components(&root.join(workspace)) {
            let path = target.join(TARGET).join("release").join(format!("{}.wasm", package.replace('-', "_")));
            let name = package.replace('-', "_").to_uppercase();
            writeln!(constants, "/// The component `{package}`.\npub const {name}: &str = {path:?};")
                .expect("writing to a string");
            write!(names, "(\"{name}\", {name}), ").expect("writing to a string");
        }
    }
    SOURCES.iter().for_each(|source| println!("cargo::rerun-if-changed={}", root.join(source).display()));
    let text = format!(
        "{constants}/// Every component, with the name of its constant.\npub const ALL: &[(&str, &str)] = &[{names}];\n"
    );
    std::fs::write(out.join("guests.rs"), text).expect("OUT_DIR can be written to");
    build_disk(&out);
}

/// The library that nodes are started with to have a disk that is full or slow; its path is `WEIR_DISK` at compile time.
/// It stands before functions of glibc (`open64`, `openat64`) and finds paths in `/proc`: it is for Linux with glibc, as
/// the crash tests are.
fn build_disk(out: &Path) {
    const SOURCE: &str = "src/crash/disk.c";
    println!("cargo::rerun-if-changed={SOURCE}");
    let library = out.join("disk.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&library).arg(SOURCE).arg("-ldl");
    let built = compiler.status().expect("a C compiler can be started: `cc`, which linking needs anyhow");
    assert!(built.success(), "{SOURCE} cannot be compiled");
    println!("cargo::rustc-env=WEIR_DISK={}", library.display());
}

/// The folder `guests` of the target folder, which is above `<profile>/build/<package>/out`.
fn guests_target(out: &Path) -> PathBuf {
    out.ancestors().nth(4).expect("OUT_DIR lies in the target folder").join("guests")
}

fn build(workspace: &Path, target: &Path) {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    cargo.args(["build", "--release", "--target", TARGET, "--manifest-path"]).arg(workspace.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(target);
    // What applies to the build that runs this does not apply to guests.
    let foreign = ["RUSTFLAGS", "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTDOCFLAGS", "RUSTDOC"];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_ENCODED") || text.starts_with("CARGO_PROFILE_") || foreign.contains(&&*text) {
            cargo.env_remove(name);
        }
    }
    let built = cargo.status().expect("cargo can be started");
    assert!(
        built.success(),
        "the guests in {} cannot be built; is the target there? `rustup target add {TARGET}`",
        workspace.display()
    );
}

/// The packages of a workspace that become components, by name.
fn components(workspace: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(workspace).expect("a workspace of guests is a folder");
    let manifest = |folder: PathBuf| std::fs::read_to_string(folder.join("Cargo.toml")).ok();
    let manifests = folders.filter_map(|folder| manifest(folder.expect("it can be read").path()));
    let mut names: Vec<String> = manifests
        .filter(|manifest| manifest.contains("\"cdylib\""))
        .filter_map(|manifest| {
            let line = manifest.lines().find_map(|line| line.strip_prefix("name = "))?;
            Some(line.trim_matches('"').to_owned())
        })
        .collect();
    names.sort();
    names
}
