//! An operator that keeps state of every kind, so that whatever a restore loses or doubles shows in its results.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_operator::abilities::{
    Abilities, BroadcastState, ListState, MapState, NewRecords, OperatorState, ValueState, Violation,
};
use weir_operator::batch::{Batch, BytesColumn, OptionalColumn};
use weir_operator::keyed_state::EntryRange;
use weir_operator::native::{NativeError, NativeFactory, NativeOperator};
use weir_operator::operator::{Factory, OpenContext};
use weir_operator::turn::{FiredTimers, Origin, TimeDomain};
use weir_protocol::description::{
    Columns, InputDescription, InputKind, OperatorDescription, StateDescription, StateKind,
};

/// A timer fires behind so many event times.
const SPAN: i64 = 100;

/// A record's entry in the map of its key is its event time modulo this.
const ENTRIES: i64 = 3;

/// Emits `KEY=COUNT` for each record. Keeps how many a key has had (value, and once more by entry in a map) and their
/// event times (list). At the end of each span of event times it emits `timer KEY@END LISTED` and empties the list.
/// Keeps also how many records each batch had (split list), the same with the first record's event time (union list),
/// and every rule (broadcast map). `finish` emits `rows=SUM`, `batch=TIME:ROWS` for each and `rules=COUNT`.
#[derive(Default)]
pub(super) struct Tally(Option<Handles>);

#[derive(Clone, Copy)]
struct Handles {
    count: ValueState,
    entries: MapState,
    times: ListState,
    rows: OperatorState,
    batches: OperatorState,
    rules: BroadcastState,
}

pub(super) fn factory() -> Arc<dyn Factory> {
    let columns = Columns { keys: true, values: true, timestamps: true };
    let input = |name: &str, kind| InputDescription { name: name.to_owned(), kind, columns };
    let state = |(name, kind): (&str, StateKind)| StateDescription {
        name: name.to_owned(),
        kind,
        codec: "u64".to_owned(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    };
    let states = [
        ("count", StateKind::KeyedValue),
        ("entries", StateKind::KeyedMap),
        ("times", StateKind::KeyedList),
        ("rows", StateKind::OperatorSplit),
        ("batches", StateKind::OperatorUnion),
        ("rules", StateKind::Broadcast),
    ];
    let description = OperatorDescription {
        name: "tally".to_owned(),
        doc: String::new(),
        inputs: vec![input("records", InputKind::Keyed), input("rules", InputKind::Broadcast)],
        outputs: vec!["results".to_owned()],
        states: states.map(state).to_vec(),
        config_schema: String::new(),
        properties: Vec::new(),
    };
    Arc::new(NativeFactory::new(description, Tally::default))
}

impl NativeOperator for Tally {
    fn open(&mut self, _context: &OpenContext, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.0 = Some(Handles {
            count: abilities.value_state("count")?,
            entries: abilities.map_state("entries")?,
            times: abilities.list_state("times")?,
            rows: abilities.operator_state("rows")?,
            batches: abilities.operator_state("batches")?,
            rules: abilities.broadcast_state("rules")?,
        });
        Ok(())
    }

    fn process(&mut self, input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        let handles = self.handles();
        if input == 1 {
            for rule in batch.values.iter().flatten() {
                abilities.put_broadcast(handles.rules, rule, Some(b"on"))?;
            }
            return Ok(());
        }
        handles.note_batch(batch, abilities)?;
        handles.note_records(batch, abilities)
    }

    fn on_timers(&mut self, fired: &FiredTimers, abilities: &mut Abilities) -> Result<(), NativeError> {
        let times = self.handles().times;
        let mut lines = OptionalColumn::default();
        for (&key, &end) in fired.keys.key_of.iter().zip(&fired.at) {
            let listed = abilities.get_list(times, key)?;
            let (due, later): (Vec<_>, Vec<_>) = listed.iter().partition(|time| number(time) <= end);
            abilities.set_list(times, key, later.into_iter().collect())?;
            let key = String::from_utf8_lossy(fired.keys.distinct.get(key as usize));
            lines.push(Some(format!("timer {key}@{end} {}", due.len()).as_bytes()));
        }
        Ok(abilities.emit(0, NewRecords::new(Origin::EachRow, lines))?)
    }

    fn finish(&mut self, abilities: &mut Abilities) -> Result<(), NativeError> {
        let handles = self.handles();
        let rows: i64 = abilities.get_operator_list(handles.rows)?.iter().map(number).sum();
        let all = EntryRange { start: None, end: None, limit: 4_096 };
        let rules = abilities.scan_broadcast(handles.rules, all)?.entries.len();
        let mut lines = vec![format!("rows={rows}"), format!("rules={rules}")];
        lines.extend(handles.batches(abilities)?.into_iter().map(|(time, rows)| format!("batch={time}:{rows}")));
        let values: OptionalColumn = lines.iter().map(|line| Some(line.as_bytes())).collect();
        Ok(abilities.emit(0, NewRecords::new(Origin::Unkeyed, values))?)
    }
}

impl Tally {
    fn handles(&self) -> Handles {
        self.0.expect("it was opened")
    }
}

impl Handles {
    fn note_records(self, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        let keys = batch.keys.as_ref().expect("the input is keyed");
        let mut lines = OptionalColumn::default();
        for (&key, time) in keys.key_of.iter().zip(&batch.timestamps) {
            let count = abilities.get_value(self.count, key)?.map_or(0, |count| number(&count)) + 1;
            abilities.set_value(self.count, key, Some(&count.to_le_bytes()))?;
            let entry = [u8::try_from(time % ENTRIES).expect("it is small")];
            let held = abilities.get_entry(self.entries, key, &entry)?.map_or(0, |held| number(&held)) + 1;
            abilities.put_entry(self.entries, key, &entry, Some(&held.to_le_bytes()))?;
            abilities.append(self.times, key, &time.to_le_bytes())?;
            let end = time - time % SPAN + SPAN - 1;
            abilities.change_timers(true, TimeDomain::EventTime, &[key], &[end], 0)?;
            let name = String::from_utf8_lossy(keys.distinct.get(key as usize));
            lines.push(Some(format!("{name}={count}").as_bytes()));
        }
        for key in 0..u32::try_from(keys.count()).expect("a batch is small") {
            self.check(key, abilities)?;
        }
        Ok(abilities.emit(0, NewRecords::new(Origin::EachRow, lines))?)
    }

    /// The map of a key holds as many records as its value.
    fn check(self, key: u32, abilities: &mut Abilities) -> Result<(), NativeError> {
        let all = EntryRange { start: None, end: None, limit: 99 };
        let held: i64 = abilities.scan(self.entries, key, all)?.values.iter().map(number).sum();
        let count = abilities.get_value(self.count, key)?.map_or(0, |count| number(&count));
        if held == count {
            Ok(())
        } else {
            Err(NativeError::failure(format!("{held} in the map, {count} in the value")))
        }
    }

    fn note_batch(self, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        let mut rows = abilities.get_operator_list(self.rows)?;
        rows.push(&i64::from(batch.rows).to_le_bytes());
        abilities.set_operator_list(self.rows, rows)?;
        let mut batches = self.batches(abilities)?;
        batches.insert(batch.timestamps[0], i64::from(batch.rows));
        let batches = batches.iter().map(|(time, rows)| [time.to_le_bytes(), rows.to_le_bytes()].concat());
        let batches: BytesColumn = batches.collect::<Vec<_>>().iter().map(Vec::as_slice).collect();
        Ok(abilities.set_operator_list(self.batches, batches)?)
    }

    /// What the union list holds, each batch once, however often it was handed on.
    fn batches(self, abilities: &mut Abilities) -> Result<BTreeMap<i64, i64>, Violation> {
        let batches = abilities.get_operator_list(self.batches)?;
        Ok(batches.iter().map(|batch| (number(&batch[..8]), number(&batch[8..]))).collect())
    }
}

fn number(bytes: &[u8]) -> i64 {
    i64::from_le_bytes(bytes.try_into().expect("8 bytes were stored"))
}
