//! Makes durable what one subtask seals, and reports it.
//!
//! Receives sealed epochs in order; guarantees that a report goes out only when everything that it names is in the
//! store, in the order of the barriers, and the subtask's end behind all of them. Where the store is away the
//! checkpoint is declined, and what was sealed stays for the next. Does not own what becomes of the reports.

use std::time::Duration;

use tokio::sync::watch;
use weir_protocol::Fault;
use weir_protocol::coordinator::Event;
use weir_protocol::id::{CheckpointId, SubtaskId};
use weir_protocol::manifest::{OutboxPart, Positions, SubtaskManifest};
use weir_protocol::report::{Report, Work};

use crate::checkpoint::upload::{PartUploader, StateFiles, StateUploader, UnkeyedUploader, UploadError};
use crate::clock::Clock;
use crate::sink::SealedPart;
use crate::spawn::Stop;
use crate::state::FrozenSegment;
use crate::step::{Place, Step};
use crate::task::{Handed, Receiver, Sealed, SealedKind, SealedLetters, TaskError};

use super::events::Events;
use super::letters::LetterPublisher;

/// How long after the store was away it is tried again.
pub(super) const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The background of one subtask.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) subtask: SubtaskId,
    pub(crate) handed: Receiver,
    /// The newest checkpoint that an entry records.
    pub(crate) recorded: watch::Receiver<CheckpointId>,
    pub(crate) events: Events,
    pub(crate) seals: Seals,
    /// Where dead letters go.
    pub(crate) letters: Letters,
    pub(crate) progress: Progress,
    pub(crate) clock: Clock,
}

/// What is sealed by a subtask of each kind, beside dead letters.
#[derive(Debug)]
pub(crate) enum Seals {
    /// Nothing but positions.
    Source,
    /// State.
    Operator {
        /// Makes it durable.
        files: Box<StateUploader>,
        /// Makes what belongs to no key durable.
        unkeyed: Box<UnkeyedUploader>,
        /// What a manifest says of the subtask; its files are those last listed.
        manifest: SubtaskManifest,
    },
    /// Results.
    Sink(PartUploader),
}

/// Where a subtask's dead letters go.
#[derive(Debug)]
pub(crate) enum Letters {
    /// Into the checkpoint's outbox.
    Outbox(PartUploader),
    /// Out, at once.
    AtOnce(LetterPublisher),
    /// A sink gives up on nothing.
    None,
}

/// How far the subtask has come.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The last barrier that it passed.
    pub(crate) passed: CheckpointId,
    /// What a source reported last.
    pub(crate) positions: Positions,
    /// Records given up on, when it reported last.
    pub(crate) given_up: u64,
}

impl Reporter {
    /// Runs until the subtask is gone, or it is asked to stop; what it began in the background has ended then. A failure
    /// is told at once: what was begun ends by itself.
    pub(crate) async fn run(mut self, stop: Stop) -> Result<(), TaskError> {
        stop.before(self.work()).await.unwrap_or(Ok(()))?;
        if let Seals::Operator { files, .. } = &mut self.seals {
            files.stop().await;
        }
        Ok(())
    }

    async fn work(&mut self) -> Result<(), TaskError> {
        while let Some(handed) = self.next().await? {
            match handed {
                Handed::Sealed(checkpoint, sealed) => {
                    self.progress.passed = checkpoint;
                    let report = self.report(checkpoint, sealed, false).await;
                    let bytes = self.take_written();
                    match report {
                        Ok(report) => self.acknowledge(checkpoint, report, bytes).await?,
                        Err(error) => self.events.report(self.declined(checkpoint, error)?, bytes).await?,
                    }
                }
                Handed::Finished(sealed) => self.finish(sealed).await?,
                Handed::Results(part) => self.save(part).await?,
                Handed::Segment(segment) => self.save_early(segment).await?,
                Handed::Letters(letters) => self.publish(letters).await?,
            }
        }
        Ok(())
    }

    /// What the subtask hands over next; `None`: it is gone. What the store did not take is tried again meanwhile: while
    /// it fills the room there is no next checkpoint that would.
    async fn next(&mut self) -> Result<Option<Handed>, TaskError> {
        while self.has_unsaved() {
            tokio::select! {
                biased;
                handed = self.handed.next() => return Ok(handed),
                () = self.clock.sleep(RETRY_DELAY) => {}
            }
            passing(self.retry().await)?;
        }
        Ok(self.handed.next().await)
    }

    fn has_unsaved(&self) -> bool {
        let sealed = match &self.seals {
            Seals::Source => false,
            Seals::Operator { files, unkeyed, manifest: _ } => files.has_unsaved() || unkeyed.has_unsaved(),
            Seals::Sink(parts) => parts.has_unsaved(),
        };
        sealed || matches!(&self.letters, Letters::Outbox(parts) if parts.has_unsaved())
    }

    /// Bytes that were added to the store since the last report: also of what was closed early, and of a base that was
    /// merged in between.
    fn take_written(&mut self) -> u64 {
        let letters = if let Letters::Outbox(parts) = &mut self.letters { parts.take_written() } else { 0 };
        letters
            + match &mut self.seals {
                Seals::Source => 0,
                Seals::Operator { files, unkeyed, manifest: _ } => files.take_written() + unkeyed.take_written(),
                Seals::Sink(parts) => parts.take_written(),
            }
    }

    async fn retry(&mut self) -> Result<(), UploadError> {
        if let Letters::Outbox(parts) = &mut self.letters {
            parts.retry().await?;
        }
        match &mut self.seals {
            Seals::Source => Ok(()),
            Seals::Operator { files, unkeyed, manifest: _ } => {
                files.retry().await?;
                unkeyed.retry().await
            }
            Seals::Sink(parts) => parts.retry().await,
        }
    }

    /// Uploads results of the epoch that is not over. Where the store is away this waits for it: what comes behind would
    /// fill the memory, so the sink waits too, and everything before it; and a checkpoint that waits for the sink fails.
    async fn save(&mut self, part: SealedPart) -> Result<(), TaskError> {
        let next = self.progress.passed.next();
        let Seals::Sink(parts) = &mut self.seals else {
            return Err(TaskError::bug("only sinks have results"));
        };
        let saved = parts.seal(next, Some((part.bytes, part.records))).await.map(|_| ());
        self.until_saved(saved).await
    }

    /// The same for state: it leaves memory only once it is in the store.
    async fn save_early(&mut self, segment: FrozenSegment) -> Result<(), TaskError> {
        let Seals::Operator { files, .. } = &mut self.seals else {
            return Err(TaskError::bug("only operators have state"));
        };
        let saved = files.close_early(segment).await;
        self.until_saved(saved).await
    }

    async fn until_saved(&mut self, mut saved: Result<(), UploadError>) -> Result<(), TaskError> {
        while let Err(error) = saved {
            let declined = self.declined(self.progress.passed.next(), error)?;
            self.events.report(declined, 0).await?;
            self.clock.sleep(RETRY_DELAY).await;
            saved = match &mut self.seals {
                Seals::Source => Ok(()),
                Seals::Operator { files, .. } => files.retry().await,
                Seals::Sink(parts) => parts.retry().await,
            };
        }
        Ok(())
    }

    async fn acknowledge(&self, checkpoint: CheckpointId, report: Report, bytes: u64) -> Result<(), TaskError> {
        let (subtask, report) = (self.subtask.clone(), Box::new(report));
        Step::Acknowledgement.before(Place::of_subtask(&self.subtask).at(checkpoint));
        self.events.report(Event::Acknowledged { checkpoint, subtask, report }, bytes).await?;
        Step::Acknowledgement.after(Place::of_subtask(&self.subtask).at(checkpoint));
        Ok(())
    }

    /// A store that is away costs this checkpoint; anything else, the attempt.
    fn declined(&self, checkpoint: CheckpointId, error: UploadError) -> Result<Event, TaskError> {
        if error.fault() != Fault::Unavailable {
            return Err(error.into());
        }
        Ok(Event::Declined { checkpoint, subtask: self.subtask.clone(), reason: error.to_string() })
    }

    /// No later checkpoint would try it again, so a store that is away costs the attempt here.
    async fn finish(&mut self, sealed: Sealed) -> Result<(), TaskError> {
        let passed = self.progress.passed;
        let report = Box::new(self.report(passed.next(), sealed, true).await?);
        let bytes = self.take_written();
        self.events.report(Event::Finished { subtask: self.subtask.clone(), passed, report }, bytes).await
    }

    async fn publish(&mut self, letters: SealedLetters) -> Result<(), TaskError> {
        match &mut self.letters {
            Letters::AtOnce(publisher) => publisher.publish(letters).await,
            Letters::Outbox(_) | Letters::None => Err(TaskError::bug("dead letters wait for the checkpoint")),
        }
    }

    async fn report(&mut self, epoch: CheckpointId, sealed: Sealed, finished: bool) -> Result<Report, UploadError> {
        let recorded = *self.recorded.borrow_and_update();
        let Sealed { kind, letters, given_up } = sealed;
        let mut changed = given_up != self.progress.given_up || finished;
        self.progress.given_up = given_up;
        // Whatever is sealed is handed to its uploader, which keeps it, before any of them may say that it failed.
        let dead_letters = self.letters.seal(recorded, epoch, letters).await;
        let (work, results) = match (kind, &mut self.seals) {
            (SealedKind::Source(positions), Seals::Source) => {
                changed |= positions != self.progress.positions;
                self.progress.positions.clone_from(&positions);
                (Work::Source(positions), Vec::new())
            }
            (
                SealedKind::Operator { segment, unkeyed: frozen, watermark, processing_time },
                Seals::Operator { files, unkeyed, manifest },
            ) => {
                changed |= frozen.is_some() || watermark != manifest.watermark;
                let snapshot = unkeyed.close(frozen).await;
                let listed = files.close(segment).await?;
                // Also what was closed early, and a base that was merged in the background while the job was idle.
                changed |= listed != StateFiles::of(manifest);
                manifest.unkeyed = snapshot?;
                manifest.base = listed.base;
                manifest.files = listed.files;
                manifest.watermark = watermark;
                manifest.processing_time = processing_time;
                (Work::Operator(manifest.clone()), Vec::new())
            }
            (SealedKind::Sink(part), Seals::Sink(parts)) => {
                parts.recorded(recorded);
                changed |= part.is_some();
                (Work::Sink, parts.seal(epoch, part.map(|part| (part.bytes, part.records))).await?)
            }
            _ => unreachable!("a subtask seals what its kind seals"),
        };
        let dead_letters = dead_letters?;
        Ok(Report { changed, finished, work, results, dead_letters, rejected: given_up })
    }
}

/// A store that is away is no reason to give up what is kept for it.
fn passing(tried: Result<(), UploadError>) -> Result<(), TaskError> {
    match tried {
        Err(error) if error.fault() != Fault::Unavailable => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Letters {
    async fn seal(
        &mut self,
        recorded: CheckpointId,
        epoch: CheckpointId,
        letters: Option<SealedLetters>,
    ) -> Result<Vec<OutboxPart>, UploadError> {
        match self {
            Self::Outbox(parts) => {
                parts.recorded(recorded);
                parts.seal(epoch, letters.map(|letters| (letters.bytes, letters.records))).await
            }
            Self::AtOnce(_) | Self::None => Ok(Vec::new()),
        }
    }
}

impl From<UploadError> for TaskError {
    fn from(error: UploadError) -> Self {
        Self::new(error.fault(), error.to_string())
    }
}
