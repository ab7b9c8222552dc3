//! State that belongs to no key, in memory; the rest of the interface `state` of the contract.

use std::collections::BTreeMap;

use super::state::{expect_open, page};
use super::{Call, Unkeyed, with};
use crate::bindings::weir::operator::state::Page;
use crate::bindings::weir::operator::types::BytesColumn;
use crate::column::{Column, ColumnBuilder};

#[derive(Debug)]
pub(crate) struct OperatorState {
    name: String,
}

impl OperatorState {
    pub(crate) fn new(name: &str) -> Self {
        expect_open();
        Self { name: name.to_owned() }
    }

    pub(crate) fn get(&self) -> BytesColumn {
        with(|scene| {
            scene.world.state_calls.push("operator.get");
            let values = match scene.world.unkeyed.get(&self.name) {
                Some(Unkeyed::List(values)) => values.clone(),
                Some(Unkeyed::Map(_)) | None => Vec::new(),
            };
            ColumnBuilder::from_iter(values).take().values
        })
    }

    pub(crate) fn set(&self, values: &BytesColumn) {
        with(|scene| {
            scene.expect_call(&[Call::Process, Call::Timers, Call::Finish], "operator-state.set");
            scene.world.state_calls.push("operator.set");
            let values = Column::of_bytes(values).iter().flatten().map(<[u8]>::to_vec).collect();
            scene.world.unkeyed.insert(self.name.clone(), Unkeyed::List(values));
        });
    }
}

#[derive(Debug)]
pub(crate) struct BroadcastState {
    name: String,
}

impl BroadcastState {
    pub(crate) fn new(name: &str) -> Self {
        expect_open();
        Self { name: name.to_owned() }
    }

    pub(crate) fn get(&self, entry: &[u8]) -> Option<Vec<u8>> {
        self.map("broadcast.get").remove(entry)
    }

    pub(crate) fn put(&self, entry: &[u8], value: &[u8]) {
        self.write("broadcast-state.put", entry, Some(value));
    }

    pub(crate) fn remove(&self, entry: &[u8]) {
        self.write("broadcast-state.remove", entry, None);
    }

    pub(crate) fn scan(&self, start: Option<&[u8]>, end: Option<&[u8]>, limit: u32) -> Page {
        page(&self.map("broadcast.scan"), start, end, limit)
    }

    fn write(&self, what: &'static str, entry: &[u8], value: Option<&[u8]>) {
        with(|scene| {
            assert!(scene.is_broadcast, "trap: {what} is legal only while a batch of a broadcast input is processed");
            let state = scene.world.unkeyed.entry(self.name.clone());
            let Unkeyed::Map(map) = state.or_insert_with(|| Unkeyed::Map(BTreeMap::new())) else {
                unreachable!("a state has one kind");
            };
            match value {
                Some(value) => map.insert(entry.to_vec(), value.to_vec()),
                None => map.remove(entry),
            };
        });
    }

    fn map(&self, call: &'static str) -> BTreeMap<Vec<u8>, Vec<u8>> {
        with(|scene| {
            scene.world.state_calls.push(call);
            match scene.world.unkeyed.get(&self.name) {
                Some(Unkeyed::Map(map)) => map.clone(),
                Some(Unkeyed::List(_)) | None => BTreeMap::new(),
            }
        })
    }
}
