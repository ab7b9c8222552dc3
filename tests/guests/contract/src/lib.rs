//! The odd operator of the contract suite, from the raw contract: each record is a command, carried out in row order;
//! what it finds out it emits. The commands are those of the suite's native odd operator, and those that only a
//! component can obey:
//!
//! | command | what is done |
//! |---|---|
//! | `spin` | never ends |
//! | `work N` | turns in a loop N thousand times |
//! | `grow` | takes memory without end |
//! | `grow-to N` | holds N MiB from now on |
//! | `sleep` | waits for a millisecond |
//! | `exit` | ends its process |
//! | `print X` | prints a line to standard output, and one to standard error |
//! | `random`, `clock`, `environment`, `files` | emits what it sees of the world |
//! | `handles` | makes state handles without end, in `open` (configuration) |
//!
//! Values that `migrate` is given are commands too: `spin`, `trap`, `short` (leaves it out), `bad-offsets`, `state`,
//! `emit`, `count`, `log`.

mod commands;
mod migration;
mod unkeyed;
mod world;

wit_bindgen::generate!({ path: "../../../wit", world: "migrating-stream-operator" });

use std::cell::RefCell;

use exports::weir::operator::operators::{
    Batch, Columns, Context, Failure, FiredTimers, Guest, InputKind, InputSpec, OperatorSpec, OutputSpec, StateKind,
    StateSpec,
};
use weir::operator::output::{Emitted, Origin, emit};
use weir::operator::state::{BroadcastState, ListState, MapState, OperatorState, ValueState};
use weir::operator::types::{BytesColumn, OptionalColumn};

struct Component;
export!(Component);

struct Odd {
    value: ValueState,
    list: ListState,
    map: MapState,
    split: OperatorState,
    union: OperatorState,
    rules: BroadcastState,
    finish_badly: bool,
    calls: u32,
}

thread_local! {
    static ODD: RefCell<Option<Odd>> = const { RefCell::new(None) };
}

impl Guest for Component {
    fn describe() -> Vec<OperatorSpec> {
        let input = |name: &str, kind| InputSpec { name: name.into(), kind, columns: Columns::all() };
        let state = |name: &str, kind| StateSpec {
            name: name.into(),
            kind,
            codec: "text".into(),
            version: 1,
            ttl: None,
            properties: Vec::new(),
        };
        vec![OperatorSpec {
            name: "odd".into(),
            doc: "Does what its records say.".into(),
            inputs: vec![
                input("keyed", InputKind::Keyed),
                input("plain", InputKind::Unkeyed),
                input("side", InputKind::Broadcast),
            ],
            outputs: vec![OutputSpec { name: "main".into() }, OutputSpec { name: "late".into() }],
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
        }]
    }

    fn open(context: Context) -> Result<(), String> {
        match context.config.as_str() {
            "undeclared" => drop(ValueState::new("no-such-state")),
            "wrong-kind" => drop(ListState::new("value")),
            "refuse" => return Err("it refuses".into()),
            "handles" => loop {
                std::mem::forget(ValueState::new("value"));
            },
            config => unkeyed::probe(config)?,
        }
        let odd = Odd {
            value: ValueState::new("value"),
            list: ListState::new("list"),
            map: MapState::new("map"),
            split: OperatorState::new("split"),
            union: OperatorState::new("union"),
            rules: BroadcastState::new("rules"),
            finish_badly: context.config == "finish-badly",
            calls: 0,
        };
        ODD.set(Some(odd));
        Ok(())
    }

    fn process(_input: u32, batch: Batch) -> Result<(), Failure> {
        ODD.with_borrow_mut(|odd| {
            let odd = odd.as_mut().expect("it was opened");
            odd.calls += 1;
            for number in 0..batch.rows {
                let command = value_at(&batch.values.values, number as usize);
                let command = std::str::from_utf8(command).expect("commands are text");
                let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
                let key = batch.key_of.get(number as usize).copied().unwrap_or(0);
                commands::carry_out(verb, rest, commands::Row { number, key, call: odd.calls }, odd)?;
            }
            Ok(())
        })
    }

    fn on_timers(fired: FiredTimers) -> Result<(), Failure> {
        ODD.with_borrow(|odd| {
            let odd = odd.as_ref().expect("it was opened");
            let mut lines = Vec::new();
            for (row, (at, tag)) in fired.at.iter().zip(&fired.tags).enumerate() {
                let key = fired.key_of[row];
                match tag {
                    13 => return Err(Failure { rows: Vec::new(), message: "tag 13".into() }),
                    14 => odd.value.set(key, b"timer"),
                    _ => {}
                }
                lines.push(format!("{} {at} {tag}", text(value_at(&fired.keys, key as usize))));
            }
            let values = column(lines.iter().map(|line| Some(line.as_bytes())));
            emit(0, &Emitted { origin: Origin::EachRow, values, timestamps: Vec::new() });
            Ok(())
        })
    }

    fn finish() -> Result<(), Failure> {
        let badly = ODD.with_borrow(|odd| odd.as_ref().is_some_and(|odd| odd.finish_badly));
        let origin = if badly { Origin::EachRow } else { Origin::Unkeyed };
        emit(0, &Emitted { origin, values: one(b"finished"), timestamps: Vec::new() });
        Ok(())
    }
}

fn value_at(column: &BytesColumn, index: usize) -> &[u8] {
    &column.data[column.offsets[index] as usize..column.offsets[index + 1] as usize]
}

fn one(value: &[u8]) -> OptionalColumn {
    column([Some(value)].into_iter())
}

fn column<'a>(given: impl Iterator<Item = Option<&'a [u8]>>) -> OptionalColumn {
    let mut values = BytesColumn { data: Vec::new(), offsets: vec![0] };
    let mut validity = Vec::new();
    for (index, value) in given.enumerate() {
        values.data.extend_from_slice(value.unwrap_or_default());
        values.offsets.push(values.data.len() as u32);
        validity.resize(index / 8 + 1, 0_u8);
        validity[index / 8] |= u8::from(value.is_some()) << (index % 8);
    }
    OptionalColumn { values, validity }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
