//! What a batch is about to read, and memory does not hold, comes from the base in one go.
//!
//! Guarantees that what is supplied is resident, exactly as the base holds it, until the next commit at least; and that
//! something newer that is resident stays. Does not own where the disk is waited for: whoever reads decides.

use futures::FutureExt;
use futures::future::BoxFuture;
use weir_operator::batch::OptionalColumn;
use weir_operator::keyed_state::{EntryRange, Fetch, Fetched, Read, StateError, StateId, StateWrites, Writes};
use weir_operator::turn::TimerChange;
use weir_protocol::time::Timestamp;

use super::base::{Base, Page, write_key};
use super::kept::Kept;
use super::size::Size;
use super::timers::{FoundTimers, WantedTimers};
use super::{SubtaskState, bug, wrong_kind};
use crate::spawn::Runtime;

/// Entries of a list or map that are read in one go, beyond those that a scan asks for.
const ALL: usize = usize::MAX;

/// A read from the base that was not begun yet.
struct FromBase {
    base: Base,
    runtime: Runtime,
    wanted: Vec<(StateId, Wanted)>,
    timers: Option<WantedTimers>,
}

/// Keys of the base, beside the indices of the selected keys that they are for.
pub(super) enum Wanted {
    /// Sorted by the key of the base.
    Values(Vec<(Vec<u8>, u32)>),
    Lists(Vec<(Vec<u8>, u32)>),
    /// With the entries, sorted by the key of the base.
    Entries(Vec<(Vec<u8>, u32, Vec<u8>)>),
    Scan {
        prefix: Vec<u8>,
        key: u32,
        start: Option<Vec<u8>>,
        end: Option<Vec<u8>>,
        max: usize,
        now: Timestamp,
    },
    /// How much there is, of a state whose like this is.
    Sizes(Size, Vec<Whole>),
}

/// All that the base holds of a list or map, but for what is resident.
pub(super) struct Whole {
    prefix: Vec<u8>,
    key: u32,
    key_len: usize,
    /// In order.
    resident: Vec<Box<[u8]>>,
}

/// What was found.
struct Answer(Result<(Vec<(StateId, Found)>, Option<FoundTimers>), StateError>);

/// In the order of what was wanted.
enum Found {
    Values(Vec<u32>, OptionalColumn),
    Lists(Vec<(u32, Page)>),
    Entries(Vec<(u32, Vec<u8>)>, OptionalColumn),
    /// Whether these are all entries that the base holds of the key.
    Scan(u32, Page, bool),
    Sizes(Vec<(u32, Size)>),
}

impl Fetch for FromBase {
    fn now(self: Box<Self>) -> Fetched {
        Fetched(Box::new(self.answer()))
    }

    fn elsewhere(self: Box<Self>) -> BoxFuture<'static, Fetched> {
        async move {
            let runtime = self.runtime.clone();
            let read = runtime.blocking("read state from disk", move || self.answer()).await;
            Fetched(Box::new(read.unwrap_or_else(|panicked| Answer(Err(bug(panicked.to_string()))))))
        }
        .boxed()
    }
}

impl FromBase {
    fn answer(self) -> Answer {
        let found = || {
            let found = self.wanted.into_iter().map(|(state, wanted)| Ok((state, read(&self.base, wanted)?)));
            let timers = self.timers.map(|wanted| wanted.read(&self.base));
            Ok((found.collect::<Result<_, StateError>>()?, timers.transpose()?))
        };
        Answer(found())
    }
}

fn read(base: &Base, wanted: Wanted) -> Result<Found, StateError> {
    match wanted {
        Wanted::Values(wanted) => {
            let (keys, indices): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
            let mut found = OptionalColumn::default();
            base.values(&keys, &mut found)?;
            Ok(Found::Values(indices, found))
        }
        Wanted::Lists(wanted) => {
            let pages = wanted.into_iter().map(|(prefix, key)| Ok((key, base.page(&prefix, None, None, ALL, None)?)));
            Ok(Found::Lists(pages.collect::<Result<_, StateError>>()?))
        }
        Wanted::Entries(wanted) => {
            let (keys, places): (Vec<_>, Vec<_>) =
                wanted.into_iter().map(|(base_key, key, entry)| (base_key, (key, entry))).unzip();
            let mut found = OptionalColumn::default();
            base.values(&keys, &mut found)?;
            Ok(Found::Entries(places, found))
        }
        Wanted::Scan { prefix, key, start, end, max, now } => {
            let page = base.page(&prefix, start.as_deref(), end.as_deref(), max, Some(now))?;
            let is_whole =
                page.is_last && !page.has_hidden && start.is_none_or(|start| start.is_empty()) && end.is_none();
            Ok(Found::Scan(key, page, is_whole))
        }
        Wanted::Sizes(size, wholes) => {
            let sizes = wholes.into_iter().map(|Whole { prefix, key, key_len, resident }| {
                let mut size = size.clone();
                base.measure(&prefix, key_len, &resident, &mut size)?;
                Ok((key, size))
            });
            Ok(Found::Sizes(sizes.collect::<Result<_, StateError>>()?))
        }
    }
}

impl SubtaskState {
    /// What this read needs of the base; `None`: nothing.
    pub(super) fn fetch_from_base(&mut self, read: &Read<'_>) -> Result<Option<Box<dyn Fetch>>, StateError> {
        self.warm(read)?;
        if !self.log.has_base() {
            return Ok(None);
        }
        let (state, wanted) = match *read {
            Read::Values(state, keys) => (state, self.wanted_values(state, keys)?),
            Read::Lists(state, keys) => (state, self.wanted_lists(state, keys)?),
            Read::Entries(state, keys, entries) => {
                (state, self.wanted_entries(state, keys.iter().copied().zip(entries.iter()))?)
            }
            Read::Scan(state, key, range) => (state, self.wanted_page(state, key, range)?),
        };
        Ok(self.fetch_wanted(wanted.map(|wanted| (state, wanted)).into_iter().collect(), None))
    }

    /// A read was announced: what memory holds of its keys is fetched into the processor's caches, where they are several.
    /// Where one key is read after the other, that is done once for all that are selected.
    fn warm(&mut self, read: &Read<'_>) -> Result<(), StateError> {
        let (Read::Lists(state, _) | Read::Entries(state, ..) | Read::Scan(state, ..)) = *read else { return Ok(()) };
        match self.kept(state)? {
            (Kept::Lists(lists), log, selection) => {
                if let Read::Lists(_, keys @ [_, _, ..]) = *read {
                    lists.warm(log, selection, keys.iter().copied());
                } else if lists.is_read_one_by_one(selection) {
                    lists.warm(log, selection, selection.indices());
                }
            }
            (Kept::Maps(maps), log, selection) => {
                if let Read::Entries(_, keys @ [_, _, ..], entries) = *read {
                    maps.warm_entries(log, selection, keys.iter().copied().zip(entries.iter()));
                } else if maps.is_read_one_by_one(selection) {
                    maps.warm(log, selection, selection.indices());
                }
            }
            (Kept::Values(_) | Kept::Elsewhere, ..) => {}
        }
        Ok(())
    }

    /// What must be known of what is written over, so that what is held can be counted, and of timers, so that each is there
    /// once; `None`: it is.
    pub(super) fn fetch_for_commit(
        &mut self,
        writes: &Writes,
        timers: &[TimerChange],
    ) -> Result<Option<Box<dyn Fetch>>, StateError> {
        if !self.log.has_base() {
            return Ok(None);
        }
        let mut all = Vec::new();
        for (state, writes) in writes.iter() {
            match writes {
                StateWrites::Values(writes) => {
                    let keys: Vec<_> = writes.iter().map(|(key, _)| key).collect();
                    all.extend(self.wanted_values(state, Some(&keys))?.map(|wanted| (state, wanted)));
                }
                StateWrites::Lists(writes) => {
                    let cleared = writes.iter().filter(|(_, write)| write.replaced).map(|(key, _)| key);
                    all.extend(self.wanted_sizes(state, cleared)?.map(|wanted| (state, wanted)));
                }
                StateWrites::Maps(writes) => {
                    let (cleared, kept): (Vec<_>, Vec<_>) = writes.iter().partition(|(_, write)| write.replaced);
                    let cleared = cleared.into_iter().map(|(key, _)| key);
                    all.extend(self.wanted_sizes(state, cleared)?.map(|wanted| (state, wanted)));
                    let entries =
                        kept.iter().flat_map(|(key, write)| write.entries.iter().map(|(entry, _)| (*key, entry)));
                    all.extend(self.wanted_entries(state, entries)?.map(|wanted| (state, wanted)));
                }
            }
        }
        let timers = self.wanted_timers(timers);
        Ok(self.fetch_wanted(all, timers))
    }

    pub(super) fn fetch_wanted(
        &self,
        wanted: Vec<(StateId, Wanted)>,
        timers: Option<WantedTimers>,
    ) -> Option<Box<dyn Fetch>> {
        let wants_any = !wanted.is_empty() || timers.is_some();
        let (base, runtime) = self.spill.as_ref().filter(|_| wants_any)?.base_and_runtime();
        Some(Box::new(FromBase { base, runtime, wanted, timers }))
    }

    fn wanted_sizes(&self, state: StateId, cleared: impl Iterator<Item = u32>) -> Result<Option<Wanted>, StateError> {
        let (log, selection) = (&self.log, &self.selection);
        let mut wholes = Vec::new();
        for key in cleared {
            let (hash, bytes) = (selection.hash(key), selection.key(key));
            let resident = match self.states.get(state.0 as usize) {
                Some(Kept::Lists(lists)) if lists.is_missing(log, selection, key) => lists.resident(log, hash, bytes),
                Some(Kept::Maps(maps)) if maps.is_missing(log, selection, key).is_some() => {
                    maps.resident(log, hash, bytes)
                }
                Some(Kept::Lists(_) | Kept::Maps(_)) => continue,
                Some(Kept::Values(_) | Kept::Elsewhere) | None => return Err(wrong_kind(state, "a list or a map")),
            };
            wholes.push(Whole { prefix: self.base_key(state, key, &[]), key, key_len: bytes.len(), resident });
        }
        let size = || log.sizes().of(state.0 as usize + 1).emptied();
        Ok((!wholes.is_empty()).then(|| Wanted::Sizes(size(), wholes)))
    }

    fn wanted_values(&mut self, state: StateId, keys: Option<&[u32]>) -> Result<Option<Wanted>, StateError> {
        let (Kept::Values(values), log, selection) = self.kept(state)? else {
            return Err(wrong_kind(state, "values"));
        };
        let missing = values.missing(log, selection, keys);
        let mut wanted: Vec<_> = missing.into_iter().map(|key| (self.base_key(state, key, &[]), key)).collect();
        wanted.sort_unstable();
        Ok((!wanted.is_empty()).then_some(Wanted::Values(wanted)))
    }

    fn wanted_lists(&mut self, state: StateId, keys: &[u32]) -> Result<Option<Wanted>, StateError> {
        let (Kept::Lists(lists), log, selection) = self.kept(state)? else { return Err(wrong_kind(state, "a list")) };
        let mut missing: Vec<_> = keys.iter().copied().filter(|&key| lists.is_missing(log, selection, key)).collect();
        missing.sort_unstable();
        missing.dedup();
        let wanted: Vec<_> = missing.into_iter().map(|key| (self.base_key(state, key, &[]), key)).collect();
        Ok((!wanted.is_empty()).then_some(Wanted::Lists(wanted)))
    }

    fn wanted_entries<'a>(
        &mut self,
        state: StateId,
        entries: impl Iterator<Item = (u32, &'a [u8])>,
    ) -> Result<Option<Wanted>, StateError> {
        let (Kept::Maps(maps), log, selection) = self.kept(state)? else { return Err(wrong_kind(state, "a map")) };
        let missing = maps.missing(log, selection, entries);
        let wanted = missing.into_iter().map(|(key, entry)| (self.base_key(state, key, entry), key, entry.to_vec()));
        let mut wanted: Vec<_> = wanted.collect();
        wanted.sort_unstable();
        wanted.dedup();
        Ok((!wanted.is_empty()).then_some(Wanted::Entries(wanted)))
    }

    fn wanted_page(&mut self, state: StateId, key: u32, range: EntryRange<'_>) -> Result<Option<Wanted>, StateError> {
        let (Kept::Maps(maps), log, selection) = self.kept(state)? else { return Err(wrong_kind(state, "a map")) };
        let Some(hidden) = maps.is_missing(log, selection, key) else { return Ok(None) };
        // Of what the base holds, at most `hidden` entries are gone: enough for the page and one entry behind it.
        let max = range.limit.saturating_add(hidden).saturating_add(1);
        let (start, end) = (range.start.map(<[u8]>::to_vec), range.end.map(<[u8]>::to_vec));
        Ok(Some(Wanted::Scan {
            prefix: self.base_key(state, key, &[]),
            key,
            start,
            end,
            max,
            now: self.selection.now(),
        }))
    }

    fn base_key(&self, state: StateId, key: u32, entry: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let number = u16::try_from(state.0 + 1).expect("there are at most STATES_MAX states");
        let group = self.naming.group_of(self.selection.hash(key));
        write_key(number, group, self.selection.key(key), entry, &mut bytes);
        bytes
    }

    /// Takes in what a fetch found.
    pub(super) fn take_fetched(&mut self, fetched: Fetched) -> Result<(), StateError> {
        let Ok(answer) = fetched.0.downcast::<Answer>() else {
            return Err(bug("what was fetched is not of this state".to_owned()));
        };
        let Answer(found) = *answer;
        let (found, timers) = found?;
        timers.into_iter().for_each(|found| self.take_timers(found));
        found.into_iter().try_for_each(|(state, found)| self.take_found(state, found))
    }

    fn take_found(&mut self, state: StateId, found: Found) -> Result<(), StateError> {
        if let Found::Sizes(sizes) = found {
            self.admission.cleared.extend(sizes.into_iter().map(|(key, size)| ((state, key), size)));
            return Ok(());
        }
        let (kept, log, selection) = self.kept(state)?;
        match (kept, found) {
            (Kept::Values(values), Found::Values(keys, found)) => {
                for (key, value) in keys.into_iter().zip(found.iter()) {
                    values.supply(log, selection, key, value);
                }
            }
            (Kept::Lists(lists), Found::Lists(pages)) => {
                for (key, page) in pages {
                    let (hash, key) = (selection.hash(key), selection.key(key));
                    lists.supply(log, hash, key, &page.values, &page.entries);
                }
            }
            (Kept::Maps(maps), Found::Entries(places, found)) => {
                for ((key, entry), value) in places.iter().zip(found.iter()) {
                    if let Some(value) = value {
                        maps.supply(log, selection.hash(*key), selection.key(*key), entry, value);
                    }
                }
            }
            (Kept::Maps(maps), Found::Scan(key, page, is_whole)) => {
                let (hash, key) = (selection.hash(key), selection.key(key));
                for (entry, value) in page.entries.iter().zip(page.values.iter()) {
                    maps.supply(log, hash, key, entry, value);
                }
                if is_whole {
                    maps.supplied_whole(hash, key);
                }
            }
            _ => return Err(bug("what was fetched is of another kind of state".to_owned())),
        }
        Ok(())
    }
}
