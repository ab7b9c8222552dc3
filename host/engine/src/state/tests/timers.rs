//! Timers where most of them are on disk: in order, once, counted, and in so much memory.

use std::collections::BTreeSet;

use weir_operator::batch::Keys;
use weir_operator::keyed_state::{KeyedState, Writes};
use weir_operator::turn::{FiredTimers, TimeDomain, TimerChange};
use weir_protocol::Fault;
use weir_protocol::time::{END_OF_TIME, Timestamp};

use super::super::contract::{Place, states};
use super::super::file::FileSlice;
use super::super::{StateLimits, SubtaskState};
use super::slice;
use super::spilling::{block_on, small, spill_to};

/// A timer in the order in which it fires.
type Timer = (TimeDomain, Timestamp, u32, Vec<u8>);

const DOMAINS: [TimeDomain; 2] = [TimeDomain::EventTime, TimeDomain::ProcessingTime];

fn key(number: u64) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

/// A call that registers (else cancels) timers, as a task commits it.
fn call(state: &mut SubtaskState, changes: &[(bool, Timer)]) {
    let keys = Keys::encode(changes.iter().map(|(_, timer)| timer.3.as_slice()));
    let changes = changes.iter().zip(&keys.key_of).map(|(&(register, (domain, at, tag, _)), &key)| TimerChange {
        register,
        domain,
        key,
        at,
        tag,
    });
    let changes: Vec<_> = changes.collect();
    state.select(&keys, 0).expect("keys can be selected");
    if let Some(fetch) = state.fetch_overwritten(&Writes::default(), &changes).expect("timers can be looked for") {
        state.supply(fetch.now()).expect("the disk can be read");
    }
    state.apply_timers(&changes, &keys).expect("there is room");
    state.commit(&Writes::default()).expect("there is room");
}

fn due(state: &mut SubtaskState, domain: TimeDomain, up_to: Timestamp, max: usize) -> Option<FiredTimers> {
    while let Some(fetch) = state.fetch_due(domain, up_to, max) {
        state.supply(fetch.now()).expect("the disk can be read");
    }
    state.due(domain, up_to, max)
}

fn complete(state: &mut SubtaskState, fired: &FiredTimers) {
    state.select(&fired.keys, 0).expect("keys can be selected");
    state.complete(fired).expect("there is room");
    state.commit(&Writes::default()).expect("there is room");
}

fn all_of(fired: &FiredTimers) -> Vec<Timer> {
    let timers = fired.keys.key_of.iter().zip(&fired.at).zip(&fired.tags);
    timers.map(|((&key, &at), &tag)| (fired.domain, at, tag, fired.keys.distinct.get(key as usize).to_vec())).collect()
}

fn make_room(state: &mut SubtaskState) {
    block_on(state.make_room()).expect("the disk can be written");
}

/// All timers of both domains, fired in calls; what is closed meanwhile is added to `files`.
fn fire_all(state: &mut SubtaskState, files: &mut Vec<FileSlice>) -> Vec<Timer> {
    let mut all = Vec::new();
    for domain in DOMAINS {
        while let Some(fired) = due(state, domain, END_OF_TIME, 100) {
            all.extend(all_of(&fired));
            complete(state, &fired);
            files.extend(state.freeze_early(0).as_ref().map(slice));
            make_room(state);
        }
    }
    files.extend(state.freeze(0).as_ref().map(slice));
    all
}

fn restored(files: &[FileSlice], memory_bytes: u64) -> SubtaskState {
    let place = Place::whole();
    let state = SubtaskState::new(&states(), place.max, place.key_groups).expect("these states are legal");
    let limits = StateLimits { garbage_bytes_min: memory_bytes / 16, ..StateLimits::default() };
    let state = state.with_limits(limits).spilling(spill_to(memory_bytes, "timers"));
    state.restored(files, 0).expect("files verify")
}

/// Draws numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    fn timer(&mut self) -> Timer {
        let domain = DOMAINS[usize::from(self.below(3) == 0)];
        let at = i64::from(self.below(400)) - 20;
        (domain, at, u32::from(self.below(8) == 0), key(self.below(40).into()))
    }
}

/// What becomes due by `up_to` in one call.
fn expected(model: &BTreeSet<Timer>, domain: TimeDomain, up_to: Timestamp, max: usize) -> Vec<Timer> {
    let mut keys = BTreeSet::new();
    let all = model.iter().filter(|timer| timer.0 == domain).take(max);
    all.take_while(|timer| timer.1 <= up_to && keys.insert(timer.3.clone())).cloned().collect()
}

fn counted(model: &BTreeSet<Timer>) -> u64 {
    model.iter().map(|timer| (16 + 13 + timer.3.len() as u64).next_multiple_of(8)).sum()
}

/// A random history of timers, and what they must be.
struct History {
    dice: Dice,
    memory_bytes: u64,
    state: SubtaskState,
    model: BTreeSet<Timer>,
    files: Vec<FileSlice>,
    /// What the files hold.
    at_barrier: BTreeSet<Timer>,
    /// At most.
    on_disk: usize,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let memory_bytes = [0, 3_000, 30_000, 100_000][dice.below(4) as usize];
        let state = small(&states(), memory_bytes, "timers");
        let (model, at_barrier) = (BTreeSet::new(), BTreeSet::new());
        Self { dice, memory_bytes, state, model, files: Vec::new(), at_barrier, on_disk: 0 }
    }

    /// What leaves is written by another thread meanwhile, and waited for only now and then.
    fn go_on(&mut self) {
        match self.dice.below(20) {
            0..10 => self.register_and_cancel(),
            10..15 => self.fire(),
            15..18 => {
                self.files.extend(self.state.freeze(0).as_ref().map(slice));
                self.at_barrier.clone_from(&self.model);
            }
            18 => make_room(&mut self.state),
            _ if self.dice.below(20) == 0 => {
                self.state = restored(&self.files, self.memory_bytes);
                self.model.clone_from(&self.at_barrier);
            }
            _ => {}
        }
        let count = self.model.len();
        self.on_disk = self.on_disk.max(count.saturating_sub(self.state.timers.in_memory()));
        assert_eq!((self.state.timer_count(), self.state.bytes_in_all()), (count as u64, counted(&self.model)));
    }

    fn register_and_cancel(&mut self) {
        let count = self.dice.below(30);
        let changes: Vec<_> = (0..count).map(|_| (self.dice.below(4) > 0, self.dice.timer())).collect();
        call(&mut self.state, &changes);
        for (register, timer) in changes {
            if register {
                self.model.insert(timer)
            } else {
                self.model.remove(&timer)
            };
        }
    }

    fn fire(&mut self) {
        let (domain, max) = (DOMAINS[self.dice.below(2) as usize], 1 + self.dice.below(20) as usize);
        let first = self.model.iter().find(|timer| timer.0 == domain).map_or(0, |timer| timer.1);
        let up_to = first + i64::from(self.dice.below(5)) - 1;
        let fired = due(&mut self.state, domain, up_to, max);
        let timers = fired.as_ref().map(all_of).unwrap_or_default();
        assert_eq!(timers, expected(&self.model, domain, up_to, max));
        // Now and then a call does not come back.
        if let Some(fired) = fired.filter(|_| self.dice.below(4) > 0) {
            complete(&mut self.state, &fired);
            timers.iter().for_each(|timer| assert!(self.model.remove(timer)));
        }
    }
}

#[test]
fn timers_on_disk_are_an_ordered_set_whatever_is_under_way() {
    let mut on_disk = 0;
    for seed in 0..16 {
        let mut history = History::new(seed);
        (0..600).for_each(|_| history.go_on());
        let History { mut state, model, mut files, .. } = history;
        assert_eq!(fire_all(&mut state, &mut files), model.into_iter().collect::<Vec<_>>(), "seed {seed}");
        assert_eq!((state.timer_count(), state.bytes_in_all()), (0, 0), "seed {seed}");
        assert_eq!(restored(&files, 0).timer_count(), 0, "seed {seed}: what fired stays in no file");
        on_disk = on_disk.max(history.on_disk);
    }
    assert!(on_disk > 1_000, "only {on_disk} timers were on disk");
}

#[test]
fn timers_of_fifty_times_their_memory_stay_within_it_and_fire_once_in_order() {
    const MEMORY: u64 = 1 << 20;
    const TIMERS: u64 = 500_000;
    let mut state = small(&states(), MEMORY, "many-timers");
    let mut files = Vec::new();
    let mut most = 0;
    let timer = |number: u64| {
        let at = (number * 7_919 % TIMERS).cast_signed();
        (TimeDomain::EventTime, at, 0, key(number))
    };
    for first in (0..TIMERS).step_by(1_000) {
        call(&mut state, &(first..first + 1_000).map(|number| (true, timer(number))).collect::<Vec<_>>());
        files.extend(state.freeze(0).as_ref().map(slice));
        make_room(&mut state);
        most = most.max(state.bytes_held());
    }
    let bytes = TIMERS * super::super::timers::bytes_of_key(&key(TIMERS - 1));
    assert!(bytes > 50 * MEMORY, "{bytes} bytes are not 50 times the memory");
    assert!(most < 2 * MEMORY, "{most} bytes were held");
    drop(state);
    let mut state = restored(&files, MEMORY);
    assert!(state.bytes_held() < 2 * MEMORY, "{} bytes are held after the restore", state.bytes_held());
    assert_eq!((state.timer_count(), state.next_event_time()), (TIMERS, Some(0)));
    let mut fired_until = 0;
    while let Some(fired) = due(&mut state, TimeDomain::EventTime, END_OF_TIME, 1_024) {
        for (timer, at) in all_of(&fired).into_iter().zip(fired_until..) {
            assert_eq!(timer.1, at);
        }
        fired_until += i64::try_from(fired.at.len()).expect("few timers");
        complete(&mut state, &fired);
        state.freeze_early(0);
        make_room(&mut state);
        most = most.max(state.bytes_held());
    }
    assert_eq!((fired_until.cast_unsigned(), state.timer_count()), (TIMERS, 0));
    assert!(most < 2 * MEMORY, "{most} bytes were held while they fired");
}

/// Timers at 0 to 999, all of them on disk.
fn on_disk(name: &str) -> (SubtaskState, FileSlice) {
    let mut state = small(&states(), 0, name);
    let timers = (0..1_000).map(|at: i64| (true, (TimeDomain::EventTime, at, 0, key(at.cast_unsigned()))));
    call(&mut state, &timers.collect::<Vec<_>>());
    let file = slice(&state.freeze(0).expect("timers were registered"));
    make_room(&mut state);
    assert_eq!((state.timers.in_memory(), state.timer_count()), (0, 1_000));
    (state, file)
}

fn timer_at(at: i64) -> Timer {
    (TimeDomain::EventTime, at, 0, key(at.cast_unsigned()))
}

#[test]
fn a_timer_on_disk_is_cancelled_in_the_checkpoint_too() {
    let (mut state, file) = on_disk("cancelling");
    call(&mut state, &[(false, timer_at(500)), (true, timer_at(501)), (false, timer_at(2_000)), (false, timer_at(0))]);
    assert_eq!(state.timer_count(), 998);
    let next = slice(&state.freeze(0).expect("timers were cancelled"));
    make_room(&mut state);
    let without = |timer: &i64| ![0, 500].contains(timer);
    let left: Vec<_> = (0..1_000).filter(without).map(timer_at).collect();
    assert_eq!(fire_all(&mut state, &mut Vec::new()), left);
    assert_eq!(fire_all(&mut restored(&[file, next], 0), &mut Vec::new()), left);
}

#[test]
fn registered_again_and_cancelled_in_one_epoch_a_timer_on_disk_is_gone() {
    let (mut state, file) = on_disk("again");
    for register in [false, true, false] {
        call(&mut state, &[(register, timer_at(500))]);
    }
    let next = slice(&state.freeze(0).expect("a timer was cancelled"));
    make_room(&mut state);
    assert_eq!(state.timer_count(), 999);
    assert_eq!(fire_all(&mut state, &mut Vec::new()).len(), 999);
    assert_eq!(fire_all(&mut restored(&[file, next], 0), &mut Vec::new()).len(), 999);
}

#[test]
fn nobody_having_asked_a_timer_on_disk_is_cancelled_all_the_same() {
    let (mut state, file) = on_disk("unasked");
    let keys = Keys::encode([key(500).as_slice()]);
    let cancel = TimerChange { register: false, domain: TimeDomain::EventTime, key: 0, at: 500, tag: 0 };
    state.apply_timers(&[cancel], &keys).expect("there is room");
    let next = slice(&state.freeze(0).expect("a timer was cancelled"));
    assert!(!fire_all(&mut state, &mut Vec::new()).contains(&timer_at(500)));
    assert_eq!(restored(&[file, next], 0).timer_count(), 999);
}

#[test]
fn the_disk_is_asked_only_for_timers_that_may_be_there() {
    let (mut state, _) = on_disk("asking");
    let asks = |state: &mut SubtaskState, at| {
        let keys = Keys::encode([key(7).as_slice()]);
        state.select(&keys, 0).expect("keys can be selected");
        let change = TimerChange { register: true, domain: TimeDomain::EventTime, key: 0, at, tag: 0 };
        state.fetch_overwritten(&Writes::default(), &[change]).expect("timers can be looked for").is_some()
    };
    assert_eq!([-1, 500, 1_000].map(|at| asks(&mut state, at)), [false, true, false]);
    assert!(due(&mut state, TimeDomain::EventTime, 0, 3).is_some());
    assert!(!asks(&mut state, 0), "what fires before all that only the disk holds is known");
}

#[test]
fn what_was_handed_to_a_call_stays_in_memory_until_it_is_completed() {
    let (mut state, _) = on_disk("handed");
    let fired = due(&mut state, TimeDomain::EventTime, END_OF_TIME, 50).expect("they are due");
    state.commit(&Writes::default()).expect("there is room");
    make_room(&mut state);
    assert!(state.timers.in_memory() >= 50);
    complete(&mut state, &fired);
    assert_eq!((state.timer_count(), state.next_event_time()), (950, Some(50)));
}

#[test]
fn the_time_of_the_first_timer_on_disk_is_known_without_a_look() {
    let (mut state, file) = on_disk("first");
    assert_eq!((state.next_event_time(), state.next_processing_time()), (Some(0), None));
    call(&mut state, &[(true, (TimeDomain::EventTime, -5, 0, key(1)))]);
    assert_eq!(state.next_event_time(), Some(-5));
    assert_eq!(restored(&[file], 0).next_event_time(), Some(0));
}

/// As for whatever else a call makes larger; but a timer that sets itself again needs no more than it had.
#[test]
fn timers_above_the_budget_are_not_admitted_unless_they_take_the_place_of_those_that_fired() {
    let limits = StateLimits { live_bytes_max: 1_000, ..StateLimits::default() };
    let mut state = super::new().with_limits(limits);
    let keys = Keys::encode((0..40_u8).map(|number| [number]).collect::<Vec<_>>().iter().map(|key| &key[..]));
    let registered = |keys: std::ops::Range<u32>, at| -> Vec<TimerChange> {
        keys.map(|key| TimerChange { register: true, domain: TimeDomain::EventTime, key, at, tag: 0 }).collect()
    };
    state.select(&keys, 0).expect("keys can be selected");
    let all = registered(0..40, 1);
    let error = state.admit(&Writes::default(), &all, None).expect_err("they are too many");
    assert_eq!(error.fault, Fault::Guest);
    let some = registered(0..30, 1);
    state.admit(&Writes::default(), &some, None).expect("there is room");
    state.apply_timers(&some, &keys).expect("they were admitted");
    assert!(state.bytes_live() > 700, "it is nearly full: {}", state.bytes_live());
    let fired = state.due(TimeDomain::EventTime, 1, 30).expect("all are due");
    let again = registered(0..30, 2);
    state.select(&fired.keys, 0).expect("keys can be selected");
    state.admit(&Writes::default(), &again, None).expect_err("beside those that are there they are too many");
    state.admit(&Writes::default(), &again, Some(&fired)).expect("they take the place of those that fired");
}

#[test]
fn one_call_is_handed_no_more_timers_than_fill_its_bytes_wherever_they_were() {
    let long = |number: u64| [key(number), vec![b'x'; 300_000]].concat();
    let timers: Vec<_> = (0..10).map(|number| (TimeDomain::EventTime, 1, 0, long(number))).collect();
    let register: Vec<_> = timers.iter().map(|timer| (true, timer.clone())).collect();
    for (memory, on_disk) in [(0, 10), (64 << 20, 0)] {
        let mut state = small(&states(), memory, &format!("long-timers-{on_disk}"));
        call(&mut state, &register);
        state.freeze(0).expect("there are timers");
        make_room(&mut state);
        assert_eq!(state.timers.in_memory(), 10 - on_disk);
        let (mut sizes, mut most) = (Vec::new(), 0);
        while let Some(fired) = due(&mut state, TimeDomain::EventTime, 1, 1_024) {
            sizes.push(fired.at.len());
            most = most.max(state.timers.in_memory());
            complete(&mut state, &fired);
        }
        assert_eq!(sizes, [3, 3, 3, 1], "four are longer than a mebibyte");
        assert!(on_disk == 0 || most < 10, "{most} were brought back for one call");
    }
}
