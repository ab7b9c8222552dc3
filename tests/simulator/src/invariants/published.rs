//! What is published is what a run without failures publishes: once, in order, and in the end all of it.

use std::collections::BTreeMap;

use weir_protocol::id::{CheckpointId, SubtaskId};

use super::Truth;
use crate::data::{Content, INGEST, KEYS, Outcome, SIDES, window};
use crate::world::World;

impl World {
    /// An outbox became public.
    pub(crate) fn check_published(&mut self, checkpoint: CheckpointId, parts: &[(SubtaskId, Vec<Outcome>)]) {
        match self.sealed_parts(checkpoint) {
            None => self.broken("published-is-recorded", format!("no entry names outbox {checkpoint}")),
            Some(sealed) if !sealed.iter().eq(parts.iter().map(|(id, part)| (id, part))) => {
                self.broken(
                    "published-is-recorded",
                    format!("outbox {checkpoint} is published, but not all that it holds"),
                );
            }
            Some(_) => {}
        }
        let idle = self.plan.idle;
        for outcome in parts.iter().flat_map(|(_, part)| part) {
            if let Err(what) = self.truth.published(outcome, idle) {
                return self.broken("published-exactly-once", format!("outbox {checkpoint}: {what}"));
            }
        }
    }

    fn sealed_parts(&self, checkpoint: CheckpointId) -> Option<BTreeMap<SubtaskId, Vec<Outcome>>> {
        let mut parts: BTreeMap<SubtaskId, Vec<Outcome>> = BTreeMap::new();
        for part in &self.truth.sealed.get(&checkpoint)?.parts {
            let object = self.store.objects.get(&part.blob.object()?.name)?;
            if let Content::Results(results) = object.content.as_ref() {
                parts.entry(part.subtask.clone()).or_default().extend(results);
            }
        }
        Some(parts)
    }

    /// The job has finished.
    pub(super) fn check_complete(&mut self) {
        if let Err(what) = self.truth.complete() {
            self.broken("published-complete", what);
        }
    }
}

impl Truth {
    fn published(&mut self, outcome: &Outcome, idle: bool) -> Result<(), String> {
        match *outcome {
            Outcome::Seen { record, value, session, missed } => {
                let (side, key) = (usize::from(record.side), usize::from(record.key));
                let at = self.seen[side][key];
                self.seen[side][key] += 1;
                let what = format!("position {} of split {}-{}, key {key}", record.position, side, record.split);
                let Some(expected) = self.expected[side][key].get(at) else {
                    return Err(format!("{what} is published beyond the last record"));
                };
                if expected.position != record.position {
                    return Err(format!("{what} is published where position {} is due", expected.position));
                }
                if (expected.value, expected.session) != (value, session) {
                    return Err(format!("{what} is published with another value than without failures"));
                }
                if missed {
                    *self.missed.entry((record.key, window(record.time))).or_default() += 1;
                }
                Ok(())
            }
            Outcome::Fired { key, window, records, late: _ } => {
                let expected = self.windows.get(&(key, window)).copied();
                if expected.is_none() || self.fired.insert((key, window), records).is_some() {
                    return Err(format!("window {window} of key {key} is published again"));
                }
                // What comes from a source that was idle may come after its window.
                if expected < Some(records) || (!idle && expected != Some(records)) {
                    return Err(format!("window {window} of key {key} has {records} records, not {expected:?}"));
                }
                Ok(())
            }
            Outcome::Final { key, counts } => {
                if !self.finals.insert(key) {
                    return Err(format!("the end of key {key} is published again"));
                }
                let all = |side: u8| self.expected[usize::from(side)][usize::from(key)].len();
                for side in 0..SIDES {
                    let count = counts[usize::from(side)];
                    if usize::try_from(count).ok() != Some(all(side)) {
                        return Err(format!("key {key} ends with {count} records of side {side}, not {}", all(side)));
                    }
                }
                Ok(())
            }
        }
    }

    fn complete(&self) -> Result<(), String> {
        for side in 0..usize::from(SIDES) {
            for key in 0..usize::from(KEYS) {
                let (seen, all) = (self.seen[side][key], self.expected[side][key].len());
                if seen != all {
                    return Err(format!("{seen} of {all} results of key {key}, side {side} are published"));
                }
            }
        }
        for (place, expected) in &self.windows {
            let (key, window) = place;
            let Some(fired) = self.fired.get(place) else {
                return Err(format!("window {window} of key {key} never fired"));
            };
            let missed = self.missed.get(place).copied().unwrap_or(0);
            if fired + missed != *expected {
                let what = format!("{fired} records, {missed} came later, and {expected} there are");
                return Err(format!("window {window} of key {key} fired with {what}"));
            }
        }
        let has_come =
            |key: &u8| (0..usize::from(SIDES)).any(|side| !self.expected[side][usize::from(*key)].is_empty());
        match (0..KEYS).filter(has_come).find(|key| !self.finals.contains(key)) {
            Some(key) => Err(format!("the end of key {key} was never published")),
            None => Ok(()),
        }
    }

    /// Whether a slot of the log holds this request.
    pub(super) fn is_request(&self, slot: u64, request: u32) -> bool {
        let key = usize::try_from(request % u32::from(KEYS)).expect("it is small");
        self.expected[usize::from(INGEST)][key].iter().any(|expected| u64::from(expected.position) == slot)
    }
}
