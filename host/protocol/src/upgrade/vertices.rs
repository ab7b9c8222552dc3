//! What becomes of each source, operator and sink.

use std::collections::BTreeMap;

use super::{Fate, Refusal, Upgrade, VertexChange, VertexWord};
use crate::description::StateDescription;
use crate::evolution::{Change, HeldState, evolution};
use crate::id::Uid;
use crate::job_graph::{Vertex, VertexKind};
use crate::job_spec::{OperatorSpec, SinkConnector, SinkSpec, SourceConnector, SourceSpec};
use crate::manifest::Manifest;

impl Upgrade<'_> {
    pub(super) fn vertices(&self) -> Result<Vec<VertexChange>, Refusal> {
        let mut changes = Vec::new();
        for vertex in self.to.vertices() {
            changes.push(self.change_to(vertex)?);
        }
        for vertex in self.from.vertices() {
            if !self.to.vertices().iter().any(|after| after.uid == vertex.uid) {
                changes.push(self.removed(vertex)?);
            }
        }
        Ok(changes)
    }

    fn change_to(&self, vertex: &Vertex) -> Result<VertexChange, Refusal> {
        let before = self.from.vertices().iter().find(|before| before.uid == vertex.uid);
        let mut states = BTreeMap::new();
        let fate = match (before.map(|before| &before.kind), &vertex.kind) {
            (Some(VertexKind::Source(from)), VertexKind::Source(to)) => source(from, to, &self.newest.manifest)?,
            (
                Some(VertexKind::Operator { spec: from, description: held }),
                VertexKind::Operator { spec: to, description: declared },
            ) => {
                states = self.states(&to.uid, &held.states, &declared.states)?;
                operator(from, to)
            }
            (Some(VertexKind::Sink(from)), VertexKind::Sink(to)) => {
                self.check_place(to)?;
                changed(from.connector != to.connector || from.from != to.from)
            }
            (Some(running), wanted) => {
                let (running, wanted) = (word(running), word(wanted));
                return Err(Refusal::OtherKind { uid: vertex.uid.clone(), running, wanted });
            }
            (None, VertexKind::Sink(to)) => {
                self.check_place(to)?;
                Fate::Added
            }
            (None, VertexKind::Operator { spec: to, description: declared }) => {
                states = self.states(&to.uid, &[], &declared.states)?;
                Fate::Added
            }
            (None, VertexKind::Source(_)) => Fate::Added,
        };
        Ok(VertexChange {
            uid: vertex.uid.clone(),
            kind: word(&vertex.kind),
            fate,
            parallelism_before: before.map(|before| before.parallelism),
            parallelism: Some(vertex.parallelism),
            states,
        })
    }

    fn states(
        &self,
        uid: &Uid,
        held: &[StateDescription],
        declared: &[StateDescription],
    ) -> Result<BTreeMap<String, Change>, Refusal> {
        let left = self.left.get(uid).into_iter().flatten().cloned();
        let held: Vec<HeldState> = held.iter().map(HeldState::from).chain(left).collect();
        let changes = evolution(&held, declared, self.migrating.contains(uid));
        changes.map_err(|conflict| Refusal::State { uid: uid.clone(), conflict })
    }

    fn removed(&self, vertex: &Vertex) -> Result<VertexChange, Refusal> {
        let uid = vertex.uid.clone();
        let mut states = BTreeMap::new();
        match &vertex.kind {
            VertexKind::Source(_) if !self.drops_state => return Err(Refusal::RemovedSource { uid }),
            VertexKind::Operator { description, .. } if !self.drops_state => {
                if !description.states.is_empty() || self.holds_state(&uid) {
                    return Err(Refusal::RemovedOperator { uid });
                }
            }
            VertexKind::Operator { description, .. } => states = self.states(&uid, &description.states, &[])?,
            // What a sink has sealed is published, whether or not there is a sink any more.
            VertexKind::Source(_) | VertexKind::Sink(_) => {}
        }
        let (kind, parallelism_before) = (word(&vertex.kind), Some(vertex.parallelism));
        Ok(VertexChange { uid, kind, fate: Fate::Removed, parallelism_before, parallelism: None, states })
    }

    /// Whether the newest checkpoint holds anything of an operator: timers too, which nobody declares.
    fn holds_state(&self, uid: &Uid) -> bool {
        let mut subtasks = self.newest.manifest.operators.get(uid).into_iter().flatten();
        subtasks.any(|subtask| subtask.blobs().next().is_some())
    }

    /// A sink goes on where one of its uid has published, or the job had none with results.
    fn check_place(&self, to: &SinkSpec) -> Result<(), Refusal> {
        let (Some(SinkConnector::Files(before)), SinkConnector::Files(after)) =
            (self.places.get(&to.uid), &to.connector)
        else {
            return Ok(());
        };
        if before.path == after.path {
            return Ok(());
        }
        let (running, wanted) = (before.path.clone(), after.path.clone());
        Err(Refusal::SinkPlace { uid: to.uid.clone(), running, wanted })
    }
}

/// What becomes of a source that goes on from the positions in a manifest.
pub(crate) fn source(from: &SourceSpec, to: &SourceSpec, manifest: &Manifest) -> Result<Fate, Refusal> {
    let uid = || to.uid.clone();
    match (&from.connector, &to.connector) {
        (SourceConnector::Generator(_), SourceConnector::Generator(_)) => {}
        (SourceConnector::Files(from), SourceConnector::Files(to)) => {
            if from.paths != to.paths && !to.follow {
                return Err(Refusal::SourcePaths { uid: uid() });
            }
        }
        (from, to) => {
            let (running, wanted) = (from.type_name(), to.type_name());
            return Err(Refusal::SourceType { uid: uid(), running, wanted });
        }
    }
    let has_ended = || manifest.finished.iter().any(|subtask| subtask.uid == to.uid);
    if from.connector != to.connector && has_ended() {
        return Err(Refusal::EndedSource { uid: uid() });
    }
    Ok(changed(from.connector != to.connector))
}

fn operator(from: &OperatorSpec, to: &OperatorSpec) -> Fate {
    changed(OperatorSpec { parallelism: None, ..from.clone() } != OperatorSpec { parallelism: None, ..to.clone() })
}

const fn changed(is_other: bool) -> Fate {
    if is_other { Fate::Changed } else { Fate::Kept }
}

/// What a vertex is, in a word.
pub(crate) const fn word(kind: &VertexKind) -> VertexWord {
    match kind {
        VertexKind::Source(_) => VertexWord::Source,
        VertexKind::Operator { .. } => VertexWord::Operator,
        VertexKind::Sink(_) => VertexWord::Sink,
    }
}
