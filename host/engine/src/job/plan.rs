//! What a job runs: its graph, and where each operator's instances come from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_operator::operator::Factory;
use weir_protocol::Fault;
use weir_protocol::description::OperatorDescription;
use weir_protocol::id::Uid;
use weir_protocol::job_graph::{JobGraph, Vertex, VertexKind as GraphKind};
use weir_protocol::job_spec::JobSpec;

use super::{EngineError, Operators, VertexKind, VertexStatus};

/// A graph that holds together, with the operators that it names at hand.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) graph: JobGraph,
    pub(crate) factories: BTreeMap<Uid, Arc<dyn Factory>>,
}

impl Plan {
    /// Finds the operators and checks the graph.
    ///
    /// # Errors
    /// What does not hold together, naming the uid and the mend; what keeps an operator from being found.
    pub(crate) async fn new(spec: JobSpec, operators: &dyn Operators) -> Result<Self, EngineError> {
        let mut factories = BTreeMap::new();
        let mut descriptions: BTreeMap<&str, Vec<OperatorDescription>> = BTreeMap::new();
        for operator in &spec.operators {
            let found = operators.factory(&operator.component, &operator.operator).await;
            let factory = found.map_err(|error| EngineError::Failed {
                fault: error.fault,
                message: format!("operator `{}`: {}", operator.uid, error.message),
            })?;
            descriptions.entry(&operator.component).or_default().push(factory.description().clone());
            factories.insert(operator.uid.clone(), factory);
        }
        let graph = JobGraph::new(spec.clone(), &|component| descriptions.get(component).cloned());
        let graph =
            graph.map_err(|refusal| EngineError::Failed { fault: Fault::Request, message: refusal.to_string() })?;
        Ok(Self { graph, factories })
    }

    /// The operators whose components export `migration`.
    pub(crate) fn migrating(&self) -> BTreeSet<Uid> {
        let exporting = self.factories.iter().filter(|(_, factory)| factory.exports_migration());
        exporting.map(|(uid, _)| uid.clone()).collect()
    }
}

/// A job's vertices as people see them, before any subtask runs.
pub(crate) fn vertices_of(spec: &JobSpec) -> Vec<VertexStatus> {
    let status = |uid: &Uid, kind, title: &str, parallelism: Option<u32>| VertexStatus {
        uid: uid.clone(),
        kind,
        title: title.to_owned(),
        parallelism: parallelism.unwrap_or(spec.parallelism),
        subtasks: Vec::new(),
    };
    let sources = spec
        .sources
        .iter()
        .map(|source| status(&source.uid, VertexKind::Source, source.connector.type_name(), source.parallelism));
    let operators = spec
        .operators
        .iter()
        .map(|operator| status(&operator.uid, VertexKind::Operator, &operator.operator, operator.parallelism));
    let sinks =
        spec.sinks.iter().map(|sink| status(&sink.uid, VertexKind::Sink, sink.connector.type_name(), sink.parallelism));
    sources.chain(operators).chain(sinks).collect()
}

/// A vertex as people see it, without subtasks.
pub(crate) fn vertex_status(vertex: &Vertex) -> VertexStatus {
    let (kind, title) = match &vertex.kind {
        GraphKind::Source(spec) => (VertexKind::Source, spec.connector.type_name().to_owned()),
        GraphKind::Operator { spec, description: _ } => (VertexKind::Operator, spec.operator.clone()),
        GraphKind::Sink(spec) => (VertexKind::Sink, spec.connector.type_name().to_owned()),
    };
    VertexStatus { uid: vertex.uid.clone(), kind, title, parallelism: vertex.parallelism, subtasks: Vec::new() }
}
