//! The operators that simulated jobs run: native, and all that an operator can do with keyed state.
//!
//! `tally` (or `tally-two`, with two inputs) numbers the records of each key, in the state that its configuration names,
//! and emits `key TAB input TAB number TAB count` for each; where it is asked to, it sets an event-time timer for each
//! record and emits a line when that fires. `check` passes on what it is given, and knows each key's order. What they
//! find broken they say at once. `broken` never opens.

use std::sync::Arc;

use serde_json::Value;
use weir_engine::component::{Compiled, Compiler, Refusal};
use weir_operator::abilities::{Abilities, ListState, MapState, NewRecords, ValueState};
use weir_operator::batch::{Batch, BytesColumn, OptionalColumn};
use weir_operator::native::{NativeError, NativeFactory, NativeOperator};
use weir_operator::operator::{Factory, OpenContext};
use weir_operator::turn::{FiredTimers, Origin, TimeDomain};
use weir_protocol::description::{
    Columns, InputDescription, InputKind, OperatorDescription, StateDescription, StateKind,
};

use super::hazards::Hazards;

/// How long after a record its timer is due.
pub(super) const TIMER_AFTER: i64 = 7;

/// What an operator says that refuses to open.
pub(super) const REFUSAL: &str = "I refuse to open";

/// Admits anything, and finds the simulation's operators in it.
#[derive(Debug, Clone)]
pub(super) struct Native(pub(super) Hazards);

impl Compiler for Native {
    fn compile(&self, _hash: &str, _bytes: &[u8]) -> Result<Arc<dyn Compiled>, Refusal> {
        Ok(Arc::new(self.clone()))
    }
}

impl Compiled for Native {
    fn operators(&self) -> Vec<OperatorDescription> {
        vec![
            description("tally", &["in0"]),
            description("tally-two", &["in0", "in1"]),
            description("check", &["in0"]),
            description("broken", &["in0"]),
            description("broken-two", &["in0", "in1"]),
        ]
    }

    fn factory(&self, operator: &str) -> Option<Arc<dyn Factory>> {
        let description = self.operators().into_iter().find(|description| description.name == operator)?;
        let hazards = self.0.clone();
        Some(match operator {
            "check" => {
                Arc::new(NativeFactory::new(description, move || Check { hazards: hazards.clone(), seen: None }))
            }
            "broken" | "broken-two" => Arc::new(NativeFactory::new(description, || Broken)),
            _ => Arc::new(NativeFactory::new(description, move || Tally::new(hazards.clone()))),
        })
    }
}

fn description(name: &str, inputs: &[&str]) -> OperatorDescription {
    let columns = Columns { keys: true, values: true, timestamps: true };
    let input = |name: &&str| InputDescription { name: (*name).to_owned(), kind: InputKind::Keyed, columns };
    let state = |(name, kind): (&str, StateKind)| StateDescription {
        name: name.to_owned(),
        kind,
        codec: "text".to_owned(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    };
    let states = [
        ("count", StateKind::KeyedValue),
        ("fired", StateKind::KeyedValue),
        ("times", StateKind::KeyedValue),
        ("list", StateKind::KeyedList),
        ("map", StateKind::KeyedMap),
    ];
    OperatorDescription {
        name: name.to_owned(),
        doc: String::new(),
        inputs: inputs.iter().map(input).collect(),
        outputs: vec!["main".to_owned()],
        states: states.into_iter().map(state).collect(),
        config_schema: String::new(),
        properties: Vec::new(),
    }
}

#[derive(Clone, Copy)]
struct States {
    count: ValueState,
    fired: ValueState,
    times: ValueState,
    list: ListState,
    map: MapState,
}

struct Tally {
    hazards: Hazards,
    states: Option<States>,
    kind: String,
    has_timers: bool,
    poison: u64,
    rejects: bool,
}

impl Tally {
    fn new(hazards: Hazards) -> Self {
        Self { hazards, states: None, kind: String::new(), has_timers: false, poison: 0, rejects: false }
    }

    fn states(&self) -> States {
        self.states.expect("`open` made them")
    }

    /// Numbers one record of a key.
    fn count(&self, key: u32, id: &str, abilities: &mut Abilities) -> Result<u64, NativeError> {
        let States { count, list, map, .. } = self.states();
        let counted = match self.kind.as_str() {
            "list" => {
                let before = abilities.get_list(list, key)?;
                if before.iter().any(|known| known == id.as_bytes()) {
                    self.hazards.log.broken("state-once", format!("{id} is in the list already"));
                }
                abilities.append(list, key, id.as_bytes())?;
                before.len() as u64
            }
            "map" => {
                if abilities.get_entry(map, key, id.as_bytes())?.is_some() {
                    self.hazards.log.broken("state-once", format!("{id} is in the map already"));
                }
                let before = abilities.get_entry(map, key, b"count")?.map_or(0, |bytes| parsed(&bytes));
                abilities.put_entry(map, key, id.as_bytes(), Some(b""))?;
                abilities.put_entry(map, key, b"count", Some((before + 1).to_string().as_bytes()))?;
                before
            }
            _ => {
                let before = abilities.get_value(count, key)?.map_or(0, |bytes| parsed(&bytes));
                abilities.set_value(count, key, Some((before + 1).to_string().as_bytes()))?;
                before
            }
        };
        Ok(counted + 1)
    }

    /// Neither watermark nor processing time goes back, restores included. But where subtasks come together, the least of
    /// their watermarks is that of all.
    fn watch_times(&self, keys: u32, abilities: &mut Abilities) -> Result<(), NativeError> {
        let now = (abilities.watermark()?, abilities.processing_time()?);
        for key in 0..keys {
            if let Some(bytes) = abilities.get_value(self.states().times, key)? {
                let before: (i64, i64) = serde_json::from_slice(&bytes).expect("it was written below");
                let went_back = now.0 < before.0 && !self.hazards.has_rescaled();
                if went_back || now.1 < before.1 {
                    self.hazards.log.broken("times-rise", format!("from {before:?} to {now:?}"));
                }
            }
            let bytes = serde_json::to_vec(&now).expect("two numbers are JSON");
            abilities.set_value(self.states().times, key, Some(&bytes))?;
        }
        Ok(())
    }
}

impl NativeOperator for Tally {
    fn open(&mut self, context: &OpenContext, abilities: &mut Abilities) -> Result<(), NativeError> {
        let config: Value = serde_json::from_str(&context.config).unwrap_or_default();
        self.kind = config["state"].as_str().unwrap_or_default().to_owned();
        self.has_timers = config["timers"] == true;
        self.poison = config["poison"].as_u64().unwrap_or(0);
        self.rejects = config["rejects"] == true;
        self.states = Some(States {
            count: abilities.value_state("count")?,
            fired: abilities.value_state("fired")?,
            times: abilities.value_state("times")?,
            list: abilities.list_state("list")?,
            map: abilities.map_state("map")?,
        });
        Ok(())
    }

    fn process(&mut self, input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.hazards.strike(abilities)?;
        let keys = batch.keys.as_ref().expect("the input is keyed");
        self.watch_times(u32::try_from(keys.count()).expect("batches are small"), abilities)?;
        let (mut results, mut from) = (BytesColumn::default(), Vec::new());
        let mut poisoned = Vec::new();
        for (row, &key) in (0_u32..).zip(&keys.key_of) {
            let value = batch.values.get(row as usize).expect("a generated record has a value");
            let number = number_of(value);
            if is_poison(number, self.poison) {
                poisoned.push(row);
                continue;
            }
            let name = String::from_utf8_lossy(keys.distinct.get(key as usize)).into_owned();
            let count = self.count(key, &format!("in{input}/{number}"), abilities)?;
            for _ in 0..self.hazards.copies(number) {
                results.push(format!("{name}\tin{input}\t{number}\t{count}").as_bytes());
                from.push(row);
            }
            if self.has_timers {
                let at = batch.timestamps[row as usize] + TIMER_AFTER;
                abilities.change_timers(true, TimeDomain::EventTime, &[key], &[at], input)?;
            }
        }
        if !poisoned.is_empty() && !self.rejects {
            return Err(NativeError::failure("a record that I cannot read"));
        }
        if !poisoned.is_empty() {
            abilities.reject(&poisoned, "a record that I do not want")?;
        }
        abilities.emit(0, NewRecords::new(Origin::Rows(from), results))?;
        Ok(())
    }

    fn on_timers(&mut self, fired: &FiredTimers, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.hazards.strike(abilities)?;
        let mut results = OptionalColumn::default();
        for (row, &key) in fired.keys.key_of.iter().enumerate() {
            if fired.at[row] > abilities.watermark()? {
                self.hazards.log.broken("timers-when-due", format!("a timer fired early, at {}", fired.at[row]));
            }
            let name = String::from_utf8_lossy(fired.keys.distinct.get(key as usize)).into_owned();
            let state = self.states().fired;
            let count = abilities.get_value(state, key)?.map_or(0, |bytes| parsed(&bytes)) + 1;
            abilities.set_value(state, key, Some(count.to_string().as_bytes()))?;
            let number = fired.at[row] - TIMER_AFTER;
            results.push(Some(format!("{name}\ttimer{}\t{number}\t{count}", fired.tags[row]).as_bytes()));
        }
        abilities.emit(0, NewRecords::new(Origin::EachRow, results))?;
        Ok(())
    }
}

/// Refuses to open.
struct Broken;

impl NativeOperator for Broken {
    fn open(&mut self, _context: &OpenContext, _abilities: &mut Abilities) -> Result<(), NativeError> {
        Err(NativeError::failure(REFUSAL))
    }

    fn process(&mut self, _input: u32, _batch: &Batch, _abilities: &mut Abilities) -> Result<(), NativeError> {
        unreachable!("it never opened")
    }
}

/// Passes records on, and knows the last number of each key and label.
struct Check {
    hazards: Hazards,
    seen: Option<MapState>,
}

impl NativeOperator for Check {
    fn open(&mut self, _context: &OpenContext, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.seen = Some(abilities.map_state("map")?);
        Ok(())
    }

    fn process(&mut self, _input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.hazards.strike(abilities)?;
        let seen = self.seen.expect("`open` made it");
        let keys = batch.keys.as_ref().expect("the input is keyed");
        for (row, &key) in keys.key_of.iter().enumerate() {
            let line = String::from_utf8_lossy(batch.values.get(row).unwrap_or_default()).into_owned();
            let fields: Vec<&str> = line.split('\t').collect();
            let (label, number) = (fields[1], fields[2].parse::<u64>().expect("`tally` wrote it"));
            let last = abilities.get_entry(seen, key, label.as_bytes())?.map(|bytes| parsed(&bytes));
            if last.is_some_and(|last| last >= number) && self.hazards.is_honest() {
                self.hazards.log.broken("order-by-key", format!("{line:?} came after number {last:?}"));
            }
            abilities.put_entry(seen, key, label.as_bytes(), Some(number.to_string().as_bytes()))?;
        }
        abilities.forward(0, (0..batch.rows).collect())?;
        Ok(())
    }
}

fn parsed(bytes: &[u8]) -> u64 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).expect("a number was written")
}

fn number_of(value: &[u8]) -> u64 {
    let json: Value = serde_json::from_slice(value).expect("the generator writes JSON");
    json["number"].as_u64().expect("the generator writes its number")
}

/// Whether a job that is to meet bad records meets one here; 0: it meets none.
pub(super) fn is_poison(number: u64, every: u64) -> bool {
    every > 0 && number % every == every - 1
}
