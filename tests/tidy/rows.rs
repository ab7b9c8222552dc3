//! The 365 rows of the mission: each is there, and what is said to answer it exists.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::documents::anchors;
use crate::{files, read, root};

const ROWS: usize = 365;

#[derive(Deserialize)]
struct Rows {
    row: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    n: usize,
    text: String,
    answer: String,
}

fn rows() -> Vec<Row> {
    toml::from_str::<Rows>(&read(&root().join("tests/seed_rows.toml"))).expect("seed_rows.toml has this form").row
}

/// The names of all test functions of the tree: those that follow a `test` attribute, directly or behind others, and
/// those inside `proptest!`.
fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in ["host", "tests", "guest-sdk", "examples"].into_iter().flat_map(|folder| files(folder, ".rs")) {
        let mut follows_test = false;
        for line in read(&path).lines().map(str::trim) {
            if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
                follows_test = true;
            } else if let Some(rest) = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")) {
                if follows_test {
                    names.insert(rest.split(['(', '<']).next().unwrap_or_default().to_owned());
                }
                follows_test = false;
            }
        }
    }
    names
}

#[test]
fn every_row_is_there_once_and_in_order() {
    let rows = rows();
    let numbers: Vec<usize> = rows.iter().map(|row| row.n).collect();
    assert_eq!(numbers, (1..=ROWS).collect::<Vec<_>>());
    assert!(rows.iter().all(|row| !row.text.is_empty()));
}

#[test]
fn every_answer_points_to_something_that_exists() {
    let tests = test_names();
    let mut dangling = Vec::new();
    let (mut by_test, mut by_book, mut planned) = (0, 0, 0);
    for row in rows() {
        let exists = match row.answer.split_once(':') {
            Some(("test", name)) => {
                by_test += 1;
                tests.contains(name)
            }
            Some(("book", pointer)) => {
                by_book += 1;
                pointer.split_once('#').is_some_and(|(page, anchor)| {
                    let path = root().join("docs").join(page);
                    path.is_file() && anchors(&read(&path)).contains(anchor)
                })
            }
            _ => {
                planned += 1;
                row.answer == "planned"
            }
        };
        if !exists {
            dangling.push(format!("row {}: {}", row.n, row.answer));
        }
    }
    println!("{ROWS} rows: {by_test} answered by tests, {by_book} by the book, {planned} planned");
    assert!(dangling.is_empty(), "answers that point to nothing:\n{}", dangling.join("\n"));
}
