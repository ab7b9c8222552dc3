//! What people are told about one job, kept up to date by its driver.
//!
//! Receives what happened; guarantees that lists stay within their bounds. Does not own the counters that subtasks
//! write, only handles to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;
use weir_operator::attempt::Budget;
use weir_protocol::Fault;
use weir_protocol::chain::{RunEntry, Undone};
use weir_protocol::id::{CheckpointId, EntryNumber, SubtaskId, Uid};
use weir_protocol::job_spec::JobSpec;
use weir_protocol::time::Timestamp;

use crate::sink::Recent;

use super::fresh::Fresh;
use super::status::{
    CheckpointState, CheckpointSummary, FAILURES_MAX, Failure, HISTORY_MAX, JobState, JobStatus, RECENT_MAX,
    SinkStatus, StandingCheckpoint, VertexStatus,
};

/// One job's status; a cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    status: Arc<Mutex<JobStatus>>,
    recent: Arc<Mutex<BTreeMap<Uid, Vec<Arc<Recent>>>>>,
    budget: Arc<Mutex<Option<Budget>>>,
    fresh: Fresh,
    moved: Arc<watch::Sender<()>>,
}

impl Board {
    pub(crate) fn new(status: JobStatus) -> Self {
        Self {
            status: Arc::new(Mutex::new(status)),
            recent: Arc::default(),
            budget: Arc::default(),
            fresh: Fresh::default(),
            moved: Arc::default(),
        }
    }

    /// Changes whenever the job is in another state, is attempted anew, or has another checkpoint.
    pub(crate) fn moved(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    /// Who wants a checkpoint at once, and word of those that were taken.
    pub(crate) const fn fresh(&self) -> &Fresh {
        &self.fresh
    }

    /// The status as it stands.
    pub(crate) fn copy(&self) -> JobStatus {
        let mut status = self.lock().clone();
        let recent = self.recent.lock().expect("nothing panics while it holds this lock");
        for sink in &mut status.sinks {
            let subtasks = recent.get(&sink.uid).map_or(&[][..], Vec::as_slice);
            sink.recent = subtasks.iter().flat_map(|recent| recent.records()).collect();
            let surplus = sink.recent.len().saturating_sub(RECENT_MAX);
            sink.recent.drain(..surplus);
        }
        if let Some(budget) = &*self.budget.lock().expect("nothing panics while it holds this lock") {
            status.dead_letters = budget.used();
        }
        status
    }

    /// Where the subtasks of the sinks of the present attempt note their last records.
    pub(crate) fn set_recent(&self, recent: BTreeMap<Uid, Vec<Arc<Recent>>>) {
        *self.recent.lock().expect("nothing panics while it holds this lock") = recent;
    }

    pub(crate) fn enter(&self, state: JobState, now: Timestamp) {
        let mut status = self.lock();
        if status.state != state {
            tracing::info!(job = %status.id, name = %status.name, "the job is {}", state.as_str());
            status.state = state;
            status.state_since = now;
        }
        status.ended_at = state.is_terminal().then_some(now);
        self.moved.send_replace(());
    }

    /// Where this process had let go of the job, it takes it up again.
    pub(crate) fn wake(&self, now: Timestamp) {
        let mut status = self.lock();
        if status.state == JobState::Suspended {
            (status.state, status.state_since) = (JobState::Restarting, now);
            self.moved.send_replace(());
        }
    }

    /// Records given up on over the job's life, as far as is known now.
    pub(crate) fn given_up(&self) -> u64 {
        self.copy().dead_letters
    }

    /// The job's last entry counts so many records that were given up on.
    pub(crate) fn gave_up(&self, records: u64) {
        *self.budget.lock().expect("nothing panics while it holds this lock") = None;
        self.lock().dead_letters = records;
    }

    /// The newest entry holds this.
    pub(crate) fn stands(&self, newest: Option<StandingCheckpoint>) {
        self.lock().checkpoints.newest = newest;
    }

    /// Another owner has ended the job with this entry.
    pub(crate) fn ended(&self, last: &RunEntry) {
        *self.budget.lock().expect("nothing panics while it holds this lock") = None;
        let mut status = self.lock();
        *status = status.clone().ended(&last.kind, last);
        tracing::info!(job = %status.id, name = %status.name, "the job is {}", status.state.as_str());
        self.moved.send_replace(());
    }

    /// As long as the guard lives, the job may come to be this.
    pub(crate) fn consider(&self, spec: &JobSpec) -> Considered {
        let spec = Arc::new(spec.clone());
        self.lock().considered.push(Arc::clone(&spec));
        Considered { board: self.clone(), spec }
    }

    /// The job is to be this, from entry `number` of its `spec/` chain on; what it was it may yet go back to.
    pub(crate) fn change(&self, number: EntryNumber, spec: Arc<JobSpec>, undone: Option<Undone>) {
        let mut status = self.lock();
        if number <= status.spec_number {
            return;
        }
        let before = std::mem::replace(&mut status.spec, Arc::clone(&spec));
        status.former.push(before);
        (status.spec_number, status.undone) = (number, undone);
        let known = std::mem::take(&mut status.sinks);
        status.sinks = spec.sinks.iter().map(|sink| SinkStatus::new(&sink.uid)).collect();
        for sink in &mut status.sinks {
            sink.published = known.iter().find(|known| known.uid == sink.uid).and_then(|known| known.published);
        }
    }

    /// A checkpoint stands that was taken as entry `number` of the `spec/` chain says: from now on nothing leads back
    /// behind that.
    pub(crate) fn proven(&self, number: EntryNumber) {
        let mut status = self.lock();
        if status.spec_number == number {
            status.former.clear();
        }
    }

    /// An attempt begins: its vertices with fresh counters, and the count of what it gives up on.
    pub(crate) fn attempt(&self, vertices: Vec<VertexStatus>, restored: Option<StandingCheckpoint>, budget: Budget) {
        *self.budget.lock().expect("nothing panics while it holds this lock") = Some(budget);
        let mut status = self.lock();
        status.attempts += 1;
        status.vertices = vertices;
        status.checkpoints.restored = restored.map(|restored| restored.id);
        status.checkpoints.newest = restored;
        self.moved.send_replace(());
    }

    pub(crate) fn failed(&self, at: Timestamp, subtask: Option<&SubtaskId>, fault: Fault, message: String) {
        let mut status = self.lock();
        status.failures.insert(0, Failure { at, subtask: subtask.map(SubtaskId::to_string), fault, message });
        status.failures.truncate(FAILURES_MAX);
    }

    /// Something is tried again for as long as it fails with this: it is told once, and what keeps the checkpoints that are
    /// on their way.
    pub(crate) fn waits(&self, at: Timestamp, fault: Fault, message: &str) {
        let mut status = self.lock();
        let open = status.checkpoints.history.iter_mut();
        for checkpoint in open.filter(|summary| summary.state == CheckpointState::InProgress) {
            checkpoint.failure = Some(message.to_owned());
        }
        let is_known = status.failures.first().is_some_and(|newest| newest.message == message);
        let job = status.id;
        drop(status);
        if !is_known {
            tracing::warn!(%job, message, "the job waits");
            self.failed(at, None, fault, message.to_owned());
        }
    }

    pub(crate) fn checkpoint_triggered(&self, id: CheckpointId, is_final: bool, subtasks: u32, now: Timestamp) {
        let mut status = self.lock();
        let mut on_their_way =
            status.checkpoints.history.iter_mut().filter(|summary| summary.state == CheckpointState::InProgress);
        if let Some(known) = on_their_way.find(|summary| summary.id == id) {
            // It was triggered before anybody knew that it would be the last.
            known.is_final |= is_final;
            return;
        }
        status.checkpoints.in_progress += 1;
        let summary = CheckpointSummary {
            id,
            state: CheckpointState::InProgress,
            is_final,
            triggered_at: now,
            duration_ms: None,
            bytes: 0,
            size: 0,
            acknowledged: 0,
            subtasks,
            failure: None,
        };
        status.checkpoints.history.insert(0, summary);
        status.checkpoints.history.truncate(HISTORY_MAX);
    }

    pub(crate) fn checkpoint_acknowledged(&self, id: CheckpointId, bytes: u64) {
        let mut status = self.lock();
        if let Some(summary) = status.checkpoints.history.iter_mut().find(|summary| summary.id == id) {
            summary.acknowledged += 1;
            summary.bytes += bytes;
        }
    }

    pub(crate) fn checkpoint_completed(&self, completed: StandingCheckpoint, now: Timestamp) {
        let mut status = self.lock();
        let (job, id) = (status.id, completed.id);
        self.fresh.covers(completed.taken_at);
        let stats = &mut status.checkpoints;
        stats.newest = Some(completed);
        stats.completed += 1;
        stats.in_progress = stats.in_progress.saturating_sub(1);
        if let Some(summary) = stats.history.iter_mut().find(|summary| summary.id == id) {
            summary.end(CheckpointState::Completed, None, now);
            summary.size = completed.size;
            let CheckpointSummary { bytes, size, duration_ms, .. } = *summary;
            tracing::info!(%job, bytes, size, duration_ms, "checkpoint {id} completed");
            stats.latest_completed = Some(summary.clone());
        }
        self.moved.send_replace(());
    }

    pub(crate) fn checkpoint_failed(&self, id: CheckpointId, reason: String, now: Timestamp) {
        let mut status = self.lock();
        tracing::warn!(job = %status.id, reason, "checkpoint {id} failed");
        let stats = &mut status.checkpoints;
        stats.failed += 1;
        stats.in_progress = stats.in_progress.saturating_sub(1);
        if let Some(summary) = stats.history.iter_mut().find(|summary| summary.id == id) {
            summary.end(CheckpointState::Failed, Some(reason), now);
            stats.latest_failed = Some(summary.clone());
        }
    }

    /// Nothing had changed: the checkpoint leaves no trace but a count.
    pub(crate) fn checkpoint_skipped(&self, id: CheckpointId) {
        let mut status = self.lock();
        let stats = &mut status.checkpoints;
        if let Some(skipped) = stats.history.iter().find(|summary| summary.id == id) {
            self.fresh.covers(skipped.triggered_at);
        }
        stats.skipped += 1;
        stats.in_progress = stats.in_progress.saturating_sub(1);
        stats.history.retain(|summary| summary.id != id);
        self.moved.send_replace(());
    }

    /// Every checkpoint on its way ends with the attempt.
    pub(crate) fn attempt_ended(&self, now: Timestamp) {
        let open: Vec<CheckpointId> = {
            let status = self.lock();
            let open = status.checkpoints.history.iter().filter(|summary| summary.state == CheckpointState::InProgress);
            open.map(|summary| summary.id).collect()
        };
        for id in open {
            self.checkpoint_failed(id, "the job's tasks were stopped".to_owned(), now);
        }
    }

    pub(crate) fn published(&self, sinks: &BTreeMap<Uid, CheckpointId>) {
        let mut status = self.lock();
        for SinkStatus { uid, published, .. } in &mut status.sinks {
            *published = sinks.get(uid).copied().or(*published);
        }
    }

    fn lock(&self) -> MutexGuard<'_, JobStatus> {
        self.status.lock().expect("nothing panics while it holds this lock")
    }
}

/// What a job may come to be, as long as this lives.
#[derive(Debug)]
pub(crate) struct Considered {
    board: Board,
    spec: Arc<JobSpec>,
}

impl Drop for Considered {
    fn drop(&mut self) {
        self.board.lock().considered.retain(|spec| !Arc::ptr_eq(spec, &self.spec));
    }
}

impl CheckpointSummary {
    fn end(&mut self, state: CheckpointState, failure: Option<String>, now: Timestamp) {
        self.state = state;
        self.failure = failure;
        self.duration_ms = Some(u64::try_from(now.saturating_sub(self.triggered_at)).unwrap_or(0));
    }
}
