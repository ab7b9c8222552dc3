//! Files, line by line.
//!
//! Each file belongs to one subtask, by the hash of its name, and has a position of its own: an offset behind a line,
//! and a fingerprint of what lies before it. A file that was cut or written over is noticed by the fingerprint before
//! anything more is read of it; it goes to the dead letters by name, and the others go on. Without `follow` the files
//! are those that were there when the job was accepted. With it, new files and new lines are looked for every
//! [`LOOK_EVERY`]; a line is read once its line feed is there.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use weir_operator::batch::Batch;
use weir_protocol::Fault;
use weir_protocol::job_spec::FileSourceSpec;
use weir_protocol::time::{NO_TIME, Timestamp};

use super::{Polled, Positions, Source, SourceError};
use crate::clock::Clock;
use crate::rejected::RejectedRecord;
use crate::spawn::TaskGroup;

mod start;

mod look;

mod place;

mod chunk;

mod lines;

mod position;

pub(super) use start::start;

use chunk::{Chunk, LongLine, Piece};
use lines::Cut;
use look::{Look, files, owner, places};
use place::Place;
use position::Position;

/// How long a source that follows its files waits before it looks again.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// One subtask's share of the files.
#[derive(Debug)]
pub(super) struct Files {
    spec: FileSourceSpec,
    places: Vec<Place>,
    subtask: u32,
    parallelism: u32,
    clock: Clock,
    files: BTreeMap<String, FileState>,
    /// What is to be read in this round, with what it looked like when the round began.
    round: VecDeque<(String, Option<Look>)>,
    /// The piece that lines are being taken from; of the first file of the round.
    chunk: Option<Chunk>,
    /// A read and a look that are under way, and outlive the future that waited for them.
    reading: Option<TaskGroup<io::Result<Piece>>>,
    looking: Option<TaskGroup<Result<Vec<(String, Look)>, SourceError>>>,
    /// The last look found nothing: when to look again.
    look_at: Option<Duration>,
    is_idle: bool,
}

#[derive(Debug)]
struct FileState {
    position: Position,
    /// What it looked like when all of it had been read.
    read_as: Option<Look>,
    /// How far the end of a line that is too long was looked for.
    searched: Option<u64>,
}

impl Files {
    pub(super) fn open(
        spec: &FileSourceSpec,
        subtask: u32,
        parallelism: u32,
        positions: &Positions,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        let mine = positions.iter().filter(|(name, _)| owner(name, parallelism) == subtask);
        let files = mine.map(|(name, position)| Ok((name.clone(), FileState::new(Position::parse(name, position)?))));
        let files: BTreeMap<String, FileState> = files.collect::<Result<_, SourceError>>()?;
        // Without `follow` there is only this round; with it, the first begins with a look.
        let names = files.iter().filter(|(_, file)| !spec.follow && !file.position.stopped);
        Ok(Self {
            round: names.map(|(name, _)| (name.clone(), None)).collect(),
            spec: spec.clone(),
            places: places(spec)?,
            subtask,
            parallelism,
            clock,
            files,
            chunk: None,
            reading: None,
            looking: None,
            look_at: None,
            is_idle: false,
        })
    }

    /// Nothing changes before the last `await` of a step has come back, so dropping the future loses nothing.
    async fn poll(&mut self) -> Result<Polled, SourceError> {
        loop {
            let polled = if self.chunk.is_some() {
                self.take_lines()
            } else if !self.round.is_empty() {
                self.read().await?
            } else if self.spec.follow {
                self.look().await?
            } else {
                Some(Polled::End)
            };
            if let Some(polled) = polled {
                return Ok(polled);
            }
        }
    }

    /// A batch of lines from the piece at hand; else lets go of the piece.
    fn take_lines(&mut self) -> Option<Polled> {
        let chunk = self.chunk.as_mut()?;
        let (name, look) = self.round.front().expect("a piece belongs to the first file of the round");
        let file = self.files.get_mut(name).expect("a file of the round is known");
        if let Some(Cut { batch, rejects, position }) = lines::cut(chunk, name, self.spec.format, !self.spec.follow) {
            file.position = position;
            return Some(self.give(batch, rejects));
        }
        // What is left is a part of a line, which is read again when there is more of it.
        let is_read = chunk.is_last;
        if is_read {
            file.read_as = *look;
        } else if chunk.is_full() {
            file.searched = Some(chunk.offset());
        }
        self.chunk = None;
        let done = self.round.pop_front().expect("it was just looked at");
        if !is_read {
            self.round.push_back(done);
        }
        None
    }

    /// Reads a piece of the round's first file.
    async fn read(&mut self) -> Result<Option<Polled>, SourceError> {
        let (name, _) = self.round.front().expect("the caller looked");
        let file = &self.files[name];
        let (path, position, searched) = (name.clone(), file.position.clone(), file.searched);
        let ends_with_file = !self.spec.follow;
        let read = move || Piece::read(Path::new(&path), &position, searched, ends_with_file);
        match finished(&mut self.reading, read).await? {
            Ok(Piece::Chunk(chunk)) => {
                self.chunk = Some(chunk);
                Ok(None)
            }
            Ok(Piece::LongLine(line)) => Ok(self.skip(line)),
            Ok(Piece::Changed(how)) => Ok(Some(self.stop(&how))),
            Err(error) if error.kind() == ErrorKind::NotFound && self.spec.follow => {
                self.round.pop_front();
                Ok(None)
            }
            Err(error) => {
                Err(SourceError { fault: Fault::Unavailable, message: cannot_read(&self.round[0].0, &error) })
            }
        }
    }

    /// Passes over a line that is too long, once its end is known.
    fn skip(&mut self, line: LongLine) -> Option<Polled> {
        let (name, look) = self.round.front().expect("the line is in the first file of the round");
        let file = self.files.get_mut(name).expect("a file of the round is known");
        let Some(end) = line.end else {
            file.searched = Some(line.searched);
            file.read_as = *look;
            self.round.pop_front();
            return None;
        };
        let reject = lines::reject(name, file.position.offset, &line.start, lines::too_long());
        file.position = end;
        file.searched = None;
        Some(self.give(Batch::default(), vec![reject]))
    }

    /// Gives up on the round's first file.
    fn stop(&mut self, how: &str) -> Polled {
        let (name, _) = self.round.pop_front().expect("the file is the first of the round");
        let file = self.files.get_mut(&name).expect("a file of the round is known");
        file.position.stopped = true;
        let reject = RejectedRecord {
            reason: format!(
                "`{name}` was cut or written over: {how}; nothing more is read of it. Append to files, or give new \
                 content a new name"
            ),
            origin: format!("{name}:{}", file.position.offset),
            key: None,
            value: None,
            timestamp: NO_TIME,
        };
        self.give(Batch::default(), vec![reject])
    }

    /// Looks for new files and new lines; waits where there was nothing the last time.
    async fn look(&mut self) -> Result<Option<Polled>, SourceError> {
        if let Some(at) = self.look_at {
            self.clock.sleep(at.saturating_sub(self.clock.elapsed())).await;
        }
        let (places, subtask, parallelism) = (self.places.clone(), self.subtask, self.parallelism);
        let look = move || {
            let names = files(&places)?.into_iter().filter(|name| owner(name, parallelism) == subtask);
            Ok(names.filter_map(|name| Look::at(&name).map(|look| (name, look))).collect())
        };
        for (name, look) in finished(&mut self.looking, look).await?? {
            let file = self.files.entry(name.clone()).or_insert_with(|| FileState::new(Position::beginning()));
            if !file.position.stopped && file.read_as != Some(look) {
                self.round.push_back((name, Some(look)));
            }
        }
        if !self.round.is_empty() {
            self.look_at = None;
            return Ok(None);
        }
        self.look_at = Some(self.clock.elapsed() + LOOK_EVERY);
        let was_idle = std::mem::replace(&mut self.is_idle, true);
        Ok((!was_idle).then_some(Polled::Idle))
    }

    fn give(&mut self, batch: Batch, rejects: Vec<RejectedRecord>) -> Polled {
        self.is_idle = false;
        Polled::Batch { batch, rejects }
    }
}

impl Source for Files {
    fn next(&mut self) -> BoxFuture<'_, Result<Polled, SourceError>> {
        self.poll().boxed()
    }

    fn positions(&self) -> Positions {
        // A followed file of which nothing was read is found again as a new one is.
        let known = self.files.iter().filter(|(_, file)| !self.spec.follow || file.position != Position::beginning());
        known.map(|(name, file)| (name.clone(), file.position.to_json())).collect()
    }

    fn watermark(&self) -> Option<Timestamp> {
        None
    }
}

impl FileState {
    const fn new(position: Position) -> Self {
        Self { position, read_as: None, searched: None }
    }
}

fn cannot_read(name: &str, error: &io::Error) -> String {
    format!("cannot read `{name}`: {error}; check that it is there and that the server may read it")
}

/// Runs work that waits for the disk off the async threads; goes on with `task` where it is under way already. Dropping
/// the future leaves it under way.
async fn finished<T: Send + 'static>(
    task: &mut Option<TaskGroup<T>>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SourceError> {
    let group = task.get_or_insert_with(|| {
        let mut group = TaskGroup::new(Handle::current());
        group.spawn_blocking("files of a source", work);
        group
    });
    let done = match group.next().await {
        Some(Ok((_, done))) => Ok(done),
        Some(Err(panicked)) => Err(SourceError { fault: Fault::Bug, message: panicked.to_string() }),
        None => Err(SourceError { fault: Fault::Unavailable, message: "the process is stopping".to_owned() }),
    };
    *task = None;
    done
}

#[cfg(test)]
mod tests;
