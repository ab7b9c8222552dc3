//! The steps at which a crash would matter, told as events.
//!
//! Receives which step is about to be taken, or was; guarantees one event of the target [`TARGET`] at level `trace` for
//! each, in the thread that takes the step and before it goes on: whoever kills the process when the event comes leaves
//! the store exactly as that step found it, or left it. Steps belong to checkpoints,
//! attempts and what is moved to disk in one go, never to records. Does not own what a step does.

use tracing::field::display;
use weir_protocol::id::{CheckpointId, JobId, SubtaskId};

/// The events' target.
pub const TARGET: &str = "weir::step";

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A subtask lets a barrier through.
    Barrier,
    /// An operator closes the open segment of its state.
    Segment,
    /// Bytes that a subtask sealed are written to the store.
    Upload,
    /// A subtask reports that its part of a checkpoint is durable.
    Acknowledgement,
    /// An entry of a job's `run/` chain is created.
    Entry,
    /// An outbox is made public.
    Publication,
    /// A file sink's list is created: it marks how far the sink has come.
    Marker,
    /// An object that nothing names any more is deleted.
    Deletion,
    /// An attempt becomes a job's owner.
    Takeover,
    /// An entry of a job's `spec/` chain is created that ends or changes it.
    Wish,
    /// The state of a subtask is restored.
    Restore,
    /// Records that outgrew their memory are written to the local disk.
    Eviction,
    /// An object is copied to or from a savepoint, or what says that it is one is written.
    Copy,
}

/// On which side of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// It is about to be taken.
    Before,
    /// It was taken, and did not fail.
    After,
}

/// Whose step it is, as far as that is known where it is taken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place<'a> {
    pub(crate) job: Option<JobId>,
    pub(crate) subtask: Option<&'a SubtaskId>,
    pub(crate) checkpoint: Option<CheckpointId>,
}

impl Step {
    /// Those that every job takes, in the order in which a checkpoint takes them.
    pub const ALL: [Self; 9] = [
        Self::Barrier,
        Self::Segment,
        Self::Upload,
        Self::Acknowledgement,
        Self::Entry,
        Self::Publication,
        Self::Marker,
        Self::Deletion,
        Self::Takeover,
    ];

    /// Those that a job takes whose state does not fit into its memory.
    pub const OF_STATE_ON_DISK: [Self; 2] = [Self::Restore, Self::Eviction];

    /// As the events name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Barrier => "barrier",
            Self::Segment => "segment",
            Self::Upload => "upload",
            Self::Acknowledgement => "acknowledgement",
            Self::Entry => "entry",
            Self::Publication => "publication",
            Self::Marker => "marker",
            Self::Deletion => "deletion",
            Self::Takeover => "takeover",
            Self::Wish => "wish",
            Self::Restore => "restore",
            Self::Eviction => "eviction",
            Self::Copy => "copy",
        }
    }

    pub(crate) fn before(self, place: Place<'_>) {
        self.tell(When::Before, place);
    }

    pub(crate) fn after(self, place: Place<'_>) {
        self.tell(When::After, place);
    }

    fn tell(self, when: When, Place { job, subtask, checkpoint }: Place<'_>) {
        let (step, when) = (self.name(), when.name());
        let (job, checkpoint) = (job.map(display), checkpoint.map(|checkpoint| checkpoint.0));
        tracing::trace!(target: TARGET, step, when, job, subtask = subtask.map(display), checkpoint);
    }
}

impl When {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Before, Self::After];

    /// As the events name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

impl<'a> Place<'a> {
    pub(crate) fn of_job(job: JobId) -> Self {
        Self { job: Some(job), ..Self::default() }
    }

    pub(crate) fn of_subtask(subtask: &'a SubtaskId) -> Self {
        Self { subtask: Some(subtask), ..Self::default() }
    }

    pub(crate) const fn at(self, checkpoint: CheckpointId) -> Self {
        Self { checkpoint: Some(checkpoint), ..self }
    }
}
