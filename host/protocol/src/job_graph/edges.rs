//! The edges of a graph: from an output that exists to an input that bears what comes.

use std::collections::BTreeMap;

use super::{Edge, MAIN, Refusal, Vertex, VertexKind};
use crate::description::{InputKind, OperatorDescription};
use crate::id::Uid;
use crate::job_spec::{InputSpec, KeySpec, OutputRef, PartitionSpec, SourceConnector};

/// Makes edges of what the vertices say they take.
pub(super) struct Edges<'a> {
    vertices: &'a [Vertex],
    by_uid: BTreeMap<&'a Uid, usize>,
}

impl<'a> Edges<'a> {
    pub(super) fn new(vertices: &'a [Vertex]) -> Self {
        let by_uid = vertices.iter().enumerate().map(|(index, vertex)| (&vertex.uid, index)).collect();
        Self { vertices, by_uid }
    }

    pub(super) fn of_all(&self) -> Result<Vec<Edge>, Refusal> {
        let mut edges = Vec::new();
        for (to, vertex) in self.vertices.iter().enumerate() {
            match &vertex.kind {
                VertexKind::Source(_) => {}
                VertexKind::Operator { spec, description } => {
                    edges.extend(self.of_operator(to, &spec.inputs, description)?);
                }
                VertexKind::Sink(spec) => edges.extend(self.of_sink(to, &spec.from)?),
            }
        }
        Ok(edges)
    }

    fn of_operator(
        &self,
        to: usize,
        inputs: &[InputSpec],
        description: &OperatorDescription,
    ) -> Result<Vec<Edge>, Refusal> {
        let uid = &self.vertices[to].uid;
        let edges = inputs.iter().map(|input| self.of_input(to, input, description));
        let mut edges = edges.collect::<Result<Vec<_>, _>>()?;
        edges.sort_by_key(|edge| edge.input);
        for (index, declared) in (0..).zip(&description.inputs) {
            if !edges.iter().any(|edge| edge.input == index) {
                return Err(Refusal::UnfedInput { uid: uid.clone(), input: declared.name.clone() });
            }
        }
        if edges.is_empty() { Err(Refusal::Unfed { uid: uid.clone() }) } else { Ok(edges) }
    }

    fn of_input(&self, to: usize, spec: &InputSpec, description: &OperatorDescription) -> Result<Edge, Refusal> {
        let (uid, input) = (&self.vertices[to].uid, &spec.input);
        let Some((index, declared)) = (0..).zip(&description.inputs).find(|(_, declared)| declared.name == *input)
        else {
            let known = description.inputs.iter().map(|declared| declared.name.clone()).collect();
            return Err(Refusal::UnknownInput { uid: uid.clone(), input: input.clone(), known });
        };
        if !bears(declared.kind, &spec.partition) {
            return Err(Refusal::Partition { uid: uid.clone(), input: input.clone(), kind: declared.kind });
        }
        let (from, port) = self.output(to, &spec.from)?;
        if spec.partition == PartitionSpec::Forward {
            self.check_forward(from, to)?;
        }
        if spec.partition == PartitionSpec::Hash(KeySpec::Carried) && self.never_keys(from) {
            let from = self.vertices[from].uid.clone();
            return Err(Refusal::NoKey { uid: uid.clone(), input: input.clone(), from });
        }
        Ok(Edge { from, port, to, input: index, partition: spec.partition.clone() })
    }

    fn of_sink(&self, to: usize, from: &[OutputRef]) -> Result<Vec<Edge>, Refusal> {
        if from.is_empty() {
            return Err(Refusal::Unfed { uid: self.vertices[to].uid.clone() });
        }
        let edge = |output: &OutputRef| {
            let (from, port) = self.output(to, output)?;
            let equal = self.vertices[from].parallelism == self.vertices[to].parallelism;
            let partition = if equal { PartitionSpec::Forward } else { PartitionSpec::Rebalance };
            Ok(Edge { from, port, to, input: 0, partition })
        };
        from.iter().map(edge).collect()
    }

    /// The vertex and the index of its output that `output` names.
    fn output(&self, to: usize, output: &OutputRef) -> Result<(usize, u32), Refusal> {
        let uid = &self.vertices[to].uid;
        let from = self.by_uid.get(&output.uid).copied();
        let Some((from, outputs)) = from.and_then(|from| Some((from, self.vertices[from].outputs()?))) else {
            let known = self.vertices.iter().filter(|vertex| vertex.outputs().is_some());
            let known = known.map(|vertex| vertex.uid.to_string()).collect();
            return Err(Refusal::UnknownFrom { uid: uid.clone(), from: output.uid.clone(), known });
        };
        let mut ports = (0..).zip(&outputs);
        let port = ports.find(|(_, name)| output.port.as_ref().is_none_or(|wanted| wanted == *name));
        match port {
            Some((port, _)) => Ok((from, port)),
            None => {
                let port = output.port.clone().unwrap_or_else(|| MAIN.to_owned());
                Err(Refusal::UnknownPort { uid: uid.clone(), from: output.uid.clone(), port, known: outputs })
            }
        }
    }

    /// Whether no record of a vertex ever carries a key.
    fn never_keys(&self, from: usize) -> bool {
        match &self.vertices[from].kind {
            VertexKind::Source(source) => match source.connector {
                SourceConnector::Files(_) => true,
                SourceConnector::Generator(_) => false,
            },
            VertexKind::Operator { .. } | VertexKind::Sink(_) => false,
        }
    }

    fn check_forward(&self, from: usize, to: usize) -> Result<(), Refusal> {
        let (from, to) = (&self.vertices[from], &self.vertices[to]);
        if from.parallelism == to.parallelism {
            return Ok(());
        }
        Err(Refusal::Forward {
            uid: to.uid.clone(),
            parallelism: to.parallelism,
            from: from.uid.clone(),
            from_parallelism: from.parallelism,
        })
    }
}

/// Whether an input of this kind bears records that are spread like this.
const fn bears(kind: InputKind, partition: &PartitionSpec) -> bool {
    match kind {
        InputKind::Keyed => matches!(partition, PartitionSpec::Hash(_)),
        InputKind::Unkeyed => matches!(partition, PartitionSpec::Forward | PartitionSpec::Rebalance),
        InputKind::Broadcast => matches!(partition, PartitionSpec::Broadcast),
    }
}
