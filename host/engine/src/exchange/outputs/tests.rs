use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::join_all;
use proptest::prelude::*;
use weir_operator::batch::{Keys, NO_KEY};
use weir_operator::turn::{Emitted, Origin};
use weir_protocol::job_spec::{KeySpec, PartitionSpec};
use weir_protocol::key_group::key_hash;

use super::super::{Barrier, ChannelReceiver, Connection, InputChannel, Inputs, connect};
use super::*;

fn outputs(partition: &PartitionSpec, targets: Vec<super::super::ChannelSender>, max: MaxParallelism) -> Outputs {
    let edge = Edge { to: "next".parse().unwrap(), partition: partition.clone(), targets };
    Outputs::new(max, vec![vec![edge]], Arc::default())
}

/// One upstream subtask and its receivers.
fn single(partition: &PartitionSpec, downstream: u32) -> (Outputs, Vec<ChannelReceiver>) {
    let Connection { mut senders, receivers } = connect(partition, 1, downstream);
    let receivers = receivers.into_iter().flatten().collect();
    (outputs(partition, senders.remove(0), MaxParallelism::DEFAULT), receivers)
}

fn batch(rows: &[(&str, &str)]) -> Batch {
    let mut batch = Batch {
        rows: u32::try_from(rows.len()).unwrap(),
        keys: Some(Keys::encode(rows.iter().map(|(key, _)| key.as_bytes()))),
        ..Batch::default()
    };
    rows.iter().for_each(|(_, value)| batch.values.push(Some(value.as_bytes())));
    batch
}

fn now<T>(future: impl Future<Output = Result<T, Closed>>) -> T {
    future.now_or_never().expect("there is room").expect("the receiver lives")
}

fn taken(receiver: &mut ChannelReceiver) -> Vec<Element> {
    std::iter::from_fn(|| receiver.receiver.try_recv().ok()).collect()
}

#[test]
fn a_batch_goes_at_once_to_an_idle_receiver_and_is_gathered_for_a_busy_one() {
    let (mut outputs, mut receivers) = single(&PartitionSpec::Forward, 1);
    for value in ["0", "1", "2"] {
        now(outputs.send(0, batch(&[("k", value)])));
    }
    assert_eq!(taken(&mut receivers[0]), [Element::Batch(batch(&[("k", "0")]))]);
    now(outputs.send(0, batch(&[("l", "3")])));
    let gathered = Element::Batch(batch(&[("k", "1"), ("k", "2"), ("l", "3")]));
    assert_eq!(taken(&mut receivers[0]), [gathered]);
}

#[test]
fn flush_sends_what_was_gathered() {
    for partition in [PartitionSpec::Forward, PartitionSpec::Broadcast, PartitionSpec::Hash(KeySpec::Carried)] {
        let (mut outputs, mut receivers) = single(&partition, 1);
        now(outputs.send(0, batch(&[("k", "0")])));
        now(outputs.send(0, batch(&[("k", "1")])));
        now(outputs.flush());
        now(outputs.flush());
        assert_eq!(taken(&mut receivers[0]).len(), 2, "{partition:?}");
    }
}

#[test]
fn a_dropped_flush_loses_nothing() {
    let (mut outputs, mut receivers) = single(&PartitionSpec::Forward, 1);
    for value in ["0", "1", "2", "3", "4"] {
        now(outputs.send(0, batch(&[("k", value)])));
        if value < "3" {
            now(outputs.flush());
        }
    }
    now(outputs.flush());
    now(outputs.send(0, batch(&[("k", "5")])));
    assert!(outputs.flush().now_or_never().is_none(), "the channel is full");
    let rows: u32 = rows(&taken(&mut receivers[0]));
    now(outputs.flush());
    assert_eq!(rows + self::rows(&taken(&mut receivers[0])), 6);
}

fn rows(elements: &[Element]) -> u32 {
    elements.iter().map(|element| if let Element::Batch(batch) = element { batch.rows } else { 0 }).sum()
}

#[test]
fn a_barrier_stands_behind_what_was_sent() {
    let barrier = Element::Barrier(Barrier { checkpoint: weir_protocol::id::CheckpointId(1), at: 0 });
    for partition in [PartitionSpec::Rebalance, PartitionSpec::Broadcast, PartitionSpec::Hash(KeySpec::Carried)] {
        let (mut outputs, mut receivers) = single(&partition, 3);
        for value in ["0", "1", "2", "3", "4"] {
            now(outputs.send(0, batch(&[(value, value)])));
        }
        now(outputs.broadcast(barrier.clone()));
        let mut records = 0;
        for receiver in &mut receivers {
            let elements = taken(receiver);
            records += rows(&elements);
            assert_eq!(elements.last(), Some(&barrier), "{partition:?}");
        }
        assert_eq!(records, if partition == PartitionSpec::Broadcast { 15 } else { 5 }, "{partition:?}");
    }
}

#[test]
fn what_a_call_emits_keeps_its_order_on_a_port() {
    let (mut outputs, mut receivers) = single(&PartitionSpec::Forward, 1);
    let work = Work::Batch { input: 0, batch: batch(&[("k", "0"), ("l", "1")]) };
    let new = Emitted::New {
        origin: Origin::Keys(vec![1]),
        values: batch(&[("", "new")]).values,
        timestamps: Vec::new(),
        headers: None,
    };
    let emissions = [Emitted::Forwarded(vec![1]), new, Emitted::Forwarded(vec![0])];
    now(outputs.emit(&work, emissions.map(|records| Emission { port: 0, records }).into()));
    now(outputs.flush());
    let values: Vec<String> = taken(&mut receivers[0])
        .into_iter()
        .flat_map(|element| {
            let Element::Batch(batch) = element else { return Vec::new() };
            batch.values.iter().map(|value| String::from_utf8(value.unwrap().to_vec()).unwrap()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(values, ["1", "new", "0"]);
}

#[test]
fn a_record_that_lacks_the_key_of_an_edge_comes_back_and_the_others_go_on() {
    for downstream in [1, 4] {
        let key = KeySpec::Field(vec!["id".to_owned()]);
        let (mut outputs, mut receivers) = single(&PartitionSpec::Hash(key), downstream);
        let rejected = now(outputs.send(0, batch(&[("c", r#"{"id":1}"#), ("d", "{}"), ("e", r#"{"id":2}"#)])));
        assert_eq!(rejected.len(), 1);
        assert_eq!(rejected[0].value.as_deref(), Some(b"{}".as_slice()));
        assert_eq!(rejected[0].key.as_deref(), Some(b"d".as_slice()));
        assert!(rejected[0].reason.contains("`id`"), "{}", rejected[0].reason);
        now(outputs.flush());
        assert_eq!(receivers.iter_mut().map(|receiver| rows(&taken(receiver))).sum::<u32>(), 2);
    }
}

#[test]
fn a_gathered_batch_is_bounded_in_rows_and_bytes() {
    let (mut outputs, mut receivers) = single(&PartitionSpec::Hash(KeySpec::Carried), 2);
    let wide = "x".repeat(300_000);
    let rows: Vec<(&str, &str)> = (0..9).map(|_| ("k", wide.as_str())).collect();
    let narrow: Vec<(&str, &str)> = (0..10_000).map(|_| ("k", "")).collect();
    let sent = batch(&rows);
    let target = usize::from(MaxParallelism::DEFAULT.key_group(key_hash(b"k")).0 / 64);
    now(outputs.send(0, sent));
    now(outputs.flush());
    let elements = taken(&mut receivers[target]);
    assert_eq!(self::rows(&elements), 9);
    now(outputs.send(0, batch(&narrow)));
    now(outputs.flush());
    for element in elements.into_iter().chain(taken(&mut receivers[target])) {
        let Element::Batch(batch) = element else { continue };
        assert!(batch.rows <= BATCH_ROWS_MAX && batch.bytes() < BATCH_BYTES_MAX + wide.len() + 100, "{}", batch.rows);
    }
}

#[test]
fn a_receiver_that_has_gone_is_noticed() {
    let (mut outputs, receivers) = single(&PartitionSpec::Forward, 1);
    drop(receivers);
    assert_eq!(outputs.send(0, batch(&[("k", "0")])).now_or_never(), Some(Err(Closed)));
}

/// What one upstream subtask does.
#[derive(Debug, Clone)]
enum Step {
    Send(Vec<u8>),
    Flush,
    Pause,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let send = prop_oneof![
        4 => proptest::collection::vec(0_u8..12, 1..20),
        1 => proptest::collection::vec(any::<u8>(), 400..2_000),
    ];
    let step = prop_oneof![6 => send.prop_map(Step::Send), 1 => Just(Step::Flush), 3 => Just(Step::Pause)];
    proptest::collection::vec(step, 0..25)
}

/// A record: which upstream subtask sent it, as which of its records, with which key.
type Seen = (usize, u64, Vec<u8>);

async fn run_upstream(index: usize, mut outputs: Outputs, steps: &[Step]) {
    let mut number = 0_u64;
    for step in steps {
        match step {
            Step::Pause => tokio::task::yield_now().await,
            Step::Flush => outputs.flush().await.unwrap(),
            Step::Send(keys) => {
                let names: Vec<Vec<u8>> = keys.iter().map(|key| vec![b'k', *key]).collect();
                let mut batch = Batch {
                    rows: u32::try_from(keys.len()).unwrap(),
                    keys: Some(Keys::encode(names.iter().map(Vec::as_slice))),
                    ..Batch::default()
                };
                for _ in keys {
                    batch
                        .values
                        .push((!number.is_multiple_of(5)).then(|| number.to_string()).as_deref().map(str::as_bytes));
                    batch.timestamps.push(i64::try_from(number).unwrap());
                    number += 1;
                }
                assert_eq!(outputs.send(0, batch).await, Ok(Vec::new()), "upstream {index}");
            }
        }
    }
    outputs.broadcast(Element::End).await.unwrap();
}

async fn run_downstream(receivers: Vec<ChannelReceiver>, pauses: usize) -> Vec<Seen> {
    let channels = receivers.into_iter().map(|receiver| InputChannel { input: 0, receiver }).collect();
    let mut inputs = Inputs::new(channels);
    let mut seen = Vec::new();
    while let Some((index, element)) = inputs.next().await.unwrap() {
        for _ in 0..pauses {
            tokio::task::yield_now().await;
        }
        let Element::Batch(batch) = element else { continue };
        let keys = batch.keys.as_ref().expect("every record carries a key");
        check_dictionary(keys);
        assert_eq!((keys.key_of.len(), batch.timestamps.len()), (batch.rows as usize, batch.rows as usize));
        assert_eq!(batch.values.check(), Ok(()));
        for row in 0..batch.rows as usize {
            let number = u64::try_from(batch.timestamps[row]).unwrap();
            let value = (!number.is_multiple_of(5)).then(|| number.to_string());
            assert_eq!(batch.values.get(row), value.as_deref().map(str::as_bytes));
            seen.push((index.0, number, keys.distinct.get(keys.key_of[row] as usize).to_vec()));
        }
    }
    seen
}

fn check_dictionary(keys: &Keys) {
    let again: Vec<&[u8]> =
        keys.key_of.iter().filter(|&&key| key != NO_KEY).map(|&key| keys.distinct.get(key as usize)).collect();
    assert_eq!(&Keys::encode(again), keys, "each key once, in the order of its first row, with its hash");
}

fn run(partition: &PartitionSpec, max: MaxParallelism, upstreams: &[Vec<Step>], pauses: &[usize]) -> Vec<Vec<Seen>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let count = |len| u32::try_from(len).unwrap();
    let Connection { senders, receivers } = connect(partition, count(upstreams.len()), count(pauses.len()));
    let up = senders
        .into_iter()
        .zip(upstreams)
        .enumerate()
        .map(|(index, (targets, steps))| run_upstream(index, outputs(partition, targets, max), steps));
    let down = receivers.into_iter().zip(pauses).map(|(receivers, pauses)| run_downstream(receivers, *pauses));
    runtime.block_on(async { tokio::join!(join_all(up), join_all(down)).1 })
}

/// Everything that was sent.
fn sent(upstreams: &[Vec<Step>]) -> Vec<Seen> {
    let keys = |steps: &[Step]| {
        let keys = |step: &Step| if let Step::Send(keys) = step { keys.clone() } else { Vec::new() };
        steps.iter().flat_map(keys).collect::<Vec<u8>>()
    };
    let numbered = |(index, steps): (usize, &Vec<Step>)| {
        (0_u64..).zip(keys(steps)).map(|(number, key)| (index, number, vec![b'k', key])).collect::<Vec<_>>()
    };
    upstreams.iter().enumerate().flat_map(numbered).collect()
}

fn sorted(mut seen: Vec<Seen>) -> Vec<Seen> {
    seen.sort_unstable();
    seen
}

fn in_order_per_upstream(seen: &[Seen]) -> bool {
    let mut last = BTreeMap::new();
    seen.iter().all(|(index, number, _)| last.insert(index, number).is_none_or(|before| before < number))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_row_arrives_once_in_order_at_the_owner_of_its_key(
        upstreams in proptest::collection::vec(steps(), 1..4),
        pauses in proptest::collection::vec(0_usize..4, 1..6),
        groups in 6_u32..200,
    ) {
        let max = MaxParallelism::new(groups).unwrap();
        let parallelism = u32::try_from(pauses.len()).unwrap();
        let seen = run(&PartitionSpec::Hash(KeySpec::Carried), max, &upstreams, &pauses);
        for (subtask, seen) in (0..).zip(&seen) {
            prop_assert!(in_order_per_upstream(seen));
            let owned = max.range(subtask, parallelism);
            prop_assert!(seen.iter().all(|(_, _, key)| owned.contains(max.key_group(key_hash(key)))));
        }
        prop_assert_eq!(sorted(seen.concat()), sent(&upstreams));
    }

    #[test]
    fn each_row_arrives_once_in_order_on_rebalance_and_forward(
        upstreams in proptest::collection::vec(steps(), 1..4),
        pauses in proptest::collection::vec(0_usize..4, 1..6),
    ) {
        let seen = run(&PartitionSpec::Rebalance, MaxParallelism::DEFAULT, &upstreams, &pauses);
        prop_assert!(seen.iter().all(|seen| in_order_per_upstream(seen)));
        prop_assert_eq!(sorted(seen.concat()), sent(&upstreams));
        let pauses = vec![1; upstreams.len()];
        let seen = run(&PartitionSpec::Forward, MaxParallelism::DEFAULT, &upstreams, &pauses);
        for (seen, steps) in seen.into_iter().zip(&upstreams) {
            prop_assert_eq!(seen, sent(std::slice::from_ref(steps)));
        }
    }

    #[test]
    fn each_row_arrives_everywhere_in_order_on_broadcast(
        upstreams in proptest::collection::vec(steps(), 1..4),
        pauses in proptest::collection::vec(0_usize..4, 1..6),
    ) {
        for seen in run(&PartitionSpec::Broadcast, MaxParallelism::DEFAULT, &upstreams, &pauses) {
            prop_assert!(in_order_per_upstream(&seen));
            prop_assert_eq!(sorted(seen), sent(&upstreams));
        }
    }
}
