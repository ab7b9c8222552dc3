//! The batch form: each call is about all records at once.

use std::hint::black_box;

use weir_sdk::prelude::*;

use crate::access::{Access, ENTRIES, Options, Sequence, VALUES};

/// One access for each record, a batch at a time. Accesses to whole maps have no such form.
#[derive(Describe)]
#[describe(name = "batch")]
#[input(records: keyed, reads())]
pub struct AccessBatch {
    pub value: ValueState<i64>,
    pub list: ListState<i64>,
    pub map: MapState<i64, f64>,
    options: Config<Options>,
    #[describe(skip)]
    next: Sequence,
}

impl BatchOperator for AccessBatch {
    fn process(&mut self, batch: &Batch, _out: &mut BatchOutput) -> Result {
        let Self { value, list, map, next, .. } = self;
        let keys = batch.key_of();
        let mut entries = || keys.iter().map(|_| next.entry()).collect::<Vec<_>>();
        match self.options.access {
            Access::ValueUpdate => {
                let values: Vec<_> = keys.iter().map(|_| Some(next.value())).collect();
                value.store_some(keys, &values)?;
            }
            Access::ValueGet => {
                black_box(value.load()?);
            }
            Access::ListAppend => {
                let values: Vec<_> = keys.iter().map(|_| next.value()).collect();
                list.append_many(keys, &values)?;
            }
            Access::ListAddAll => {
                let to: Vec<_> = keys.iter().flat_map(|&key| (0..VALUES).map(move |_| key)).collect();
                let values: Vec<_> = keys.iter().flat_map(|_| 0..VALUES).collect();
                list.append_many(&to, &values)?;
            }
            Access::ListGet => {
                black_box(list.load_some(keys)?);
            }
            Access::ListGetAndIterate => {
                black_box(list.load_some(keys)?.iter().flatten().sum::<i64>());
            }
            Access::MapUpdate => map.store_some(keys, &entries(), &vec![Some(0.5); keys.len()])?,
            Access::MapGet | Access::MapContains => {
                black_box(map.load_some(keys, &entries())?);
            }
            Access::MapRemove => map.store_some(keys, &entries(), &vec![None; keys.len()])?,
            Access::MapPutAll => {
                let to: Vec<_> = keys.iter().flat_map(|&key| (0..ENTRIES).map(move |_| key)).collect();
                let entries: Vec<_> = keys.iter().flat_map(|_| 0..ENTRIES).collect();
                map.store_some(&to, &entries, &vec![Some(0.5); to.len()])?;
            }
            Access::ListUpdate
            | Access::MapIsEmpty
            | Access::MapKeys
            | Access::MapValues
            | Access::MapEntries
            | Access::MapIterator => return Err(Error::failure("this access has no batch form")),
        }
        Ok(())
    }
}
