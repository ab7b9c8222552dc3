//! The same contract where hardly anything stays in memory; and what is its own: the bound, the disk's failures.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use weir_operator::batch::{BytesColumn, Keys, OptionalColumn};
use weir_operator::keyed_state::{Entries, EntryRange, Fetch, Fetched, KeyedState, Read, StateError, StateId, Writes};
use weir_operator::turn::{FiredTimers, TimeDomain, TimerChange};
use weir_protocol::Fault;
use weir_protocol::description::StateDescription;
use weir_protocol::time::Timestamp;

use super::super::contract::{self, Backend, COUNT, Place, states};
use super::super::file::FileSlice;
use super::super::spill::Spill;
use super::super::{Expiry, FrozenSegment, LocalDisk, LocalDiskOptions, Migration, SpillTo, StateLimits, SubtaskState};
use super::{numbered_keys, restore, write_all};
use crate::metrics::StateSize;
use crate::spawn::Runtime;

type Shared = (tempfile::TempDir, LocalDisk, tokio::runtime::Runtime);

/// A folder and threads for all tests of this process.
fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let disk = LocalDisk::open(&folder.path().join("state"), LocalDiskOptions::default()).expect("it is empty");
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        (folder, disk, threads.expect("threads can be started"))
    })
}

pub(super) fn disk() -> (&'static std::path::Path, LocalDisk, Runtime) {
    let (folder, disk, threads) = shared();
    (folder.path(), disk.clone(), Runtime::from(threads.handle().clone()))
}

pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    shared().2.block_on(future)
}

pub(super) fn spill_to(memory_bytes: u64, name: &str) -> SpillTo {
    let (_, disk, runtime) = disk();
    SpillTo { disk, runtime, folder: None, memory_bytes, name: name.to_owned() }
}

/// Holds next to nothing in memory, and makes room after each change as a task does, but for every other time: then what
/// leaves is on its way while the next change comes. Or has a barrier after each, so that nothing at all stays.
struct Spilling {
    state: SubtaskState,
    has_barriers: bool,
    is_on_its_way: bool,
}

impl Spilling {
    const fn new(state: SubtaskState, has_barriers: bool) -> Self {
        Self { state, has_barriers, is_on_its_way: false }
    }

    fn make_room(&mut self) {
        self.is_on_its_way = !self.has_barriers && !self.is_on_its_way;
        if self.is_on_its_way {
            self.state.spill_some(u64::MAX);
        } else {
            block_on(self.state.make_room()).expect("the disk can be written");
        }
    }
}

impl KeyedState for Spilling {
    fn select(&mut self, keys: &Keys, now: Timestamp) -> Result<(), StateError> {
        self.state.select(keys, now)
    }

    fn values(&mut self, state: StateId, keys: &[u32], into: &mut OptionalColumn) -> Result<(), StateError> {
        self.state.values(state, keys, into)
    }

    fn list(&mut self, state: StateId, key: u32, into: &mut BytesColumn) -> Result<(), StateError> {
        self.state.list(state, key, into)
    }

    fn entries(
        &mut self,
        state: StateId,
        keys: &[u32],
        entries: &BytesColumn,
        into: &mut OptionalColumn,
    ) -> Result<(), StateError> {
        self.state.entries(state, keys, entries, into)
    }

    fn scan(&mut self, state: StateId, key: u32, range: EntryRange<'_>, into: &mut Entries) -> Result<(), StateError> {
        self.state.scan(state, key, range, into)
    }

    fn fetch(&mut self, read: &Read<'_>) -> Result<Option<Box<dyn Fetch>>, StateError> {
        self.state.fetch(read)
    }

    fn supply(&mut self, fetched: Fetched) -> Result<(), StateError> {
        self.state.supply(fetched)
    }

    fn fetch_overwritten(
        &mut self,
        writes: &Writes,
        timers: &[TimerChange],
    ) -> Result<Option<Box<dyn Fetch>>, StateError> {
        self.state.fetch_overwritten(writes, timers)
    }

    fn admit(
        &mut self,
        writes: &Writes,
        timers: &[TimerChange],
        fired: Option<&FiredTimers>,
    ) -> Result<u64, StateError> {
        self.state.admit(writes, timers, fired)
    }

    fn is_empty(&mut self, state: StateId, key: u32) -> Result<bool, StateError> {
        self.state.is_empty(state, key)
    }

    fn growth(&mut self, writes: &Writes, timers: &[TimerChange], fired: Option<&FiredTimers>) -> i64 {
        self.state.growth(writes, timers, fired)
    }

    fn commit(&mut self, writes: &Writes) -> Result<(), StateError> {
        self.state.commit(writes)?;
        if self.has_barriers {
            drop(self.state.freeze(0));
        }
        self.make_room();
        Ok(())
    }
}

impl Backend for Spilling {
    type Frozen = FrozenSegment;

    /// Each opens and deletes dozens of RocksDBs.
    const HISTORIES: u32 = 24;

    /// The less garbage is allowed, the less memory there is: from none at all to more than these tests fill.
    fn restore(
        states: &[StateDescription],
        place: Place,
        files: &[FileSlice],
        limits: StateLimits,
        now: Timestamp,
        migration: Migration,
    ) -> (Self, Vec<FrozenSegment>) {
        let memory_bytes = limits.garbage_bytes_min * 8;
        let state = SubtaskState::new(states, place.max, place.key_groups).expect("these states are legal");
        let state = state.with_limits(limits).spilling(spill_to(memory_bytes, "contract"));
        let (state, closed) = restore(state, files, migration, now).expect("files verify");
        (Self::new(state, false), closed)
    }

    fn freeze(&mut self, now: Timestamp) -> Option<FrozenSegment> {
        let frozen = self.state.freeze(now);
        self.make_room();
        frozen
    }

    fn encode(frozen: &FrozenSegment) -> Bytes {
        frozen.encode()
    }

    fn expiry(frozen: &FrozenSegment) -> Expiry {
        frozen.expiry()
    }

    fn tidy(&mut self) -> bool {
        self.state.tidy()
    }

    /// What hides something in the base stays until the base has it.
    fn bytes_live(&self) -> u64 {
        if self.state.log.has_base() { 0 } else { self.state.bytes_live() }
    }

    fn bytes_in_all(&self) -> u64 {
        self.state.bytes_in_all()
    }

    fn sizes(&self) -> Vec<(String, StateSize)> {
        self.state.sizes().map(|(name, size)| (name.to_owned(), size)).collect()
    }

    fn is_counted_right(&self) -> bool {
        Backend::is_counted_right(&self.state)
    }

    fn make_room(&mut self) {
        Self::make_room(self);
    }

    fn apply_timers(&mut self, changes: &[TimerChange], keys: &Keys) {
        self.state.apply_timers(changes, keys).expect("there is room");
        self.make_room();
    }

    fn due(&mut self, domain: TimeDomain, up_to: Timestamp, max: usize) -> Option<FiredTimers> {
        while let Some(fetch) = self.state.fetch_due(domain, up_to, max) {
            self.state.supply(fetch.now()).expect("the disk can be read");
        }
        self.state.due(domain, up_to, max)
    }

    fn complete(&mut self, fired: &FiredTimers) {
        self.state.complete(fired).expect("there is room");
        self.make_room();
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.state.next_processing_time()
    }
}

#[test]
fn time_passes_on_disk_as_it_does_in_memory() {
    contract::expiry_suite(|states| {
        let place = Place::whole();
        let state = SubtaskState::new(states, place.max, place.key_groups).expect("these states are legal");
        Spilling::new(state.spilling(spill_to(0, "expiry")), true)
    });
}

#[test]
fn state_on_disk_keeps_the_contract() {
    contract::suite::<Spilling>();
}

/// State with so much memory.
pub(super) fn small(states: &[StateDescription], memory_bytes: u64, name: &str) -> SubtaskState {
    let place = Place::whole();
    let state = SubtaskState::new(states, place.max, place.key_groups).expect("these states are legal");
    let limits = StateLimits { garbage_bytes_min: memory_bytes / 16, ..StateLimits::default() };
    state.with_limits(limits).spilling(spill_to(memory_bytes, name))
}

fn read(state: &mut SubtaskState, keys: &Keys) -> Vec<Option<Vec<u8>>> {
    state.select(keys, 0).expect("keys can be selected");
    if let Some(fetch) = state.fetch(&Read::Values(COUNT, None)).expect("a declared state") {
        state.supply(fetch.now()).expect("the disk can be read");
    }
    let all: Vec<u32> = (0..).take(keys.count()).collect();
    let mut found = OptionalColumn::default();
    state.values(COUNT, &all, &mut found).expect("a declared state");
    found.iter().map(|value| value.map(<[u8]>::to_vec)).collect()
}

#[test]
fn state_of_ten_times_its_memory_stays_within_it_and_is_all_there() {
    const MEMORY: u64 = 1 << 20;
    let mut state = small(&states(), MEMORY, "ten-times");
    let mut most = 0;
    let mut files = Vec::new();
    for round in 0..100_u32 {
        write_all(&mut state, &numbered_keys(round * 1_000..(round + 1) * 1_000), &[round.to_le_bytes()[0]; 100]);
        files.extend(state.freeze(0).map(|segment| super::slice(&segment)));
        block_on(state.make_room()).expect("the disk can be written");
        most = most.max(state.bytes_held());
    }
    assert!(most < 2 * MEMORY, "{most} bytes were held");
    let place = Place::whole();
    let restored = SubtaskState::new(&states(), place.max, place.key_groups).expect("these states are legal");
    let mut restored = restored.spilling(spill_to(MEMORY, "ten-times")).restored(&files, 0).expect("files verify");
    assert!(restored.bytes_held() < 2 * MEMORY, "{} bytes are held after the restore", restored.bytes_held());
    for round in 0..100_u32 {
        let keys = numbered_keys(round * 1_000..(round + 1) * 1_000);
        let expected = vec![Some(vec![round.to_le_bytes()[0]; 100]); 1_000];
        assert!(read(&mut state, &keys) == expected, "round {round}");
        assert!(read(&mut restored, &keys) == expected, "round {round} after a restore");
        block_on(state.make_room()).expect("the disk can be written");
        block_on(restored.make_room()).expect("the disk can be written");
    }
}

/// Each segment holds many keys that the next writes again, and a few that it does not.
#[test]
fn what_is_written_again_and_again_leaves_the_memory_to_the_rest() {
    const MEMORY: u64 = 4 << 20;
    let mut state = small(&states(), MEMORY, "again");
    let mut next = 1_000_000..;
    let mut expected = BTreeMap::new();
    for round in 0..120_u32 {
        for hot in 0..5_u32 {
            let cold: Vec<u32> = next.by_ref().take(200).collect();
            let keys: Vec<u32> = (hot * 800..(hot + 1) * 800).chain(cold.iter().copied()).collect();
            write_all(&mut state, &numbered_keys(keys.iter().copied()), &[round.to_le_bytes()[0]; 100]);
            expected.extend(keys.iter().map(|&key| (key, round.to_le_bytes()[0])));
            block_on(state.make_room()).expect("the disk can be written");
        }
        drop(state.freeze(0));
        let (live, held) = (state.log.live(), state.log.held());
        assert!(round < 60 || held < live / 2 * 3, "{held} bytes are held for {live} in round {round}");
    }
    let keys: Vec<u32> = expected.keys().copied().collect();
    for keys in keys.chunks(1_000) {
        let found = read(&mut state, &numbered_keys(keys.iter().copied()));
        assert!(found.iter().zip(keys).all(|(found, key)| found.as_deref() == Some(&[expected[key]; 100])));
        block_on(state.make_room()).expect("the disk can be written");
    }
}

/// What is written again leaves room that is not used; that is taken before anything leaves.
#[test]
fn no_disk_is_touched_for_what_was_written_again() {
    const MEMORY: u64 = 4 << 20;
    let (folder, ..) = disk();
    let mut state = small(&states(), MEMORY, "rewritten");
    let mut random = 7_u32;
    for round in 0..400_u32 {
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) % 18_000
        };
        let keys = (round * 500..(round + 1) * 500).map(|key| if key < 18_000 { key } else { next() });
        write_all(&mut state, &numbered_keys(keys), &[round.to_le_bytes()[0]; 100]);
        drop(state.freeze(0));
        block_on(state.make_room()).expect("nothing is to be done");
    }
    assert!(state.bytes_live() > MEMORY / 2, "{} bytes are live", state.bytes_live());
    assert!(folders(folder, "rewritten").is_empty());
}

/// Each segment fills half of its last chunk.
#[test]
fn room_that_a_segment_left_is_memory_for_the_rest() {
    const MEMORY: u64 = 8 << 20;
    let mut state = small(&states(), MEMORY, "tails");
    for round in 0..160_u32 {
        write_all(&mut state, &numbered_keys(round * 1_100..(round + 1) * 1_100), &[1; 100]);
        drop(state.freeze(0));
        block_on(state.make_room()).expect("the disk can be written");
        write_all(&mut state, &numbered_keys(round * 1_100..round * 1_100 + 1), &[1; 100]);
        let (live, held) = (state.log.live(), state.log.held());
        assert!(round < 100 || held < live / 2 * 3, "{held} bytes are held for {live} in round {round}");
    }
}

/// Of what is read nothing is written, since the disk has it already.
#[test]
fn what_leaves_at_once_is_bounded_where_the_disk_has_it_already_too() {
    const MEMORY: u64 = 1 << 20;
    let mut state = small(&states(), MEMORY, "reading");
    for round in 0..40_u32 {
        write_all(&mut state, &numbered_keys(round * 1_000..(round + 1) * 1_000), &[1; 100]);
        drop(state.freeze(0));
        block_on(state.make_room()).expect("the disk can be written");
    }
    for (is_again, round) in
        [false, true].into_iter().flat_map(|is_again| (0..40_u32).map(move |round| (is_again, round)))
    {
        assert!(read(&mut state, &numbered_keys(round * 1_000..(round + 1) * 1_000)).iter().all(Option::is_some));
        state.commit(&Writes::default()).expect("nothing was written");
        block_on(state.make_room()).expect("the disk can be written");
        let held = state.bytes_held();
        assert!((MEMORY / 2..2 * MEMORY).contains(&held), "{held} bytes are held");
        let leaving = state.spill.as_ref().map_or(0, Spill::bytes);
        // The first time, what was written last leaves as well.
        assert!(!is_again || leaving < MEMORY / 16, "{leaving} bytes are on their way");
    }
}

#[test]
fn no_disk_is_touched_while_memory_suffices() {
    let (folder, ..) = disk();
    let mut state = small(&states(), 64 << 20, "untouched");
    for _ in 0..10 {
        write_all(&mut state, &numbered_keys(0..10_000), &[1; 100]);
        state.freeze(0);
        block_on(state.make_room()).expect("nothing is to be done");
    }
    assert!(folders(folder, "untouched").is_empty());
}

#[test]
fn a_folder_that_vanishes_is_nobody_s_fault_and_named() {
    let (folder, ..) = disk();
    let mut state = small(&states(), 100_000, "vanishing");
    let mut outcome = Ok(());
    for round in 0..2_000_u32 {
        write_all(&mut state, &numbered_keys(round * 1_000..(round + 1) * 1_000), &[1; 100]);
        state.freeze(0);
        outcome = block_on(state.make_room());
        if outcome.is_err() {
            break;
        }
        for folder in folders(folder, "vanishing") {
            std::fs::remove_dir_all(folder).expect("it can be deleted");
        }
    }
    let error = outcome.expect_err("what is flushed has nowhere to go");
    assert_eq!(error.fault, Fault::Unavailable);
    assert!(error.message.contains("vanishing"), "{error}");
}

#[test]
fn the_folder_goes_with_the_state() {
    let (folder, ..) = disk();
    let mut state = small(&states(), 100_000, "passing");
    write_all(&mut state, &numbered_keys(0..10_000), &[1; 100]);
    state.freeze(0);
    while folders(folder, "passing").is_empty() {
        block_on(state.make_room()).expect("the disk can be written");
        write_all(&mut state, &numbered_keys(0..1), &[1; 100]);
    }
    drop(state);
    assert!(folders(folder, "passing").is_empty());
}

pub(super) fn folders(under: &std::path::Path, name: &str) -> Vec<std::path::PathBuf> {
    let found = std::fs::read_dir(under.join("state")).expect("the folder can be listed");
    let paths = found.map(|entry| entry.expect("an entry can be read").path());
    paths.filter(|path| path.to_string_lossy().ends_with(name)).collect()
}

/// Random reads and writes of more keys than memory holds, against a plain map.
#[test]
fn a_large_state_on_disk_agrees_with_the_model() {
    let mut state = small(&states(), 400_000, "large");
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for round in 0..300_u32 {
        let keys = numbered_keys((0..400).map(|row| (round * 7919 + row * row * 31) % 60_000));
        let found = read(&mut state, &keys);
        let mut writes = Writes::default();
        for ((index, key), value) in (0_u32..).zip(keys.distinct.iter()).zip(&found) {
            assert_eq!(value.as_ref(), model.get(key));
            let is_removed = (index + round) % 5 == 0;
            let value = vec![round.to_le_bytes()[0]; (index % 50) as usize];
            writes.value_writes_mut(COUNT).set(index, (!is_removed).then_some(&value));
            if is_removed {
                model.remove(key);
            } else {
                model.insert(key.to_vec(), value);
            }
        }
        state.commit(&writes).expect("these writes are allowed");
        if round % 10 == 0 {
            state.freeze(0);
        }
        block_on(state.make_room()).expect("the disk can be written");
    }
    assert!(model.len() > 20_000, "{} keys are too few", model.len());
}
