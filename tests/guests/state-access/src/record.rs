//! The record form.

use std::hint::black_box;

use weir_sdk::prelude::*;

use crate::access::{Access, ENTRIES, Options, Sequence, VALUES};

/// One access for each record, a record at a time.
#[derive(Describe)]
#[describe(name = "record")]
#[input(records: keyed, reads())]
pub struct AccessRecord {
    pub value: ValueState<i64>,
    pub list: ListState<i64>,
    pub map: MapState<i64, f64>,
    options: Config<Options>,
    #[describe(skip)]
    next: Sequence,
}

impl Operator for AccessRecord {
    fn process(&mut self, _record: &Record, _out: &mut Output) -> Result {
        let Self { value, list, map, next, .. } = self;
        match self.options.access {
            Access::ValueUpdate => value.set(next.value()),
            Access::ValueGet => {
                black_box(value.get()?);
            }
            Access::ListUpdate => list.set(vec![next.value()]),
            Access::ListAppend => list.append(next.value())?,
            Access::ListGet => {
                black_box(list.get()?);
            }
            Access::ListGetAndIterate => {
                black_box(list.get()?.iter().sum::<i64>());
            }
            Access::ListAddAll => (0..VALUES).try_for_each(|value| list.append(value))?,
            Access::MapUpdate => map.put(&next.entry(), 0.5),
            Access::MapGet => {
                black_box(map.get(&next.entry())?);
            }
            Access::MapContains => {
                black_box(map.get(&(next.entry() << 1))?.is_some());
            }
            Access::MapIsEmpty => {
                black_box(map.is_empty()?);
            }
            Access::MapKeys | Access::MapValues | Access::MapEntries | Access::MapIterator => {
                for entry in map.entries(None, None)? {
                    black_box(entry?);
                }
            }
            Access::MapRemove => map.remove(&next.entry()),
            Access::MapPutAll => (0..ENTRIES).for_each(|entry| map.put(&entry, 0.5)),
        }
        Ok(())
    }
}
