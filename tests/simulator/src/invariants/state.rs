//! Each record affects state exactly once: what a checkpoint restores is what the sources' positions say.

use std::rc::Rc;

use weir_protocol::chain::RunEntry;

use super::side_of;
use crate::attempt::{channels, operator_uid, uid};
use crate::data::{Channel, Content, INGEST, KEYS, SIDES, SPLITS, Value};
use crate::operator::States;
use crate::reporter::fold_onto;
use crate::world::World;

impl World {
    pub(super) fn check_state(&mut self, entry: &RunEntry) {
        let Some((states, channels)) = self.restored(entry) else { return };
        self.totals.channel_states += u64::from(!channels.is_empty());
        for side in 0..SIDES {
            for key in 0..KEYS {
                if let Err(what) = self.check_key(entry, side, key, &states, &channels) {
                    return self
                        .broken("state-exactly-once", format!("checkpoint {}: {what}", entry.manifest.checkpoint));
                }
            }
        }
    }

    /// What a restore of an entry reads; `None`: an object is not there, which is another promise.
    fn restored(&self, entry: &RunEntry) -> Option<(States, Vec<Rc<Channel>>)> {
        let (mut states, mut captured) = (States::new(), Vec::new());
        for subtask in entry.manifest.operators.get(&operator_uid())? {
            let files: Vec<_> = subtask.state_files().collect();
            let object = |file: &&_| self.content(file);
            let contents: Vec<Rc<Content>> = files.iter().map(object).collect::<Option<_>>()?;
            fold_onto(&mut states, files.into_iter().zip(&contents), Some(subtask.key_groups));
            captured.extend(channels(&contents, entry.manifest.checkpoint));
        }
        Some((states, captured))
    }

    fn content(&self, file: &weir_protocol::manifest::StateFile) -> Option<Rc<Content>> {
        Some(Rc::clone(&self.store.objects.get(&file.blob.object()?.name)?.content))
    }

    fn check_key(
        &self,
        entry: &RunEntry,
        side: u8,
        key: u8,
        states: &States,
        channels: &[Rc<Channel>],
    ) -> Result<(), String> {
        let split = if side == INGEST { 0 } else { key % SPLITS };
        let positions = entry.manifest.sources.get(&uid(side));
        let position = positions.and_then(|positions| positions.get(&split.to_string())?.as_u64());
        let Some(position) = position else {
            return if side == INGEST && !self.plan.ingest {
                Ok(())
            } else {
                Err(format!("side {side} has no position"))
            };
        };
        let expected = &self.truth.expected[usize::from(side)][usize::from(key)];
        let due = expected.partition_point(|expected| u64::from(expected.position) < position);
        let value = states.get(&side_of(key, side)).copied().unwrap_or_default();
        let inputs = channels.iter().flat_map(|channel| &channel.inputs);
        let on_the_way: Vec<u32> =
            inputs.filter(|record| (record.side, record.key) == (side, key)).map(|record| record.position).collect();
        let seen = usize::try_from(value.count).expect("it is small");
        if seen + on_the_way.len() != due {
            let held =
                if on_the_way.is_empty() { String::new() } else { format!(" and {} in channels", on_the_way.len()) };
            return Err(format!("key {key} of side {side} has seen {seen} records{held}, not {due}"));
        }
        let wanted = seen.checked_sub(1).map_or(Value::default(), |last| expected[last].value);
        if value != wanted {
            return Err(format!("key {key} of side {side} has seen {seen} records, but not the first ones in order"));
        }
        if !expected[seen..due].iter().map(|expected| expected.position).eq(on_the_way) {
            return Err(format!("what is on its way to key {key} of side {side} is not what comes next"));
        }
        Ok(())
    }
}
