use std::collections::BTreeSet;

use serde_json::json;
use weir_operator::batch::Batch;
use weir_protocol::job_spec::KeyDistribution;
use weir_protocol::key_group::key_hash;

use super::super::contract::{self, Case};
use super::*;

fn spec(count: u64, keys: u64, distribution: KeyDistribution) -> GeneratorSpec {
    GeneratorSpec { rate: None, count: Some(count), keys, distribution, value_bytes: 100 }
}

fn open(spec: &GeneratorSpec, subtask: u32, parallelism: u32, positions: &Positions) -> Box<dyn Source> {
    let generator = Generator::open(spec, subtask, parallelism, positions, Clock::starting_at(0));
    Box::new(generator.expect("the positions are a generator's"))
}

async fn batches(spec: &GeneratorSpec, parallelism: u32) -> Vec<Batch> {
    let start = start(spec, parallelism).unwrap();
    let mut batches = Vec::new();
    for subtask in 0..parallelism {
        let mut source = open(spec, subtask, parallelism, &start);
        while let Polled::Batch { batch, .. } = source.next().await.unwrap() {
            batches.push(batch);
        }
    }
    batches
}

#[tokio::test]
async fn passes_the_contract_of_sources() {
    for distribution in [KeyDistribution::RoundRobin, KeyDistribution::Uniform] {
        for parallelism in [1, 3] {
            let spec = spec(5_000, 7, distribution);
            let start = start(&spec, parallelism).unwrap();
            let open = |subtask, parallelism, positions: &Positions| open(&spec, subtask, parallelism, positions);
            let seen = contract::check(&Case { start, parallelism, open: &open }).await;
            assert_eq!(seen.len(), 5_000);
        }
    }
}

#[tokio::test]
async fn each_number_is_one_record_with_its_key_value_and_time() {
    for (keys, parallelism) in [(1, 1), (1_000, 1), (1_000, 3), (6, 4), (1_000_000, 2)] {
        for distribution in [KeyDistribution::RoundRobin, KeyDistribution::Uniform] {
            let mut numbers = BTreeSet::new();
            for batch in batches(&spec(4_000, keys, distribution), parallelism).await {
                let dictionary = batch.keys.as_ref().unwrap();
                let distinct: BTreeSet<&[u8]> = dictionary.distinct.iter().collect();
                assert_eq!(distinct.len(), dictionary.count(), "each key stands once");
                assert!(dictionary.distinct.iter().map(key_hash).eq(dictionary.hashes.iter().copied()));
                for row in 0..batch.rows as usize {
                    let value = batch.values.get(row).unwrap();
                    assert_eq!(value.len(), 100);
                    let json: Value = serde_json::from_slice(value).unwrap();
                    let number = json["number"].as_u64().unwrap();
                    assert_eq!(batch.timestamps[row].unsigned_abs(), number);
                    let key = dictionary.distinct.get(dictionary.key_of[row] as usize);
                    assert_eq!(json["key"].as_str().unwrap().as_bytes(), key);
                    let key: u64 = std::str::from_utf8(&key[1..]).unwrap().parse().unwrap();
                    assert!(key < keys && (distribution == KeyDistribution::Uniform || key == number % keys));
                    numbers.insert(number);
                }
            }
            assert!(numbers.into_iter().eq(0..4_000), "{keys} {parallelism}");
        }
    }
}

#[tokio::test]
async fn the_watermark_is_just_below_what_comes_next() {
    let spec = spec(4_000, 7, KeyDistribution::RoundRobin);
    let mut source = open(&spec, 0, 1, &start(&spec, 3).unwrap());
    while let Polled::Batch { batch, .. } = source.next().await.unwrap() {
        let positions = source.positions();
        let next = positions.values().map(|position| position["next"].as_i64().unwrap()).min().unwrap();
        assert_eq!(source.watermark(), Some(next - 1));
        assert!(batch.rows > 0);
    }
}

#[test]
fn a_position_of_another_kind_is_refused_by_name() {
    let positions = Positions::from([("00000".to_owned(), json!({"offset": 7}))]);
    let error = Generator::open(&spec(1, 1, KeyDistribution::Uniform), 0, 1, &positions, clock()).unwrap_err();
    assert_eq!(error.fault, Fault::Corrupt);
    assert!(error.message.contains("`00000`"), "{error}");
}

fn clock() -> Clock {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { Clock::starting_at(0) })
}

#[test]
fn a_generator_that_cannot_be_is_refused() {
    let good = spec(1, 1, KeyDistribution::Uniform);
    for (bad, named) in [
        (GeneratorSpec { keys: 0, ..good.clone() }, "keys"),
        (GeneratorSpec { rate: Some(0), ..good.clone() }, "rate"),
        (GeneratorSpec { value_bytes: 63, ..good.clone() }, "value-bytes"),
    ] {
        let error = start(&bad, 1).unwrap_err();
        assert_eq!(error.fault, Fault::Request);
        assert!(error.message.contains(named), "{error}");
    }
}
