//! Simulated runs of the whole engine. `WEIR_SEED=n cargo test --workspace --test simulation -- --nocapture` runs one
//! and shows what happened.

use std::env::VarError;
use std::ops::Range;
use std::time::Duration;

use weir_engine::job::JobState;
use weir_tests::engine_simulation::{Dishonesty, Event, Flaw, Job, Plan, Run, run, run_plan};

/// The seeds of each run of the tests.
const SEEDS: Range<u64> = 0..240;

/// Or the one that somebody wants to see (`WEIR_SEED=7`), or as many as somebody has time for (`WEIR_SEEDS=5000..10000`).
fn seeds() -> Range<u64> {
    let number = |text: &str| -> u64 { text.parse().expect("a seed is a number") };
    match (var("WEIR_SEED"), var("WEIR_SEEDS")) {
        (Some(seed), _) => number(&seed)..number(&seed) + 1,
        (None, Some(seeds)) => {
            let (first, end) = seeds.split_once("..").expect("seeds are of the form a..b");
            number(first)..number(end)
        }
        (None, None) => SEEDS,
    }
}

fn var(name: &str) -> Option<String> {
    match std::env::var(name) {
        Err(VarError::NotPresent) => None,
        value => Some(value.expect("a seed is text")),
    }
}

/// What the runs of many seeds went through.
#[derive(Debug, Default)]
struct Totals {
    crashes: u64,
    checkpoints: u64,
    faults: u64,
    late_writes: u64,
    refusals: u64,
    survivors: u64,
    cancelled: u64,
    changes: u64,
    undone: u64,
}

impl Totals {
    fn add(&mut self, run: &Run) {
        self.crashes += run.crashes;
        self.checkpoints += run.checkpoints;
        self.faults += run.weathered.faults;
        self.late_writes += run.weathered.late_writes;
        self.refusals += run.refusals;
        self.survivors += u64::from(run.has_survivor);
        self.cancelled += u64::from(run.ended == JobState::Canceled);
        self.changes += run.changes;
        self.undone += u64::from(run.has_undone);
    }

    /// What should have happened and never did.
    fn missing(&self) -> Vec<&'static str> {
        let rows = [
            ("crashes", self.crashes),
            ("checkpoints", self.checkpoints),
            ("faults", self.faults),
            ("late writes", self.late_writes),
            ("submissions without an answer", self.refusals),
            ("survivors of a rivalry that end the job", self.survivors),
            ("cancelled jobs", self.cancelled),
            ("jobs that are changed", self.changes),
            ("changes that are undone", self.undone),
        ];
        rows.into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
    }
}

#[test]
fn whatever_fails_results_are_as_if_nothing_had() {
    let seeds = seeds();
    let mut broken = Vec::new();
    let mut totals = Totals::default();
    for seed in seeds.clone() {
        match run(seed) {
            Ok(run) => {
                if seeds.end - seeds.start == 1 {
                    println!("{:#?}\n{}", Plan::of(seed), run.trace);
                }
                totals.add(&run);
            }
            Err(failure) => {
                println!("{failure}");
                if broken.is_empty() {
                    println!("{:#?}\n{}", Plan::of(seed), failure.trace);
                }
                broken.push(failure.seed);
            }
        }
    }
    println!("{} seeds: {totals:?}", seeds.end - seeds.start);
    assert!(broken.is_empty(), "broken: {broken:?}");
    if seeds == SEEDS {
        assert_eq!(totals.missing(), [""; 0], "these never happened");
    }
}

#[test]
fn a_job_whose_checkpoints_always_expire_fails_for_good() {
    let mut plan = Plan::of(0).without_failures();
    plan.climate.latency_ms = 40;
    // Nothing happens, but the store is slow meanwhile; and each checkpoint is too large to stand in its entry, so that no
    // luck lets it complete in time.
    plan.events = vec![(Duration::from_secs(60), Event::Fail)];
    plan.job = Job { records: vec![100_000], rate: 4_000, interval: 1_000, timeout: 1, ..plan.job };
    plan.job = Job { state: "map", tolerable: 1, attempts: 3, poison: 0, ..plan.job };
    let failure = run_plan(0, &plan).expect_err("it cannot finish");
    assert_eq!(failure.invariant, "comes-to-an-end", "{failure}");
    assert!(failure.detail.contains("FAILED") && failure.detail.contains("expired before"), "{failure}");
}

#[test]
fn a_seed_gives_the_same_trace_each_time() {
    for seed in SEEDS.step_by(6) {
        let hash = || match run(seed) {
            Ok(run) => run.trace.hash(),
            Err(failure) => failure.trace.hash(),
        };
        assert_eq!(hash(), hash(), "seed {seed}");
    }
}

#[test]
fn a_run_with_failures_publishes_what_a_run_without_does() {
    let mut compared = 0;
    for seed in SEEDS.step_by(8) {
        let plan = Plan::of(seed);
        let with = run(seed).unwrap_or_else(|failure| panic!("{failure}"));
        let without = run_plan(seed, &plan.without_failures()).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(without.ended, JobState::Finished, "seed {seed}");
        if with.ended == JobState::Canceled && plan.events.iter().any(|(_, event)| *event == Event::Cancel) {
            continue;
        }
        assert_eq!(with.ended, without.ended, "seed {seed}");
        assert_eq!(without_counts(&with.published), without_counts(&without.published), "seed {seed}");
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} were compared");
}

/// Lines without the count that each ends with, sorted.
fn without_counts(lines: &[String]) -> Vec<&str> {
    let mut labels: Vec<&str> = lines.iter().map(|line| line.rsplit_once('\t').expect("a line has fields").0).collect();
    labels.sort_unstable();
    labels
}

/// Of the first seeds one whose run breaks a promise.
#[track_caller]
fn is_caught(spoil: impl Fn(&mut Plan), invariants: &[&str]) {
    let found = (0..200).find_map(|seed| {
        let mut plan = Plan::of(seed);
        spoil(&mut plan);
        run_plan(seed, &plan).err().filter(|failure| invariants.contains(&failure.invariant))
    });
    assert!(found.is_some(), "nothing is noticed");
}

#[test]
fn a_doubled_result_is_noticed() {
    is_caught(|plan| plan.dishonesty = Dishonesty::Doubles, &["results-are-exact"]);
}

#[test]
fn a_dropped_result_is_noticed() {
    is_caught(|plan| plan.dishonesty = Dishonesty::Drops, &["results-are-exact"]);
}

#[test]
fn parts_that_are_cut_are_noticed() {
    is_caught(|plan| plan.flaw = Flaw::CutsParts, &["lists-and-parts-agree"]);
}

#[test]
fn a_store_that_lets_two_creates_win_is_noticed() {
    is_caught(
        |plan| plan.flaw = Flaw::CreatesTwice,
        &["results-are-exact", "lists-and-parts-agree", "no-bugs", "stays-driven"],
    );
}

#[test]
fn a_store_that_deletes_nothing_is_noticed() {
    is_caught(|plan| plan.flaw = Flaw::KeepsAll, &["nothing-leaks"]);
}
