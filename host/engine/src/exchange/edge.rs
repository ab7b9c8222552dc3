//! One edge of an output: how its records are spread, and the targets behind it.

use std::borrow::Cow;

use weir_operator::batch::{Batch, NO_KEY};
use weir_protocol::id::Uid;
use weir_protocol::job_spec::PartitionSpec;
use weir_protocol::key_group::MaxParallelism;
use weir_protocol::time::NO_TIME;

use super::builder::{BatchBuilder, KeyMap};
use super::hash_edge::HashEdge;
use super::partition::KeyExtractor;
use super::whole_edge::{Reach, WholeEdge};
use super::{ChannelSender, Closed, Element};
use crate::rejected::RejectedRecord;

/// Where one edge of an output leads.
#[derive(Debug)]
pub struct Edge {
    /// The operator or sink at its end.
    pub to: Uid,
    /// How records are spread.
    pub partition: PartitionSpec,
    /// What [`super::connect`] gives the sending subtask; at least one.
    pub targets: Vec<ChannelSender>,
}

/// An edge at work.
#[derive(Debug)]
pub(super) struct Route {
    to: Uid,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Batches travel whole, with the keys that they carry.
    Whole(WholeEdge),
    /// The one target owns every key.
    HashToOne { extractor: KeyExtractor, edge: WholeEdge },
    /// Rows are spread by key.
    Hash { extractor: KeyExtractor, edge: HashEdge },
}

impl Route {
    pub(super) fn new(edge: Edge, max_parallelism: MaxParallelism) -> Self {
        let Edge { to, partition, targets } = edge;
        assert!(!targets.is_empty(), "an edge has at least one target");
        let kind = match partition {
            PartitionSpec::Forward | PartitionSpec::Rebalance => Kind::Whole(WholeEdge::new(Reach::One, targets)),
            PartitionSpec::Broadcast => Kind::Whole(WholeEdge::new(Reach::All, targets)),
            PartitionSpec::Hash(key) if targets.len() == 1 => {
                Kind::HashToOne { extractor: KeyExtractor::new(key), edge: WholeEdge::new(Reach::One, targets) }
            }
            PartitionSpec::Hash(key) => {
                Kind::Hash { extractor: KeyExtractor::new(key), edge: HashEdge::new(max_parallelism, targets) }
            }
        };
        Self { to, kind }
    }

    /// Sends a batch; adds the records that have no key here to `rejected`.
    pub(super) async fn send(
        &mut self,
        batch: Cow<'_, Batch>,
        rejected: &mut Vec<RejectedRecord>,
    ) -> Result<(), Closed> {
        match &mut self.kind {
            Kind::Whole(edge) => edge.send(batch).await,
            Kind::HashToOne { extractor, edge } => {
                let extracted = extractor.extract(&batch);
                reject(&self.to, &batch, &extracted.lacking, rejected);
                let all_have_keys = extracted.lacking.is_empty();
                let keyed = match extracted.keys {
                    Cow::Borrowed(_) => batch,
                    Cow::Owned(keys) => Cow::Owned(Batch { keys: Some(keys), ..batch.into_owned() }),
                };
                if all_have_keys { edge.send(keyed).await } else { edge.send(Cow::Owned(with_keys_only(&keyed))).await }
            }
            Kind::Hash { extractor, edge } => {
                let extracted = extractor.extract(&batch);
                reject(&self.to, &batch, &extracted.lacking, rejected);
                edge.send(&batch, &extracted.keys).await
            }
        }
    }

    pub(super) async fn flush(&mut self) -> Result<(), Closed> {
        match &mut self.kind {
            Kind::Whole(edge) | Kind::HashToOne { edge, .. } => edge.flush().await,
            Kind::Hash { edge, .. } => edge.flush().await,
        }
    }

    pub(super) async fn broadcast(&mut self, element: &Element) -> Result<(), Closed> {
        match &mut self.kind {
            Kind::Whole(edge) | Kind::HashToOne { edge, .. } => edge.broadcast(element).await,
            Kind::Hash { edge, .. } => edge.broadcast(element).await,
        }
    }
}

/// The rows that have a key.
fn with_keys_only(batch: &Batch) -> Batch {
    let keys = batch.keys.as_ref().expect("the caller gave it keys");
    let rows: Vec<u32> = (0..batch.rows).filter(|&row| keys.key_of[row as usize] != NO_KEY).collect();
    let mut map = KeyMap::default();
    map.reset(keys.count());
    let mut builder = BatchBuilder::default();
    builder.append(batch, Some(keys), &weir_operator::batch::Rows::These(&rows), &mut map);
    builder.take()
}

fn reject(to: &Uid, batch: &Batch, lacking: &[(u32, String)], rejected: &mut Vec<RejectedRecord>) {
    rejected.extend(lacking.iter().map(|(row, reason)| {
        let row = *row as usize;
        let carried = batch.keys.as_ref().and_then(|keys| {
            let key = keys.key_of[row];
            (key != NO_KEY).then(|| keys.distinct.get(key as usize).to_vec())
        });
        RejectedRecord {
            reason: reason.clone(),
            origin: format!("edge to {to}"),
            key: carried,
            value: batch.values.get(row).map(<[u8]>::to_vec),
            timestamp: batch.timestamps.get(row).copied().unwrap_or(NO_TIME),
        }
    }));
}
