//! Documents tell the truth about the tree: paths that they name exist, links lead somewhere.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{files, read, root, shown};

/// The anchors of a Markdown page's headings, made as forges make them.
pub(crate) fn anchors(page: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut anchors = BTreeSet::new();
    for line in page.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced && line.starts_with('#') {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    anchors
}

#[test]
fn paths_that_the_architecture_names_exist() {
    let page = read(&root().join("host/ARCHITECTURE.md"));
    let roots = ["host/", "wit/", "guest-sdk/", "examples/", "tests/", "docs/", "scripts/"];
    let missing: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| roots.iter().any(|root| word.starts_with(root)))
        .filter(|word| !root().join(word).exists())
        .collect();
    assert!(missing.is_empty(), "host/ARCHITECTURE.md names what does not exist: {missing:?}");
    let words = page.split_whitespace().count();
    assert!(words <= 1_600, "host/ARCHITECTURE.md has {words} words; it should stay at two pages");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for path in files(".", ".md") {
        let page = read(&path);
        for target in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !target.starts_with("http") && !leads_somewhere(&path, target) {
                broken.push(format!("{}: {target}", shown(&path)));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

fn leads_somewhere(page: &Path, target: &str) -> bool {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { page.to_owned() } else { page.parent().expect("a file's path").join(file) };
    path.exists() && anchor.is_none_or(|anchor| anchors(&read(&path)).contains(anchor))
}
