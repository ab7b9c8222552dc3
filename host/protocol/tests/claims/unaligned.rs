//! Unaligned barriers, by example.

use weir_protocol::alignment::Barrier;
use weir_protocol::id::CheckpointId;
use weir_protocol::unaligned::{Reaction, Unaligned};

fn barrier(n: u64) -> Barrier {
    Barrier { checkpoint: CheckpointId(n), at: 0 }
}

#[test]
fn task_reacts_once_at_the_first_barrier() {
    let mut unaligned = Unaligned::new(3, CheckpointId(0));
    let firsts = [2, 0, 1].map(|input| unaligned.on_barrier(input, barrier(1)).expect("not given up").first);
    assert_eq!(firsts, [true, false, false]);
}

#[test]
fn single_input_has_no_channel_state() {
    let mut unaligned = Unaligned::new(1, CheckpointId(0));
    assert_eq!(unaligned.on_barrier(0, barrier(1)), Some(Reaction { first: true, last: true, gave_up: None }));
    assert_eq!(unaligned.captures(0), None);
}

#[test]
fn input_is_captured_only_until_its_own_barrier_or_end() {
    let mut unaligned = Unaligned::new(3, CheckpointId(0));
    unaligned.on_barrier(0, barrier(1));
    assert_eq!([0, 1, 2].map(|input| unaligned.captures(input).is_some()), [false, true, true]);
    unaligned.on_barrier(1, barrier(1));
    assert_eq!(unaligned.captures(1), None);
    assert_eq!(unaligned.on_end(2), Some(CheckpointId(1)));
}

#[test]
fn newer_barrier_gives_the_older_up() {
    let mut unaligned = Unaligned::new(2, CheckpointId(0));
    unaligned.on_barrier(0, barrier(1));
    let reaction = unaligned.on_barrier(0, barrier(2)).expect("not given up");
    assert_eq!(reaction, Reaction { first: true, last: false, gave_up: Some(CheckpointId(1)) });
    assert_eq!(unaligned.on_barrier(1, barrier(1)), None);
    assert_eq!(unaligned.captures(1), Some(CheckpointId(2)));
}

#[test]
fn older_barrier_beside_a_newer_one_is_passed_over() {
    let mut unaligned = Unaligned::new(2, CheckpointId(0));
    unaligned.on_barrier(0, barrier(2));
    assert_eq!(unaligned.on_barrier(1, barrier(1)), None);
    assert!(unaligned.on_barrier(1, barrier(2)).expect("not given up").last);
}
