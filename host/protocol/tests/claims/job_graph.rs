//! Jobs that make a graph, and jobs that are refused.

use proptest::collection::vec;
use proptest::prelude::*;
use weir_protocol::Fault;
use weir_protocol::description::{Columns, InputDescription, InputKind, OperatorDescription};
use weir_protocol::job_graph::{JobGraph, Refusal, StateSpec};
use weir_protocol::job_spec::{
    CheckpointSpec, ErrorSpec, FileFormat, FileSourceSpec, InputSpec, JobSpec, KeySpec, LimitSpec, OperatorSpec,
    OutputRef, PartitionSpec, RestartSpec, SinkConnector, SinkSpec, SourceConnector, SourceSpec, StartPosition,
};
use weir_protocol::key_group::MaxParallelism;

use crate::support::uid;

fn input(name: &str, kind: InputKind) -> InputDescription {
    InputDescription { name: name.to_owned(), kind, columns: Columns { keys: true, values: true, timestamps: true } }
}

fn operator(name: &str, inputs: Vec<InputDescription>, outputs: &[&str]) -> OperatorDescription {
    OperatorDescription {
        name: name.to_owned(),
        doc: String::new(),
        inputs,
        outputs: outputs.iter().map(|&name| name.to_owned()).collect(),
        states: vec![],
        config_schema: String::new(),
        properties: vec![],
    }
}

/// The one component that there is.
pub(crate) fn components(component: &str) -> Option<Vec<OperatorDescription>> {
    let operators = vec![
        operator("split", vec![input("lines", InputKind::Unkeyed)], &["words", "odd"]),
        operator("count", vec![input("words", InputKind::Keyed)], &["counts"]),
        operator("enrich", vec![input("left", InputKind::Keyed), input("rules", InputKind::Broadcast)], &[]),
    ];
    (component == "words").then_some(operators)
}

fn from(text: &str) -> OutputRef {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port.to_owned())));
    OutputRef { uid: uid(name), port }
}

fn takes(name: &str, output: &str, partition: PartitionSpec) -> InputSpec {
    InputSpec { input: name.to_owned(), from: from(output), partition }
}

fn runs(name: &str, operator: &str, inputs: Vec<InputSpec>) -> OperatorSpec {
    OperatorSpec {
        uid: uid(name),
        component: "words".to_owned(),
        operator: operator.to_owned(),
        parallelism: None,
        inputs,
        config: serde_json::Value::Null,
    }
}

fn hash() -> PartitionSpec {
    PartitionSpec::Hash(KeySpec::Carried)
}

/// The word count, with its odd lines and its counts in a sink each.
pub(crate) fn job() -> JobSpec {
    let files = FileSourceSpec {
        paths: vec!["README.md".to_owned()],
        format: FileFormat::Lines,
        follow: false,
        start: StartPosition::Beginning,
    };
    let source =
        |name| SourceSpec { uid: uid(name), parallelism: None, connector: SourceConnector::Files(files.clone()) };
    let sink = |name, output| SinkSpec {
        uid: uid(name),
        parallelism: None,
        from: vec![from(output)],
        connector: SinkConnector::Blackhole,
    };
    JobSpec {
        name: uid("word-count"),
        max_parallelism: MaxParallelism::DEFAULT,
        parallelism: 2,
        checkpoint: Some(CheckpointSpec::every_ms(1_000)),
        state: StateSpec::default(),
        restart: RestartSpec::default(),
        errors: ErrorSpec::default(),
        limits: LimitSpec::default(),
        sources: vec![source("text")],
        operators: vec![
            runs("count", "count", vec![takes("words", "split", hash())]),
            runs("split", "split", vec![takes("lines", "text", PartitionSpec::Forward)]),
        ],
        sinks: vec![sink("counts", "count:counts"), sink("odd", "split:odd")],
    }
}

#[test]
fn graph_is_in_the_order_in_which_records_flow() {
    let graph = JobGraph::new(job(), &components).expect("it holds together");
    let uids: Vec<&str> = graph.vertices().iter().map(|vertex| vertex.uid.as_str()).collect();
    assert_eq!(uids, ["text", "split", "count", "counts", "odd"]);
    let edges: Vec<_> = graph.edges().iter().map(|edge| (edge.from, edge.port, edge.to, edge.input)).collect();
    assert_eq!(edges, [(0, 0, 1, 0), (1, 0, 2, 0), (2, 0, 3, 0), (1, 1, 4, 0)]);
    assert_eq!(graph.subtasks().count(), 10);
    assert_eq!(graph.edges_out_of(1).map(|edge| edge.to).collect::<Vec<_>>(), [2, 4]);
}

#[test]
fn sink_takes_records_forward_where_it_can_and_rebalanced_where_not() {
    let mut job = job();
    job.sinks[0].parallelism = Some(1);
    let graph = JobGraph::new(job, &components).expect("it holds together");
    let partition = |vertex| graph.edges_into(vertex).map(|edge| edge.partition.clone()).collect::<Vec<_>>();
    assert_eq!((partition(3), partition(4)), (vec![PartitionSpec::Rebalance], vec![PartitionSpec::Forward]));
}

#[test]
fn operator_with_several_inputs_takes_each_from_where_it_is_told() {
    let mut job = job();
    let inputs = vec![takes("rules", "text", PartitionSpec::Broadcast), takes("left", "count", hash())];
    job.operators.push(runs("enrich", "enrich", inputs));
    let graph = JobGraph::new(job, &components).expect("it holds together");
    let vertex = graph.vertices().iter().position(|vertex| vertex.uid == uid("enrich")).expect("it is there");
    let edges: Vec<_> = graph.edges_into(vertex).map(|edge| (edge.input, edge.from)).collect();
    assert_eq!(edges, [(0, 2), (1, 0)]);
}

#[test]
fn refused_jobs_are_told_the_uid_and_the_mend() {
    type Change = fn(&mut JobSpec);
    let cases: &[(Change, &str)] = &[
        (|job| job.sources.clear(), "the job has no source; add one"),
        (
            |job| job.sinks[1].uid = uid("split"),
            "uid `split` is used more than once; give each source, operator and sink its own",
        ),
        (
            |job| job.operators[0].parallelism = Some(0),
            "`count`: parallelism must be between 1 and 128, not 0; change its parallelism, or the job's max-parallelism",
        ),
        (
            |job| job.parallelism = 129,
            "`text`: parallelism must be between 1 and 128, not 129; change its parallelism, or the job's max-parallelism",
        ),
        (
            |job| job.operators[0].component = "wrods".to_owned(),
            "operator `count`: component `wrods` is unknown; upload it first, or name one that is there",
        ),
        (
            |job| job.operators[0].operator = "cuont".to_owned(),
            "operator `count`: component `words` has no operator `cuont`; it has `split`, `count`, `enrich`",
        ),
        (
            |job| job.operators[0].inputs[0].input = "word".to_owned(),
            "operator `count` has no input `word`; it has `words`",
        ),
        (
            |job| job.operators[0].inputs.clear(),
            "input `words` of operator `count` is not fed; add an entry for it to the operator's inputs",
        ),
        (|job| job.sinks[0].from.clear(), "nothing feeds `counts`; name a source or operator that does"),
        (
            |job| job.sinks[0].from[0] = from("odd"),
            "`counts` takes records from `odd`, which is no source or operator of the job; \
             there are `text`, `count`, `split`",
        ),
        (
            |job| job.sinks[0].from[0] = from("split:oddd"),
            "`counts` takes records from port `oddd` of `split`, which has `words`, `odd`",
        ),
        (
            |job| {
                let inputs = vec![takes("left", "split", hash()), takes("rules", "text", PartitionSpec::Broadcast)];
                job.operators.push(runs("enrich", "enrich", inputs));
                job.sinks[0].from[0] = from("enrich");
            },
            "`counts` takes records from port `main` of `enrich`, which has none",
        ),
        (
            |job| job.operators[0].inputs[0].partition = PartitionSpec::Rebalance,
            "input `words` of operator `count` is keyed; spread its records by hash, with a key",
        ),
        (
            |job| {
                job.sources[0].connector = SourceConnector::Files(FileSourceSpec {
                    paths: vec!["in".to_owned()],
                    format: FileFormat::Lines,
                    follow: false,
                    start: StartPosition::Beginning,
                });
                job.operators[0].inputs[0] = takes("words", "text", PartitionSpec::Hash(KeySpec::Carried));
            },
            "input `words` of operator `count` takes the key that records carry, but those of `text` carry none; \
             say where it is, as in key = { field = \"name\" } or key = \"value\"",
        ),
        (
            |job| job.operators[1].inputs[0].partition = hash(),
            "input `lines` of operator `split` is unkeyed; spread its records forward or rebalanced, without a key",
        ),
        (
            |job| {
                let inputs = vec![takes("left", "split", hash()), takes("rules", "text", PartitionSpec::Forward)];
                job.operators.push(runs("enrich", "enrich", inputs));
            },
            "input `rules` of operator `enrich` is broadcast; broadcast its records",
        ),
        (
            |job| job.operators[1].parallelism = Some(3),
            "`split` (parallelism 3) takes records forward from `text` (parallelism 2); make them equal, or rebalance",
        ),
        (
            |job| job.operators[1].inputs.push(takes("lines", "count", PartitionSpec::Rebalance)),
            "the job has a cycle: count → split → count; take one of these edges away",
        ),
        (
            |job| job.operators[0].inputs[0].partition = PartitionSpec::Hash(KeySpec::Field(vec![])),
            "operator `count`: a key's field path is empty; name a field, or take the whole value as the key",
        ),
        (
            |job| job.checkpoint.as_mut().expect("it is on").interval_ms = 0,
            "checkpoint: interval must be at least 1 ms; leave the whole section out to turn checkpoints off",
        ),
    ];
    for (change, expected) in cases {
        let mut job = job();
        change(&mut job);
        let refusal = JobGraph::new(job, &components).expect_err(expected);
        assert_eq!((refusal.to_string().as_str(), refusal.fault()), (*expected, Fault::Request));
    }
}

#[test]
fn operator_that_feeds_itself_is_a_cycle() {
    let mut job = job();
    job.operators[1].inputs.push(takes("lines", "split", PartitionSpec::Forward));
    let refusal = JobGraph::new(job, &components).expect_err("it is a cycle");
    assert_eq!(refusal, Refusal::Cycle { uids: vec![uid("split"), uid("split")] });
}

proptest! {
    /// Operators that take lines from any others: either the graph is in order, or the named cycle is one.
    #[test]
    fn graph_is_in_order_or_the_named_cycle_is_in_the_job(
        feeders in vec(vec(any::<prop::sample::Index>(), 1..3), 1..7),
    ) {
        let mut job = job();
        let names: Vec<String> = (0..feeders.len()).map(|index| format!("op-{index}")).collect();
        let place = |index: usize| if index == names.len() { "text" } else { &names[index] };
        job.sinks.clear();
        job.operators = names.iter().zip(&feeders).map(|(name, feeders)| {
            let inputs = feeders.iter().map(|feeder| takes("lines", place(feeder.index(names.len() + 1)), PartitionSpec::Forward));
            runs(name, "split", inputs.collect())
        }).collect();
        let feeds = |from: &str, to: &str| {
            let to = job.operators.iter().find(|operator| operator.uid.as_str() == to);
            to.is_some_and(|to| to.inputs.iter().any(|input| input.from.uid.as_str() == from))
        };
        match JobGraph::new(job.clone(), &components) {
            Ok(graph) => {
                prop_assert_eq!(graph.vertices().len(), names.len() + 1);
                prop_assert!(graph.edges().iter().all(|edge| edge.from < edge.to));
            }
            Err(Refusal::Cycle { uids }) => {
                prop_assert!(uids.len() >= 2 && uids.first() == uids.last());
                for pair in uids.windows(2) {
                    prop_assert!(feeds(pair[0].as_str(), pair[1].as_str()), "{} → {}", pair[0], pair[1]);
                }
            }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        }
    }
}
