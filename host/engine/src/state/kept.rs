//! One declared state, of whichever kind: what its kinds have in common.

use weir_operator::keyed_state::StateWrites;
use weir_protocol::description::{StateDescription, StateKind};

use super::below::Leaving;
use super::limits::Growth;
use super::lists::Lists;
use super::log::{Log, Position};
use super::maps::Maps;
use super::record::Record;
use super::selection::Selection;
use super::stamp::Life;
use super::values::Values;

/// So many keys are fetched into the processor's caches at once, and then written: few enough to stay there.
const WARMED: usize = 128;

/// One declared state.
#[derive(Debug)]
pub(super) enum Kept {
    Values(Values),
    Lists(Lists),
    Maps(Maps),
    /// Not keyed: kept in an [`UnkeyedStore`](super::UnkeyedStore).
    Elsewhere,
}

impl Kept {
    /// Nothing yet; records are written for state `number`.
    pub(super) fn new(number: u16, state: &StateDescription) -> Self {
        let life = state.ttl.map(Life);
        match state.kind {
            StateKind::KeyedValue => Self::Values(Values::new(number, life)),
            StateKind::KeyedList => Self::Lists(Lists::new(number, life)),
            StateKind::KeyedMap => Self::Maps(Maps::new(number, life)),
            StateKind::OperatorSplit | StateKind::OperatorUnion | StateKind::Broadcast => Self::Elsewhere,
        }
    }

    /// How long what it holds lives.
    pub(super) const fn life(&self) -> Option<Life> {
        match self {
            Self::Values(values) => values.life(),
            Self::Lists(lists) => lists.life(),
            Self::Maps(maps) => maps.life(),
            Self::Elsewhere => None,
        }
    }

    /// Whether these writes are of its kind.
    pub(super) const fn takes(&self, writes: &StateWrites) -> bool {
        matches!(
            (self, writes),
            (Self::Values(_), StateWrites::Values(_))
                | (Self::Lists(_), StateWrites::Lists(_))
                | (Self::Maps(_), StateWrites::Maps(_))
        )
    }

    /// Makes a call's writes visible. They are of its kind: [`takes`](Self::takes).
    pub(super) fn store(&mut self, log: &mut Log, selection: &Selection, writes: &StateWrites) {
        match (self, writes) {
            (Self::Values(values), StateWrites::Values(writes)) => values.store(log, selection, writes),
            (Self::Lists(lists), StateWrites::Lists(writes)) => {
                for writes in writes.in_chunks(WARMED) {
                    lists.warm(log, selection, writes.iter().map(|(key, _)| *key));
                    writes.iter().for_each(|(key, write)| lists.store(log, selection, *key, write));
                }
            }
            (Self::Maps(maps), StateWrites::Maps(writes)) => {
                for writes in writes.in_chunks(WARMED) {
                    maps.warm_writes(log, selection, writes);
                    writes.iter().for_each(|(key, write)| maps.store(log, selection, *key, write));
                }
            }
            _ => unreachable!("kinds were checked before the first write"),
        }
    }

    /// Whether this record is what its key (and entry) holds.
    pub(super) fn is_live(&self, log: &Log, hash: u64, record: Record<'_>, at: Position) -> bool {
        match self {
            Self::Values(values) => values.is_live(hash, at),
            Self::Lists(lists) => lists.is_live(log, hash, record, at),
            Self::Maps(maps) => maps.is_live(hash, record, at),
            Self::Elsewhere => false,
        }
    }

    /// Points to where a live record was copied.
    pub(super) fn repoint(&mut self, log: &Log, hash: u64, old: Position, new: Position) {
        match self {
            Self::Values(values) => values.repoint(hash, old, new),
            Self::Lists(lists) => lists.repoint(log, hash, old, new),
            Self::Maps(maps) => maps.repoint(hash, log.record(new), old, new),
            Self::Elsewhere => {}
        }
    }

    /// A record is about to be handed to the base: what the base is told.
    pub(super) fn leave(&mut self, log: &Log, hash: u64, record: Record<'_>, at: Position) -> Leaving {
        match self {
            Self::Values(values) => values.leave(hash, at),
            Self::Lists(lists) => lists.leave(log, hash, record, at),
            Self::Maps(maps) => maps.leave(hash, record, at),
            Self::Elsewhere => Leaving::Stays,
        }
    }

    /// The base has what a record says: it need not be resident any more.
    pub(super) fn left(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], at: Position) {
        match self {
            Self::Values(values) => values.left(log, hash, at),
            Self::Lists(lists) => lists.left(log, hash, key, entry, at),
            Self::Maps(maps) => maps.left(log, hash, key, entry, at),
            Self::Elsewhere => {}
        }
    }

    /// Drops what has expired, if this is its record. Whether it was.
    pub(super) fn expire(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], at: Position) -> bool {
        match self {
            Self::Values(values) => values.expire(log, hash, key, at),
            Self::Lists(lists) => lists.expire(log, hash, key, entry, at),
            Self::Maps(maps) => maps.expire(log, hash, key, entry, at),
            Self::Elsewhere => false,
        }
    }

    /// By how many bytes a call's writes make what is held larger; of what is cleared, what only the base holds is not seen.
    pub(super) fn growth(&mut self, log: &Log, selection: &Selection, writes: &StateWrites) -> i64 {
        match (self, writes) {
            (Self::Values(values), StateWrites::Values(writes)) => values.growth(log, selection, writes),
            (Self::Lists(lists), StateWrites::Lists(writes)) => {
                writes.iter().map(|(key, write)| lists.growth(log, selection, key, write)).sum()
            }
            (Self::Maps(maps), StateWrites::Maps(writes)) => {
                writes.iter().map(|(key, write)| maps.growth(log, selection, key, write)).sum()
            }
            _ => unreachable!("kinds were checked when the call was admitted"),
        }
    }

    /// What stamping what was read may add to the log.
    pub(super) const fn seen_growth(&self) -> Growth {
        match self {
            Self::Values(values) => values.seen.growth(),
            Self::Lists(lists) => lists.seen.growth(),
            Self::Maps(maps) => maps.seen.growth(),
            Self::Elsewhere => Growth::NONE,
        }
    }

    /// What was read so far refreshes nothing.
    pub(super) fn forget_seen(&mut self) {
        match self {
            Self::Values(values) => values.seen.clear(),
            Self::Lists(lists) => lists.seen.clear(),
            Self::Maps(maps) => maps.seen.clear(),
            Self::Elsewhere => {}
        }
    }

    /// Stamps what the call read, unless it wrote it.
    pub(super) fn refresh(&mut self, log: &mut Log, selection: &Selection) {
        match self {
            Self::Values(values) => values.refresh(log, selection),
            Self::Lists(lists) => lists.refresh(log, selection),
            Self::Maps(maps) => maps.refresh(log, selection),
            Self::Elsewhere => {}
        }
    }

    /// A restore has brought all there is.
    pub(super) fn settle(&mut self, log: &mut Log) {
        match self {
            Self::Maps(maps) => maps.settle(log),
            Self::Values(_) | Self::Lists(_) | Self::Elsewhere => {}
        }
    }

    /// Roughly the bytes held beside the log.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Values(values) => values.bytes(),
            Self::Lists(lists) => lists.bytes(),
            Self::Maps(maps) => maps.bytes(),
            Self::Elsewhere => 0,
        }
    }
}
