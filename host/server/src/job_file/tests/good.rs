//! Files that are right, and what they mean.

use serde_json::json;
use weir_protocol::job_spec::{
    CheckpointSpec, FileFormat, FileSourceSpec, JobSpec, KeySpec, PartitionSpec, SinkConnector, SourceConnector,
    StartPosition,
};

use super::{HASH, components};
use crate::job_file;

const WORD_COUNT: &str = r#"
name = "word-count"
parallelism = 2

[checkpoint]
interval = "1s"
min-pause = 250
timeout = "10min"

[limits]
memory = "64MiB"
call-cpu = "2s"
emitted = 1024
state = "2GiB"

[[source]]
uid = "text"
type = "files"
paths = ["README.md", "docs/**/*.md"]
follow = true
parallelism = 1

[[operator]]
uid = "split"
component = "words"
operator = "split"
inputs = [{ from = "text" }]

[[operator]]
uid = "count"
component = "words"
operator = "count"
inputs = [{ from = "split", key = "value" }]
config = { greeting = "hello", limits = [1, 2.5, true] }

[[sink]]
uid = "counts"
type = "files"
path = "out"
from = ["count", "split.late"]

[[sink]]
uid = "shown"
type = "stdout"
from = "count"
"#;

fn toml(text: &str) -> JobSpec {
    let draft = job_file::from_toml(text).unwrap();
    draft.resolve(&components()).unwrap()
}

#[test]
fn defaults_are_those_of_the_reference() {
    let spec = toml(WORD_COUNT);
    assert_eq!(
        spec.checkpoint,
        Some(CheckpointSpec { min_pause_ms: 250, timeout_ms: 600_000, ..CheckpointSpec::every_ms(1_000) })
    );
    assert_eq!((spec.max_parallelism.get(), spec.parallelism), (128, 2));
    assert_eq!((spec.limits.memory_bytes_max, spec.limits.call_cpu_ms_max), (64 << 20, 2_000));
    assert_eq!((spec.limits.emitted_bytes_max, spec.limits.row_cpu_us_max), (1_024, 1_000));
    assert_eq!(spec.limits.state_bytes_max, Some(2 << 30));
    assert_eq!(
        spec.sources[0].connector,
        SourceConnector::Files(FileSourceSpec {
            paths: vec!["README.md".to_owned(), "docs/**/*.md".to_owned()],
            format: FileFormat::Lines,
            follow: true,
            start: StartPosition::Beginning,
        })
    );
    assert_eq!(spec.operators[0].config, json!({}));
    assert_eq!(spec.operators[1].config, json!({ "greeting": "hello", "limits": [1, 2.5, true] }));
    assert!(matches!(&spec.sinks[1].connector, SinkConnector::Stdout(stdout) if stdout.prefix.is_empty()));
}

#[test]
fn a_component_named_by_people_becomes_its_hash() {
    assert_eq!(toml(WORD_COUNT).operators[0].component, HASH);
}

#[test]
fn an_input_is_spread_as_its_kind_and_the_parallelisms_ask() {
    let spec = toml(WORD_COUNT);
    assert_eq!(spec.operators[0].inputs[0].input, "lines");
    assert_eq!(spec.operators[0].inputs[0].partition, PartitionSpec::Rebalance, "1 subtask to 2");
    assert_eq!(spec.operators[1].inputs[0].partition, PartitionSpec::Hash(KeySpec::Value));
    let even = toml(&WORD_COUNT.replace("parallelism = 1", "parallelism = 2").replace("key = \"value\"", ""));
    assert_eq!(even.operators[0].inputs[0].partition, PartitionSpec::Forward, "2 subtasks to 2");
    assert_eq!(even.operators[1].inputs[0].partition, PartitionSpec::Hash(KeySpec::Carried));
}

#[test]
fn an_operator_may_feed_on_one_that_stands_below_it() {
    let joined = r#"
name = "j"
[[source]]
uid = "a"
type = "generator"
[[operator]]
uid = "join"
component = "words"
operator = "join"
inputs = [
    { input = "left", from = "split", key = { field = "user.id" } },
    { input = "left", from = "a", key = { constant = "x" } },
    { input = "rules", from = "a" },
    { input = "rest", from = { uid = "split", port = "late" }, partition = "rebalance" },
]
[[operator]]
uid = "split"
component = "single"
inputs = [{ from = "a" }]
[[sink]]
uid = "none"
type = "blackhole"
from = "join"
"#;
    let inputs = &toml(joined).operators[0].inputs;
    let field = KeySpec::Field(vec!["user".to_owned(), "id".to_owned()]);
    assert_eq!(inputs[0].partition, PartitionSpec::Hash(field));
    assert_eq!(inputs[1].partition, PartitionSpec::Hash(KeySpec::Constant("x".to_owned())));
    assert_eq!(inputs[2].partition, PartitionSpec::Broadcast);
    assert_eq!((inputs[3].from.port.as_deref(), &inputs[3].partition), (Some("late"), &PartitionSpec::Rebalance));
}

#[test]
fn sizes_are_read_as_flink_reads_them() {
    for (said, bytes) in [
        ("1024", 1024),
        ("\"1024\"", 1024),
        ("\"1024 b\"", 1024),
        ("\"3000bytes\"", 3000),
        ("\"2k\"", 2 << 10),
        ("\"64 kb\"", 64 << 10),
        ("\"512m\"", 512 << 20),
        ("\"64mb\"", 64 << 20),
        ("\"64 MiB\"", 64 << 20),
        ("\"5 mebibytes\"", 5 << 20),
        ("\"1G\"", 1 << 30),
        ("\"2gb\"", 2 << 30),
        ("\"1 t\"", 1 << 40),
    ] {
        let spec = toml(&WORD_COUNT.replace("memory = \"64MiB\"", &format!("memory = {said}")));
        assert_eq!(spec.limits.memory_bytes_max, bytes, "{said}");
    }
}

#[test]
fn json_has_the_same_schema() {
    let json = json!({
        "name": "word-count",
        "parallelism": 2,
        "checkpoint": { "interval": 1000, "min-pause": "250ms", "timeout": "600s" },
        "limits": { "memory": 67_108_864, "call-cpu": 2000, "emitted": "1kb", "state": "2GiB" },
        "source": [{
            "uid": "text",
            "type": "files",
            "paths": ["README.md", "docs/**/*.md"],
            "follow": true,
            "parallelism": 1,
        }],
        "operator": [
            { "uid": "split", "component": "words", "operator": "split", "inputs": [{ "from": "text" }] },
            {
                "uid": "count",
                "component": "words",
                "operator": "count",
                "inputs": [{ "from": "split", "key": "value" }],
                "config-json": "{\"greeting\":\"hello\",\"limits\":[1,2.5,true]}",
            },
        ],
        "sink": [
            { "uid": "counts", "type": "files", "path": "out", "from": ["count", "split.late"] },
            { "uid": "shown", "type": "stdout", "from": "count" },
        ],
    });
    let spec = job_file::from_json(&json.to_string()).unwrap().resolve(&components()).unwrap();
    assert_eq!(spec, toml(WORD_COUNT));
}

#[test]
fn the_longest_uid_that_fits_is_the_one_meant() {
    let dotted = WORD_COUNT
        .replace("uid = \"count\"", "uid = \"split.late\"")
        .replace("from = \"count\"", "from = \"split.late.late\"");
    let spec = toml(&dotted.replace("[\"count\", \"split.late\"]", "\"split.late\""));
    assert_eq!((spec.sinks[0].from[0].uid.as_str(), spec.sinks[0].from[0].port.as_deref()), ("split.late", None));
    assert_eq!(
        (spec.sinks[1].from[0].uid.as_str(), spec.sinks[1].from[0].port.as_deref()),
        ("split.late", Some("late"))
    );
}

#[test]
fn a_job_without_operators_is_written_down_in_the_order_that_people_use() {
    let text = "name = \"n\"\nparallelism = 1\nmax-parallelism = 128\n\n[state]\nbackend = \"hashmap\"\n\
                incremental = true\nstorage = \"store\"\n\n[restart]\nattempts = 10\ndelay = \"100ms\"\n\
                max-delay = \"30s\"\n\n[errors]\nbudget = 10000\npolicy = \"dead-letter\"\n\n[limits]\ncall-cpu = \"1s\"\n\
                emitted = \"64MiB\"\nmemory = \"256MiB\"\nrow-cpu-us = 1000\n\n[[source]]\ncount = 5\n\
                distribution = \"round-robin\"\nkeys = 1000\ntype = \"generator\"\nuid = \"g\"\nvalue-bytes = 100\n\n\
                [[sink]]\nfrom = [\"g\"]\ntype = \"blackhole\"\nuid = \"none\"\n";
    assert_eq!(job_file::to_toml(&toml(text)), text);
}
