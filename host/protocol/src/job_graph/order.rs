//! The order of a graph's vertices, or the cycle that leaves none.

use super::{Edge, Refusal, Vertex};

/// Sorts vertices so that whatever feeds one comes before it, otherwise as they were given; and points the edges at
/// their new places.
pub(super) fn from_sources_to_sinks(
    vertices: Vec<Vertex>,
    mut edges: Vec<Edge>,
) -> Result<(Vec<Vertex>, Vec<Edge>), Refusal> {
    let order = order(vertices.len(), &edges).map_err(|cycle| {
        let uids = cycle.into_iter().map(|vertex| vertices[vertex].uid.clone()).collect();
        Refusal::Cycle { uids }
    })?;
    let mut place = vec![0; vertices.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    for edge in &mut edges {
        (edge.from, edge.to) = (place[edge.from], place[edge.to]);
    }
    edges.sort_by_key(|edge| (edge.to, edge.input));
    let mut placed: Vec<_> = place.into_iter().zip(vertices).collect();
    placed.sort_by_key(|(place, _)| *place);
    Ok((placed.into_iter().map(|(_, vertex)| vertex).collect(), edges))
}

/// The order of `count` vertices; in error, a cycle with its first vertex again at the end.
fn order(count: usize, edges: &[Edge]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order = Vec::with_capacity(count);
    let mut left: Vec<usize> = (0..count).collect();
    while !left.is_empty() {
        let waits = |vertex: usize| edges.iter().any(|edge| edge.to == vertex && left.contains(&edge.from));
        match left.iter().position(|vertex| !waits(*vertex)) {
            Some(ready) => order.push(left.remove(ready)),
            None => return Err(cycle(&left, edges)),
        }
    }
    Ok(order)
}

/// A cycle among vertices each of which is fed by another of them.
fn cycle(left: &[usize], edges: &[Edge]) -> Vec<usize> {
    let mut path = vec![left[0]];
    loop {
        let last = path[path.len() - 1];
        let feeder = edges.iter().find(|edge| edge.to == last && left.contains(&edge.from));
        let feeder = feeder.expect("each vertex that is left is fed by another").from;
        if let Some(first) = path.iter().position(|vertex| *vertex == feeder) {
            path.drain(..first);
            path.push(feeder);
            path.reverse();
            return path;
        }
        path.push(feeder);
    }
}
