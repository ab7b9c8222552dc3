//! The channels of one attempt: what each subtask sends to and receives from.

use std::collections::BTreeMap;

use weir_protocol::job_graph::{JobGraph, Vertex, VertexKind};

use crate::exchange::{Edge, InputChannel, connect};

/// Channels that were not given to their subtasks yet, by vertex and subtask.
#[derive(Debug)]
pub(crate) struct Wiring {
    outputs: BTreeMap<(usize, u32), Vec<Vec<Edge>>>,
    inputs: BTreeMap<(usize, u32), Vec<InputChannel>>,
}

impl Wiring {
    /// New channels for every edge of the graph.
    pub(crate) fn new(graph: &JobGraph) -> Self {
        let mut wiring = Self { outputs: BTreeMap::new(), inputs: BTreeMap::new() };
        for (index, vertex) in graph.vertices().iter().enumerate() {
            for subtask in 0..vertex.parallelism {
                let ports = (0..ports(vertex)).map(|_| Vec::new()).collect();
                wiring.outputs.insert((index, subtask), ports);
            }
        }
        for edge in graph.edges() {
            wiring.connect(graph, edge);
        }
        wiring
    }

    fn connect(&mut self, graph: &JobGraph, edge: &weir_protocol::job_graph::Edge) {
        let (from, to) = (&graph.vertices()[edge.from], &graph.vertices()[edge.to]);
        let connection = connect(&edge.partition, from.parallelism, to.parallelism);
        for (subtask, targets) in (0..).zip(connection.senders) {
            let ports = self.outputs.get_mut(&(edge.from, subtask)).expect("every subtask has its ports");
            let sent = Edge { to: to.uid.clone(), partition: edge.partition.clone(), targets };
            ports[edge.port as usize].push(sent);
        }
        for (subtask, receivers) in (0..).zip(connection.receivers) {
            let channels = receivers.into_iter().map(|receiver| InputChannel { input: edge.input, receiver });
            self.inputs.entry((edge.to, subtask)).or_default().extend(channels);
        }
    }

    /// The ports of a subtask, each with its edges.
    pub(crate) fn take_outputs(&mut self, vertex: usize, subtask: u32) -> Vec<Vec<Edge>> {
        self.outputs.remove(&(vertex, subtask)).expect("each subtask takes its channels once")
    }

    /// The channels into a subtask.
    pub(crate) fn take_inputs(&mut self, vertex: usize, subtask: u32) -> Vec<InputChannel> {
        self.inputs.remove(&(vertex, subtask)).expect("whatever takes records is fed, and takes its channels once")
    }
}

fn ports(vertex: &Vertex) -> usize {
    match &vertex.kind {
        VertexKind::Source(_) => 1,
        VertexKind::Operator { spec: _, description } => description.outputs.len(),
        VertexKind::Sink(_) => 0,
    }
}
