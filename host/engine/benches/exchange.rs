//! What a record costs: nanoseconds of CPU time, made by the generator, and on its way through a hash edge, for 1 and 4 targets, 1,000 and 1 M keys.
//!
//! One thread sends batches of 1,024 records with 100-byte values and carried keys, and takes what arrives; so the
//! figure holds the sender's and the receiver's side of the exchange, and no work besides.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use mimalloc::MiMalloc;
use weir_engine::clock::{Clock, thread_cpu_time};
use weir_engine::exchange::{Connection, Edge, Element, InputChannel, Inputs, Outputs, connect};
use weir_engine::source::{self, Polled};
use weir_operator::batch::{Batch, Keys};
use weir_protocol::job_spec::{GeneratorSpec, KeyDistribution, KeySpec, PartitionSpec, SourceConnector};
use weir_protocol::key_group::MaxParallelism;

/// As the node has it.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

const ROWS: u64 = 1_024;
const BATCHES: u64 = 4_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    // Unconstrained: the one task takes turns with itself, where tokio would have it yield.
    runtime.block_on(tokio::task::unconstrained(async {
        for (name, distribution) in [("in turn", KeyDistribution::RoundRobin), ("at random", KeyDistribution::Uniform)]
        {
            for keys in [1_000, 1_000_000] {
                println!(
                    "generator {name:<10} {keys:>8} keys           {:>7.1} ns/record",
                    generate(keys, distribution).await
                );
            }
        }
        let field = PartitionSpec::Hash(KeySpec::Field(vec!["key".to_owned()]));
        for (name, partition) in [("carried", PartitionSpec::Hash(KeySpec::Carried)), ("field", field)] {
            for keys in [1_000, 1_000_000] {
                for targets in [1, 4] {
                    let nanos = measure(&partition, keys, targets).await;
                    println!("hash by {name:<8} {keys:>8} keys {targets} targets {nanos:>7.1} ns/record");
                }
            }
        }
    }));
}

async fn measure(partition: &PartitionSpec, keys: u64, targets: u32) -> f64 {
    let Connection { mut senders, receivers } = connect(partition, 1, targets);
    let edge = Edge { to: "next".parse().expect("a name"), partition: partition.clone(), targets: senders.remove(0) };
    let mut outputs = Outputs::new(MaxParallelism::DEFAULT, vec![vec![edge]], Arc::default());
    let channel = |receiver| InputChannel { input: 0, receiver };
    let mut inputs: Vec<Inputs> =
        receivers.into_iter().map(|receivers| Inputs::new(receivers.into_iter().map(channel).collect())).collect();
    let templates: Vec<Batch> = (0..64).map(|index| batch(index * ROWS, keys)).collect();
    let mut copying = Duration::ZERO;
    let start = thread_cpu_time();
    let mut arrived = 0;
    for (_, template) in (0..BATCHES).zip(templates.iter().cycle()) {
        let before = thread_cpu_time();
        let batch = template.clone();
        copying += thread_cpu_time() - before;
        {
            let mut sending = std::pin::pin!(outputs.send(0, batch));
            while sending.as_mut().now_or_never().is_none() {
                arrived += take_all(&mut inputs);
            }
        }
        arrived += if targets == 1 { take_all(&mut inputs) } else { 0 };
    }
    while outputs.flush().now_or_never().is_none() {
        arrived += take_all(&mut inputs);
    }
    arrived += take_all(&mut inputs);
    assert_eq!(arrived, ROWS * BATCHES, "every record arrives");
    (thread_cpu_time() - start - copying).as_secs_f64() * 1e9 / (ROWS * BATCHES) as f64
}

async fn generate(keys: u64, distribution: KeyDistribution) -> f64 {
    let count = ROWS * BATCHES;
    let connector = SourceConnector::Generator(GeneratorSpec {
        rate: None,
        count: Some(count),
        keys,
        distribution,
        value_bytes: 100,
    });
    let positions = source::resolve_start(&connector, 1).await.expect("the generator can be");
    let mut generator = source::open(&connector, 0, 1, &positions, Clock::system()).expect("the positions are its own");
    let start = thread_cpu_time();
    let mut made = 0;
    while let Polled::Batch { batch, .. } = generator.next().await.expect("a generator does not fail") {
        made += u64::from(batch.rows);
    }
    assert_eq!(made, count, "every record is made");
    (thread_cpu_time() - start).as_secs_f64() * 1e9 / count as f64
}

fn take_all(inputs: &mut [Inputs]) -> u64 {
    let mut rows = 0;
    for inputs in inputs {
        while let Ok(Some((_, element))) = inputs.try_next() {
            rows += if let Element::Batch(batch) = element { u64::from(batch.rows) } else { 0 };
        }
    }
    rows
}

fn batch(first: u64, keys: u64) -> Batch {
    // A multiplicative step, so that keys come in no order.
    let names: Vec<String> =
        (first..first + ROWS).map(|number| format!("k{:07}", number.wrapping_mul(7_919) % keys)).collect();
    let mut batch = Batch {
        rows: u32::try_from(ROWS).expect("it is small"),
        keys: Some(Keys::encode(names.iter().map(String::as_bytes))),
        ..Batch::default()
    };
    for (number, name) in (0..).zip(&names) {
        batch.values.push(Some(format!("{{\"key\":\"{name}\",\"number\":{number:>73}}}").as_bytes()));
        batch.timestamps.push(number);
    }
    batch
}
