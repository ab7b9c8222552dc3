//! The job as a whole, and what applies to all of it.

use weir_protocol::job_spec::{CheckpointSpec, ErrorPolicy, ErrorSpec, JobSpec, LimitSpec, RestartSpec};
use weir_protocol::key_group::MaxParallelism;

use crate::job_file::decode::{NAME, Vertices, operator, parallelism, sink, source, state};
use crate::job_file::draft::Draft;
use crate::job_file::fields::{AT_LEAST_1, COUNT, Fields, Read, SMALL_AT_LEAST_1, SMALL_COUNT};
use crate::job_file::tree::{Error, Node, Value};
use crate::job_file::units::{DURATION, SIZE};

// Beside these, whatever `state` owns.
const KEYS: [&str; 10] = [
    "name",
    "parallelism",
    "max-parallelism",
    "checkpoint",
    "restart",
    "errors",
    "limits",
    "source",
    "operator",
    "sink",
];

/// Reads a whole job.
pub(in crate::job_file) fn job(document: &Node) -> Result<Draft, Error> {
    let (document, state) = state_apart(document)?;
    let fields = Fields::open(&document, "a job", &KEYS)?;
    let name = fields.required("name", "\"word-count\"", NAME)?;
    let max_parallelism = fields.optional("max-parallelism", MAX_PARALLELISM)?.unwrap_or_default();
    let parallelism = parallelism(&fields, max_parallelism)?.unwrap_or(1);
    let checkpoint = fields.get("checkpoint").map(checkpoint).transpose()?;
    let restart = fields.get("restart").map(restart).transpose()?.unwrap_or_default();
    let errors = fields.get("errors").map(errors).transpose()?.unwrap_or_default();
    let limits = fields.get("limits").map(limits).transpose()?.unwrap_or_default();

    let mut vertices = Vertices { max_parallelism, uids: std::collections::BTreeMap::new() };
    let sources = fields.each("source", |node| source::source(node, &mut vertices))?;
    let mut operators = fields.each("operator", |node| operator::operator(node, &mut vertices))?;
    let uids: Vec<_> = vertices.uids.keys().cloned().collect();
    let sinks = fields.each("sink", |node| sink::sink(node, &mut vertices, &uids))?;
    for (operator, node) in operators.iter_mut().zip(fields.each("operator", Ok)?) {
        operator.inputs = operator::inputs(node, &uids)?;
    }

    let spec = JobSpec {
        name,
        max_parallelism,
        parallelism,
        checkpoint,
        state: state.spec,
        restart,
        errors,
        limits,
        sources,
        operators: Vec::new(),
        sinks,
    };
    Ok(Draft { spec, operators, warnings: state.warnings })
}

/// What is said of state has many spellings; the rest of the job is read without it.
fn state_apart(document: &Node) -> Result<(Node, state::State), Error> {
    let Value::Table(entries) = &document.value else { return Ok((document.clone(), state::State::default())) };
    let state = state::state(entries)?;
    let rest = entries.iter().filter(|entry| !state::owns(&entry.key)).cloned().collect();
    Ok((Node { place: document.place.clone(), value: Value::Table(rest) }, state))
}

const MAX_PARALLELISM: Read<MaxParallelism> = |node, what| {
    let groups = SMALL_AT_LEAST_1(node, what)?;
    MaxParallelism::new(groups)
        .map_err(|_| node.error(format!("{what} must be at most {}, not {groups}", MaxParallelism::BOUND)))
};

fn checkpoint(node: &Node) -> Result<CheckpointSpec, Error> {
    let keys = ["interval", "timeout", "min-pause", "max-concurrent", "retained", "tolerable-failures"];
    let fields = Fields::open(node, "`checkpoint`", &keys)?;
    let default = CheckpointSpec::every_ms(fields.required("interval", "\"10s\"", POSITIVE_DURATION)?);
    Ok(CheckpointSpec {
        interval_ms: default.interval_ms,
        timeout_ms: fields.optional("timeout", POSITIVE_DURATION)?.unwrap_or(default.timeout_ms),
        min_pause_ms: fields.optional("min-pause", DURATION)?.unwrap_or(default.min_pause_ms),
        max_concurrent: fields.optional("max-concurrent", SMALL_AT_LEAST_1)?.unwrap_or(default.max_concurrent),
        retained: fields.optional("retained", SMALL_AT_LEAST_1)?.unwrap_or(default.retained),
        tolerable_failures: fields.optional("tolerable-failures", SMALL_COUNT)?.unwrap_or(default.tolerable_failures),
    })
}

const POSITIVE_DURATION: Read<u64> = |node, what| match DURATION(node, what)? {
    0 => Err(node.error(format!("{what} must be longer than 0"))),
    ms => Ok(ms),
};

const POSITIVE_SIZE: Read<u64> = |node, what| match SIZE(node, what)? {
    0 => Err(node.error(format!("{what} must be more than 0"))),
    bytes => Ok(bytes),
};

fn restart(node: &Node) -> Result<RestartSpec, Error> {
    let fields = Fields::open(node, "`restart`", &["attempts", "delay", "max-delay"])?;
    let default = RestartSpec::default();
    Ok(RestartSpec {
        attempts_max: fields.optional("attempts", SMALL_COUNT)?.unwrap_or(default.attempts_max),
        delay_ms: fields.optional("delay", DURATION)?.unwrap_or(default.delay_ms),
        delay_ms_max: fields.optional("max-delay", DURATION)?.unwrap_or(default.delay_ms_max),
    })
}

fn errors(node: &Node) -> Result<ErrorSpec, Error> {
    let fields = Fields::open(node, "`errors`", &["policy", "budget"])?;
    let policies = [("dead-letter", ErrorPolicy::DeadLetter), ("fail", ErrorPolicy::Fail), ("skip", ErrorPolicy::Skip)];
    let default = ErrorSpec::default();
    Ok(ErrorSpec {
        policy: fields.optional_word("policy", &policies)?.unwrap_or(default.policy),
        budget: fields.optional("budget", COUNT)?.unwrap_or(default.budget),
    })
}

fn limits(node: &Node) -> Result<LimitSpec, Error> {
    let fields = Fields::open(node, "`limits`", &["memory", "call-cpu", "row-cpu-us", "emitted", "state"])?;
    let default = LimitSpec::default();
    Ok(LimitSpec {
        memory_bytes_max: fields.optional("memory", POSITIVE_SIZE)?.unwrap_or(default.memory_bytes_max),
        call_cpu_ms_max: fields.optional("call-cpu", POSITIVE_DURATION)?.unwrap_or(default.call_cpu_ms_max),
        row_cpu_us_max: fields.optional("row-cpu-us", AT_LEAST_1)?.unwrap_or(default.row_cpu_us_max),
        emitted_bytes_max: fields.optional("emitted", POSITIVE_SIZE)?.unwrap_or(default.emitted_bytes_max),
        state_bytes_max: fields.optional("state", POSITIVE_SIZE)?.or(default.state_bytes_max),
    })
}
