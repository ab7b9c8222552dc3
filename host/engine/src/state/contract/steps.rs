//! Random histories: batches, timers, barriers, rebases, crashes with or without another parallelism.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use weir_operator::keyed_state::Writes;
use weir_operator::turn::TimeDomain;
use weir_protocol::description::TtlDescription;
use weir_protocol::time::Timestamp;

use super::fleet::Fleet;
use super::model::{Model, ModelTimer, Stamped, Time};
use super::{Backend, COUNT, HISTORY, LAST, TABLE, states};
use crate::state::StateLimits;

/// One write of a batch.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// Which of the history's keys.
    pub(super) key: usize,
    write: Write,
}

#[derive(Debug, Clone)]
enum Write {
    Set { is_count: bool, value: Option<Vec<u8>> },
    Append(Vec<u8>),
    ReplaceList(Vec<Vec<u8>>),
    PutEntry(u8, Option<Vec<u8>>),
    ClearMap,
}

#[derive(Debug, Clone)]
enum Step {
    Batch { changes: Vec<Change>, and_more: bool },
    Wait(i64),
    Tidy,
    Timers(Vec<(bool, TimeDomain, usize, i64, u32)>),
    Fire { domain: TimeDomain, up_to: i64, max: usize },
    Freeze { aborted: bool },
    Merge { subtask: usize, first: usize, count: usize },
    Crash { parallelism: u32 },
    Upgrade { raised: Vec<usize>, parallelism: u32 },
}

const KEYS: usize = 14;

fn keys() -> Vec<Vec<u8>> {
    (0..KEYS).map(|key| format!("key {key} {}", "long ".repeat(key % 4)).into_bytes()).chain([Vec::new()]).collect()
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![20 => 0_usize..40, 3 => 1000_usize..6000, 1 => 130_000_usize..300_000];
    (any::<u8>(), length).prop_map(|(byte, length)| vec![byte; length])
}

fn change() -> impl Strategy<Value = Change> {
    let write = prop_oneof![
        4 => (any::<bool>(), prop::option::weighted(0.7, value()))
            .prop_map(|(is_count, value)| Write::Set { is_count, value }),
        2 => value().prop_map(Write::Append),
        1 => prop::collection::vec(value(), 0..3).prop_map(Write::ReplaceList),
        5 => (0_u8..6, prop::option::weighted(0.6, value())).prop_map(|(entry, value)| Write::PutEntry(entry, value)),
        1 => Just(Write::ClearMap),
    ];
    (0..=KEYS, write).prop_map(|(key, write)| Change { key, write })
}

fn domain() -> impl Strategy<Value = TimeDomain> {
    prop_oneof![Just(TimeDomain::EventTime), Just(TimeDomain::ProcessingTime)]
}

/// The step that only some histories take.
fn upgrade() -> impl Strategy<Value = Step> {
    let states = prop::sample::subsequence((0..states().len()).collect::<Vec<_>>(), 1..=4);
    (states, 1_u32..=4).prop_map(|(raised, parallelism)| Step::Upgrade { raised, parallelism })
}

fn step() -> impl Strategy<Value = Step> {
    // Most are of few, so that what is cancelled or registered again is often there.
    let timer_key = prop_oneof![3 => 0_usize..3, 1 => 0..=KEYS];
    let timer = (any::<bool>(), domain(), timer_key, prop_oneof![3 => 0_i64..4, 1 => -5_i64..20], 0_u32..2);
    prop_oneof![
        8 => (prop::collection::vec(change(), 1..20), any::<bool>())
            .prop_map(|(changes, and_more)| Step::Batch { changes, and_more }),
        4 => (0_i64..40).prop_map(Step::Wait),
        3 => Just(Step::Tidy),
        3 => prop::collection::vec(timer, 1..12).prop_map(Step::Timers),
        2 => (domain(), -5_i64..20, 1_usize..6).prop_map(|(domain, up_to, max)| Step::Fire { domain, up_to, max }),
        5 => prop::bool::weighted(0.3).prop_map(|aborted| Step::Freeze { aborted }),
        2 => (0_usize..4, 0_usize..4, 1_usize..5)
            .prop_map(|(subtask, first, count)| Step::Merge { subtask, first, count }),
        2 => (1_u32..=4).prop_map(|parallelism| Step::Crash { parallelism }),
    ]
}

/// Whatever happens, a backend holds what the model holds; after a crash, what it held at the last barrier
/// whose checkpoint was not aborted.
pub(super) fn agrees_with_the_model<B: Backend>() {
    let history = (0_u64..3000, prop::collection::vec(step(), 1..60));
    let mut runner =
        TestRunner::new(ProptestConfig { cases: B::HISTORIES, failure_persistence: None, ..Default::default() });
    let outcome = runner.run(&history, |(garbage_bytes_min, steps)| {
        run::<B>(garbage_bytes_min, None, &steps);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// The same where everything expires; in the end, all does.
pub(super) fn agrees_with_the_model_while_time_passes<B: Backend>() {
    let ttl =
        (prop::sample::select(vec![1_u64, 15, 60, 400]), any::<bool>()).prop_map(|(duration_ms, refresh_on_read)| {
            TtlDescription { duration_ms, refresh_on_read, return_expired: false }
        });
    let history = (0_u64..3000, ttl, prop::collection::vec(step(), 1..60));
    let mut runner =
        TestRunner::new(ProptestConfig { cases: B::HISTORIES, failure_persistence: None, ..Default::default() });
    let outcome = runner.run(&history, |(garbage_bytes_min, ttl, steps)| {
        run::<B>(garbage_bytes_min, Some(ttl), &steps);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// The same where versions of the operator follow each other, and each finds its values in the form that it declares.
pub(super) fn agrees_with_the_model_while_versions_rise<B: Backend>() {
    let ttl = prop::option::of((prop::sample::select(vec![60_u64, 400]), any::<bool>()));
    let steps = prop::collection::vec(prop_oneof![9 => step(), 1 => upgrade()], 1..60);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: B::HISTORIES, failure_persistence: None, ..Default::default() });
    let outcome = runner.run(&(0_u64..3000, ttl, steps), |(garbage_bytes_min, ttl, steps)| {
        let ttl = ttl.map(|(duration_ms, refresh_on_read)| TtlDescription {
            duration_ms,
            refresh_on_read,
            return_expired: false,
        });
        run::<B>(garbage_bytes_min, ttl, &steps);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn run<B: Backend>(garbage_bytes_min: u64, ttl: Option<TtlDescription>, steps: &[Step]) {
    let keys = keys();
    let limits = StateLimits { garbage_bytes_min, ..StateLimits::default() };
    let mut fleet = Fleet::<B>::new(limits, Time { ttl, now: 1_000 });
    let mut model = Model::default();
    let mut at_barrier = (model.clone(), fleet.versions());
    for step in steps {
        match step {
            Step::Batch { changes, and_more } => {
                fleet.batch(&keys, changes, *and_more, &model);
                model.read(fleet.time(), *and_more);
                changes.iter().for_each(|change| change.apply(&keys[change.key], fleet.time().now, &mut model));
            }
            Step::Wait(millis) => fleet.wait(*millis),
            Step::Tidy => fleet.tidy(2),
            Step::Timers(timers) => {
                let timers = timers
                    .iter()
                    .map(|&(register, domain, key, at, tag)| (register, (domain, at, tag, keys[key].clone())));
                let timers: Vec<(bool, ModelTimer)> = timers.collect();
                fleet.timers(&timers);
                for (register, timer) in timers {
                    if register {
                        model.timers.insert(timer);
                    } else {
                        model.timers.remove(&timer);
                    }
                }
            }
            &Step::Fire { domain, up_to, max } => {
                for timer in fleet.fire(&model, domain, up_to, max) {
                    model.timers.remove(&timer);
                }
            }
            &Step::Freeze { aborted } => {
                fleet.freeze();
                if !aborted {
                    fleet.confirm();
                    at_barrier = (model.clone(), fleet.versions());
                }
            }
            &Step::Merge { subtask, first, count } => fleet.merge(subtask, first, count),
            &Step::Crash { parallelism } => {
                fleet.crash(parallelism);
                model = at_barrier.0.clone();
                model.migrate(&at_barrier.1, &fleet.versions());
            }
            Step::Upgrade { raised, parallelism } => {
                fleet.raise(raised);
                fleet.crash(*parallelism);
                model = at_barrier.0.clone();
                model.migrate(&at_barrier.1, &fleet.versions());
            }
        }
        fleet.check(&keys, &model);
    }
    if let (Some(ttl), true) = (ttl, model.timers.is_empty()) {
        fleet.check_that_all_goes(ttl.duration_ms.cast_signed());
    }
}

impl Change {
    /// Adds it to a call's writes, as the import layer does.
    pub(super) fn stage(&self, key: u32, writes: &mut Writes) {
        match &self.write {
            Write::Set { is_count, value } => {
                let state = if *is_count { COUNT } else { LAST };
                writes.value_writes_mut(state).set(key, value.as_deref());
            }
            Write::Append(value) => writes.list_write_mut(HISTORY, key).appended.push(value),
            Write::ReplaceList(values) => {
                let list = writes.list_write_mut(HISTORY, key);
                list.replaced = true;
                list.appended = values.iter().map(Vec::as_slice).collect();
            }
            Write::PutEntry(entry, value) => {
                writes.map_write_mut(TABLE, key).write(&entry_key(*entry), value.as_deref());
            }
            Write::ClearMap => {
                let map = writes.map_write_mut(TABLE, key);
                map.replaced = true;
                map.entries.clear();
            }
        }
    }

    fn apply(&self, key: &[u8], at: Timestamp, model: &mut Model) {
        let stamped = |value: &Vec<u8>| Stamped { at, value: value.clone() };
        match &self.write {
            Write::Set { is_count, value } => {
                let place = (if *is_count { COUNT } else { LAST }.0, key.to_vec());
                match value {
                    Some(value) => model.values.insert(place, stamped(value)),
                    None => model.values.remove(&place),
                };
            }
            Write::Append(value) => model.lists.entry(key.to_vec()).or_default().push(stamped(value)),
            Write::ReplaceList(values) => {
                model.lists.insert(key.to_vec(), values.iter().map(stamped).collect());
            }
            Write::PutEntry(entry, value) => {
                let map = model.maps.entry(key.to_vec()).or_default();
                match value {
                    Some(value) => map.insert(entry_key(*entry), stamped(value)),
                    None => map.remove(&entry_key(*entry)),
                };
            }
            Write::ClearMap => {
                model.maps.remove(key);
            }
        }
    }
}

/// Entry 0 has the empty key.
fn entry_key(entry: u8) -> Vec<u8> {
    vec![entry; usize::from(entry)]
}
