//! Timers: one record each, and an ordered map beside the log, so that due ones are found without scanning.
//!
//! Receives registrations and cancellations; guarantees one timer per (domain, key, time, tag) and that
//! [`Timers::due`] costs what it returns. A timer is a record under its key, so it is checkpointed, clipped and rescaled
//! as all keyed state is; its entry is domain (1 byte), time (8 bytes, ordered as the numbers are) and tag (4 bytes).

use std::collections::BTreeMap;

use hashbrown::HashSet;
use weir_operator::batch::Keys;
use weir_operator::turn::{FiredTimers, TimeDomain};
use weir_protocol::key_group::key_hash;
use weir_protocol::time::Timestamp;

use super::entries::TREE_ENTRY_BYTES;
use super::log::{Log, Part, Position};
use super::record::{Flags, Parts};
use super::size::size_of;

/// The state under which timers are written to the log.
pub(super) const STATE: u16 = 0;
/// The length of a timer's entry.
pub(super) const ENTRY: usize = 13;
const WHEN: usize = 12;

/// What tells a timer from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timer<'a> {
    pub(super) domain: TimeDomain,
    pub(super) at: Timestamp,
    pub(super) tag: u32,
    pub(super) key: &'a [u8],
}

impl<'a> Timer<'a> {
    /// Time and tag, then the key: timers of one domain in the order in which they fire.
    fn due_order(&self, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.entry()[1..]);
        into.extend_from_slice(self.key);
    }

    fn entry(&self) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        entry[0] = self.domain as u8;
        entry[1..9].copy_from_slice(&ordered(self.at).to_be_bytes());
        entry[9..].copy_from_slice(&self.tag.to_be_bytes());
        entry
    }

    fn from_due_order(domain: TimeDomain, bytes: &'a [u8]) -> Self {
        let (when, key) = bytes.split_first_chunk::<WHEN>().expect("every timer has a time and a tag");
        Self::from_parts(domain, when, key)
    }

    fn from_parts(domain: TimeDomain, when: &[u8; WHEN], key: &'a [u8]) -> Self {
        let (at, tag) = when.split_first_chunk().expect("12 bytes");
        let at = u64::from_be_bytes(*at) ^ 1 << 63;
        Self {
            domain,
            at: at.cast_signed(),
            tag: u32::from_be_bytes(tag.try_into().expect("the last 4 of 12 bytes")),
            key,
        }
    }

    /// The timer that a record holds; `None` when its entry is malformed.
    pub(super) fn from_record(key: &'a [u8], entry: &[u8]) -> Option<Self> {
        let (&domain, when) = entry.split_first()?;
        let domain = match domain {
            0 => TimeDomain::EventTime,
            1 => TimeDomain::ProcessingTime,
            _ => return None,
        };
        Some(Self::from_parts(domain, when.try_into().ok()?, key))
    }
}

/// A time as a number that sorts as it does.
const fn ordered(at: Timestamp) -> u64 {
    at.cast_unsigned() ^ 1 << 63
}

/// The pending timers of one subtask.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// By domain: where the record of each timer is, in the order in which they fire.
    pending: [BTreeMap<Box<[u8]>, u32>; 2],
    scratch: Vec<u8>,
}

impl Timers {
    /// Registers a timer; again is once.
    pub(super) fn register(&mut self, log: &mut Log, timer: Timer<'_>) {
        timer.due_order(&mut self.scratch);
        let pending = &mut self.pending[timer.domain as usize];
        if !pending.contains_key(self.scratch.as_slice()) {
            let at = log.append(Part::Open, &parts(Flags::FRESH, &timer, &timer.entry()));
            pending.insert(self.scratch.as_slice().into(), at.0);
        }
    }

    /// Takes a timer away, if it is there.
    pub(super) fn cancel(&mut self, log: &mut Log, timer: Timer<'_>) {
        timer.due_order(&mut self.scratch);
        let Some(at) = self.pending[timer.domain as usize].remove(self.scratch.as_slice()) else { return };
        if !log.is_fresh(Position(at)) {
            log.append(Part::Open, &parts(Flags::TOMBSTONE, &timer, &timer.entry()));
        }
        log.supersede(Position(at));
    }

    /// The first timers of a domain, up to a time, up to the first whose key stands among them already.
    pub(super) fn due(&self, domain: TimeDomain, up_to: Timestamp, max: usize) -> Option<FiredTimers> {
        let mut fired = FiredTimers { domain, ..FiredTimers::default() };
        let mut seen = HashSet::with_hasher(foldhash::fast::FixedState::default());
        for bytes in self.pending[domain as usize].keys().take(max) {
            let timer = Timer::from_due_order(domain, bytes);
            if timer.at > up_to || !seen.insert(timer.key) {
                break;
            }
            push(&mut fired.keys, timer.key);
            fired.at.push(timer.at);
            fired.tags.push(timer.tag);
        }
        (!fired.at.is_empty()).then_some(fired)
    }

    /// The time of a domain's first timer.
    pub(super) fn first(&self, domain: TimeDomain) -> Option<Timestamp> {
        let (bytes, _) = self.pending[domain as usize].first_key_value()?;
        Some(Timer::from_due_order(domain, bytes).at)
    }

    /// How many are pending.
    pub(super) fn len(&self) -> usize {
        self.pending.iter().map(BTreeMap::len).sum()
    }

    /// By how many bytes these changes (registered, else cancelled), in order, make what is held larger, once those that
    /// fired are gone.
    pub(super) fn growth<'t>(
        &self,
        fired: impl Iterator<Item = Timer<'t>>,
        changes: impl Iterator<Item = (bool, Timer<'t>)>,
    ) -> i64 {
        let mut scratch = Vec::new();
        let mut after = BTreeMap::new();
        for (is_there, timer) in fired.map(|timer| (false, timer)).chain(changes) {
            timer.due_order(&mut scratch);
            after.insert((timer.domain, scratch.clone()), (is_there, size_of(None, timer.key, ENTRY, 0).cast_signed()));
        }
        let growth = |((domain, order), (is_there, size)): ((TimeDomain, Vec<u8>), (bool, i64))| {
            let was_there = self.pending[domain as usize].contains_key(order.as_slice());
            (i64::from(is_there) - i64::from(was_there)) * size
        };
        after.into_iter().map(growth).sum()
    }

    /// Whether a timer's record is this one.
    pub(super) fn is_live(&mut self, timer: Timer<'_>, at: Position) -> bool {
        timer.due_order(&mut self.scratch);
        self.pending[timer.domain as usize].get(self.scratch.as_slice()) == Some(&at.0)
    }

    /// Points a timer to where its record was moved.
    pub(super) fn repoint(&mut self, timer: Timer<'_>, new: Position) {
        timer.due_order(&mut self.scratch);
        if let Some(at) = self.pending[timer.domain as usize].get_mut(self.scratch.as_slice()) {
            *at = new.0;
        }
    }

    /// Takes in a timer of a checkpoint file; it is not there yet.
    pub(super) fn restore(&mut self, log: &mut Log, timer: Timer<'_>) {
        timer.due_order(&mut self.scratch);
        let at = log.append(Part::Clean, &parts(Flags::PUT, &timer, &timer.entry()));
        self.pending[timer.domain as usize].insert(self.scratch.as_slice().into(), at.0);
    }

    /// Roughly the bytes held beside the log.
    pub(super) fn bytes(&self) -> u64 {
        self.len() as u64 * TREE_ENTRY_BYTES
    }
}

fn parts<'a>(flags: Flags, timer: &Timer<'a>, entry: &'a [u8]) -> Parts<'a> {
    Parts { flags, state: STATE, key: timer.key, entry, value: &[] }
}

fn push(keys: &mut Keys, key: &[u8]) {
    let index = u32::try_from(keys.count()).expect("callers ask for fewer than 2^32 timers");
    keys.distinct.push(key);
    keys.hashes.push(key_hash(key));
    keys.key_of.push(index);
}
