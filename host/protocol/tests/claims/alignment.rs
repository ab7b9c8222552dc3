//! Alignment, by example and against a plain reference.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use weir_protocol::alignment::{Aligning, Alignment, Barrier};
use weir_protocol::id::CheckpointId;

fn barrier(n: u64) -> Barrier {
    Barrier { checkpoint: CheckpointId(n), at: 0 }
}

fn fresh(inputs: usize) -> Alignment {
    Alignment::new(inputs, CheckpointId(0))
}

#[test]
fn barrier_waits_for_the_slowest_input() {
    let mut alignment = fresh(3);
    assert_eq!(alignment.on_barrier(2, barrier(1)), Aligning::Blocked { gave_up: None });
    assert_eq!(alignment.on_barrier(0, barrier(1)), Aligning::Blocked { gave_up: None });
    assert!(alignment.is_blocked(0) && alignment.is_blocked(2) && !alignment.is_blocked(1));
    assert_eq!(alignment.on_barrier(1, barrier(1)), Aligning::Aligned { barrier: barrier(1), gave_up: None });
    assert!((0..3).all(|input| !alignment.is_blocked(input)));
}

#[test]
fn single_input_never_blocks() {
    let mut alignment = fresh(1);
    assert_eq!(alignment.on_barrier(0, barrier(1)), Aligning::Aligned { barrier: barrier(1), gave_up: None });
    assert!(!alignment.is_blocked(0));
}

#[test]
fn ended_input_counts_as_aligned() {
    let mut alignment = fresh(3);
    assert_eq!(alignment.on_end(0), None);
    assert_eq!(alignment.on_barrier(1, barrier(4)), Aligning::Blocked { gave_up: None });
    assert_eq!(alignment.on_end(2), Some(barrier(4)));
    assert!(!alignment.is_blocked(1) && !alignment.has_ended());
}

#[test]
fn newer_barrier_gives_the_older_up_and_opens_its_inputs() {
    let mut alignment = fresh(3);
    alignment.on_barrier(0, barrier(1));
    assert_eq!(alignment.on_barrier(1, barrier(2)), Aligning::Blocked { gave_up: Some(CheckpointId(1)) });
    assert!(!alignment.is_blocked(0) && alignment.is_blocked(1));
    assert_eq!(alignment.on_barrier(2, barrier(1)), Aligning::Stale);
    assert!(!alignment.is_blocked(2));
}

#[test]
fn older_barrier_that_was_never_met_is_stale_beside_a_newer_one() {
    let mut alignment = fresh(2);
    alignment.on_barrier(0, barrier(2));
    assert_eq!(alignment.on_barrier(1, barrier(1)), Aligning::Stale);
    assert_eq!(alignment.on_barrier(1, barrier(2)), Aligning::Aligned { barrier: barrier(2), gave_up: None });
}

#[test]
fn aborted_checkpoint_blocks_nothing_any_more() {
    let mut alignment = fresh(2);
    alignment.on_barrier(0, barrier(1));
    assert!(alignment.abort(CheckpointId(1)));
    assert!(!alignment.is_blocked(0));
    assert_eq!(alignment.on_barrier(1, barrier(1)), Aligning::Stale);
    assert_eq!(alignment.passed(), CheckpointId(1));
}

#[test]
fn abort_of_an_older_checkpoint_leaves_a_newer_one_alone() {
    let mut alignment = fresh(2);
    alignment.on_barrier(0, barrier(2));
    assert!(!alignment.abort(CheckpointId(1)));
    assert!(alignment.is_blocked(0));
}

#[test]
fn barrier_of_a_checkpoint_before_the_restored_one_is_stale() {
    let mut alignment = Alignment::new(1, CheckpointId(7));
    assert_eq!(alignment.on_barrier(0, barrier(7)), Aligning::Stale);
}

#[test]
#[should_panic(expected = "was read although it is blocked")]
fn reading_a_blocked_input_is_refused() {
    let mut alignment = fresh(2);
    alignment.on_barrier(0, barrier(1));
    alignment.on_barrier(0, barrier(2));
}

/// What lies in an input's queue: `Some(n)` is barrier n, `None` a record.
type Element = Option<u64>;

/// Each input: records with barriers 1, 2, … between them, then its end. Some inputs end early.
fn inputs() -> impl Strategy<Value = Vec<Vec<Element>>> {
    let input = (vec(0_usize..4, 0..6)).prop_map(|records| {
        let epochs = records.iter().zip(1_u64..);
        epochs.flat_map(|(records, n)| std::iter::repeat_n(None, *records).chain([Some(n)])).collect()
    });
    vec(input, 1..6)
}

/// How many records of each input lie before barrier `n`; all of them, where the input ends without it.
fn before(inputs: &[Vec<Element>], n: u64) -> Vec<usize> {
    let count = |input: &Vec<Element>| {
        input.iter().take_while(|element| **element != Some(n)).filter(|element| element.is_none()).count()
    };
    inputs.iter().map(count).collect()
}

proptest! {
    #[test]
    fn alignment_takes_exactly_the_records_before_the_barrier_of_every_input(
        inputs in inputs(),
        picks in vec(any::<prop::sample::Index>(), 0..400),
    ) {
        let mut queues: Vec<VecDeque<Element>> = inputs.iter().map(|input| input.iter().copied().collect()).collect();
        let mut ended = vec![false; inputs.len()];
        let mut alignment = fresh(inputs.len());
        let mut seen = vec![0_usize; inputs.len()];
        let mut next = 1;
        let mut picks = picks.into_iter();
        while !alignment.has_ended() {
            let readable: Vec<usize> = (0..inputs.len()).filter(|&i| !ended[i] && !alignment.is_blocked(i)).collect();
            prop_assert!(!readable.is_empty(), "some input can always be read");
            let input = picks.next().map_or(readable[0], |pick| readable[pick.index(readable.len())]);
            let aligned = match queues[input].pop_front() {
                Some(None) => {
                    seen[input] += 1;
                    None
                }
                Some(Some(n)) => match alignment.on_barrier(input, barrier(n)) {
                    Aligning::Aligned { barrier, gave_up: None } => Some(barrier),
                    Aligning::Blocked { gave_up: None } => None,
                    other @ (Aligning::Blocked { .. } | Aligning::Aligned { .. } | Aligning::Stale) => {
                        return Err(TestCaseError::fail(format!("{other:?} among barriers in order")));
                    }
                },
                None => {
                    ended[input] = true;
                    alignment.on_end(input)
                }
            };
            if let Some(aligned) = aligned {
                prop_assert_eq!(aligned.checkpoint, CheckpointId(next));
                prop_assert_eq!(&seen, &before(&inputs, next));
                next += 1;
            }
        }
        let barriers = inputs.iter().map(|input| input.iter().flatten().count()).max();
        prop_assert_eq!(Some(next), barriers.map(|count| count as u64 + 1), "every barrier comes through");
    }
}
