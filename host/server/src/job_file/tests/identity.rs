//! Writing a job down and reading it again changes nothing, whatever the job.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use weir_protocol::id::{Name, Uid};
use weir_protocol::job_graph::{CheckpointStorage, StateBackend, StateSpec};
use weir_protocol::job_spec::{
    CheckpointSpec, ErrorPolicy, ErrorSpec, FileFormat, FileSinkSpec, FileSourceSpec, GeneratorSpec, InputSpec,
    JobSpec, KeyDistribution, KeySpec, LimitSpec, OperatorSpec, OutputRef, PartitionSpec, RestartSpec, SinkConnector,
    SinkSpec, SourceConnector, SourceSpec, StartPosition, StdoutSpec,
};
use weir_protocol::key_group::MaxParallelism;

use super::{HASH, components};
use crate::job_file;

/// With dots, so that uids and ports can be mistaken for each other.
const UIDS: [&str; 6] = ["a", "a.b", "b", "a.b.c", "d-e_f", "0"];

fn quantity() -> impl Strategy<Value = u64> {
    prop_oneof![1..100_u64, 1..(1_u64 << 45), (1..1000_u64).prop_map(|s| s * 1000), (1..64_u64).prop_map(|m| m << 20)]
}

fn connector() -> impl Strategy<Value = SourceConnector> {
    let generator = (
        option::of(quantity()),
        option::of(quantity()),
        quantity(),
        select(vec![KeyDistribution::RoundRobin, KeyDistribution::Uniform]),
        64..1_000_u32,
    )
        .prop_map(|(rate, count, keys, distribution, value_bytes)| {
            SourceConnector::Generator(GeneratorSpec { rate, count, keys, distribution, value_bytes })
        });
    let files = (
        vec("[a-z/*\"'\\\\ é]{1,9}", 1..3),
        select(vec![FileFormat::Lines, FileFormat::Ndjson]),
        any::<bool>(),
        select(vec![StartPosition::Beginning, StartPosition::End]),
    )
        .prop_map(|(paths, format, follow, start)| {
            SourceConnector::Files(FileSourceSpec { paths, format, follow, start })
        });
    prop_oneof![generator, files]
}

/// JSON, some of which TOML cannot say.
fn config() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        (-1e300..1e300).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Into::into),
            proptest::collection::btree_map(any::<String>(), inner, 0..3)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn output(uids: &'static [&'static str]) -> impl Strategy<Value = OutputRef> {
    (select(uids), option::of("[a-c.]{1,4}")).prop_map(|(uid, port)| OutputRef { uid: self::uid(uid), port })
}

fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

fn partition() -> impl Strategy<Value = PartitionSpec> {
    let key = prop_oneof![
        Just(KeySpec::Carried),
        Just(KeySpec::Value),
        vec("[a-z.é ]{1,5}", 1..4).prop_map(KeySpec::Field),
        any::<String>().prop_map(KeySpec::Constant),
    ];
    prop_oneof![
        key.prop_map(PartitionSpec::Hash),
        Just(PartitionSpec::Forward),
        Just(PartitionSpec::Rebalance),
        Just(PartitionSpec::Broadcast),
    ]
}

fn parallelism() -> impl Strategy<Value = Option<u32>> {
    option::of(1..=4_u32)
}

fn operator(uid: &'static str) -> impl Strategy<Value = OperatorSpec> {
    let input = (select(vec!["left", "rules", "rest"]), output(&UIDS), partition())
        .prop_map(|(input, from, partition)| InputSpec { input: input.to_owned(), from, partition });
    (parallelism(), vec(input, 1..4), config()).prop_map(move |(parallelism, inputs, config)| OperatorSpec {
        uid: self::uid(uid),
        component: HASH.to_owned(),
        operator: "join".to_owned(),
        parallelism,
        inputs,
        config,
    })
}

fn sink() -> impl Strategy<Value = SinkSpec> {
    let connector = prop_oneof![
        any::<String>().prop_map(|prefix| SinkConnector::Stdout(StdoutSpec { prefix })),
        "[a-z/ \"]{1,9}".prop_map(|path| SinkConnector::Files(FileSinkSpec { path })),
        Just(SinkConnector::Blackhole),
    ];
    (parallelism(), vec(output(&UIDS), 1..3), connector).prop_map(|(parallelism, from, connector)| SinkSpec {
        uid: uid("sink"),
        parallelism,
        from,
        connector,
    })
}

fn state() -> impl Strategy<Value = StateSpec> {
    let backend = select(vec![StateBackend::HashMap, StateBackend::RocksDb]);
    let storage = select(vec![CheckpointStorage::Store, CheckpointStorage::JobManager]);
    let local_dir = option::of("[a-z/ ]{1,9}");
    (backend, storage, any::<bool>(), local_dir, option::of(quantity())).prop_map(
        |(backend, storage, incremental, local_dir, memory_bytes)| StateSpec {
            backend,
            storage,
            incremental,
            local_dir,
            memory_bytes: memory_bytes.map(|bytes| bytes + (1 << 20)),
        },
    )
}

fn settings() -> impl Strategy<Value = JobSpec> {
    let checkpoint = (quantity(), quantity(), quantity(), 1..9_u32, 1..9_u32, 0..9_u32).prop_map(
        |(interval_ms, timeout_ms, min_pause_ms, max_concurrent, retained, tolerable_failures)| CheckpointSpec {
            interval_ms,
            timeout_ms,
            min_pause_ms,
            max_concurrent,
            retained,
            tolerable_failures,
        },
    );
    let restart = (any::<u32>(), 0..9_999_u64, quantity())
        .prop_map(|(attempts_max, delay_ms, delay_ms_max)| RestartSpec { attempts_max, delay_ms, delay_ms_max });
    let errors = (select(vec![ErrorPolicy::DeadLetter, ErrorPolicy::Fail, ErrorPolicy::Skip]), 0..9_999_u64)
        .prop_map(|(policy, budget)| ErrorSpec { policy, budget });
    let limits = (quantity(), quantity(), quantity(), quantity(), option::of(quantity())).prop_map(
        |(memory_bytes_max, call_cpu_ms_max, row_cpu_us_max, emitted_bytes_max, state_bytes_max)| LimitSpec {
            memory_bytes_max,
            call_cpu_ms_max,
            row_cpu_us_max,
            emitted_bytes_max,
            state_bytes_max,
        },
    );
    let numbers = ("[a-z0-9][a-zA-Z0-9._-]{0,9}", 4..=32_768_u32, 1..=4_u32);
    (numbers, option::of(checkpoint), state(), restart, errors, limits).prop_map(
        |((name, max_parallelism, parallelism), checkpoint, state, restart, errors, limits)| JobSpec {
            name: Name::try_from(name).unwrap(),
            max_parallelism: MaxParallelism::new(max_parallelism).unwrap(),
            parallelism,
            checkpoint,
            state,
            restart,
            errors,
            limits,
            sources: Vec::new(),
            operators: Vec::new(),
            sinks: Vec::new(),
        },
    )
}

fn job() -> impl Strategy<Value = JobSpec> {
    let sources = vec((parallelism(), connector()), 3);
    let operators = (operator(UIDS[3]), operator(UIDS[4]), operator(UIDS[5]));
    (settings(), sources, operators, sink()).prop_map(|(settings, sources, operators, sink)| {
        let sources = sources.into_iter().zip(UIDS);
        JobSpec {
            sources: sources
                .map(|((parallelism, connector), uid)| SourceSpec { uid: self::uid(uid), parallelism, connector })
                .collect(),
            operators: vec![operators.0, operators.1, operators.2],
            sinks: vec![sink],
            ..settings
        }
    })
}

proptest! {
    #[test]
    fn a_job_written_as_toml_reads_back_the_same(spec in job()) {
        let text = job_file::to_toml(&spec);
        let back = job_file::from_toml(&text).and_then(|draft| draft.resolve(&components()));
        prop_assert_eq!(back.map_err(|error| format!("{error}\n{text}")), Ok(spec));
    }

    #[test]
    fn a_job_written_as_json_reads_back_the_same(spec in job()) {
        let text = job_file::to_json(&spec).to_string();
        let back = job_file::from_json(&text).and_then(|draft| draft.resolve(&components()));
        prop_assert_eq!(back.map_err(|error| format!("{error}\n{text}")), Ok(spec));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\[\\]{}=\"a-z.\n,0-9 ]{0,200}") {
        drop(job_file::from_toml(&text));
        drop(job_file::from_json(&text));
    }
}
