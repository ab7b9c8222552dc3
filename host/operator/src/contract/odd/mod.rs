//! The odd operator: each record is a command, carried out in row order; what it finds out it emits.
//!
//! | command | what is done |
//! |---|---|
//! | `value-get`, `value-set X`, `value-clear` | one value of the row's key |
//! | `value-load`, `value-store A,-,B` | the values of all keys of the batch |
//! | `value-load-some 0,1`, `value-store-some 0=A,1=-` | of some keys |
//! | `list-get`, `list-append X`, `list-set A,B`, `list-clear` | the list of the row's key |
//! | `list-get-many 0,1`, `list-append-many 0=A,1=B` | of some keys |
//! | `map-get E`, `map-put E=V`, `map-remove E`, `map-clear`, `map-is-empty` | the map of the row's key |
//! | `map-scan START END LIMIT` | a page of it; `-` for no bound |
//! | `map-get-many 0=E,1=F`, `map-put-many 0=E=V,1=F=-` | of some keys |
//! | `split-get`, `split-set A,B`, `split-clear`; the same with `union` | the subtask's lists |
//! | `split-bad` | sets a malformed column |
//! | `rule-get E`, `rule-put E=V`, `rule-remove E`, `rule-scan START END LIMIT` | the broadcast map |
//! | `rule-fill N` | puts entries 0 to N - 1, a million bytes each |
//! | `timer AT TAG`, `cancel-timer AT TAG`, `timers 0=AT,1=AT` | event-time timers |
//! | `watermark`, `processing-time` | emits it |
//! | `emit-each X`, `emit-rows 0,1`, `emit-keys 0,1`, `emit-own K`, `emit-unkeyed X`, `emit-late X` | emits |
//! | `emit-at T`, `emit-header N=V`, `emit-missing` | emits with event time, header, no value |
//! | `forward 1,0`, `reject 0,1` | rows of the batch |
//! | `header N`, `header-names` | emits it |
//! | `fail X`, `fail-rows 0,1`, `trap`, `fail-worn` | returns a failure; traps; fails unless this is its first call |
//! | `bad-offsets`, `bad-validity`, `bad-length`, `bad-own-key`, `bad-port`, `flood` | breaks a rule of `emit` |
//! | `counter N`, `gauge N`, `log X` | telemetry |
//! | `names` | counters with ever new names |
//!
//! Timers emit `KEY AT TAG`; the tag 13 fails, 14 sets the value of its key to `timer`. `finish` emits `finished`,
//! with the configuration `finish-badly` for a row. With `undeclared`, `wrong-kind`, `wrong-list`, `early-split`,
//! `early-rule` and `refuse` it does not open; nor with `look`, and tells what it finds in its states as the reason.
//! `migrate` makes `STATE/VERSION/X` of X; the value `fail` fails, `flood` becomes two million bytes.
//! Inputs: 0 keyed, 1 unkeyed, 2 broadcast. Ports: `main`, `late`. States: `value`, `list`, `map`, `split`, `union`,
//! `rules`.

mod migration;
mod unkeyed;

use weir_protocol::description::{
    Columns, InputDescription, InputKind, OperatorDescription, StateDescription, StateKind,
};

use crate::abilities::{
    Abilities, BroadcastState, Level, ListState, MapState, NewRecords, OperatorState, ValueState, Violation,
};
use crate::batch::{Batch, BytesColumn, HeaderColumn, Keys, OptionalColumn};
use crate::keyed_state::{Entries, EntryRange};
use crate::native::{NativeError, NativeFactory, NativeOperator};
use crate::operator::OpenContext;
use crate::turn::{FiredTimers, Origin, TimeDomain, TimerChange};

/// The odd operator in native Rust.
#[must_use]
pub fn factory() -> NativeFactory {
    NativeFactory::new(description(), Odd::default).migrating(migration::migrate)
}

/// What it says of itself.
#[must_use]
pub fn description() -> OperatorDescription {
    let columns = Columns { keys: true, values: true, timestamps: true };
    let input = |name: &str, kind| InputDescription { name: name.into(), kind, columns };
    let state = |name: &str, kind| StateDescription {
        name: name.into(),
        kind,
        codec: "text".into(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    };
    OperatorDescription {
        name: "odd".into(),
        doc: "Does what its records say.".into(),
        inputs: vec![
            input("keyed", InputKind::Keyed),
            input("plain", InputKind::Unkeyed),
            input("side", InputKind::Broadcast),
        ],
        outputs: vec!["main".into(), "late".into()],
        states: vec![
            state("value", StateKind::KeyedValue),
            state("list", StateKind::KeyedList),
            state("map", StateKind::KeyedMap),
            state("split", StateKind::OperatorSplit),
            state("union", StateKind::OperatorUnion),
            state("rules", StateKind::Broadcast),
        ],
        config_schema: String::new(),
        properties: Vec::new(),
    }
}

#[derive(Default)]
struct Odd {
    handles: Option<Handles>,
    finish_badly: bool,
    calls: u32,
}

#[derive(Clone, Copy)]
struct Handles {
    value: ValueState,
    list: ListState,
    map: MapState,
    split: OperatorState,
    union: OperatorState,
    rules: BroadcastState,
}

/// The row whose command is carried out.
#[derive(Clone, Copy)]
struct Row {
    number: u32,
    key: u32,
    call: u32,
}

type Outcome = Result<(), NativeError>;

impl NativeOperator for Odd {
    fn open(&mut self, context: &OpenContext, abilities: &mut Abilities) -> Outcome {
        match context.config.as_str() {
            "undeclared" => drop(abilities.value_state("no-such-state")?),
            "wrong-kind" => drop(abilities.list_state("value")?),
            "refuse" => return Err(NativeError::failure("it refuses")),
            config => {
                unkeyed::probe(config, abilities)?;
                self.finish_badly = config == "finish-badly";
            }
        }
        self.handles = Some(Handles {
            value: abilities.value_state("value")?,
            list: abilities.list_state("list")?,
            map: abilities.map_state("map")?,
            split: abilities.operator_state("split")?,
            union: abilities.operator_state("union")?,
            rules: abilities.broadcast_state("rules")?,
        });
        Ok(())
    }

    fn process(&mut self, _input: u32, batch: &Batch, abilities: &mut Abilities) -> Outcome {
        let handles = self.handles.expect("it was opened");
        self.calls += 1;
        for number in 0..batch.rows {
            let command = batch.values.get(number as usize).unwrap_or_default();
            let command = std::str::from_utf8(command).expect("commands are text");
            let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
            let key = batch.keys.as_ref().map_or(0, |keys| keys.key_of[number as usize]);
            carry_out(verb, rest, Row { number, key, call: self.calls }, handles, abilities)?;
        }
        Ok(())
    }

    fn on_timers(&mut self, fired: &FiredTimers, abilities: &mut Abilities) -> Outcome {
        let handles = self.handles.expect("it was opened");
        let mut lines = Vec::new();
        for (row, (at, tag)) in fired.at.iter().zip(&fired.tags).enumerate() {
            let key = fired.keys.key_of[row];
            match tag {
                13 => return Err(NativeError::failure("tag 13")),
                14 => abilities.set_value(handles.value, key, Some(b"timer"))?,
                _ => {}
            }
            lines.push(format!("{} {at} {tag}", text(fired.keys.distinct.get(key as usize))));
        }
        let values: BytesColumn = lines.iter().map(String::as_bytes).collect();
        Ok(abilities.emit(0, NewRecords::new(Origin::EachRow, values))?)
    }

    fn finish(&mut self, abilities: &mut Abilities) -> Outcome {
        let origin = if self.finish_badly { Origin::EachRow } else { Origin::Unkeyed };
        Ok(abilities.emit(0, NewRecords::new(origin, one(b"finished")))?)
    }
}

fn carry_out(verb: &str, rest: &str, row: Row, handles: Handles, abilities: &mut Abilities) -> Outcome {
    match verb.split_once('-').map_or(verb, |(family, _)| family) {
        "value" => value(verb, rest, row, handles.value, abilities),
        "list" => list(verb, rest, row, handles.list, abilities),
        "map" => map(verb, rest, row, handles.map, abilities),
        "split" => unkeyed::list(verb, rest, row, handles.split, abilities),
        "union" => unkeyed::list(verb, rest, row, handles.union, abilities),
        "rule" => unkeyed::rule(verb, rest, row, handles.rules, abilities),
        "emit" | "bad" | "flood" => Ok(emit(verb, rest, row, abilities)?),
        "fail" | "trap" => failure(verb, rest, row),
        _ => other(verb, rest, row, abilities),
    }
}

fn value(verb: &str, rest: &str, row: Row, state: ValueState, abilities: &mut Abilities) -> Outcome {
    match verb {
        "value-get" => {
            let value = abilities.get_value(state, row.key)?;
            answer(row, &shown(value.as_deref()), abilities)?;
        }
        "value-set" => abilities.set_value(state, row.key, Some(rest.as_bytes()))?,
        "value-clear" => abilities.set_value(state, row.key, None)?,
        "value-load" => {
            let values = abilities.load(state)?;
            answer(row, &joined(&values), abilities)?;
        }
        "value-store" => abilities.store(state, rest.split(',').map(given).collect())?,
        "value-load-some" => {
            let values = abilities.load_some(state, &numbers(rest))?;
            answer(row, &joined(&values), abilities)?;
        }
        "value-store-some" => {
            let (keys, values) = pairs(rest);
            abilities.store_some(state, &keys, &values.iter().map(|value| given(value)).collect())?;
        }
        _ => unknown(verb),
    }
    Ok(())
}

fn list(verb: &str, rest: &str, row: Row, state: ListState, abilities: &mut Abilities) -> Outcome {
    match verb {
        "list-get" => {
            let values = abilities.get_list(state, row.key)?;
            answer(row, &joined(&values.into()), abilities)?;
        }
        "list-append" => abilities.append(state, row.key, rest.as_bytes())?,
        "list-set" => abilities.set_list(state, row.key, rest.split(',').map(str::as_bytes).collect())?,
        "list-clear" => abilities.set_list(state, row.key, BytesColumn::default())?,
        "list-get-many" => {
            let lists = abilities.get_lists(state, &numbers(rest))?;
            let mut start = 0;
            let mut shown = Vec::new();
            for end in lists.ends {
                let values = (start..end).map(|index| text(lists.values.get(index as usize)));
                shown.push(values.collect::<Vec<_>>().join(","));
                start = end;
            }
            answer(row, &shown.join("|"), abilities)?;
        }
        "list-append-many" => {
            let (keys, values) = pairs(rest);
            abilities.append_many(state, &keys, &values.iter().map(|value| value.as_bytes()).collect())?;
        }
        _ => unknown(verb),
    }
    Ok(())
}

fn map(verb: &str, rest: &str, row: Row, state: MapState, abilities: &mut Abilities) -> Outcome {
    match verb {
        "map-get" => {
            let value = abilities.get_entry(state, row.key, rest.as_bytes())?;
            answer(row, &shown(value.as_deref()), abilities)?;
        }
        "map-put" => {
            let (entry, value) = rest.split_once('=').expect("E=V");
            abilities.put_entry(state, row.key, entry.as_bytes(), Some(value.as_bytes()))?;
        }
        "map-remove" => abilities.put_entry(state, row.key, rest.as_bytes(), None)?,
        "map-clear" => abilities.clear_map(state, row.key)?,
        "map-is-empty" => {
            let empty = abilities.is_map_empty(state, row.key)?;
            answer(row, &empty.to_string(), abilities)?;
        }
        "map-scan" => scan(rest, row, state, abilities)?,
        "map-get-many" => {
            let (keys, entries) = pairs(rest);
            let entries = entries.iter().map(|entry| entry.as_bytes()).collect();
            let values = abilities.get_entries(state, &keys, &entries)?;
            answer(row, &joined(&values), abilities)?;
        }
        "map-put-many" => {
            let (keys, rest) = pairs(rest);
            let entries: Vec<_> = rest.iter().map(|pair| pair.split_once('=').expect("E=V")).collect();
            let values = entries.iter().map(|(_, value)| given(value)).collect();
            let entries = entries.iter().map(|(entry, _)| entry.as_bytes()).collect();
            abilities.put_entries(state, &keys, &entries, &values)?;
        }
        _ => unknown(verb),
    }
    Ok(())
}

fn scan(rest: &str, row: Row, state: MapState, abilities: &mut Abilities) -> Result<(), Violation> {
    let page = abilities.scan(state, row.key, range(rest))?;
    show_page(&page, row, abilities)
}

/// `START END LIMIT`.
fn range(text: &str) -> EntryRange<'_> {
    let [start, end, limit] = text.split(' ').collect::<Vec<_>>().try_into().expect("START END LIMIT");
    EntryRange { start: given(start), end: given(end), limit: limit.parse().expect("a number") }
}

fn show_page(page: &Entries, row: Row, abilities: &mut Abilities) -> Result<(), Violation> {
    let entries = page.entries.iter().zip(page.values.iter());
    let entries: Vec<_> = entries.map(|(entry, value)| format!("{}={}", text(entry), text(value))).collect();
    answer(row, &format!("{} {}", entries.join(","), if page.more { "more" } else { "end" }), abilities)
}

fn emit(verb: &str, rest: &str, row: Row, abilities: &mut Abilities) -> Result<(), Violation> {
    let records = |origin, values: OptionalColumn| NewRecords::new(origin, values);
    let value = one(rest.as_bytes());
    match verb {
        "emit-each" => {
            let origin = records(Origin::EachRow, std::iter::repeat_n(Some(rest.as_bytes()), 2).collect());
            abilities.emit(0, origin)
        }
        "emit-rows" | "emit-keys" => {
            let indices = numbers(rest);
            let values = indices.iter().map(|_| Some(verb.as_bytes())).collect();
            let origin = if verb == "emit-rows" { Origin::Rows(indices) } else { Origin::Keys(indices) };
            abilities.emit(0, records(origin, values))
        }
        "emit-own" => {
            let keys = [rest.as_bytes(), b"other", rest.as_bytes()].into_iter().collect();
            let keys = Keys { distinct: keys, hashes: Vec::new(), key_of: vec![2, 1, 0] };
            abilities.emit(0, records(Origin::OwnKeys(keys), std::iter::repeat_n(Some(b"own".as_slice()), 3).collect()))
        }
        "emit-unkeyed" => abilities.emit(0, records(Origin::Unkeyed, value)),
        "emit-late" => abilities.emit(1, records(Origin::Rows(vec![row.number]), value)),
        "emit-missing" => abilities.emit(0, records(Origin::Rows(vec![row.number]), [None].into_iter().collect())),
        "emit-at" => {
            let at = vec![rest.parse().expect("a time")];
            abilities.emit(0, NewRecords { timestamps: at, ..records(Origin::Unkeyed, one(b"at")) })
        }
        "emit-header" => {
            let (name, value) = rest.split_once('=').expect("N=V");
            let headers = Some(vec![HeaderColumn { name: name.into(), values: one(value.as_bytes()) }]);
            abilities.emit(0, NewRecords { headers, ..records(Origin::Unkeyed, one(b"header")) })
        }
        "bad-offsets" => {
            let values = BytesColumn { data: b"abc".to_vec(), offsets: vec![0, 2, 1, 3] };
            abilities.emit(0, records(Origin::Unkeyed, values.into()))
        }
        "bad-validity" => {
            let values = OptionalColumn { validity: vec![1, 1, 1], ..value };
            abilities.emit(0, records(Origin::Unkeyed, values))
        }
        "bad-length" => abilities.emit(0, records(Origin::Rows(vec![row.number, row.number]), value)),
        "bad-own-key" => {
            let keys = Keys { distinct: [b"k".as_slice()].into_iter().collect(), hashes: Vec::new(), key_of: vec![1] };
            abilities.emit(0, records(Origin::OwnKeys(keys), value))
        }
        "bad-port" => abilities.emit(9, records(Origin::Unkeyed, value)),
        "flood" => loop {
            abilities.emit(0, records(Origin::Unkeyed, one(&[b'x'; 65_536])))?;
        },
        _ => {
            unknown(verb);
            Ok(())
        }
    }
}

fn failure(verb: &str, rest: &str, row: Row) -> Outcome {
    match verb {
        "fail" => Err(NativeError::failure(rest)),
        "fail-rows" => Err(NativeError::Failure { rows: numbers(rest), message: "these rows".into() }),
        "fail-worn" if row.call > 1 => Err(NativeError::failure("worn")),
        "fail-worn" => Ok(()),
        _ => Err(Violation::Rule("trap".into()).into()),
    }
}

fn other(verb: &str, rest: &str, row: Row, abilities: &mut Abilities) -> Outcome {
    let timer = |register| {
        let (at, tag) = rest.split_once(' ').expect("AT TAG");
        let (at, tag) = (at.parse().expect("a time"), tag.parse().expect("a tag"));
        TimerChange { register, domain: TimeDomain::EventTime, key: row.key, at, tag }
    };
    match verb {
        "timer" => abilities.change_timer(timer(true))?,
        "cancel-timer" => abilities.change_timer(timer(false))?,
        "timers" => {
            let (keys, times) = pairs(rest);
            let times: Vec<_> = times.iter().map(|at| at.parse().expect("a time")).collect();
            abilities.change_timers(true, TimeDomain::ProcessingTime, &keys, &times, 1)?;
        }
        "watermark" => {
            let time = abilities.watermark()?;
            answer(row, &time.to_string(), abilities)?;
        }
        "processing-time" => {
            let time = abilities.processing_time()?;
            answer(row, &time.to_string(), abilities)?;
        }
        "forward" => abilities.forward(0, numbers(rest))?,
        "reject" => abilities.reject(&numbers(rest), "rejected")?,
        "header" => {
            let header = abilities.header(rest)?;
            answer(row, &joined(&header), abilities)?;
        }
        "header-names" => {
            let names = abilities.header_names()?;
            answer(row, &names.join(","), abilities)?;
        }
        "counter" => abilities.counter_add(rest, 1)?,
        "gauge" => abilities.gauge_set(rest, 0.5)?,
        "names" => (0..10_000).try_for_each(|name| abilities.counter_add(&name.to_string(), 1))?,
        "log" => abilities.log(Level::Info, rest)?,
        _ => unknown(verb),
    }
    Ok(())
}

/// Emits what a command found out, from the command's row.
fn answer(row: Row, found: &str, abilities: &mut Abilities) -> Result<(), Violation> {
    abilities.emit(0, NewRecords::new(Origin::Rows(vec![row.number]), one(found.as_bytes())))
}

fn unknown(verb: &str) {
    unreachable!("the odd operator does not know `{verb}`");
}

fn one(value: &[u8]) -> OptionalColumn {
    [Some(value)].into_iter().collect()
}

/// `-` stands for a missing value.
fn given(value: &str) -> Option<&[u8]> {
    (value != "-").then_some(value.as_bytes())
}

fn numbers(text: &str) -> Vec<u32> {
    text.split(',').map(|number| number.parse().expect("a number")).collect()
}

/// `0=A,1=B` as numbers and texts.
fn pairs(text: &str) -> (Vec<u32>, Vec<&str>) {
    let pairs = text.split(',').map(|pair| pair.split_once('=').expect("N=X"));
    pairs.map(|(number, value)| (number.parse::<u32>().expect("a number"), value)).unzip()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shown(value: Option<&[u8]>) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

fn joined(values: &OptionalColumn) -> String {
    values.iter().map(shown).collect::<Vec<_>>().join(",")
}
