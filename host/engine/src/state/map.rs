//! What is resident of one key's map: packed in one record while it is small, else each entry in a record of its own.
//!
//! Receives an epoch's writes; guarantees that checkpoint files learn of each entry that changed, and of no other. A map
//! is packed as long as it is short and nothing of it is in the base: what the base holds it is told entry by entry.
//! A map that has outgrown that stays apart until it is empty, so that none goes to and fro. Does not own the records.

use weir_operator::keyed_state::EntryWrites;

use super::below::Below;
use super::content::{Content, Owner};
use super::entries::MapEntries;
use super::log::{Log, Part, Position};
use super::packed::{self, Change, Packing};
use super::record::{Flags, Parts};
use super::size::Amount;

/// What is resident of a key's map.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) content: Content,
    pub(super) below: Below,
}

impl Map {
    pub(super) fn unknown(log: &Log) -> Self {
        Self { content: Content::new(), below: Below::unknown(log) }
    }

    /// Makes a call's writes visible where the map is packed, or may be. Whether it is; else nothing was done.
    pub(super) fn store_packed(
        &mut self,
        log: &mut Log,
        owner: Owner<'_>,
        writes: &EntryWrites,
        packing: &mut Packing,
    ) -> bool {
        let old = match &self.content {
            _ if self.below.is_hidden_by_none() => return false,
            Content::Packed(at) => Some(*at),
            Content::Apart(entries) if entries.is_empty() => None,
            Content::Apart(_) => return false,
        };
        if old.is_some_and(|old| overwrite(log, old, writes)) {
            return true;
        }
        let (packed, is_open) = match old {
            Some(old) => (Some(log.record(old).value()), log.is_open(old)),
            None => (None, false),
        };
        let Some(merged) = packing.merge(packed, is_open, owner.key, writes) else { return false };
        if merged.gone == Amount::default() && merged.come == Amount::default() {
            return true;
        }
        if let Some(old) = old.filter(|_| merged.leaves_tombstones) {
            leave_tombstones(log, old, owner, writes);
        }
        log.sizes_mut().change(owner.state, merged.come, merged.gone);
        if let Some(old) = old {
            if !packing.is_empty() && log.overwrite_packed(old, packing.bytes()) {
                return true;
            }
            log.leave(old);
        }
        self.content = if packing.is_empty() {
            Content::new()
        } else {
            if is_open {
                packing.add_room();
            }
            Content::Packed(log.append_packed(Part::Open, owner.state, owner.key, packing.bytes()))
        };
        true
    }

    /// Gives each entry a record of its own.
    pub(super) fn unpack(&mut self, log: &mut Log, owner: Owner<'_>) {
        let Content::Packed(old) = self.content else { return };
        let packed = log.record(old).value().to_vec();
        self.content = Content::new();
        self.take_in_all(log, owner, &packed, log.is_open(old));
        log.leave(old);
    }

    /// Takes in the entries of a packed map, each with a record of its own; what the epoch did to them counts if it
    /// `is_open`.
    pub(super) fn take_in_all(&mut self, log: &mut Log, Owner { state, key }: Owner<'_>, packed: &[u8], is_open: bool) {
        for found in packed::entries(packed) {
            let (part, flags) = match found.change {
                Change::Put if is_open => (Part::Open, Flags::PUT),
                Change::Fresh if is_open => (Part::Open, Flags::FRESH),
                Change::None | Change::Put | Change::Fresh => (Part::Clean, Flags::PUT),
            };
            let at = log.append_again(part, &Parts { flags, state, key, entry: found.entry, value: found.value });
            self.apart_mut().insert(log, found.entry, at);
        }
    }

    /// The entries, each of which has a record of its own: the map was [unpacked](Self::unpack).
    pub(super) fn apart_mut(&mut self) -> &mut MapEntries {
        match &mut self.content {
            Content::Packed(_) => unreachable!("it was unpacked before"),
            Content::Apart(entries) => entries,
        }
    }

    /// Puts an entry of a map that is not packed. Where its record is.
    pub(super) fn put(&mut self, log: &mut Log, mut parts: Parts<'_>) -> Position {
        let is_hidden_by_none = self.below.is_hidden_by_none();
        let entries = self.apart_mut();
        let Some(at) = entries.get_mut(log, parts.entry) else {
            if is_hidden_by_none {
                parts.flags = Flags::PUT;
            }
            let new = log.append(Part::Open, &parts);
            entries.insert(log, parts.entry, new);
            return new;
        };
        let old = Position(*at);
        if log.overwrite(old, parts.value) {
            return old;
        }
        parts.flags = if log.is_fresh(old) { Flags::FRESH } else { Flags::PUT };
        let new = log.append(Part::Open, &parts);
        *at = new.0;
        log.supersede(old);
        new
    }

    /// Removes an entry of a map that is not packed, leaving `tombstone` where a file or the base may hold it.
    pub(super) fn remove(&mut self, log: &mut Log, tombstone: &Parts<'_>) {
        let below = self.below;
        let entries = self.apart_mut();
        let old = entries.get(log, tombstone.entry).map(Position);
        if old.is_some_and(|old| !log.record(old).flags().is_put()) {
            return;
        }
        if old.is_some() {
            entries.remove(log, tombstone.entry);
        }
        let is_known = old.map_or(!below.asks, |old| log.is_fresh(old));
        if !is_known {
            let at = log.append(Part::Open, tombstone);
            if below.is_hidden_by_none() {
                log.hold(at);
                entries.insert(log, tombstone.entry, at);
            }
        }
        old.into_iter().for_each(|old| log.supersede(old));
    }
}

/// Writes in place, where the record is of the open segment and one entry gets a value as long as its last.
#[inline]
fn overwrite(log: &mut Log, old: Position, writes: &EntryWrites) -> bool {
    let mut writes = writes.iter();
    let (Some((entry, Some(value))), None) = (writes.next(), writes.next()) else { return false };
    let Some(packed) = log.packed_mut(old) else { return false };
    let found = packed::find(packed, entry).filter(|found| found.value.len() == value.len());
    let Some(at) = found.map(|found| found.at) else { return false };
    packed::overwrite(packed, at, value);
    true
}

/// Leaves a tombstone for each entry of a packed map that is removed and that a file may hold.
fn leave_tombstones(log: &mut Log, old: Position, Owner { state, key }: Owner<'_>, writes: &EntryWrites) {
    let is_open = log.is_open(old);
    for (entry, _) in writes.iter().filter(|(_, value)| value.is_none()) {
        let found = packed::find(log.record(old).value(), entry);
        if found.is_some_and(|found| !is_open || found.change != Change::Fresh) {
            log.append(Part::Open, &Parts { flags: Flags::TOMBSTONE, state, key, entry, value: &[] });
        }
    }
}
