//! What outgrows memory leaves for the base: the oldest records first, in steps that make no pause.
//!
//! A victim is the oldest chunk that no segment is being written to. Its live records are collected, written to the base
//! by another thread, and only then taken from the indexes; so at any time each key is found in the one place or in the
//! other. What is superseded meanwhile stays resident in its newer form, over an older one in the base. Timers that fire
//! next do not leave: they are copied forward ([`timers`](super::timers)).
//!
//! Guarantees that a commit is followed by work in proportion to what was appended since the last, and that what is held
//! stays near its budget ([`SubtaskState::make_room`] waits for the disk where it must). Does not own when that is called.

mod expiry;
mod leaving;

use std::path::PathBuf;

use futures::FutureExt;
use weir_operator::keyed_state::StateError;
use weir_protocol::time::Timestamp;

use super::base::{Base, LocalDisk, Outgoing};
use super::log::Position;
use super::stamp::Life;
use super::{FrozenSegment, SubtaskState, bug};
use crate::spawn::{Panicked, Runtime, TaskGroup};
use expiry::PendingExpiry;

/// Handed to the base in one go, at most: so much may be held twice while it is written.
const HANDED_BYTES_MAX: usize = 4 << 20;
/// And at least, if there is so much.
const HANDED_BYTES_MIN: usize = 512;
/// A page of timers that is read from the base fills a part of the memory; so much at least.
const PAGE_BYTES_MIN: u64 = 512;
/// And at most.
const PAGE_BYTES_MAX: u64 = 1 << 20;
/// What is done in one step while somebody waits for room.
const QUANTUM: u64 = 256 << 10;
/// After so much work, what is held is added up again.
const LOOK_AGAIN_BYTES: u64 = 16 << 10;

/// Where a subtask's oldest records go, and from when on.
#[derive(Debug, Clone)]
pub struct SpillTo {
    /// The node's local disk.
    pub disk: LocalDisk,
    /// Where the disk is waited for.
    pub runtime: Runtime,
    /// The local folder that the job names; `None`: the node's.
    pub folder: Option<PathBuf>,
    /// Bytes of log and indexes above which the oldest records leave.
    pub memory_bytes: u64,
    /// Of the subtask, for people who look at the disk.
    pub name: String,
}

impl SpillTo {
    /// What the state of a subtask fills where nothing else is said: 256 MiB.
    pub const MEMORY_BYTES: u64 = 256 << 20;
}

/// Where leaving stands.
#[derive(Debug)]
pub(super) struct Spill {
    base: Base,
    runtime: Runtime,
    memory_bytes: u64,
    handed_bytes_max: usize,
    /// The chunk whose records leave: its number, what tells it from others of that number, the offset of the next.
    victim: Option<(usize, u64, usize)>,
    /// What tells the last victim of this round from older chunks.
    last_victim: u64,
    /// The round's victims are chunks that were made by then: what it copies forward itself is not among them. 0: there
    /// is no round.
    round_of: u64,
    /// A round that found nothing to hand over is followed by none before more than this was appended.
    rests_until: u64,
    /// What is collected for the base.
    pub(super) outgoing: Outgoing,
    /// Bytes of the records that are collected, those that the base has already too.
    collected: usize,
    /// The records that are collected, written or taken away, each with what tells its chunk from others.
    leaving: Vec<(Position, u64)>,
    stage: Stage,
    expiry: PendingExpiry,
    key: Vec<u8>,
    entry: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    Collecting,
    /// Enough is collected, or nothing more can be.
    Ready(Outgoing),
    /// Another thread writes to the base.
    Writing(TaskGroup<Result<(), StateError>>),
    /// The base has them; the records from this one on are still resident.
    Taking(usize),
}

impl Spill {
    pub(super) fn new(to: SpillTo, lives: Vec<Option<Life>>) -> Self {
        let SpillTo { disk, runtime, folder, memory_bytes, name } = to;
        let handed_bytes_max = usize::try_from(memory_bytes / 8).unwrap_or(usize::MAX);
        let handed_bytes_max = handed_bytes_max.clamp(HANDED_BYTES_MIN, HANDED_BYTES_MAX);
        Self {
            base: Base::new(disk, folder, name, lives),
            runtime,
            memory_bytes,
            handed_bytes_max,
            victim: None,
            last_victim: 0,
            round_of: 0,
            rests_until: 0,
            outgoing: Outgoing::default(),
            collected: 0,
            leaving: Vec::new(),
            stage: Stage::Collecting,
            expiry: PendingExpiry::default(),
            key: Vec::new(),
            entry: Vec::new(),
        }
    }

    pub(super) fn base_and_runtime(&self) -> (Base, Runtime) {
        (self.base.clone(), self.runtime.clone())
    }

    /// Of the timers that fire next, so many bytes stay in memory.
    pub(super) fn near_bytes(&self) -> u64 {
        (self.memory_bytes / 64).min(PAGE_BYTES_MAX)
    }

    /// So many bytes of timers are read from the base in one go.
    pub(super) fn page_bytes(&self) -> u64 {
        self.near_bytes().max(PAGE_BYTES_MIN)
    }

    /// Whether what is held is near the budget.
    pub(super) const fn is_nearly_full(&self, held: u64) -> bool {
        held > self.memory_bytes / 4 * 3
    }

    /// What has expired by then may leave the base.
    pub(super) fn expire(&self, until: Timestamp) {
        self.base.expire(until);
    }

    /// At a barrier: what was written to until now can leave as well. Whether something that left has expired since, which
    /// is a change though nobody wrote anything (PROTOCOL 2.4).
    pub(super) fn on_freeze(&mut self, now: Timestamp) -> bool {
        self.rests_until = 0;
        self.expiry.is_due(now)
    }

    /// Whether chunks of this age leave in the round under way.
    pub(super) const fn is_leaving(&self, age: u64) -> bool {
        self.round_of != 0 && age <= self.last_victim
    }

    /// Something that expires then is in the base, or on its way.
    pub(super) fn note_expiry(&mut self, when: Timestamp) {
        self.expiry.note(when);
    }

    /// A record of so many bytes is collected; what the base is told of it, if anything, is among what goes out.
    pub(super) fn collect(&mut self, at: Position, born: u64, size: usize) {
        self.leaving.push((at, born));
        self.collected += size;
    }

    /// Bytes that are held on their way.
    pub(super) fn bytes(&self) -> u64 {
        let ready = if let Stage::Ready(outgoing) = &self.stage { outgoing.bytes() } else { 0 };
        (self.outgoing.bytes() + ready + self.leaving.capacity() * size_of::<(Position, u64)>()) as u64
    }

    /// Begins to write what is ready.
    fn write_elsewhere(&mut self) {
        if let Stage::Ready(outgoing) = &mut self.stage {
            let (base, outgoing) = (self.base.clone(), std::mem::take(outgoing));
            let mut writing = TaskGroup::new(self.runtime.clone());
            writing.spawn_blocking("write state to disk", move || base.write(&outgoing));
            self.stage = Stage::Writing(writing);
        }
    }

    /// Writes what is ready, on this thread. Whether anything was.
    fn write_here(&mut self) -> Result<bool, StateError> {
        let Stage::Ready(outgoing) = &self.stage else { return Ok(false) };
        self.base.write(outgoing)?;
        self.stage = Stage::Taking(0);
        Ok(true)
    }

    /// Goes on once the base has what was handed over; waits for that if asked to.
    async fn look_at_writing(&mut self, waits: bool) -> Result<(), StateError> {
        let Stage::Writing(writing) = &mut self.stage else { return Ok(()) };
        let written = if waits { writing.next().await } else { writing.next().now_or_never().flatten() };
        if let Some(written) = written {
            written.map_err(|panicked: Panicked| bug(panicked.to_string()))?.1?;
            self.stage = Stage::Taking(0);
        }
        Ok(())
    }
}

impl SubtaskState {
    /// The same, whose oldest records leave for the local disk when they outgrow their memory.
    #[must_use]
    pub fn spilling(mut self, to: SpillTo) -> Self {
        self.spill = Some(Spill::new(to, self.naming.lives().collect()));
        self
    }

    /// Closes the open segment though there is no barrier, where it alone fills a good part of the memory: once it is in the
    /// store its records can leave. It belongs to the next checkpoint.
    pub fn freeze_early(&mut self, now: Timestamp) -> Option<FrozenSegment> {
        if self.is_epoch_large() { self.freeze(now) } else { None }
    }

    /// Whether the open segment alone fills a good part of the memory.
    pub(super) fn is_epoch_large(&self) -> bool {
        self.spill.as_ref().is_some_and(|spill| self.log.open_bytes() > spill.memory_bytes / 4)
    }

    /// Waits until what is held is near its budget again; at once, as long as the disk keeps up.
    ///
    /// # Errors
    /// When the local disk failed: the state is unusable then, and the subtask must be restored.
    pub async fn make_room(&mut self) -> Result<(), StateError> {
        loop {
            let Some(spill) = &mut self.spill else { return Ok(()) };
            spill.look_at_writing(false).await?;
            let held = self.bytes_held();
            let Some(spill) = &self.spill else { return Ok(()) };
            if held <= spill.memory_bytes.saturating_add(spill.memory_bytes / 4) {
                return Ok(());
            }
            let has_moved = self.spill_step(QUANTUM);
            let Some(spill) = &mut self.spill else { return Ok(()) };
            spill.write_elsewhere();
            if !has_moved && !matches!(spill.stage, Stage::Writing(_)) {
                return Ok(());
            }
            spill.look_at_writing(!has_moved).await?;
            tokio::task::yield_now().await;
        }
    }

    /// The same on this thread, which may wait for the disk.
    ///
    /// # Errors
    /// When the local disk failed.
    pub(super) fn make_room_here(&mut self) -> Result<(), StateError> {
        loop {
            let has_moved = self.spill_step(u64::MAX);
            let has_written = self.spill.as_mut().map_or(Ok(false), Spill::write_here)?;
            if !has_moved && !has_written {
                return Ok(());
            }
        }
    }

    /// Does a bounded amount of work towards the budget.
    pub(super) fn spill_some(&mut self, budget: u64) {
        self.spill_step(budget);
        if let Some(spill) = &mut self.spill {
            spill.write_elsewhere();
        }
    }

    pub(super) fn is_over_budget(&self) -> bool {
        self.spill.as_ref().is_some_and(|spill| self.bytes_held() > spill.memory_bytes)
    }

    /// Collects, or takes away what the base has. Whether anything could be done.
    fn spill_step(&mut self, mut budget: u64) -> bool {
        let mut has_moved = false;
        let mut is_over = self.is_over_budget();
        let mut since = 0;
        while budget > 0 {
            let Some(spill) = &self.spill else { return false };
            let cost = match spill.stage {
                Stage::Ready(_) | Stage::Writing(_) => break,
                Stage::Taking(next) => self.take_one(next),
                Stage::Collecting if !is_over => break,
                Stage::Collecting if spill.collected >= spill.handed_bytes_max => self.get_ready(),
                Stage::Collecting => match self.collect_one() {
                    Some(cost) => cost,
                    None if self.spill.as_ref().is_some_and(|spill| spill.leaving.is_empty()) => break,
                    None => self.get_ready(),
                },
            };
            has_moved = true;
            budget = budget.saturating_sub(cost);
            since += cost;
            if since > LOOK_AGAIN_BYTES {
                (since, is_over) = (0, self.is_over_budget());
            }
        }
        if has_moved {
            self.selection.records_moved();
        }
        has_moved
    }
}
