//! The fuzz targets, a slice of time for each seed; what was found stays in a corpus from slice to slice.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use weir_fuzz::{TARGETS, Target};
use weir_simulator::failure::Failure;
use weir_simulator::trace::Trace;

use crate::topic::{Counts, Goal, Pace, Topic};

/// One slice.
const SECONDS: u64 = 20;

/// A target.
pub(crate) struct Fuzzed {
    name: String,
    target: Target,
    /// Where what was found is kept.
    folder: PathBuf,
}

impl Fuzzed {
    pub(crate) fn all(folder: &Path) -> Vec<Self> {
        let of = |target: Target| Self {
            name: format!("fuzz-{}", target.name),
            target,
            folder: folder.join("corpus").join(target.name),
        };
        TARGETS.into_iter().map(of).collect()
    }

    fn failure(&self, seed: u64, input: &Path, log: &str) -> Box<Failure> {
        let mut trace = Trace::default();
        log.lines().for_each(|line| trace.note(seed, "libFuzzer", line));
        let panic = log.lines().skip_while(|line| !line.contains("panicked at")).take(3).collect::<Vec<_>>().join(" ");
        let (target, input) = (self.target.name, input.display());
        Box::new(Failure {
            topic: "fuzz",
            seed,
            step: 0,
            invariant: self.target.name,
            detail: if panic.is_empty() { "libFuzzer ended the process; see the trace".to_owned() } else { panic },
            reproduce: format!(
                "WEIR_FUZZ_TARGET={target} WEIR_FUZZ_INPUT={input} cargo test --workspace --test replay"
            ),
            trace,
        })
    }
}

impl Topic for Fuzzed {
    fn name(&self) -> &str {
        &self.name
    }

    fn goal(&self) -> Goal {
        Goal { what: "seconds fuzzed", enough: 600 }
    }

    fn first_seed(&self) -> u64 {
        1
    }

    fn pace(&self) -> Pace {
        Pace { at_once: 1, turn: 1 }
    }

    fn play(&self, seed: u64) -> Result<Counts, Box<Failure>> {
        std::fs::create_dir_all(&self.folder).expect("the folder of the progress can be written to");
        let input = self.folder.with_extension(format!("{seed}.input"));
        let kept = root().join("tests/fuzz/corpus").join(self.target.name);
        let output = Command::new(program())
            .env("WEIR_FUZZ_TARGET", self.target.name)
            .args([&self.folder, &kept])
            .arg(format!("-seed={seed}"))
            .arg(format!("-max_total_time={SECONDS}"))
            .arg(format!("-exact_artifact_path={}", input.display()))
            .args(["-max_len=4096", "-rss_limit_mb=2048", "-timeout=20", "-print_final_stats=1"])
            .output()
            .expect("it was just built");
        let log = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(self.failure(seed, &input, &log));
        }
        let executions = after(&log, "stat::number_of_executed_units:").unwrap_or(0);
        let mut counts = Counts::from_iter([("executions", executions), ("seconds fuzzed", SECONDS)]);
        let last = log.lines().rev().find(|line| line.contains(" cov: ")).unwrap_or_default();
        for (name, mark) in [("coverage: edges", " cov: "), ("coverage: features", " ft: ")] {
            counts.highest.insert(name.to_owned(), after(last, mark).unwrap_or(0));
        }
        Ok(counts)
    }
}

/// The number behind a mark.
fn after(text: &str, mark: &str) -> Option<u64> {
    text.split_once(mark)?.1.split_whitespace().next()?.parse().ok()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the repository").to_owned()
}

/// The program with libFuzzer in it, built when it is first needed.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = Command::new(root().join("scripts/fuzz.sh")).stderr(std::process::Stdio::inherit()).output();
        let built = built.expect("the script is there");
        assert!(built.status.success(), "the fuzzer cannot be built; the lines above say why");
        PathBuf::from(String::from_utf8_lossy(&built.stdout).trim())
    })
}
