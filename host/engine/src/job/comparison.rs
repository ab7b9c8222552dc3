//! What a running job is, and holds, against what it shall be.
//!
//! Receives a job's chains and the plan of what it shall be; guarantees that nothing is read but what the comparison needs,
//! and that nothing is changed. Does not own what is refused: [`Upgrade`] does.

use std::collections::{BTreeMap, BTreeSet};

use weir_protocol::chain::{RunEntry, SpecEntry, Stored};
use weir_protocol::description::StateDescription;
use weir_protocol::evolution::HeldState;
use weir_protocol::id::Uid;
use weir_protocol::job_graph::{JobGraph, VertexKind};
use weir_protocol::job_spec::{JobSpec, SinkConnector};
use weir_protocol::manifest::{Blob, Outlet, SubtaskManifest};
use weir_protocol::upgrade::{Changes, Refusal, Upgrade};

use super::plan::Plan;
use super::shared::Shared;
use super::state_memory::memory_limit;
use super::{EngineError, JobState, JobStatus, Upgrading};
use crate::checkpoint::chain::{self, ChainError, SpecChain};
use crate::checkpoint::inspect::Inspector;

/// What is known of a job that is to be changed.
pub(super) struct Ground<'a> {
    /// What it does.
    pub(super) status: &'a JobStatus,
    pub(super) shared: &'a Shared,
    pub(super) specs: &'a SpecChain,
    /// Its newest wish.
    pub(super) wanted: &'a Stored<SpecEntry>,
    pub(super) newest: &'a RunEntry,
}

impl Ground<'_> {
    /// What changes. The new spec must fit whatever state it may come to go on from: that of the newest checkpoint, and
    /// that of the next, where the job has just been changed and takes one more before it is changed again.
    ///
    /// # Errors
    /// Why it cannot become that; what the store says.
    pub(super) async fn changes(&self, before: &JobSpec, plan: &Plan, how: Upgrading) -> Result<Changes, EngineError> {
        let made_under = self.newest.made_under();
        if made_under != self.wanted.entry.number {
            let made_under = self.specs.deployed(made_under).await?;
            self.compare(&made_under, plan, how).await?;
        }
        let changes = self.compare(before, plan, how).await?;
        match too_little_memory(self.status, plan) {
            Some(refusal) => Err(refusal.into()),
            None => Ok(changes),
        }
    }

    /// What is not certain enough for a refusal. Of a job that does not run nobody knows what it holds, but how large its
    /// files are.
    pub(super) fn warnings(&self, plan: &Plan) -> Vec<String> {
        if self.status.state == JobState::Running {
            return Vec::new();
        }
        let operators =
            plan.graph.vertices().iter().filter(|vertex| matches!(vertex.kind, VertexKind::Operator { .. }));
        let spec = plan.graph.spec();
        let saved = operators.map(|vertex| (vertex, saved_bytes(self.newest.manifest.operators.get(&vertex.uid))));
        let warnings = saved.filter_map(|(vertex, saved)| {
            let room = memory_limit(&spec.state)?.saturating_mul(vertex.parallelism.into());
            (saved > room).then(|| {
                format!(
                    "operator `{}` has files of {saved} bytes in the newest checkpoint, and room for {room} in the memory of \
                     all its subtasks together; if that many are alive still, it will give up on records: raise `memory` \
                     in [state] or the parallelism, or keep state on disk with backend = \"rocksdb\"",
                    vertex.uid
                )
            })
        });
        warnings.collect()
    }

    /// Whether there is a newer entry by now.
    pub(super) async fn is_outdated(&self) -> Result<bool, ChainError> {
        let newest = chain::newest(&self.shared.store, self.status.id).await?;
        Ok(newest.stored.entry.number != self.newest.number)
    }

    /// What the newest checkpoint holds in states that shall be declared and are not by what the job is: an earlier version
    /// left it.
    async fn left(&self, from: &JobGraph, to: &JobGraph) -> Result<BTreeMap<Uid, Vec<HeldState>>, EngineError> {
        let Shared { store, clock, looks, holds, .. } = self.shared.clone();
        let inspector = Inspector::new(store, clock, self.status.id, looks, holds);
        let mut left = BTreeMap::new();
        for (uid, declared) in operators(to) {
            let known = operators(from).find(|(known, _)| *known == uid).map_or(&[][..], |(_, states)| states);
            let is_new = |name: &str| !known.iter().any(|known| known.name == name);
            let subtasks = self.newest.manifest.operators.get(uid).map_or(&[][..], Vec::as_slice);
            if declared.iter().any(|state| is_new(&state.name)) && !subtasks.is_empty() {
                let mut held = inspector.states(subtasks).await?;
                held.retain(|held| is_new(&held.name));
                left.insert(uid.clone(), held);
            }
        }
        Ok(left)
    }

    async fn compare(&self, from: &JobSpec, plan: &Plan, how: Upgrading) -> Result<Changes, EngineError> {
        let from = Plan::new(from.clone(), self.shared.operators.as_ref()).await?;
        let places = self.places(from.graph.spec()).await?;
        let left = self.left(&from.graph, &plan.graph).await?;
        let upgrade = Upgrade {
            from: &from.graph,
            to: &plan.graph,
            newest: self.newest,
            places: &places,
            left: &left,
            migrating: &plan.migrating(),
            drops_state: how.drops_state,
        };
        Ok(upgrade.changes()?)
    }

    /// Where results were published, and where those of the present sinks will be.
    async fn places(&self, from: &JobSpec) -> Result<BTreeMap<Uid, SinkConnector>, EngineError> {
        let sealed = self.newest.manifest.outboxes.iter().map(|outbox| &outbox.outlet);
        let of_sinks = self.newest.published.keys().chain(sealed).filter_map(|outlet| match outlet {
            Outlet::Sink(uid) => Some(uid),
            Outlet::DeadLetters => None,
        });
        let sought: BTreeSet<Uid> = of_sinks.chain(from.sinks.iter().map(|sink| &sink.uid)).cloned().collect();
        Ok(self.specs.places(self.wanted.entry.number, sought).await?)
    }
}

/// The operators of a graph, with the states that they declare.
fn operators(graph: &JobGraph) -> impl Iterator<Item = (&Uid, &[StateDescription])> {
    graph.vertices().iter().filter_map(|vertex| match &vertex.kind {
        VertexKind::Operator { description, .. } => Some((&vertex.uid, description.states.as_slice())),
        VertexKind::Source(_) | VertexKind::Sink(_) => None,
    })
}

/// An operator that certainly holds more, while the job runs, than there would be room for. With another parallelism it is
/// not known who will hold what, but that somebody holds no less than the share of each.
fn too_little_memory(status: &JobStatus, plan: &Plan) -> Option<Refusal> {
    let room = memory_limit(&plan.graph.spec().state)?;
    plan.graph.vertices().iter().find_map(|vertex| {
        let now = status.vertices.iter().find(|now| now.uid == vertex.uid)?;
        let held = now.subtasks.iter().map(|subtask| subtask.state().live);
        let held = if now.subtasks.len() == vertex.parallelism as usize {
            held.max().unwrap_or(0)
        } else {
            held.sum::<u64>().div_ceil(vertex.parallelism.into())
        };
        let refusal = || Refusal::Memory { uid: vertex.uid.clone(), held, parallelism: vertex.parallelism, room };
        (held > room).then(refusal)
    })
}

/// The largest file of each subtask, in which no key is twice; what subtasks share counts once.
fn saved_bytes(subtasks: Option<&Vec<SubtaskManifest>>) -> u64 {
    let mut seen = BTreeSet::new();
    let largest = subtasks
        .into_iter()
        .flatten()
        .filter_map(|subtask| subtask.state_files().map(|file| &file.blob).max_by_key(|blob| blob.bytes()));
    let once = largest.filter(|blob| blob.object().is_none_or(|object| seen.insert(&object.name)));
    once.map(Blob::bytes).sum()
}
