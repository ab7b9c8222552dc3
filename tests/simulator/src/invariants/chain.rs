//! The entries form one chain; its numbers rise; what it names is there, and what it confirms is published.

use std::rc::Rc;

use weir_protocol::chain::{EntryKind, RunEntry};
use weir_protocol::id::CheckpointId;

use crate::attempt::uid;
use crate::call::Entry;
use crate::data::SPLITS;
use crate::world::World;

impl World {
    /// An entry was created.
    pub(crate) fn check_entry(&mut self, stored: &Entry) {
        let entry = &stored.entry;
        let last = self.truth.history.last().cloned();
        if last.as_ref().is_some_and(|last| entry.number < last.entry.number) {
            // An owner that was paused has won a number that was deleted: it will learn that it lost. Or a late write has
            // brought back what was deleted.
            self.truth.returned.insert(entry.number);
            return;
        }
        self.check_succession(last.as_ref(), stored);
        self.check_numbers(entry);
        self.check_named(entry);
        self.check_watermark(entry);
        self.truth.history.push(Rc::clone(stored));
        self.note_sealed(entry);
        self.check_unpublished(entry);
        self.need();
        self.totals.entries += 1;
        match &entry.kind {
            EntryKind::Start => self.begin_expecting(entry),
            EntryKind::Checkpoint => {
                self.totals.checkpoints += 1;
                self.check_state(entry);
            }
            EntryKind::Finished => {
                self.totals.finished += 1;
                self.check_complete();
            }
            EntryKind::Cancelled { dropped } => {
                self.totals.cancelled += 1;
                if !dropped.is_empty() {
                    self.broken("cancel-publishes", format!("{dropped:?} was dropped, and nobody asked for that"));
                }
            }
            EntryKind::Takeover
            | EntryKind::RestoredFrom { .. }
            | EntryKind::Failed { .. }
            | EntryKind::ClaimedBy { .. } => {}
        }
    }

    fn check_succession(&mut self, last: Option<&Entry>, stored: &Entry) {
        let number = stored.entry.number;
        let Some(last) = last else { return };
        if number != last.entry.number.next() || stored.entry.parent != Some(last.hash) {
            let what = format!("entry {} does not follow entry {}, the newest", number.0, last.entry.number.0);
            self.broken("one-chain", what);
        }
        if last.entry.kind.is_terminal() {
            self.broken("ended-stays-ended", format!("entry {} follows the job's end", number.0));
        }
    }

    fn check_numbers(&mut self, entry: &RunEntry) {
        let own = entry.manifest.checkpoint;
        if entry.kind == EntryKind::Checkpoint && own <= self.truth.highest {
            self.broken(
                "numbers-rise",
                format!("checkpoint {own} was recorded after checkpoint {}", self.truth.highest),
            );
        }
        self.truth.highest = self.truth.highest.max(own);
    }

    fn check_named(&mut self, entry: &RunEntry) {
        let gone = entry.manifest.objects().find(|object| !self.store.objects.contains_key(&object.name));
        if let Some(gone) = gone {
            self.broken("named-is-there", format!("entry {} names {}, which is not there", entry.number.0, gone.name));
        }
        let published = entry.published.values().next().copied();
        if published > self.outside.marker {
            let what =
                format!("entry {} confirms {published:?}, the marker is {:?}", entry.number.0, self.outside.marker);
            self.broken("confirmed-is-published", what);
        }
    }

    /// The operator's time does not go back, but where a person did.
    fn check_watermark(&mut self, entry: &RunEntry) {
        let Some(lowest) = entry.manifest.operators.values().flatten().map(|subtask| subtask.watermark).min() else {
            return;
        };
        let goes_back = matches!(entry.kind, EntryKind::RestoredFrom { .. });
        if lowest < self.truth.watermark && !goes_back {
            let what = format!("entry {} has watermark {lowest} after {}", entry.number.0, self.truth.watermark);
            self.broken("watermarks-rise", what);
        }
        self.truth.watermark = lowest;
    }

    fn note_sealed(&mut self, entry: &RunEntry) {
        for outbox in &entry.manifest.outboxes {
            if let Some(known) = self.truth.sealed.insert(outbox.checkpoint, outbox.clone())
                && known != *outbox
            {
                self.broken("sealed-stays", format!("entry {} changes outbox {}", entry.number.0, outbox.checkpoint));
            }
        }
        if matches!(entry.kind, EntryKind::RestoredFrom { .. }) {
            let is_named =
                |checkpoint: CheckpointId| entry.manifest.outboxes.iter().any(|o| o.checkpoint == checkpoint);
            let marker = self.outside.marker;
            self.truth.sealed.retain(|checkpoint, _| Some(*checkpoint) <= marker || is_named(*checkpoint));
        }
    }

    /// What is sealed and not published is named until it is.
    fn check_unpublished(&mut self, entry: &RunEntry) {
        let named =
            |checkpoint: CheckpointId| entry.manifest.outboxes.iter().any(|outbox| outbox.checkpoint == checkpoint);
        let marker = self.outside.marker;
        let mut unpublished = self.truth.sealed.keys().copied().filter(|checkpoint| Some(*checkpoint) > marker);
        let forgotten = unpublished.find(|checkpoint| !named(*checkpoint));
        if let Some(forgotten) = forgotten {
            let what = format!("entry {} does not name outbox {forgotten}", entry.number.0);
            self.broken("unpublished-is-named", what);
        }
    }

    /// Entry 0 says where every source starts; where it does not, that is where it should have.
    fn begin_expecting(&mut self, entry: &RunEntry) {
        let mut starts = Vec::new();
        for side in 0..2 {
            for split in 0..SPLITS {
                let positions = entry.manifest.sources.get(&uid(side));
                let known = positions.and_then(|positions| positions.get(&split.to_string())?.as_u64());
                let now = u32::try_from(entry.manifest.taken_at).expect("runs are short");
                let start = known.map_or_else(
                    || crate::source::latest(&self.plan, side, split, now.into()),
                    |known| u32::try_from(known).expect("it is small"),
                );
                starts.push(start);
            }
        }
        for (stream, start) in self.plan.streams.iter().zip(&starts) {
            for record in stream.iter().filter(|record| record.position >= *start) {
                self.truth.expect(*record);
                self.truth.expect_window(*record);
            }
        }
        self.truth.starts = Some(starts);
    }
}
