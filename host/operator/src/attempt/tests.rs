//! The plan, driven by made-up operators: whatever they do, each row is committed once and in order, or given up on.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::plan::{Plan, Probing, Rows, Verdict};

/// How a made-up operator fails.
#[derive(Debug, Clone, Copy)]
enum Blame {
    /// It traps.
    Nobody,
    /// It names every poisoned row of its part.
    Culprits,
    /// It names the first poisoned row of its part.
    First,
}

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    committed: Vec<u32>,
    given_up: BTreeSet<u32>,
    attempts: usize,
}

/// Runs a plan against an operator that fails whenever its part holds a poisoned row, and, where `wears_out`, in every
/// call but an instance's first.
fn run(rows: u32, poisoned: &BTreeSet<u32>, blame: Blame, wears_out: bool) -> Outcome {
    let mut plan = Plan::new(rows, Probing::Split);
    let mut outcome = Outcome::default();
    let mut fresh = true;
    while let Some(part) = plan.next() {
        let part = match part {
            Rows::All(rows) => (0..*rows).collect(),
            Rows::Listed(rows) => rows.clone(),
        };
        outcome.attempts += 1;
        let culprits: Vec<u32> =
            (0..).zip(&part).filter(|(_, row)| poisoned.contains(row)).map(|(index, _)| index).collect();
        if culprits.is_empty() && (fresh || !wears_out) {
            outcome.committed.extend(part);
            plan.passed();
            fresh = false;
            continue;
        }
        let named = match blame {
            Blame::Nobody => &[],
            Blame::Culprits => culprits.as_slice(),
            Blame::First => &culprits[..culprits.len().min(1)],
        };
        match plan.failed(named, fresh) {
            Verdict::Again => {}
            Verdict::GiveUp(rows) => outcome.given_up.extend(rows),
            Verdict::Fails => unreachable!("a batch with rows is always split down to its culprits"),
        }
        fresh = true;
    }
    outcome
}

proptest! {
    #[test]
    fn exactly_the_poisoned_rows_are_given_up_on(
        rows in 1_u32..200,
        poisoned in prop::collection::btree_set(0_u32..200, 0..12),
        blame in prop::sample::select(vec![Blame::Nobody, Blame::Culprits, Blame::First]),
        wears_out: bool,
    ) {
        let poisoned: BTreeSet<u32> = poisoned.into_iter().filter(|row| *row < rows).collect();
        let outcome = run(rows, &poisoned, blame, wears_out);
        let healthy: Vec<u32> = (0..rows).filter(|row| !poisoned.contains(row)).collect();
        prop_assert_eq!(&outcome.given_up, &poisoned);
        prop_assert_eq!(&outcome.committed, &healthy, "each once, and in order");
        let depth = rows.next_power_of_two().trailing_zeros() as usize + 2;
        prop_assert!(outcome.attempts <= 3 + poisoned.len() * 3 * depth + outcome.committed.len());
    }
}

#[test]
fn a_batch_that_passes_is_tried_once() {
    let outcome = run(100, &BTreeSet::new(), Blame::Nobody, false);
    assert_eq!(outcome.attempts, 1);
}

#[test]
fn a_batch_of_one_row_is_tried_twice_before_it_is_given_up_on() {
    let outcome = run(1, &BTreeSet::from([0]), Blame::Nobody, false);
    assert_eq!((outcome.attempts, outcome.given_up), (2, BTreeSet::from([0])));
}

#[test]
fn a_broadcast_batch_is_tried_once_more_and_never_split() {
    let mut plan = Plan::new(8, Probing::OnceMore);
    assert_eq!(plan.failed(&[], false), Verdict::Again);
    assert!(plan.next().is_some_and(|rows| *rows == Rows::All(8)), "the whole once more");
    assert_eq!(plan.failed(&[1], true), Verdict::Fails);
}

#[test]
fn finish_is_tried_once() {
    assert_eq!(Plan::new(0, Probing::Never).failed(&[], true), Verdict::Fails);
}

#[test]
fn a_batch_without_rows_has_no_culprit() {
    let mut plan = Plan::new(0, Probing::Split);
    assert_eq!(plan.failed(&[], false), Verdict::Again);
    assert_eq!(plan.failed(&[], true), Verdict::Fails);
}

#[test]
fn a_row_that_fails_on_a_worn_instance_is_not_condemned() {
    let mut plan = Plan::new(2, Probing::Split);
    assert_eq!(plan.failed(&[], true), Verdict::Again);
    assert_eq!(plan.failed(&[], true), Verdict::Again);
    plan.passed();
    assert_eq!(plan.failed(&[], false), Verdict::Again, "its neighbour used the instance");
    assert_eq!(plan.failed(&[], true), Verdict::GiveUp(vec![1]));
}
