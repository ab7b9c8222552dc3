//! The two textbook traces of a barrier: what goes in, in which order, and what must come out.

use weir_protocol::alignment::{Aligning, Alignment, Barrier};
use weir_protocol::id::CheckpointId;
use weir_protocol::unaligned::Unaligned;

const B: Barrier = Barrier { checkpoint: CheckpointId(1), at: 0 };
const NONE: CheckpointId = CheckpointId(0);

/// Runs arrivals through an aligning task; what arrives on a blocked input is queued until the task reads it again.
fn aligned(inputs: usize, arrivals: &[(usize, &'static str)]) -> Vec<&'static str> {
    let mut alignment = Alignment::new(inputs, NONE);
    let mut queues = vec![Vec::new(); inputs];
    let mut output = Vec::new();
    for &(input, element) in arrivals {
        queues[input].push(element);
        while let Some(input) = (0..inputs).find(|&i| !alignment.is_blocked(i) && !queues[i].is_empty()) {
            match queues[input].remove(0) {
                "B" => {
                    if let Aligning::Aligned { .. } = alignment.on_barrier(input, B) {
                        output.push("B");
                    }
                }
                record => output.push(record),
            }
        }
    }
    output
}

#[test]
fn aligned_inputs_r1_b_r2_and_r3_b_r4_give_r1_r3_b_r2_r4() {
    let arrivals = [(0, "R1"), (0, "B"), (0, "R2"), (1, "R3"), (1, "B"), (1, "R4")];
    assert_eq!(aligned(2, &arrivals), ["R1", "R3", "B", "R2", "R4"]);
}

#[test]
fn aligned_output_has_the_same_records_on_each_side_whichever_input_comes_first() {
    let arrivals = [(1, "R3"), (1, "B"), (1, "R4"), (0, "R1"), (0, "B"), (0, "R2")];
    assert_eq!(aligned(2, &arrivals), ["R3", "R1", "B", "R4", "R2"]);
}

#[test]
fn unaligned_inputs_r1_b_r2_and_r3_r4_give_r1_b_r3_r2_and_r3_is_channel_state() {
    let arrivals = [(0, "R1"), (0, "B"), (1, "R3"), (0, "R2"), (1, "R4"), (1, "B"), (1, "R5")];
    let mut unaligned = Unaligned::new(2, NONE);
    let (mut output, mut channel_state, mut whole) = (Vec::new(), Vec::new(), false);
    for (input, element) in arrivals {
        if element == "B" {
            let reaction = unaligned.on_barrier(input, B).expect("the checkpoint was not given up");
            if reaction.first {
                output.push("B");
            }
            whole = reaction.last;
        } else {
            channel_state.extend(unaligned.captures(input).map(|_| element));
            output.push(element);
        }
    }
    assert_eq!(output, ["R1", "B", "R3", "R2", "R4", "R5"]);
    assert_eq!(channel_state, ["R3", "R4"]);
    assert!(whole);
}
