//! A person goes back to an earlier entry.
//!
//! The engine cannot do this yet, so how it is done is only here, and the mutants of this part prove the model, not the
//! product: take the job over, have the sink refuse earlier owners, read its marker, append `restored-from`; the next
//! attempt takes over from that. Without a flag only an entry will do beyond whose results nothing is published (PROTOCOL 3.1). The entry is put together by hand, since
//! `Ownership` has no step for it; whether its create was performed need not be known, as nothing is done on its
//! strength before the next takeover.

use std::collections::BTreeMap;

use weir_protocol::chain::{EntryHash, EntryKind, Owner, RunEntry};
use weir_protocol::id::CheckpointId;

use super::publish::sink;
use super::{Attempt, Ended, Goal};
use crate::call::{Answer, Entry, Op, Tag};
use crate::rules::Mutant;
use crate::world::{World, note};

impl Attempt {
    pub(super) fn fence(&mut self, world: &mut World) {
        let owner = self.owned().owner().number;
        let fence = if world.lacks(Mutant::RollBackWithoutFence) { Op::Marker } else { Op::Fence { owner } };
        self.call(Tag::Fence, fence, world);
    }

    /// The sink is fenced; then its marker was read; then the entry created.
    pub(super) fn on_fence(&mut self, answer: &Answer, world: &mut World) {
        if matches!(answer, Answer::Done) {
            return self.call(Tag::Fence, Op::Marker, world);
        }
        if let Answer::Marker(marker) = answer {
            return self.restore_from(*marker, world);
        }
        if answer.is_failed() {
            return self.again(Tag::Fence, world);
        }
        // Where another has the number, or this one's own earlier try: whoever is next goes on from the newest.
        if matches!(answer, Answer::Created) {
            note!(world, self.actor(), "rolled back");
            world.totals.rollbacks += 1;
            world.rollback_wanted = false;
        }
        world.nodes[self.node].last = None;
        self.end(Ended::Again);
    }

    fn restore_from(&mut self, marker: Option<CheckpointId>, world: &mut World) {
        let newest = self.newest().clone();
        let Goal::RollBack { any } = self.goal else { return };
        let kept: Vec<Entry> = newest
            .retained
            .iter()
            .filter_map(|kept| world.store.entries.get(&kept.number).filter(|entry| entry.hash == kept.hash).cloned())
            .filter(|kept| kept.entry.manifest.checkpoint != newest.manifest.checkpoint)
            .filter(|kept| any || is_before_published(&kept.entry, marker))
            .collect();
        if kept.is_empty() {
            world.rollback_wanted = false;
            world.nodes[self.node].last = None;
            return self.end(Ended::Again);
        }
        let chosen = &kept[world.chance.index(kept.len())].entry;
        let entry = self.rolled_back(&newest, chosen, marker, world);
        match entry.check() {
            Ok(()) => {
                let op = Op::Create { number: entry.number, bytes: entry.encode().into() };
                self.call(Tag::Fence, op, world);
            }
            Err(what) => world.broken("entries-hold-together", what),
        }
    }

    fn rolled_back(
        &self,
        newest: &RunEntry,
        chosen: &RunEntry,
        marker: Option<CheckpointId>,
        world: &mut World,
    ) -> RunEntry {
        let (number, nonce) = (newest.number.next(), world.nonce());
        let mut manifest = chosen.manifest.clone();
        manifest.outboxes.retain(|outbox| Some(outbox.checkpoint) > marker);
        let reuses = world.lacks(Mutant::ReuseNumbers);
        RunEntry {
            number,
            parent: Some(EntryHash::of(&newest.encode())),
            nonce,
            owner: Owner { number, nonce },
            spec: newest.spec,
            manifest_spec: None,
            kind: EntryKind::RestoredFrom { entry: chosen.number },
            at: world.time(),
            highest_checkpoint: if reuses { manifest.checkpoint } else { newest.highest_checkpoint },
            retained: newest.retained.clone(),
            published: marker.map_or_else(BTreeMap::new, |marker| BTreeMap::from([(sink(), marker)])),
            manifest,
        }
    }
}

/// Whether nothing is published beyond what an entry has sealed.
fn is_before_published(entry: &RunEntry, marker: Option<CheckpointId>) -> bool {
    let published = entry.published.get(&sink()).copied();
    let sealed = entry.manifest.outboxes.iter().map(|outbox| Some(outbox.checkpoint));
    std::iter::once(published).chain(sealed).any(|known| known == marker)
}
