//! Writes a job down as people would: the form that [`from_toml`](super::from_toml) and
//! [`from_json`](super::from_json) read.
//!
//! Guarantees that reading it again gives the same spec. Whatever has a default is written all the same, so that a
//! description does not change its meaning when a default does.

use serde_json::{Map, Value, json};
use weir_protocol::id::Uid;
use weir_protocol::job_graph::StateSpec;
use weir_protocol::job_spec::{
    InputSpec, JobSpec, KeySpec, OperatorSpec, OutputRef, PartitionSpec, SinkConnector, SinkSpec, SourceConnector,
    SourceSpec,
};

use crate::job_file::{output_ref, units};

/// A job as a JSON object.
#[must_use]
pub fn to_json(spec: &JobSpec) -> Value {
    encode(spec)
}

/// A job as a TOML document.
#[must_use]
pub fn to_toml(spec: &JobSpec) -> String {
    json_to_toml(encode(spec))
}

/// What [`to_json`] made, as a TOML document. A configuration that TOML cannot say is written as JSON text.
///
/// # Panics
/// When the JSON holds `null` anywhere but in a configuration, which `to_json` never makes.
#[must_use]
pub fn json_to_toml(mut job: Value) -> String {
    let operators = job.get_mut("operator").and_then(Value::as_array_mut);
    for operator in operators.into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(config) = operator.get("config").filter(|config| !fits_toml(config)) {
            let text = config.to_string();
            operator.remove("config");
            operator.insert("config-json".to_owned(), text.into());
        }
    }
    let sections = SECTIONS.into_iter().filter_map(|key| job.get(key).map(|value| (key, value)));
    let sections = sections.filter(|(_, value)| !value.as_array().is_some_and(Vec::is_empty));
    let sections = sections.map(|(key, value)| toml::to_string(&json!({ key: value })));
    let sections: Result<Vec<String>, _> = sections.collect();
    let sections = sections.expect("null, which TOML does not know, was put into text");
    let (plain, tables) = sections.split_at(sections.iter().take_while(|section| !section.starts_with('[')).count());
    [&[plain.concat()], tables].concat().join("\n")
}

/// The order in which people write a job down; plain keys must come before tables.
const SECTIONS: [&str; 11] = [
    "name",
    "parallelism",
    "max-parallelism",
    "checkpoint",
    "state",
    "restart",
    "errors",
    "limits",
    "source",
    "operator",
    "sink",
];

/// TOML has no null and no integer beyond 64 bits with sign.
fn fits_toml(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => number.is_i64() || number.is_f64(),
        Value::Bool(_) | Value::String(_) => true,
        Value::Array(items) => items.iter().all(fits_toml),
        Value::Object(entries) => entries.values().all(fits_toml),
    }
}

fn encode(spec: &JobSpec) -> Value {
    let mut job = object(json!({
        "name": spec.name,
        "parallelism": spec.parallelism,
        "max-parallelism": spec.max_parallelism,
        "restart": {
            "attempts": spec.restart.attempts_max,
            "delay": units::duration(spec.restart.delay_ms),
            "max-delay": units::duration(spec.restart.delay_ms_max),
        },
        "errors": { "policy": spec.errors.policy, "budget": spec.errors.budget },
        "limits": {
            "memory": units::size(spec.limits.memory_bytes_max),
            "call-cpu": units::duration(spec.limits.call_cpu_ms_max),
            "row-cpu-us": spec.limits.row_cpu_us_max,
            "emitted": units::size(spec.limits.emitted_bytes_max),
        },
    }));
    if let (Some(bytes), Some(limits)) = (spec.limits.state_bytes_max, job["limits"].as_object_mut()) {
        limits.insert("state".to_owned(), units::size(bytes).into());
    }
    job.insert("state".to_owned(), state(&spec.state));
    if let Some(checkpoint) = &spec.checkpoint {
        let checkpoint = json!({
            "interval": units::duration(checkpoint.interval_ms),
            "timeout": units::duration(checkpoint.timeout_ms),
            "min-pause": units::duration(checkpoint.min_pause_ms),
            "max-concurrent": checkpoint.max_concurrent,
            "retained": checkpoint.retained,
            "tolerable-failures": checkpoint.tolerable_failures,
        });
        job.insert("checkpoint".to_owned(), checkpoint);
    }
    let uids = outputs(spec);
    job.insert("source".to_owned(), spec.sources.iter().map(source).collect());
    job.insert("operator".to_owned(), spec.operators.iter().map(|spec| operator(spec, &uids)).collect());
    job.insert("sink".to_owned(), spec.sinks.iter().map(|spec| sink(spec, &uids)).collect());
    Value::Object(job)
}

fn state(spec: &StateSpec) -> Value {
    let StateSpec { backend, storage, incremental, local_dir, memory_bytes } = spec;
    let mut state = object(json!({ "backend": backend, "storage": storage, "incremental": incremental }));
    state.extend(memory_bytes.map(|bytes| ("memory".to_owned(), json!(units::size(bytes)))));
    state.extend(local_dir.as_ref().map(|dir| ("local-dir".to_owned(), json!(dir))));
    Value::Object(state)
}

/// The uids that `from` may name.
fn outputs(spec: &JobSpec) -> Vec<Uid> {
    let sources = spec.sources.iter().map(|source| source.uid.clone());
    sources.chain(spec.operators.iter().map(|operator| operator.uid.clone())).collect()
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { unreachable!("only called with objects") };
    object
}

/// The table of a vertex; what a vertex does not say is left out.
fn vertex(uid: &Uid, parallelism: Option<u32>, rest: Value) -> Map<String, Value> {
    let mut vertex = object(rest);
    vertex.retain(|_, value| !value.is_null());
    vertex.insert("uid".to_owned(), json!(uid));
    vertex.extend(parallelism.map(|parallelism| ("parallelism".to_owned(), json!(parallelism))));
    vertex
}

fn source(spec: &SourceSpec) -> Value {
    let rest = match &spec.connector {
        SourceConnector::Files(files) => json!({
            "type": "files",
            "paths": files.paths,
            "format": files.format,
            "follow": files.follow,
            "start": files.start,
        }),
        SourceConnector::Generator(generator) => json!({
            "type": "generator",
            "rate": generator.rate,
            "count": generator.count,
            "keys": generator.keys,
            "distribution": generator.distribution,
            "value-bytes": generator.value_bytes,
        }),
    };
    Value::Object(vertex(&spec.uid, spec.parallelism, rest))
}

fn operator(spec: &OperatorSpec, uids: &[Uid]) -> Value {
    let rest = json!({
        "component": spec.component,
        "operator": spec.operator,
        "inputs": spec.inputs.iter().map(|spec| input(spec, uids)).collect::<Vec<_>>(),
    });
    let mut operator = vertex(&spec.uid, spec.parallelism, rest);
    operator.insert("config".to_owned(), spec.config.clone());
    Value::Object(operator)
}

fn input(spec: &InputSpec, uids: &[Uid]) -> Value {
    let (key, value) = match &spec.partition {
        PartitionSpec::Hash(key) => ("key", self::key(key)),
        PartitionSpec::Forward => ("partition", "forward".into()),
        PartitionSpec::Rebalance => ("partition", "rebalance".into()),
        PartitionSpec::Broadcast => ("partition", "broadcast".into()),
    };
    json!({ "input": spec.input, "from": from(&spec.from, uids), key: value })
}

fn key(key: &KeySpec) -> Value {
    match key {
        KeySpec::Carried => "carried".into(),
        KeySpec::Value => "value".into(),
        KeySpec::Constant(constant) => json!({ "constant": constant }),
        KeySpec::Field(path) if path.iter().any(|key| key.contains('.')) => json!({ "field": path }),
        KeySpec::Field(path) => json!({ "field": path.join(".") }),
    }
}

fn sink(spec: &SinkSpec, uids: &[Uid]) -> Value {
    let rest = match &spec.connector {
        SinkConnector::Stdout(stdout) => json!({ "type": "stdout", "prefix": stdout.prefix }),
        SinkConnector::Files(files) => json!({ "type": "files", "path": files.path }),
        SinkConnector::Blackhole => json!({ "type": "blackhole" }),
    };
    let mut sink = vertex(&spec.uid, spec.parallelism, rest);
    let from = spec.from.iter().map(|output| from(output, uids)).collect();
    sink.insert("from".to_owned(), Value::Array(from));
    Value::Object(sink)
}

/// As text, unless that would be read as another output.
fn from(output: &OutputRef, uids: &[Uid]) -> Value {
    let text = match &output.port {
        None => output.uid.to_string(),
        Some(port) => format!("{}.{port}", output.uid),
    };
    if output_ref::split(&text, uids).as_ref() == Some(output) {
        return text.into();
    }
    match &output.port {
        None => json!({ "uid": output.uid }),
        Some(port) => json!({ "uid": output.uid, "port": port }),
    }
}
