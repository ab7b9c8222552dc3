//! Source files: each opens with what it is, and stages of the engine do not know each other.

use crate::{files, read, root, shown};

#[test]
fn every_module_opens_with_what_it_is() {
    let bare: Vec<String> = ["host", "guest-sdk", "examples", "tests"]
        .into_iter()
        .flat_map(|folder| files(folder, ".rs"))
        .filter(|path| !path.ends_with("tests.rs") && !path.components().any(|part| part.as_os_str() == "target"))
        .filter(|path| !read(path).trim_start().starts_with("//!"))
        .map(|path| shown(&path))
        .collect();
    assert!(bare.is_empty(), "without a head (`//! …`):\n{}", bare.join("\n"));
}

#[test]
fn only_task_and_job_compose_the_stages_of_the_engine() {
    let stages = ["source", "exchange", "sink", "state"];
    let mut edges = Vec::new();
    for stage in stages {
        for path in files(&format!("host/engine/src/{stage}"), ".rs") {
            let text = read(&path);
            for other in stages.iter().chain(&["task", "job"]).filter(|other| **other != stage) {
                if text.contains(&format!("crate::{other}")) {
                    edges.push(format!("{} uses crate::{other}", shown(&path)));
                }
            }
        }
    }
    assert!(edges.is_empty(), "stages that know each other:\n{}", edges.join("\n"));
}

#[test]
fn no_bag_modules() {
    let bags = ["utils", "util", "common", "helpers", "helper", "manager", "misc"];
    let found: Vec<String> = files("host", ".rs")
        .iter()
        .map(|path| shown(path))
        .filter(|path| path.split('/').any(|part| bags.contains(&part.trim_end_matches(".rs"))))
        .collect();
    assert!(found.is_empty(), "name these by what they hold: {found:?}");
}

#[test]
fn nothing_names_a_machine() {
    let words = ["/root/", "/home/", "/work/"];
    let mut found = Vec::new();
    for folder in ["host", "guest-sdk", "examples", "tests", "docs", "wit", "scripts"] {
        for ending in [".rs", ".toml", ".md", ".wit", ".sh"] {
            for path in files(folder, ending).into_iter().filter(|path| *path != root().join("tests/tidy/sources.rs")) {
                let text = read(&path);
                found.extend(
                    words.iter().filter(|word| text.contains(**word)).map(|word| format!("{}: {word}", shown(&path))),
                );
            }
        }
    }
    assert!(found.is_empty(), "paths of one machine:\n{}", found.join("\n"));
}
