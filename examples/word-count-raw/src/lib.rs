//! The word count from the contract alone: the WIT and what wit-bindgen makes of it, no SDK.
//!
//! It is what every SDK does underneath. A component is `describe`, `open`, `process`, `on_timers` and `finish`; a
//! batch comes as columns, state is read and written as columns, and so do the results leave.

use std::cell::RefCell;
use std::fmt::Write;

wit_bindgen::generate!({ path: "../../wit", world: "stream-operator" });

use exports::weir::operator::operators::{
    Batch, Columns, Context, Failure, FiredTimers, Guest, InputKind, InputSpec, OperatorSpec, OutputSpec, StateKind,
    StateSpec,
};
use weir::operator::output::{Emitted, Origin, OwnKeys, emit, reject};
use weir::operator::state::ValueState;
use weir::operator::types::{BytesColumn, OptionalColumn};

/// Port 0 is the main output.
const MAIN: u32 = 0;

struct Component;
export!(Component);

/// The operator that this instance is: one of those that `describe` names.
enum Operator {
    Split,
    Count(ValueState),
}

thread_local! {
    static OPERATOR: RefCell<Option<Operator>> = const { RefCell::new(None) };
}

impl Guest for Component {
    fn describe() -> Vec<OperatorSpec> {
        let lines = InputSpec {
            name: "lines".into(),
            kind: InputKind::Unkeyed,
            columns: Columns::VALUES | Columns::TIMESTAMPS,
        };
        let words = InputSpec { name: "words".into(), kind: InputKind::Keyed, columns: Columns::KEYS };
        let count = StateSpec {
            name: "count".into(),
            kind: StateKind::KeyedValue,
            codec: "u64".into(),
            version: 1,
            ttl: None,
            properties: Vec::new(),
        };
        vec![
            operator("split", "Splits each line into words; a word becomes the key of its own record.", lines, vec![]),
            operator("count", "Counts how often each key has come.", words, vec![count]),
        ]
    }

    fn open(context: Context) -> Result<(), String> {
        let operator = match context.operator_name.as_str() {
            "split" => Operator::Split,
            "count" => Operator::Count(ValueState::new("count")),
            other => return Err(format!("there is no operator `{other}`; there are: split, count")),
        };
        OPERATOR.set(Some(operator));
        Ok(())
    }

    fn process(_input: u32, batch: Batch) -> Result<(), Failure> {
        OPERATOR.with_borrow(|operator| match operator {
            Some(Operator::Split) => split(batch),
            Some(Operator::Count(state)) => count(state, &batch),
            None => Err(failure(Vec::new(), "`open` was not called")),
        })
    }

    fn on_timers(_fired: FiredTimers) -> Result<(), Failure> {
        Err(failure(Vec::new(), "these operators register no timers"))
    }

    fn finish() -> Result<(), Failure> {
        Ok(())
    }
}

/// An operator with one input, the main output and nothing to configure.
fn operator(name: &str, doc: &str, input: InputSpec, states: Vec<StateSpec>) -> OperatorSpec {
    OperatorSpec {
        name: name.into(),
        doc: doc.into(),
        inputs: vec![input],
        outputs: vec![OutputSpec { name: "out".into() }],
        states,
        config_schema: String::new(),
        properties: Vec::new(),
    }
}

/// Every word of every line becomes a record whose key and value it is.
fn split(batch: Batch) -> Result<(), Failure> {
    let mut words = column();
    let (mut key_of, mut timestamps) = (Vec::new(), Vec::new());
    for row in 0..batch.rows as usize {
        let Ok(line) = std::str::from_utf8(value(&batch.values.values, row)) else {
            reject(&[row as u32], "the value is not UTF-8");
            continue;
        };
        for word in line.split_whitespace() {
            key_of.push(key_of.len() as u32);
            push(&mut words, word.as_bytes());
            timestamps.extend(batch.timestamps.get(row));
        }
    }
    let origin = Origin::OwnKeys(OwnKeys { keys: words.clone(), key_of });
    emit(MAIN, &Emitted { origin, values: present(words), timestamps });
    Ok(())
}

/// One load and one store of state for the whole batch; one result for each row.
fn count(state: &ValueState, batch: &Batch) -> Result<(), Failure> {
    let mut counts = decode(&state.load(), batch)?;
    let (mut results, mut text) = (column(), String::new());
    for &key in &batch.key_of {
        counts[key as usize] += 1;
        text.clear();
        let word = String::from_utf8_lossy(value(&batch.keys, key as usize));
        let _infallible = write!(text, "{word}\t{}", counts[key as usize]);
        push(&mut results, text.as_bytes());
    }
    let mut stored = column();
    counts.iter().for_each(|count| push(&mut stored, &count.to_le_bytes()));
    state.store(&present(stored));
    emit(MAIN, &Emitted { origin: Origin::EachRow, values: present(results), timestamps: Vec::new() });
    Ok(())
}

/// The counts of the batch's keys, 0 where there is none yet.
fn decode(loaded: &OptionalColumn, batch: &Batch) -> Result<Vec<u64>, Failure> {
    let count = |key: usize| {
        if !loaded.validity.is_empty() && loaded.validity[key / 8] & (1 << (key % 8)) == 0 {
            return Ok(0);
        }
        let bytes: Result<[u8; 8], _> = value(&loaded.values, key).try_into();
        bytes.map(u64::from_le_bytes).map_err(|_| {
            let rows = (0..batch.rows).filter(|&row| batch.key_of[row as usize] as usize == key).collect();
            failure(rows, "state `count` holds no u64")
        })
    };
    (0..batch.key_count as usize).map(count).collect()
}

fn failure(rows: Vec<u32>, message: &str) -> Failure {
    Failure { rows, message: message.to_owned() }
}

/// A column without values.
fn column() -> BytesColumn {
    BytesColumn { data: Vec::new(), offsets: vec![0] }
}

fn push(column: &mut BytesColumn, value: &[u8]) {
    column.data.extend_from_slice(value);
    column.offsets.push(column.data.len() as u32);
}

fn value(column: &BytesColumn, index: usize) -> &[u8] {
    &column.data[column.offsets[index] as usize..column.offsets[index + 1] as usize]
}

/// A column in which nothing is missing.
fn present(values: BytesColumn) -> OptionalColumn {
    OptionalColumn { values, validity: Vec::new() }
}
