//! The keyed count and the keyed sum in native Rust: what `tests/guests/keyed-count` is compared with.
//!
//! They do the same work through the same checks: one load and one store for the distinct keys of a batch, values in
//! the same encoding. The batch is lent to them, so nothing of it is copied. With `{"emit": true}` each record gives one
//! with its key and the number so far, in decimal digits.

use std::sync::Arc;

use weir_operator::abilities::{Abilities, NewRecords, ValueState};
use weir_operator::batch::{Batch, BytesColumn, Keys, OptionalColumn};
use weir_operator::native::{NativeError, NativeFactory, NativeOperator};
use weir_operator::operator::{Factory, OpenContext};
use weir_operator::turn::Origin;
use weir_protocol::description::{
    Columns, InputDescription, InputKind, OperatorDescription, StateDescription, StateKind,
};

/// Counts the records of each key, in the state `count`.
#[must_use]
pub fn count() -> Arc<dyn Factory> {
    Arc::new(NativeFactory::new(description("count", "count"), || Counting::adding(one)))
}

/// Adds up the lengths of each key's values, in the state `bytes`.
#[must_use]
pub fn sum() -> Arc<dyn Factory> {
    Arc::new(NativeFactory::new(description("sum", "bytes"), || Counting::adding(value_length)))
}

fn one(_batch: &Batch, _row: usize) -> u64 {
    1
}

fn value_length(batch: &Batch, row: usize) -> u64 {
    batch.values.get(row).map_or(0, |value| value.len() as u64)
}

struct Counting<F> {
    state: Option<ValueState>,
    emits: bool,
    /// What a row adds to the number of its key.
    adds: F,
}

impl<F: Fn(&Batch, usize) -> u64> Counting<F> {
    fn adding(adds: F) -> Self {
        Self { state: None, emits: false, adds }
    }

    fn add_up(&self, keys: &Keys, batch: &Batch, numbers: &mut [u64]) -> BytesColumn {
        let mut results = BytesColumn::default();
        for (row, &key) in keys.key_of.iter().enumerate() {
            let number = &mut numbers[key as usize];
            *number += (self.adds)(batch, row);
            if self.emits {
                serde_json::to_writer(&mut results.data, number).expect("a number can be written to memory");
                results.close_value();
            }
        }
        results
    }
}

impl<F: Fn(&Batch, usize) -> u64 + Send> NativeOperator for Counting<F> {
    fn open(&mut self, context: &OpenContext, abilities: &mut Abilities) -> Result<(), NativeError> {
        let name = abilities.description().states[0].name.clone();
        self.state = Some(abilities.value_state(&name)?);
        let config: serde_json::Value = serde_json::from_str(&context.config).unwrap_or_default();
        self.emits = config["emit"] == true;
        Ok(())
    }

    fn process(&mut self, _input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        let state = self.state.expect("`open` made it");
        let keys = batch.keys.as_ref().expect("the input is keyed");
        let loaded = abilities.load(state)?;
        let mut numbers: Vec<u64> = loaded.iter().map(|value| value.map_or(0, number)).collect();
        let results = self.add_up(keys, batch, &mut numbers);
        let mut column = OptionalColumn::default();
        column.values.data.reserve(numbers.len() * 8);
        column.values.offsets.reserve(numbers.len());
        numbers.iter().for_each(|number| column.push(Some(&number.to_le_bytes())));
        abilities.store(state, column)?;
        if self.emits {
            abilities.emit(0, NewRecords::new(Origin::EachRow, results))?;
        }
        Ok(())
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("8 bytes were stored"))
}

fn description(operator: &str, state: &str) -> OperatorDescription {
    let state = StateDescription {
        name: state.to_owned(),
        kind: StateKind::KeyedValue,
        codec: "u64".to_owned(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    };
    let columns = Columns { keys: false, values: true, timestamps: false };
    OperatorDescription {
        name: operator.to_owned(),
        doc: String::new(),
        inputs: vec![InputDescription { name: "records".to_owned(), kind: InputKind::Keyed, columns }],
        outputs: vec!["main".to_owned()],
        states: vec![state],
        config_schema: String::new(),
        properties: Vec::new(),
    }
}
