//! A job as a graph that holds together.
//!
//! Receives a [`JobSpec`] and what the uploaded components say of themselves. Guarantees, once made: uids are unique,
//! every parallelism is within its bounds, every edge joins an output and an input that exist, and spreads records in a
//! way that the input bears; every input is fed; there is a source, and no cycle. Does not own which kinds of state are
//! supported (that is checked when a component is uploaded), nor whether paths can be read.

use std::collections::BTreeSet;

use crate::description::OperatorDescription;
use crate::id::{SubtaskId, Uid};
use crate::job_spec::{JobSpec, OperatorSpec, PartitionSpec, SinkSpec, SourceSpec};

mod edges;
mod order;
mod refusal;
mod settings;
mod state;

use edges::Edges;
pub use refusal::Refusal;
pub use state::{CheckpointStorage, StateBackend, StateSpec};

/// A job as a graph that holds together.
#[derive(Debug, Clone, PartialEq)]
pub struct JobGraph {
    spec: JobSpec,
    vertices: Vec<Vertex>,
    edges: Vec<Edge>,
}

/// A source, an operator or a sink.
#[derive(Debug, Clone, PartialEq)]
pub struct Vertex {
    /// What its state, positions or outboxes are recorded under.
    pub uid: Uid,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// What it does.
    pub kind: VertexKind,
}

/// What a vertex does.
#[derive(Debug, Clone, PartialEq)]
pub enum VertexKind {
    /// Brings records in.
    Source(SourceSpec),
    /// Runs user code on them.
    Operator {
        /// As the job names it.
        spec: OperatorSpec,
        /// As the component describes it.
        description: Box<OperatorDescription>,
    },
    /// Takes results out.
    Sink(SinkSpec),
}

/// Records go from an output of one vertex to an input of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The index of the vertex that sends.
    pub from: usize,
    /// The index of its output; 0 is the main one.
    pub port: u32,
    /// The index of the vertex that receives; higher than `from`.
    pub to: usize,
    /// The index of its input; 0 for a sink.
    pub input: u32,
    /// How records are spread over its subtasks.
    pub partition: PartitionSpec,
}

/// The operators of a component, by the component's name in the job; `None`: it is unknown.
pub type Components<'a> = &'a dyn Fn(&str) -> Option<Vec<OperatorDescription>>;

impl JobGraph {
    /// Checks a specification and makes its graph.
    ///
    /// # Errors
    /// The first [`Refusal`] that applies.
    pub fn new(spec: JobSpec, components: Components<'_>) -> Result<Self, Refusal> {
        settings::check(&spec)?;
        let vertices = vertices(&spec, components)?;
        check_uids(&vertices)?;
        if spec.sources.is_empty() {
            return Err(Refusal::NoSource);
        }
        for vertex in &vertices {
            let refused = |error| Refusal::Parallelism { uid: vertex.uid.clone(), error };
            spec.max_parallelism.check(vertex.parallelism).map_err(refused)?;
        }
        let edges = Edges::new(&vertices).of_all()?;
        let (vertices, edges) = order::from_sources_to_sinks(vertices, edges)?;
        Ok(Self { spec, vertices, edges })
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// All vertices; whatever feeds one comes before it.
    #[must_use]
    pub fn vertices(&self) -> &[Vertex] {
        &self.vertices
    }

    /// All edges; those into one vertex in the order of its inputs.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The edges into a vertex.
    pub fn edges_into(&self, vertex: usize) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.to == vertex)
    }

    /// The edges out of a vertex.
    pub fn edges_out_of(&self, vertex: usize) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.from == vertex)
    }

    /// Every subtask of the job.
    pub fn subtasks(&self) -> impl Iterator<Item = SubtaskId> {
        self.vertices.iter().flat_map(Vertex::subtasks)
    }
}

impl Vertex {
    /// Its subtasks, by index.
    pub fn subtasks(&self) -> impl Iterator<Item = SubtaskId> {
        (0..self.parallelism).map(|index| SubtaskId { uid: self.uid.clone(), index })
    }

    /// The names of its outputs; the first is the main one. `None`: it is a sink.
    fn outputs(&self) -> Option<Vec<String>> {
        match &self.kind {
            VertexKind::Source(_) => Some(vec![MAIN.to_owned()]),
            VertexKind::Operator { description, .. } => Some(description.outputs.clone()),
            VertexKind::Sink(_) => None,
        }
    }
}

/// What a main output is called where its name does not matter.
const MAIN: &str = "main";

fn vertices(spec: &JobSpec, components: Components<'_>) -> Result<Vec<Vertex>, Refusal> {
    let parallelism = |own: Option<u32>| own.unwrap_or(spec.parallelism);
    let sources = spec.sources.iter().map(|source| {
        let kind = VertexKind::Source(source.clone());
        Ok(Vertex { uid: source.uid.clone(), parallelism: parallelism(source.parallelism), kind })
    });
    let operators = spec.operators.iter().map(|operator| {
        let description = Box::new(describe(operator, components)?);
        let kind = VertexKind::Operator { spec: operator.clone(), description };
        Ok(Vertex { uid: operator.uid.clone(), parallelism: parallelism(operator.parallelism), kind })
    });
    let sinks = spec.sinks.iter().map(|sink| {
        let kind = VertexKind::Sink(sink.clone());
        Ok(Vertex { uid: sink.uid.clone(), parallelism: parallelism(sink.parallelism), kind })
    });
    sources.chain(operators).chain(sinks).collect()
}

fn describe(spec: &OperatorSpec, components: Components<'_>) -> Result<OperatorDescription, Refusal> {
    let (uid, component) = (spec.uid.clone(), spec.component.clone());
    let Some(operators) = components(&component) else {
        return Err(Refusal::UnknownComponent { uid, component });
    };
    let known = operators.iter().map(|operator| operator.name.clone()).collect();
    let found = operators.into_iter().find(|operator| operator.name == spec.operator);
    found.ok_or_else(|| Refusal::UnknownOperator { uid, component, operator: spec.operator.clone(), known })
}

fn check_uids(vertices: &[Vertex]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    match vertices.iter().find(|vertex| !seen.insert(&vertex.uid)) {
        Some(vertex) => Err(Refusal::DuplicateUid { uid: vertex.uid.clone() }),
        None => Ok(()),
    }
}
