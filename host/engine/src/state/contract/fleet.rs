//! The subtasks of one operator, with the checkpoint files that a manifest would name for each.

use std::collections::BTreeMap;

use weir_operator::batch::{BytesColumn, Keys, OptionalColumn};
use weir_operator::keyed_state::{Entries, EntryRange, Read, Writes};
use weir_operator::migrator::Migrator;
use weir_operator::operator::CallError;
use weir_operator::turn::{FiredTimers, TimeDomain, TimerChange};
use weir_protocol::description::StateDescription;
use weir_protocol::job_spec::LimitSpec;
use weir_protocol::key_group::key_hash;
use weir_protocol::time::Timestamp;

use super::model::{Model, ModelTimer, Stamped, Time};
use super::steps::Change;
use super::{Backend, COUNT, HISTORY, LAST, Place, TABLE, bring, expiring};
use crate::metrics::StateSize;
use crate::state::file::{FileSlice, Reader, merge_unexpired};
use crate::state::{Expiry, Migration, StateLimits};

/// All subtasks of an operator.
pub(super) struct Fleet<B: Backend> {
    subtasks: Vec<Subtask<B>>,
    limits: StateLimits,
    /// As the running version declares them.
    states: Vec<StateDescription>,
    time: Time,
    /// The newest barrier since the last crash: what had expired by then does not count.
    barrier: Option<Timestamp>,
}

/// Appends the version that a value was written in, once.
struct Append;

impl Migrator for Append {
    fn migrate(&mut self, state: &str, from_version: u32, values: &BytesColumn) -> Result<BytesColumn, CallError> {
        let mut rewritten = BytesColumn::default();
        for value in values.iter() {
            let mut value = value.to_vec();
            append(&mut value, state, from_version);
            rewritten.push(&value);
        }
        Ok(rewritten)
    }
}

/// What becomes of a value whose state was written in an older version.
pub(super) fn append(value: &mut Vec<u8>, state: &str, from_version: u32) {
    value.extend_from_slice(format!("{state} {from_version},").as_bytes());
}

struct Subtask<B: Backend> {
    place: Place,
    state: B,
    /// What the next manifest names, oldest first: also what was closed for checkpoints that were aborted.
    files: Vec<FileSlice>,
    /// What the newest manifest names.
    manifest: Vec<FileSlice>,
    /// Segments behind the files that are still to be encoded: the background is slow.
    frozen: Vec<B::Frozen>,
    /// What had expired at the newest barrier that closed one.
    expiry: Option<Expiry>,
}

impl<B: Backend> Fleet<B> {
    pub(super) fn new(limits: StateLimits, time: Time) -> Self {
        let states = time.ttl.map_or_else(super::states, expiring);
        let place = Place::whole();
        let (state, frozen) = B::restore(&states, place, &[], limits, time.now, Migration::default());
        let subtask = Subtask { place, state, files: Vec::new(), manifest: Vec::new(), frozen, expiry: None };
        Self { subtasks: vec![subtask], limits, states, time, barrier: None }
    }

    /// What time it is, and how long everything lives.
    pub(super) const fn time(&self) -> Time {
        self.time
    }

    /// The versions of the states, as they are declared.
    pub(super) fn versions(&self) -> Vec<u32> {
        self.states.iter().map(|state| state.version).collect()
    }

    /// The next subtasks are of a version of the operator that declares other versions of these states.
    pub(super) fn raise(&mut self, states: &[usize]) {
        for &state in states {
            let state = &mut self.states[state];
            state.version += 1;
            state.codec = format!("bytes of version {}", state.version);
        }
    }

    /// Time passes.
    pub(super) const fn wait(&mut self, millis: i64) {
        self.time.now += millis;
    }

    /// Reads all values (`and_more`: all there is), then commits one batch in two parts on each subtask, as after a failure
    /// that was split.
    pub(super) fn batch(&mut self, keys: &[Vec<u8>], changes: &[Change], and_more: bool, model: &Model) {
        let time = self.time;
        for subtask in &mut self.subtasks {
            let own = subtask.keys(keys);
            subtask.state.select(&encode(&own), time.now).expect("keys can be selected");
            subtask.check_values(&own, model, time);
            for (index, key) in (0..).zip(&own).filter(|_| and_more) {
                subtask.check_list(index, key, model, time);
                subtask.check_map(index, key, model, time);
            }
            for part in changes.chunks(changes.len().div_ceil(2)) {
                let mut writes = Writes::default();
                for change in part {
                    if let Some(index) = own.iter().position(|key| *key == keys[change.key]) {
                        change.stage(u32::try_from(index).expect("few keys"), &mut writes);
                    }
                }
                subtask.commit(&writes);
            }
        }
    }

    /// Registers or cancels timers in one call.
    pub(super) fn timers(&mut self, changes: &[(bool, ModelTimer)]) {
        let now = self.time.now;
        for subtask in &mut self.subtasks {
            let own: Vec<_> = changes.iter().filter(|(_, timer)| subtask.place.owns(&timer.3)).collect();
            let keys = encode(&own.iter().map(|(_, timer)| timer.3.clone()).collect::<Vec<_>>());
            let changes = own.iter().zip(&keys.key_of).map(|((register, timer), &key)| TimerChange {
                register: *register,
                domain: timer.0,
                key,
                at: timer.1,
                tag: timer.2,
            });
            subtask.state.select(&keys, now).expect("keys can be selected");
            subtask.apply_timers(&changes.collect::<Vec<_>>(), &keys);
        }
    }

    /// Fires timers once on each subtask, if they are those that `model` says. Those that fired.
    pub(super) fn fire(&mut self, model: &Model, domain: TimeDomain, up_to: Timestamp, max: usize) -> Vec<ModelTimer> {
        let mut all = Vec::new();
        for subtask in &mut self.subtasks {
            let expected = model.due(domain, up_to, max, |key| subtask.place.owns(key));
            let fired = subtask.state.due(domain, up_to, max);
            assert_eq!(fired.as_ref().map(as_model).unwrap_or_default(), expected);
            if let Some(fired) = fired {
                let state = &mut subtask.state;
                let before = state.bytes_in_all();
                state.select(&fired.keys, self.time.now).expect("keys can be selected");
                let growth = state.growth(&Writes::default(), &[], Some(&fired));
                state.complete(&fired);
                assert_eq!(state.bytes_in_all().cast_signed() - before.cast_signed(), growth);
            }
            all.extend(expected);
        }
        all
    }

    /// A barrier on all subtasks.
    pub(super) fn freeze(&mut self) {
        self.barrier = Some(self.time.now);
        for subtask in &mut self.subtasks {
            subtask.frozen.extend(subtask.state.freeze(self.time.now));
        }
    }

    /// The checkpoint of the newest barrier is complete: a manifest names what there is.
    pub(super) fn confirm(&mut self) {
        for subtask in &mut self.subtasks {
            let key_groups = subtask.place.key_groups;
            let frozen = subtask.frozen.iter().map(|frozen| FileSlice { bytes: B::encode(frozen), key_groups });
            subtask.manifest = subtask.files.iter().cloned().chain(frozen).collect();
        }
    }

    /// So many steps of clean-up on each subtask, at most.
    pub(super) fn tidy(&mut self, steps: usize) {
        for subtask in &mut self.subtasks {
            let _left = (0..steps).any(|_| !subtask.state.tidy());
        }
    }

    /// Everything has expired, and nobody reads it: it leaves memory and files.
    pub(super) fn check_that_all_goes(&mut self, life: i64) {
        self.wait(2 * life);
        self.freeze();
        self.tidy(usize::MAX);
        self.freeze();
        for subtask in 0..self.subtasks.len() {
            self.merge(subtask, 0, usize::MAX);
            let subtask = &self.subtasks[subtask];
            assert_eq!(subtask.state.bytes_live(), 0, "what has expired is gone");
            assert_eq!(subtask.state.bytes_in_all(), 0, "and counts no longer");
            let records = |file: &FileSlice| Reader::open(file.bytes.clone()).expect("it verifies").records();
            assert_eq!(subtask.files.iter().map(records).sum::<u64>(), 0, "what has expired leaves the files");
        }
    }

    /// Rewrites some of a subtask's files as one.
    pub(super) fn merge(&mut self, subtask: usize, first: usize, count: usize) {
        let subtasks = self.subtasks.len();
        let subtask = &mut self.subtasks[subtask % subtasks];
        subtask.encode();
        let first = first.min(subtask.files.len());
        let last = first.saturating_add(count).min(subtask.files.len());
        if first < last {
            let bytes = merge_unexpired(&subtask.files[first..last], first == 0, subtask.expiry.as_ref())
                .expect("files that were just written verify");
            subtask.files.splice(first..last, [FileSlice { bytes, key_groups: subtask.place.key_groups }]);
        }
    }

    /// All subtasks die, and others, `parallelism` of them, restore what the newest manifest names.
    pub(super) fn crash(&mut self, parallelism: u32) {
        let max = Place::whole().max;
        self.barrier = None;
        let restored = (0..parallelism).map(|index| {
            let place = Place { max, key_groups: max.range(index, parallelism) };
            let files = self.subtasks.iter().flat_map(|old| &old.manifest);
            let slices = files.map(|file| FileSlice {
                bytes: file.bytes.clone(),
                key_groups: file.key_groups.clip(place.key_groups),
            });
            let files: Vec<_> = slices.filter(|slice| !slice.key_groups.is_empty()).collect();
            let migration = Migration::new(Some(Box::new(Append)), &LimitSpec::default());
            let (state, frozen) = B::restore(&self.states, place, &files, self.limits, self.time.now, migration);
            Subtask { place, state, manifest: files.clone(), files, frozen, expiry: None }
        });
        self.subtasks = restored.collect();
    }

    /// Compares everything with the model.
    pub(super) fn check(&mut self, keys: &[Vec<u8>], model: &Model) {
        let time = self.time;
        for subtask in &mut self.subtasks {
            subtask.check_sizes(model, time, self.barrier);
            let own = subtask.keys(keys);
            subtask.state.select(&encode(&own), time.now).expect("keys can be selected");
            subtask.check_values(&own, model, time);
            for (index, key) in (0..).zip(&own) {
                subtask.check_list(index, key, model, time);
                subtask.check_map(index, key, model, time);
            }
            let due = |domain| model.due(domain, Timestamp::MAX, 1, |key| subtask.place.owns(key));
            let first = due(TimeDomain::ProcessingTime).first().map(|timer| timer.1);
            subtask.check_next(first);
            subtask.state.make_room();
            assert!(subtask.state.is_counted_right(), "what is held beside what is counted");
        }
    }
}

impl<B: Backend> Subtask<B> {
    fn keys(&self, keys: &[Vec<u8>]) -> Vec<Vec<u8>> {
        keys.iter().filter(|key| self.place.owns(key)).cloned().collect()
    }

    /// Commits as a task does, and sees that it was said before what that would add.
    fn commit(&mut self, writes: &Writes) {
        let state = &mut self.state;
        if let Some(fetch) = state.fetch_overwritten(writes, &[]).expect("declared states were written to") {
            state.supply(fetch.now()).expect("the disk can be read");
        }
        let most = state.admit(writes, &[], None).expect("these writes are allowed");
        let (growth, before) = (state.growth(writes, &[], None), state.bytes_in_all());
        state.commit(writes).expect("they were admitted");
        assert_eq!(state.bytes_in_all().cast_signed() - before.cast_signed(), growth);
        assert!(growth <= most.cast_signed(), "{growth} is more than {most}");
    }

    /// The same for timers.
    fn apply_timers(&mut self, changes: &[TimerChange], keys: &Keys) {
        let (state, nothing) = (&mut self.state, Writes::default());
        if let Some(fetch) = state.fetch_overwritten(&nothing, changes).expect("nothing else was written") {
            state.supply(fetch.now()).expect("the disk can be read");
        }
        let (growth, before) = (state.growth(&nothing, changes, None), state.bytes_in_all());
        state.apply_timers(changes, keys);
        assert_eq!(state.bytes_in_all().cast_signed() - before.cast_signed(), growth);
    }

    /// When the first processing-time timer is due is never said too late, and is known once it was looked for.
    fn check_next(&mut self, first: Option<Timestamp>) {
        let said = self.state.next_processing_time();
        if said != first {
            assert!(
                said.is_some_and(|said| first.is_none_or(|first| said < first)),
                "{said:?} is not before {first:?}"
            );
            let _due = self.state.due(TimeDomain::ProcessingTime, Timestamp::MAX, 1);
            assert_eq!(self.state.next_processing_time(), first);
        }
    }

    /// What is counted is what the model has, as far as it had not expired by the last barrier.
    fn check_sizes(&self, model: &Model, time: Time, barrier: Option<Timestamp>) {
        let owned = |key: &[u8]| self.place.owns(key);
        let counts = |held: &&Stamped| {
            time.ttl.is_none_or(|ttl| barrier.is_some_and(|barrier| !ttl.has_expired(held.at, barrier)))
        };
        // What a restore brought back may have expired before; and ages are as exact as a 64th of the life.
        if time.ttl.is_some_and(|ttl| barrier.is_none() || ttl.duration_ms > 127) {
            return;
        }
        let stamp = if time.ttl.is_some() { 8 } else { 0 };
        let size = |parts: usize| (16 + parts as u64 + stamp).next_multiple_of(8);
        let mut expected =
            BTreeMap::from(["count", "history", "last", "table"].map(|name| (name, StateSize::default())));
        let mut add = |name, key: &[u8], entry: usize, held: &Stamped| {
            let state = expected.get_mut(name).expect("it is declared");
            state.bytes += size(key.len() + entry + held.value.len());
            state.entries += 1;
            let oldest = state.oldest.map_or(held.at, |oldest| oldest.min(held.at));
            state.oldest = time.ttl.map(|_| oldest);
        };
        for ((state, key), held) in model.values.iter().filter(|((_, key), held)| owned(key) && counts(held)) {
            add(if *state == COUNT.0 { "count" } else { "last" }, key, 0, held);
        }
        for (key, list) in model.lists.iter().filter(|(key, _)| owned(key)) {
            list.iter().filter(counts).for_each(|held| add("history", key, 8, held));
        }
        for (key, map) in model.maps.iter().filter(|(key, _)| owned(key)) {
            let entries = map.iter().filter(|(_, held)| counts(held));
            entries.for_each(|(entry, held)| add("table", key, entry.len(), held));
        }
        let timers = model.timers.iter().filter(|timer| owned(&timer.3));
        let timers: u64 = timers.map(|timer| (16 + timer.3.len() as u64 + 13).next_multiple_of(8)).sum();
        let sizes = self.state.sizes();
        assert_eq!(sizes.iter().map(|(name, size)| (name.as_str(), *size)).collect::<BTreeMap<_, _>>(), expected);
        let states: u64 = expected.values().map(|state| state.bytes).sum();
        assert_eq!(self.state.bytes_in_all(), states + timers, "with the timers");
    }

    fn encode(&mut self) {
        let key_groups = self.place.key_groups;
        self.expiry = self.frozen.last().map(B::expiry).or(self.expiry.take());
        let encoded = self.frozen.iter().map(|frozen| FileSlice { bytes: B::encode(frozen), key_groups });
        self.files.extend(encoded);
        self.frozen.clear();
    }

    fn check_values(&mut self, keys: &[Vec<u8>], model: &Model, time: Time) {
        let indices: Vec<_> = (0..u32::try_from(keys.len()).expect("few keys")).rev().collect();
        for state in [COUNT, LAST] {
            let mut column = OptionalColumn::default();
            bring(&mut self.state, Read::Values(state, Some(&indices)));
            self.state.values(state, &indices, &mut column).expect("a declared state can be read");
            for (value, &index) in column.iter().zip(&indices) {
                let expected = model.values.get(&(state.0, keys[index as usize].clone()));
                assert_eq!(value, expected.and_then(|held| time.seen(held)), "{state:?} of {:?}", keys[index as usize]);
            }
        }
    }

    fn check_list(&mut self, index: u32, key: &[u8], model: &Model, time: Time) {
        let mut column = BytesColumn::default();
        bring(&mut self.state, Read::Lists(HISTORY, &[index]));
        self.state.list(HISTORY, index, &mut column).expect("a declared state can be read");
        let expected = model.lists.get(key).into_iter().flatten().filter_map(|held| time.seen(held));
        assert!(column.iter().eq(expected), "list of {key:?}: {column:?}");
    }

    fn check_map(&mut self, index: u32, key: &[u8], model: &Model, time: Time) {
        let mut page = Entries::default();
        let range = EntryRange { start: None, end: None, limit: usize::MAX };
        bring(&mut self.state, Read::Scan(TABLE, index, range));
        self.state.scan(TABLE, index, range, &mut page).expect("a declared state can be read");
        let expected = model.maps.get(key).into_iter().flatten();
        let expected: Vec<_> =
            expected.filter_map(|(entry, held)| Some((entry.as_slice(), time.seen(held)?))).collect();
        let found: Vec<_> = page.entries.iter().zip(page.values.iter()).collect();
        assert_eq!(found, expected, "map of {key:?}");
        let is_empty = self.state.is_empty(TABLE, index).expect("a declared state can be read");
        assert_eq!(is_empty, expected.is_empty(), "map of {key:?}");
        let mut column = OptionalColumn::default();
        let wanted = vec![index; found.len()];
        bring(&mut self.state, Read::Entries(TABLE, &wanted, &page.entries));
        self.state.entries(TABLE, &wanted, &page.entries, &mut column).expect("a declared state can be read");
        assert!(column.iter().eq(page.values.iter().map(Some)), "entries of {key:?}");
    }
}

impl Place {
    fn owns(&self, key: &[u8]) -> bool {
        self.key_groups.contains(self.max.key_group(key_hash(key)))
    }
}

fn encode(keys: &[Vec<u8>]) -> Keys {
    Keys::encode(keys.iter().map(Vec::as_slice))
}

fn as_model(fired: &FiredTimers) -> Vec<ModelTimer> {
    let timers = fired.keys.key_of.iter().zip(&fired.at).zip(&fired.tags);
    timers.map(|((&key, &at), &tag)| (fired.domain, at, tag, fired.keys.distinct.get(key as usize).to_vec())).collect()
}
