//! What is published, in which order, and what is known of it.
//!
//! Receives the entries that stand, the markers read from outside when an attempt begins, and what was published since.
//! Guarantees for each outlet: an outbox is due only once an entry that stands names it, and only after the one before
//! it; its marker moves from predecessor to successor, never past one and never back; an outbox is named by every entry
//! until one confirms it as published. Does not own how a sink publishes (idempotently, by the outbox's identity).

use std::collections::{BTreeMap, VecDeque};

use crate::chain::{Confirmed, RunEntry};
use crate::fault::Fault;
use crate::id::CheckpointId;
use crate::manifest::{Outbox, OutboxPart, Outlet};

/// What one attempt knows of its job's publications.
#[derive(Debug, Clone)]
pub struct Publication {
    outlets: BTreeMap<Outlet, Sequence>,
}

/// One outlet's outboxes.
#[derive(Debug, Clone, Default)]
struct Sequence {
    /// The newest one that is published, confirmed or not.
    published: Option<CheckpointId>,
    /// The newest one that an entry names.
    sealed: Option<CheckpointId>,
    /// Those between, oldest first.
    outstanding: VecDeque<Outbox>,
}

/// A marker that does not fit the job's chain: somebody else published there, or what was published is gone. Stop and
/// ask; going on would double or lose results.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the marker of `{outlet}` is {}, but the job's entries leave only {} possible; \
     find out who changed it, then restore the marker or start a new job",
    text(.found),
    .expected.iter().map(text).collect::<Vec<_>>().join(" or ")
)]
pub struct MarkerError {
    /// Whose marker.
    pub outlet: Outlet,
    /// What was read outside.
    pub found: Option<CheckpointId>,
    /// What the chain admits.
    pub expected: Vec<Option<CheckpointId>>,
}

impl MarkerError {
    /// Who must act: the operator of the node.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::Corrupt
    }
}

impl Publication {
    /// What is known when an attempt begins: `entry` is the one by which it became owner, and it stands. An attempt that
    /// is not known to be the owner publishes nothing: another may have dropped the results, and said so.
    ///
    /// # Panics
    /// When the listing confirmed another entry.
    #[must_use]
    pub fn begin(confirmed: Confirmed, entry: &RunEntry) -> Self {
        let sequence = |published: CheckpointId| Sequence {
            published: Some(published),
            sealed: Some(published),
            outstanding: VecDeque::new(),
        };
        let outlets =
            entry.published.iter().map(|(outlet, published)| (outlet.clone(), sequence(*published))).collect();
        let mut publication = Self { outlets };
        publication.stands(confirmed, entry);
        publication
    }

    /// Takes in an entry that stands: what it names may be published from now on.
    ///
    /// # Panics
    /// When the listing confirmed another entry.
    pub fn stands(&mut self, confirmed: Confirmed, entry: &RunEntry) {
        assert_eq!(confirmed.number(), entry.number, "only an entry that stands is published from");
        self.take_in(entry);
    }

    fn take_in(&mut self, entry: &RunEntry) {
        for outbox in &entry.manifest.outboxes {
            let sequence = self.outlets.entry(outbox.outlet.clone()).or_default();
            if Some(outbox.checkpoint) > sequence.sealed {
                assert_eq!(outbox.predecessor, sequence.sealed, "outboxes of `{}` form one sequence", outbox.outlet);
                sequence.sealed = Some(outbox.checkpoint);
                sequence.outstanding.push_back(outbox.clone());
            }
        }
    }

    /// Takes in the marker that was read outside when the attempt began: an earlier attempt may have published what no
    /// entry confirms.
    ///
    /// # Errors
    /// [`MarkerError`] when the job's entries do not explain the marker; then nothing may be published.
    pub fn on_marker(&mut self, outlet: &Outlet, marker: Option<CheckpointId>) -> Result<(), MarkerError> {
        let sequence = self.outlets.entry(outlet.clone()).or_default();
        let outstanding = sequence.outstanding.iter().map(|outbox| Some(outbox.checkpoint));
        let expected: Vec<_> = std::iter::once(sequence.published).chain(outstanding).collect();
        if !expected.contains(&marker) {
            return Err(MarkerError { outlet: outlet.clone(), found: marker, expected });
        }
        sequence.move_to(marker);
        Ok(())
    }

    /// The outbox to publish next to an outlet. Once it is published, [`Publication::published`].
    #[must_use]
    pub fn due(&self, outlet: &Outlet) -> Option<&Outbox> {
        self.outlets.get(outlet)?.outstanding.front()
    }

    /// The outlets that have something due.
    pub fn outlets_due(&self) -> impl Iterator<Item = &Outlet> {
        self.outlets.iter().filter(|(_, sequence)| !sequence.outstanding.is_empty()).map(|(outlet, _)| outlet)
    }

    /// Notes that the outbox that was due is published.
    ///
    /// # Panics
    /// When another one was due.
    pub fn published(&mut self, outlet: &Outlet, checkpoint: CheckpointId) {
        let due = self.due(outlet).map(|outbox| outbox.checkpoint);
        assert_eq!(due, Some(checkpoint), "`{outlet}` is published in sequence");
        let sequence = self.outlets.get_mut(outlet).expect("something was due there");
        sequence.move_to(Some(checkpoint));
    }

    /// For each outlet the newest outbox that is published: what the next entry confirms.
    #[must_use]
    pub fn confirmations(&self) -> BTreeMap<Outlet, CheckpointId> {
        let published = |(outlet, sequence): (&Outlet, &Sequence)| Some((outlet.clone(), sequence.published?));
        self.outlets.iter().filter_map(published).collect()
    }

    /// The outboxes that the next entry names: all that are not published.
    #[must_use]
    pub fn outstanding(&self) -> Vec<Outbox> {
        self.outlets.values().flat_map(|sequence| &sequence.outstanding).cloned().collect()
    }

    /// The bytes that are sealed and not published.
    #[must_use]
    pub fn outstanding_bytes(&self) -> u64 {
        let parts = self.outlets.values().flat_map(|sequence| &sequence.outstanding).flat_map(|outbox| &outbox.parts);
        parts.map(|part| part.blob.bytes()).sum()
    }

    /// The outboxes that a checkpoint's entry names: all that are not published, then what this checkpoint sealed.
    #[must_use]
    pub fn outboxes(&self, checkpoint: CheckpointId, sealed: BTreeMap<Outlet, Vec<OutboxPart>>) -> Vec<Outbox> {
        let mut outboxes = self.outstanding();
        let sealed = sealed.into_iter().filter(|(_, parts)| !parts.is_empty());
        outboxes.extend(sealed.map(|(outlet, mut parts)| {
            parts.sort_by(|a, b| (&a.subtask, a.epoch).cmp(&(&b.subtask, b.epoch)));
            let predecessor = self.outlets.get(&outlet).and_then(|sequence| sequence.sealed);
            Outbox { outlet, checkpoint, predecessor, parts }
        }));
        outboxes
    }
}

impl Sequence {
    /// Moves the marker; what is up to it is published.
    fn move_to(&mut self, marker: Option<CheckpointId>) {
        while self.outstanding.front().is_some_and(|outbox| Some(outbox.checkpoint) <= marker) {
            let outbox = self.outstanding.pop_front().expect("there is one in front");
            assert_eq!(outbox.predecessor, self.published, "a marker moves from predecessor to successor");
            self.published = Some(outbox.checkpoint);
        }
    }
}

fn text(marker: &Option<CheckpointId>) -> String {
    marker.map_or_else(|| "none".to_owned(), |checkpoint| checkpoint.to_string())
}
