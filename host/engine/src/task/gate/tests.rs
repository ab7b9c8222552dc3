use futures::FutureExt;
use weir_operator::batch::OptionalColumn;
use weir_protocol::job_spec::PartitionSpec;
use weir_protocol::key_group::MaxParallelism;
use weir_protocol::time::END_OF_TIME;

use super::*;
use crate::exchange::{Edge, InputChannel, Outputs, connect};

/// A gate with `count` channels, and what feeds each.
fn gate(count: u32) -> (Vec<Outputs>, Gate) {
    let mut connection = connect(&PartitionSpec::Rebalance, count, 1);
    let uid: weir_protocol::id::Uid = "sink".parse().expect("it is a name");
    let outputs = connection.senders.into_iter().map(|targets| {
        let edge = Edge { to: uid.clone(), partition: PartitionSpec::Rebalance, targets };
        Outputs::new(MaxParallelism::DEFAULT, vec![vec![edge]], Arc::default())
    });
    let receivers = connection.receivers.remove(0);
    let channels = receivers.into_iter().map(|receiver| InputChannel { input: 0, receiver }).collect();
    let gate = Gate::new(Inputs::new(channels), CheckpointId(0), Clock::starting_at(0), Arc::default());
    (outputs.collect(), gate)
}

fn batch(value: &str) -> Batch {
    let mut values = OptionalColumn::default();
    values.push(Some(value.as_bytes()));
    Batch { rows: 1, values, ..Batch::default() }
}

fn send(outputs: &mut Outputs, value: &str) {
    outputs.send(0, batch(value)).now_or_never().expect("there is room").expect("the gate lives");
    outputs.flush().now_or_never().expect("there is room").expect("the gate lives");
}

fn mark(outputs: &mut Outputs, element: Element) {
    outputs.broadcast(element).now_or_never().expect("there is room").expect("the gate lives");
}

fn barrier(checkpoint: u64) -> Barrier {
    Barrier { checkpoint: CheckpointId(checkpoint), at: 0 }
}

/// Everything that is there, in short: `0:a` for a record, `#3` for a barrier, `0.` for an end.
fn arrivals(gate: &mut Gate) -> Vec<String> {
    std::iter::from_fn(|| gate.try_next().expect("nothing was abandoned"))
        .map(|arrival| match arrival {
            Arrival::Records { channel, input: _, batch } => {
                let value = batch.values.get(0).expect("there is a value");
                format!("{channel}:{}", String::from_utf8_lossy(value))
            }
            Arrival::Watermark(channel, watermark) => format!("{channel}@{watermark}"),
            Arrival::Idle(channel) => format!("{channel}~"),
            Arrival::Barrier(barrier) => format!("#{}", barrier.checkpoint),
            Arrival::Ended(channel) => format!("{channel}."),
        })
        .collect()
}

#[tokio::test]
async fn records_behind_a_barrier_wait_for_it_on_every_channel() {
    let (mut outputs, mut gate) = gate(2);
    mark(&mut outputs[0], Element::Barrier(barrier(1)));
    send(&mut outputs[0], "late");
    send(&mut outputs[1], "early");
    assert_eq!(arrivals(&mut gate), ["1:early"]);
    mark(&mut outputs[1], Element::Barrier(barrier(1)));
    assert_eq!(arrivals(&mut gate), ["#1", "0:late"]);
}

#[tokio::test]
async fn a_channel_that_ends_holds_no_barrier_up() {
    let (mut outputs, mut gate) = gate(2);
    mark(&mut outputs[0], Element::Barrier(barrier(1)));
    send(&mut outputs[0], "late");
    mark(&mut outputs[1], Element::Watermark(END_OF_TIME));
    mark(&mut outputs[1], Element::End);
    assert_eq!(arrivals(&mut gate), [&format!("1@{END_OF_TIME}"), "#1", "1.", "0:late"]);
    assert!(!gate.has_ended());
    mark(&mut outputs[0], Element::End);
    assert_eq!(arrivals(&mut gate), ["0."]);
    assert!(gate.has_ended());
}

#[tokio::test]
async fn a_newer_barrier_gives_up_an_incomplete_older_one() {
    let (mut outputs, mut gate) = gate(2);
    mark(&mut outputs[0], Element::Barrier(barrier(1)));
    send(&mut outputs[0], "a");
    mark(&mut outputs[0], Element::Barrier(barrier(2)));
    mark(&mut outputs[1], Element::Barrier(barrier(2)));
    assert_eq!(arrivals(&mut gate), ["0:a", "#2"]);
}

#[tokio::test]
async fn a_channel_that_closes_without_an_end_was_abandoned() {
    let (mut outputs, mut gate) = gate(2);
    send(&mut outputs[1], "a");
    drop(outputs.remove(0));
    let arrived = [gate.next().await, gate.next().await];
    assert!(arrived.iter().any(Result::is_err), "{arrived:?}");
}
