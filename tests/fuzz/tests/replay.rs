//! Each target's corpus, and inputs from seeds: what the fuzzer found once stays mended, and a claim that is broken
//! plainly is seen without the fuzzer.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use weir_fuzz::{Target, target};

/// The files of a target's folder, by name.
fn corpus(target: Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let files = std::fs::read_dir(&folder).expect("every target has a folder in the corpus");
    let mut paths: Vec<_> = files.map(|file| file.expect("the folder can be read").path()).collect();
    paths.sort();
    let read = |path: PathBuf| std::fs::read(&path).map(|bytes| (path, bytes)).expect("the corpus can be read");
    paths.into_iter().map(read).collect()
}

fn holds(target: Target, input: &[u8]) -> bool {
    std::panic::catch_unwind(|| (target.check)(input)).is_ok()
}

/// Replays the corpus, and tries `count` inputs from seeds: random ones, and damaged copies of the corpus.
fn replay(name: &str, count: u64) {
    let target = target(name).expect("there is such a target");
    let mut known = Vec::new();
    for (path, input) in corpus(target) {
        assert!(holds(target, &input), "{}", path.display());
        known.push(input);
    }
    assert!(!known.is_empty(), "there is something to begin with");
    for seed in 0..count {
        let mut random = StdRng::seed_from_u64(seed);
        let mut input = if random.random_ratio(1, 2) {
            vec![0; random.random_range(0..600)]
        } else {
            known[random.random_range(0..known.len())].clone()
        };
        let start = if input.iter().all(|byte| *byte == 0) { 0 } else { random.random_range(0..=input.len()) };
        let end = if start == 0 { input.len() } else { (start + random.random_range(0..4)).min(input.len()) };
        random.fill_bytes(&mut input[start..end]);
        assert!(holds(target, &input), "{name}: seed {seed}: {input:?}");
    }
}

/// What the fuzzer found: `WEIR_FUZZ_TARGET` names the target, `WEIR_FUZZ_INPUT` the file. Without them there is nothing
/// to do.
#[test]
fn input_that_the_environment_names_holds() {
    let (Ok(name), Ok(path)) = (std::env::var("WEIR_FUZZ_TARGET"), std::env::var("WEIR_FUZZ_INPUT")) else { return };
    let input = std::fs::read(&path).expect("it can be read");
    (target(&name).expect("there is such a target").check)(&input);
}

#[test]
fn entries_are_read_as_written_or_refused() {
    replay("entry", 20_000);
}

#[test]
fn checkpoint_files_are_believed_only_as_far_as_they_verify() {
    replay("checkpoint-file", 20_000);
}

#[test]
fn job_files_are_refused_by_line_or_written_down_again() {
    replay("job-file", 20_000);
}

#[test]
fn coordinator_does_what_an_onlooker_finds_right() {
    replay("coordinator", 20_000);
}

#[test]
fn misuse_of_an_import_is_the_operators_error_and_does_nothing() {
    replay("imports", 20_000);
}
