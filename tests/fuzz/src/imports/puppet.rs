//! An operator that does what it is told, and tells what it was given.

use std::sync::{Arc, Mutex, PoisonError};

use weir_operator::abilities::{Abilities, Level, ListState, MapState, ValueState, Violation};
use weir_operator::batch::Batch;
use weir_operator::contract::odd;
use weir_operator::keyed_state::EntryRange;
use weir_operator::native::{NativeError, NativeFactory, NativeOperator};
use weir_operator::operator::{Factory, OpenContext};
use weir_operator::turn::FiredTimers;
use weir_protocol::description::OperatorDescription;

use super::granted::{Granted, optional, page, plain};
use super::{Answer, Command};

/// What the puppet does next, and what came of it.
#[derive(Clone, Default)]
pub(super) struct Tape(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    commands: Vec<Command>,
    /// Whether it goes on after it was refused something.
    swallow: bool,
    answers: Vec<Answer>,
}

/// Three inputs, two outputs, and a state of each kind, as the odd operator of the contract has them.
pub(super) fn description() -> OperatorDescription {
    odd::description()
}

pub(super) struct Puppet {
    tape: Tape,
    states: Option<(ValueState, ListState, MapState)>,
}

impl Tape {
    pub(super) fn insert(&self, commands: Vec<Command>, swallow: bool) {
        *self.lock() = Recorded { commands, swallow, answers: Vec::new() };
    }

    pub(super) fn answers(&self) -> Vec<Answer> {
        std::mem::take(&mut self.lock().answers)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Puppet {
    pub(super) fn factory(tape: &Tape) -> Arc<dyn Factory> {
        let tape = tape.clone();
        Arc::new(NativeFactory::new(description(), move || Self { tape: tape.clone(), states: None }))
    }

    fn play(&self, abilities: &mut Abilities) -> Result<(), NativeError> {
        let mut tape = self.tape.lock();
        for command in tape.commands.clone() {
            if let Command::Fail(rows) = command {
                return Err(NativeError::Failure { rows, message: "as told".to_owned() });
            }
            let answer = self.obey(command, abilities);
            tape.answers.push(answer.clone());
            match answer {
                Err(Violation::Rule(_)) if tape.swallow => {}
                answer => drop(answer?),
            }
        }
        Ok(())
    }

    fn obey(&self, command: Command, abilities: &mut Abilities) -> Answer {
        let (value, list, map) = self.states.expect("it was opened");
        let one = |value: Option<Vec<u8>>| Granted::Values(vec![value]);
        let done = |()| Granted::Done;
        match command {
            Command::GetValue(key) => abilities.get_value(value, key).map(one),
            Command::SetValue(key, bytes) => abilities.set_value(value, key, bytes.as_deref()).map(done),
            Command::Load => abilities.load(value).map(|read| Granted::Values(optional(&read))),
            Command::Store(values) => abilities.store(value, values).map(done),
            Command::LoadSome(keys) => abilities.load_some(value, &keys).map(|read| Granted::Values(optional(&read))),
            Command::StoreSome(keys, values) => abilities.store_some(value, &keys, &values).map(done),
            Command::GetList(key) => abilities.get_list(list, key).map(|read| Granted::Lists(vec![plain(&read)])),
            Command::Append(key, bytes) => abilities.append(list, key, &bytes).map(done),
            Command::SetList(key, values) => abilities.set_list(list, key, values).map(done),
            Command::AppendMany(keys, values) => abilities.append_many(list, &keys, &values).map(done),
            Command::GetLists(keys) => abilities.get_lists(list, &keys).map(|read| {
                let (all, mut start) = (plain(&read.values), 0);
                let list = |end: &u32| all[std::mem::replace(&mut start, *end as usize)..*end as usize].to_vec();
                Granted::Lists(read.ends.iter().map(list).collect())
            }),
            Command::GetEntry(key, entry) => abilities.get_entry(map, key, &entry).map(one),
            Command::PutEntry(key, entry, bytes) => abilities.put_entry(map, key, &entry, bytes.as_deref()).map(done),
            Command::ClearMap(key) => abilities.clear_map(map, key).map(done),
            Command::IsMapEmpty(key) => abilities.is_map_empty(map, key).map(Granted::Flag),
            Command::Scan { key, start, end, limit } => {
                let range = EntryRange { start: start.as_deref(), end: end.as_deref(), limit };
                abilities.scan(map, key, range).map(|read| page(&read))
            }
            Command::GetEntries(keys, entries) => {
                abilities.get_entries(map, &keys, &entries).map(|read| Granted::Values(optional(&read)))
            }
            Command::PutEntries(keys, entries, values) => {
                abilities.put_entries(map, &keys, &entries, &values).map(done)
            }
            other => say(other, abilities),
        }
    }
}

/// All that is no state.
fn say(command: Command, abilities: &mut Abilities) -> Answer {
    let done = |()| Granted::Done;
    match command {
        Command::Timer(change) => abilities.change_timer(change).map(done),
        Command::Timers { register, domain, keys, at, tag } => {
            abilities.change_timers(register, domain, &keys, &at, tag).map(done)
        }
        Command::Watermark => abilities.watermark().map(Granted::Time),
        Command::ProcessingTime => abilities.processing_time().map(Granted::Time),
        Command::Emit(port, records) => abilities.emit(port, records).map(done),
        Command::Forward(port, rows) => abilities.forward(port, rows).map(done),
        Command::Reject(rows, reason) => abilities.reject(&rows, &reason).map(done),
        Command::HeaderNames => abilities.header_names().map(Granted::Names),
        Command::Header(name) => abilities.header(&name).map(|read| Granted::Values(optional(&read))),
        Command::Counter(name, delta) => abilities.counter_add(&name, delta).map(done),
        Command::Gauge(name) => abilities.gauge_set(&name, f64::NAN).map(done),
        Command::Log(line) => abilities.log(Level::Trace, &line).map(done),
        Command::OpenState(name) => abilities.value_state(&name).map(|_| Granted::Done),
        other => unreachable!("{other:?} was obeyed already"),
    }
}

impl NativeOperator for Puppet {
    fn open(&mut self, _: &OpenContext, abilities: &mut Abilities) -> Result<(), NativeError> {
        assert!(abilities.value_state("list").is_err(), "a state is opened as what it is");
        let (value, list) = (abilities.value_state("value")?, abilities.list_state("list")?);
        self.states = Some((value, list, abilities.map_state("map")?));
        Ok(())
    }

    fn process(&mut self, _: u32, _: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.play(abilities)
    }

    fn on_timers(&mut self, _: &FiredTimers, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.play(abilities)
    }

    fn finish(&mut self, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.play(abilities)
    }
}
