//! Native operators that the tests of jobs run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::future::{BoxFuture, ready};
use weir_operator::abilities::{Abilities, NewRecords, ValueState};
use weir_operator::batch::{Batch, OptionalColumn};
use weir_operator::native::{NativeError, NativeFactory, NativeOperator};
use weir_operator::operator::{Factory, OpenContext};
use weir_operator::turn::{FiredTimers, Origin, TimeDomain, TimerChange};
use weir_protocol::Fault;
use weir_protocol::description::{
    Columns, InputDescription, InputKind, OperatorDescription, StateDescription, StateKind,
};
use weir_protocol::time::Timestamp;

use crate::job::{Operators, OperatorsError};

/// Operators by name; the component does not matter.
#[derive(Debug, Clone, Default)]
pub(super) struct NativeOperators(BTreeMap<String, Arc<dyn Factory>>);

impl NativeOperators {
    /// `count`, `count-two` with two inputs, `recount` with state in another form, `count-newer`, which is a
    /// later version of `count` and rewrites what that has written, `count-stubborn`, which fails to do so, `faulty`, which counts
    /// but for its faults, `forgetful`, which declares no state and emits nothing, `tally`, `clockwork`, which sets a timer for
    /// each key and the next whenever one fires, and `clock-at-rest`, which lets them fire.
    pub(super) fn new(faults: &Faults) -> Self {
        let mut operators: BTreeMap<String, Arc<dyn Factory>> = BTreeMap::new();
        let count = NativeFactory::new(description("count", &["records"], InputKind::Keyed), Count::default);
        operators.insert("count".to_owned(), Arc::new(count));
        let both = NativeFactory::new(description("count-two", &["left", "right"], InputKind::Keyed), Count::default);
        operators.insert("count-two".to_owned(), Arc::new(both));
        let mut other = description("recount", &["records"], InputKind::Keyed);
        other.states[0].codec = "text".to_owned();
        operators.insert("recount".to_owned(), Arc::new(NativeFactory::new(other, Count::default)));
        let newer = |name: &str| {
            let mut description = description(name, &["records"], InputKind::Keyed);
            description.states[0].version = 2;
            NativeFactory::new(description, || Count { is_reversed: true, ..Count::default() })
        };
        let reversed = |_: &str, _: u32, value: &[u8]| Ok(value.iter().rev().copied().collect());
        operators.insert("count-newer".to_owned(), Arc::new(newer("count-newer").migrating(reversed)));
        let fails = |_: &str, _: u32, _: &[u8]| Err(NativeError::failure("I do not read old values"));
        operators.insert("count-stubborn".to_owned(), Arc::new(newer("count-stubborn").migrating(fails)));
        let faults = faults.clone();
        let make = move || Faulty { count: Count::default(), faults: faults.clone() };
        let faulty = NativeFactory::new(description("faulty", &["records"], InputKind::Keyed), make);
        operators.insert("faulty".to_owned(), Arc::new(faulty));
        let mut forgetful = description("forgetful", &["records"], InputKind::Keyed);
        forgetful.states.clear();
        operators.insert("forgetful".to_owned(), Arc::new(NativeFactory::new(forgetful, || Forgetful)));
        operators.insert("tally".to_owned(), super::tally::factory());
        for (name, goes_on) in [("clockwork", true), ("clock-at-rest", false)] {
            let mut description = description(name, &["records"], InputKind::Keyed);
            description.states.clear();
            let clock = NativeFactory::new(description, move || Clockwork { goes_on });
            operators.insert(name.to_owned(), Arc::new(clock));
        }
        Self(operators)
    }
}

impl Operators for NativeOperators {
    fn factory<'a>(
        &'a self,
        _component: &'a str,
        operator: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn Factory>, OperatorsError>> {
        let missing =
            || OperatorsError { fault: Fault::Request, message: format!("there is no operator `{operator}`") };
        Box::pin(ready(self.0.get(operator).cloned().ok_or_else(missing)))
    }
}

fn description(name: &str, inputs: &[&str], kind: InputKind) -> OperatorDescription {
    let columns = Columns { keys: true, values: true, timestamps: true };
    let state = StateDescription {
        name: "count".to_owned(),
        kind: StateKind::KeyedValue,
        codec: "u64".to_owned(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    };
    OperatorDescription {
        name: name.to_owned(),
        doc: String::new(),
        inputs: inputs.iter().map(|name| InputDescription { name: (*name).to_owned(), kind, columns }).collect(),
        outputs: vec!["counts".to_owned()],
        states: vec![state],
        config_schema: String::new(),
        properties: Vec::new(),
    }
}

/// Emits `key=count` for each record.
#[derive(Default)]
struct Count {
    state: Option<ValueState>,
    /// Whether numbers are kept with their highest byte first.
    is_reversed: bool,
}

impl Count {
    fn count(&self, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        let state = self.state.expect("`open` made it");
        let keys = batch.keys.as_ref().expect("the input is keyed");
        let mut counts: Vec<u64> =
            abilities.load(state)?.iter().map(|value| value.map_or(0, |value| self.number(value))).collect();
        let mut values = OptionalColumn::default();
        for &key in &keys.key_of {
            counts[key as usize] += 1;
            let key_text = String::from_utf8_lossy(keys.distinct.get(key as usize)).into_owned();
            values.push(Some(format!("{key_text}={}", counts[key as usize]).as_bytes()));
        }
        let mut column = OptionalColumn::default();
        for count in &counts {
            column.push(Some(&if self.is_reversed { count.to_be_bytes() } else { count.to_le_bytes() }));
        }
        abilities.store(state, column)?;
        abilities.emit(0, NewRecords::new(Origin::EachRow, values))?;
        Ok(())
    }

    fn number(&self, bytes: &[u8]) -> u64 {
        let bytes = bytes.try_into().expect("8 bytes were stored");
        if self.is_reversed { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) }
    }
}

impl NativeOperator for Count {
    fn open(&mut self, _context: &OpenContext, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.state = Some(abilities.value_state("count")?);
        Ok(())
    }

    fn process(&mut self, _input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.count(batch, abilities)
    }
}

/// Does nothing.
struct Forgetful;

impl NativeOperator for Forgetful {
    fn open(&mut self, _context: &OpenContext, _abilities: &mut Abilities) -> Result<(), NativeError> {
        Ok(())
    }

    fn process(&mut self, _input: u32, _batch: &Batch, _abilities: &mut Abilities) -> Result<(), NativeError> {
        Ok(())
    }
}

/// Sets a timer of event time for each key.
struct Clockwork {
    /// Whether each sets the next.
    goes_on: bool,
}

impl Clockwork {
    fn set(abilities: &mut Abilities, timers: impl Iterator<Item = (u32, Timestamp)>) -> Result<(), NativeError> {
        let timer = |(key, at)| TimerChange { register: true, domain: TimeDomain::EventTime, key, at, tag: 0 };
        timers.map(timer).try_for_each(|timer| Ok(abilities.change_timer(timer)?))
    }
}

impl NativeOperator for Clockwork {
    fn open(&mut self, _context: &OpenContext, _abilities: &mut Abilities) -> Result<(), NativeError> {
        Ok(())
    }

    fn process(&mut self, _input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        let keys = batch.keys.as_ref().expect("the input is keyed");
        Self::set(abilities, keys.key_of.iter().map(|key| (*key, 1_000_000)))
    }

    fn on_timers(&mut self, fired: &FiredTimers, abilities: &mut Abilities) -> Result<(), NativeError> {
        let goes_on = self.goes_on;
        let next = fired.keys.key_of.iter().zip(&fired.at).map(|(key, at)| (*key, at + 1));
        Self::set(abilities, next.filter(|_| goes_on))
    }
}

/// What a [`Faulty`] operator does wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    /// How many calls still break an invariant, and so take the task with them.
    pub(super) panics: Arc<AtomicU32>,
    /// Whether calls hold their thread for as long as this is set.
    pub(super) hangs: Arc<AtomicBool>,
    /// Whether one has done so.
    pub(super) is_hanging: Arc<AtomicBool>,
    /// What a value must hold for the operator to refuse it; empty: it refuses none.
    pub(super) poison: &'static str,
}

/// Counts, where nothing is wrong.
struct Faulty {
    count: Count,
    faults: Faults,
}

impl NativeOperator for Faulty {
    fn open(&mut self, context: &OpenContext, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.count.open(context, abilities)
    }

    fn process(&mut self, input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        let left = self.faults.panics.load(Ordering::Relaxed);
        if left > 0 {
            self.faults.panics.store(left - 1, Ordering::Relaxed);
            panic!("an invariant is broken");
        }
        while self.faults.hangs.load(Ordering::Relaxed) {
            self.faults.is_hanging.store(true, Ordering::Relaxed);
            std::thread::yield_now();
        }
        let is_poison = |value: Option<&[u8]>| {
            value.is_some_and(|value| String::from_utf8_lossy(value).contains(self.faults.poison))
        };
        if !self.faults.poison.is_empty() && batch.values.iter().any(is_poison) {
            return Err(NativeError::failure("a record that I cannot read"));
        }
        self.count.process(input, batch, abilities)
    }
}
