//! From a plan and a manifest to tasks that are ready to run.
//!
//! Receives what an attempt starts from; guarantees that each subtask has its channels, its state and positions as of
//! the manifest, and a reporter of its own. Does not own running them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::sync::watch;
use weir_operator::attempt::{Attempts, Budget, StateQuota};
use weir_operator::operator::{Factory, OpenContext};
use weir_operator::unkeyed_state::UnkeyedState;
use weir_protocol::chain::Owner;
use weir_protocol::description::OperatorDescription;
use weir_protocol::finished::{Unfit, finished};
use weir_protocol::id::{CheckpointId, JobId, SubtaskId, Uid};
use weir_protocol::job_graph::{Vertex, VertexKind};
use weir_protocol::job_spec::{OperatorSpec, SinkSpec, SourceSpec};
use weir_protocol::manifest::Manifest;
use weir_protocol::time::NO_TIME;
use weir_protocol::watermark::WatermarkMerge;

use crate::checkpoint::BlobError;
use crate::checkpoint::upload::{BlobWriter, PartUploader, UnkeyedUploader, Unsaved};
use crate::exchange::{Barrier, Inputs, Outputs};
use crate::metrics::SubtaskMetrics;
use crate::sink::{Recent, SinkContext};
use crate::source;
use crate::store::DataKind;
use crate::task::{
    DeadLetters, FinishedTask, Gate, Handover, OperatorTask, SealedKind, Seeds, SinkTask, SourceCommands, SourceTask,
    Subtask, TaskError, handover, source_commands,
};

use super::VertexStatus;
use super::board::Board;
use super::events::Events;
use super::letters::LetterPublisher;
use super::plan::{Plan, vertex_status};
use super::reporter::{Letters, Progress, Reporter, Seals};
use super::restored::Restored;
use super::shared::Shared;
use super::sinks;
use super::timeless::is_timeless;
use super::wiring::Wiring;

/// A task that is ready to run.
pub(crate) type Ready = (SubtaskId, BoxFuture<'static, Result<(), TaskError>>);

/// All tasks of an attempt.
#[derive(Default)]
pub(crate) struct Deployment {
    pub(crate) tasks: Vec<Ready>,
    pub(crate) reporters: Vec<Reporter>,
    pub(crate) sources: Vec<SourceCommands>,
    pub(crate) vertices: Vec<VertexStatus>,
    pub(crate) recent: BTreeMap<Uid, Vec<Arc<Recent>>>,
}

/// Why an attempt cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeployError {
    /// State cannot be read back.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The checkpoint cannot be restored as what the job is now.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// What a subtask held is not what its operator declares, and cannot be made that: no other attempt at the same plan
    /// will do better, and nothing has changed.
    #[error("{subtask}: {error}")]
    Migration {
        /// Which.
        subtask: SubtaskId,
        /// Why.
        error: TaskError,
    },
    /// A subtask cannot be made.
    #[error("{subtask}: {error}")]
    Subtask {
        /// Which.
        subtask: SubtaskId,
        /// Why.
        error: TaskError,
    },
}

/// What an attempt starts from.
pub(crate) struct Deployer<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) plan: &'a Plan,
    pub(crate) board: &'a Board,
    pub(crate) job: JobId,
    pub(crate) owner: Owner,
    /// The highest checkpoint of the chain: barriers up to it are stale.
    pub(crate) highest: CheckpointId,
    pub(crate) manifest: &'a Manifest,
    pub(crate) budget: &'a Budget,
    pub(crate) quota: &'a StateQuota,
    pub(crate) unsaved: &'a Unsaved,
    pub(crate) recorded: watch::Receiver<CheckpointId>,
    /// The newest barrier that was triggered.
    pub(crate) triggered: watch::Receiver<Option<Barrier>>,
    pub(crate) events: Events,
}

impl Deployer<'_> {
    /// Makes all tasks. Reads state, and nothing else changes.
    ///
    /// # Errors
    /// [`DeployError`]; then nothing runs.
    pub(crate) async fn deploy(self) -> Result<Deployment, DeployError> {
        let finished = finished(&self.plan.graph, self.manifest)?;
        let mut wiring = Wiring::new(&self.plan.graph);
        let mut deployment = Deployment::default();
        let mut places = Vec::new();
        for (index, vertex) in self.plan.graph.vertices().iter().enumerate() {
            let mut status = vertex_status(vertex);
            for id in vertex.subtasks() {
                let metrics = Arc::new(SubtaskMetrics::default());
                status.subtasks.push(Arc::clone(&metrics));
                let (is_finished, unsaved) = (finished.contains(&id), self.unsaved.clone());
                places.push(Place { vertex, index, id, is_finished, metrics, unsaved });
            }
            deployment.vertices.push(status);
        }
        let mut restored = self.restore(&places).await?.into_iter();
        for place in &places {
            let failed = |error: TaskError| DeployError::Subtask { subtask: place.id.clone(), error };
            match &place.vertex.kind {
                VertexKind::Source(spec) => self.source(place, spec, &mut wiring, &mut deployment).map_err(failed)?,
                VertexKind::Operator { description, .. } => {
                    let restored = restored.next().expect("each subtask of an operator was restored, in order");
                    self.operator(place, description, restored, &mut wiring, &mut deployment);
                }
                VertexKind::Sink(spec) => self.sink(place, spec, &mut wiring, &mut deployment).map_err(failed)?,
            }
        }
        Ok(deployment)
    }

    /// What the subtasks of operators begin with, in order. As many as there are cores are restored at the same time.
    async fn restore(&self, places: &[Place<'_>]) -> Result<Vec<Restored>, DeployError> {
        let restoring = places.iter().filter_map(|place| match &place.vertex.kind {
            VertexKind::Operator { spec, description } => Some(self.restore_subtask(place, spec, description)),
            VertexKind::Source(_) | VertexKind::Sink(_) => None,
        });
        stream::iter(restoring.collect::<Vec<_>>()).buffered(self.shared.control.cores()).try_collect().await
    }

    fn source(
        &self,
        place: &Place<'_>,
        spec: &SourceSpec,
        wiring: &mut Wiring,
        deployment: &mut Deployment,
    ) -> Result<(), TaskError> {
        let Place { vertex, index, id, metrics, .. } = place;
        let nothing = BTreeMap::new();
        let positions = self.manifest.sources.get(&id.uid).unwrap_or(&nothing);
        let clock = self.shared.clock;
        let source = source::open(&spec.connector, id.index, vertex.parallelism, positions, clock)?;
        let positions = source.positions();
        let (handover, handed) = handover();
        let subtask = self.subtask(place, handover);
        let outputs = self.outputs(wiring.take_outputs(*index, id.index), metrics);
        let progress = Progress { passed: self.highest, positions: positions.clone(), given_up: 0 };
        deployment.reporters.push(self.reporter(place, handed, Seals::Source, self.letters(place), progress));
        let task = if place.is_finished {
            let kind = SealedKind::Source(positions);
            FinishedTask { subtask, gate: None, outputs: Some(outputs), kind }.run().boxed()
        } else {
            let (commands, orders) = source_commands();
            deployment.sources.push(commands);
            SourceTask { subtask, source, outputs, orders, watermarks: Default::default() }.run().boxed()
        };
        deployment.tasks.push((id.clone(), task));
        Ok(())
    }

    fn operator(
        &self,
        place: &Place<'_>,
        description: &OperatorDescription,
        restored: Restored,
        wiring: &mut Wiring,
        deployment: &mut Deployment,
    ) {
        let Place { index, id, metrics, unsaved, .. } = place;
        let Restored { mut state, mut unkeyed, own, uploader, manifest, processing_time, context, seeds } = restored;
        let watermark = manifest.watermark;
        let mut share = self.quota.clone().share();
        share.note(state.bytes_in_all() + unkeyed.state().bytes());
        let files = uploader.with_live(state.bytes_in_all());
        let files = Box::new(files.incremental(self.plan.graph.spec().state.incremental));
        let runtime = self.shared.control.clone();
        let snapshots = UnkeyedUploader::new(self.blobs(id, DataKind::Unkeyed), own, unsaved.clone(), runtime);
        let (handover, handed) = handover();
        let subtask = self.subtask(place, handover);
        let progress = Progress { passed: self.highest, positions: BTreeMap::new(), given_up: 0 };
        let seals = Seals::Operator { files, unkeyed: Box::new(snapshots), manifest };
        deployment.reporters.push(self.reporter(place, handed, seals, self.letters(place), progress));
        let outputs = self.outputs(wiring.take_outputs(*index, id.index), metrics);
        let gate = self.gate(wiring, place);
        let task = if place.is_finished {
            let (segment, unkeyed) = (state.freeze(processing_time), unkeyed.freeze());
            let kind = SealedKind::Operator { segment, unkeyed, watermark, processing_time };
            FinishedTask { subtask, gate: Some(gate), outputs: Some(outputs), kind }.run().boxed()
        } else {
            let watermarks = WatermarkMerge::new(gate.channels(), watermark);
            let inputs = description.inputs.clone();
            let attempts = self.attempts(id, context);
            let state: Option<Box<dyn weir_operator::keyed_state::KeyedState>> = Some(Box::new(state));
            OperatorTask {
                subtask,
                attempts,
                inputs,
                gate,
                watermarks,
                outputs,
                state,
                unkeyed,
                seeds,
                processing_time,
                share,
                shown_at: processing_time,
                is_shown: false,
                triggered: self.triggered.clone(),
                is_timeless: is_timeless(&self.plan.graph, *index),
            }
            .run()
            .boxed()
        };
        deployment.tasks.push((id.clone(), task));
    }

    fn sink(
        &self,
        place: &Place<'_>,
        spec: &SinkSpec,
        wiring: &mut Wiring,
        deployment: &mut Deployment,
    ) -> Result<(), TaskError> {
        let Place { id, unsaved, .. } = place;
        let (handover, handed) = handover();
        let subtask = self.subtask(place, handover);
        let parts = PartUploader::new(self.blobs(id, DataKind::Outbox), unsaved.clone());
        let progress = Progress { passed: self.highest, positions: BTreeMap::new(), given_up: 0 };
        deployment.reporters.push(self.reporter(place, handed, Seals::Sink(parts), Letters::None, progress));
        let gate = self.gate(wiring, place);
        let task = if place.is_finished {
            let kind = SealedKind::Sink(None);
            FinishedTask { subtask, gate: Some(gate), outputs: None, kind }.run().boxed()
        } else {
            let context = SinkContext {
                job: self.job,
                subtask: id.clone(),
                has_checkpoints: self.plan.graph.spec().checkpoint.is_some(),
                attempt: self.owner.nonce,
            };
            let sink = sinks::open(spec, context, self.shared)?;
            deployment.recent.entry(id.uid.clone()).or_default().push(Arc::clone(sink.recent()));
            let watermarks = WatermarkMerge::new(gate.channels(), NO_TIME);
            SinkTask { subtask, sink, gate, watermarks }.run().boxed()
        };
        deployment.tasks.push((id.clone(), task));
        Ok(())
    }

    pub(super) fn factory(&self, subtask: &SubtaskId) -> &Arc<dyn Factory> {
        self.plan.factories.get(&subtask.uid).expect("the plan has a factory for each operator")
    }

    fn attempts(&self, subtask: &SubtaskId, context: OpenContext) -> Attempts {
        Attempts::new(
            Arc::clone(self.factory(subtask)),
            context,
            self.plan.graph.spec().errors.policy,
            self.budget.clone(),
        )
        .within(self.quota.clone())
    }

    pub(super) fn open_context(&self, place: &Place<'_>, spec: &OperatorSpec, seeds: &Seeds) -> OpenContext {
        let job = self.plan.graph.spec();
        OpenContext {
            uid: place.id.uid.to_string(),
            job: job.name.to_string(),
            config: spec.config.to_string(),
            subtask: place.id.index,
            parallelism: place.vertex.parallelism,
            seed: seeds.of_instance(),
            processing_time: self.shared.clock.now(),
            unkeyed: UnkeyedState::default(),
            limits: job.limits.clone(),
        }
    }

    fn subtask(&self, place: &Place<'_>, handover: Handover) -> Subtask {
        let job = self.plan.graph.spec();
        let metrics = Arc::clone(&place.metrics);
        let (id, policy, budget) = (place.id.clone(), job.errors.policy, self.budget.clone());
        let letters = DeadLetters::new(self.job, id, policy, budget, Arc::clone(&place.metrics));
        let has_checkpoints = job.checkpoint.is_some();
        Subtask { id: place.id.clone(), clock: self.shared.clock, metrics, letters, handover, has_checkpoints }
    }

    fn gate(&self, wiring: &mut Wiring, place: &Place<'_>) -> Gate {
        let inputs = Inputs::new(wiring.take_inputs(place.index, place.id.index));
        Gate::new(inputs, self.highest, self.shared.clock, Arc::clone(&place.metrics))
    }

    fn outputs(&self, ports: Vec<Vec<crate::exchange::Edge>>, metrics: &Arc<SubtaskMetrics>) -> Outputs {
        Outputs::new(self.manifest.max_parallelism, ports, Arc::clone(metrics))
    }

    fn letters(&self, place: &Place<'_>) -> Letters {
        if self.plan.graph.spec().checkpoint.is_some() {
            let blobs = self.blobs(&place.id, DataKind::Outbox);
            return Letters::Outbox(PartUploader::new(blobs, place.unsaved.clone()));
        }
        let store = self.shared.store.clone();
        Letters::AtOnce(LetterPublisher::new(store, self.job, place.id.clone(), self.owner.number))
    }

    fn reporter(
        &self,
        place: &Place<'_>,
        handed: crate::task::Receiver,
        seals: Seals,
        letters: Letters,
        progress: Progress,
    ) -> Reporter {
        let (recorded, events) = (self.recorded.clone(), self.events.clone());
        let (subtask, clock) = (place.id.clone(), self.shared.clock);
        Reporter { subtask, handed, recorded, events, seals, letters, progress, clock }
    }

    pub(super) fn blobs(&self, subtask: &SubtaskId, kind: DataKind) -> BlobWriter {
        BlobWriter::new(self.shared.store.clone(), self.job, self.owner, subtask.clone(), kind)
    }
}

/// One subtask's place in the graph.
pub(super) struct Place<'a> {
    pub(super) vertex: &'a Vertex,
    index: usize,
    pub(super) id: SubtaskId,
    /// Whether it does nothing.
    is_finished: bool,
    metrics: Arc<SubtaskMetrics>,
    pub(super) unsaved: Unsaved,
}
