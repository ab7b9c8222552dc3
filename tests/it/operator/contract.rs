//! A component keeps the contract that native operators keep.

use super::odd;

#[tokio::test]
async fn components_keep_the_contract() {
    weir_operator::contract::check_all(&odd()).await;
}

#[test]
fn every_guest_is_tested() {
    let sources: String = ["it", "benches"].iter().flat_map(|folder| rust_files(folder)).collect();
    let unused: Vec<_> = weir_tests::guests::ALL
        .iter()
        .filter(|(name, _)| !sources.contains(&format!("guests::{name}")))
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(unused, [""; 0], "components that no test and no bench loads");
}

fn rust_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for path in entries.map(|entry| entry.expect("it can be read").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(std::fs::read_to_string(path).expect("sources are text"));
            }
        }
    }
    found
}
