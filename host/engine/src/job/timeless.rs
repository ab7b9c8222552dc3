//! Which operators no event time ever reaches: their event-time timers never fire.

use weir_protocol::job_graph::{JobGraph, VertexKind};
use weir_protocol::job_spec::SourceConnector;

/// Whether nothing that feeds a vertex, directly or not, tells a watermark, and some of it never ends. Where all of it ends,
/// the end of time comes with that.
pub(super) fn is_timeless(graph: &JobGraph, vertex: usize) -> bool {
    let sources = sources_of(graph, vertex);
    !sources.iter().any(|source| tells_time(source)) && sources.iter().any(|source| never_ends(source))
}

fn sources_of(graph: &JobGraph, vertex: usize) -> Vec<&SourceConnector> {
    match &graph.vertices()[vertex].kind {
        VertexKind::Source(source) => vec![&source.connector],
        VertexKind::Operator { .. } | VertexKind::Sink(_) => {
            graph.edges_into(vertex).flat_map(|edge| sources_of(graph, edge.from)).collect()
        }
    }
}

const fn tells_time(source: &SourceConnector) -> bool {
    match source {
        SourceConnector::Generator(_) => true,
        SourceConnector::Files(_) => false,
    }
}

const fn never_ends(source: &SourceConnector) -> bool {
    match source {
        SourceConnector::Generator(generator) => generator.count.is_none(),
        SourceConnector::Files(files) => files.follow,
    }
}
