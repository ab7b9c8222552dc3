//! Keyed state in memory; the interface `state` of the contract.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::timers::processing_time;
pub(crate) use super::unkeyed_state::{BroadcastState, OperatorState};
use super::{Call, Held, Stored, with};
use crate::bindings::weir::operator::state::{Lists, Page};
use crate::bindings::weir::operator::types::{BytesColumn, OptionalColumn};
use crate::column::{Column, ColumnBuilder};

fn read<T>(name: &str, key: u32, read: impl FnOnce(Option<&Stored>) -> T) -> T {
    with(|scene| read(scene.world.states.get(name).and_then(|state| state.get(scene.key(key)))))
}

fn write(name: &str, key: u32, value: Option<Stored>) {
    with(|scene| {
        let key = scene.key(key).to_vec();
        let state = scene.world.states.entry(name.to_owned()).or_default();
        match value {
            Some(value) => state.insert(key, value),
            None => state.remove(&key),
        };
    });
}

/// What follows each read of a key's value or list, or of one entry of its map.
fn refresh(name: &str, key: u32, entry: Option<&[u8]>) {
    with(|scene| {
        let key = scene.key(key).to_vec();
        scene.world.refresh(name, &key, entry);
    });
}

fn held(value: &[u8]) -> Held {
    Held::written(value, processing_time())
}

fn count(call: &'static str) {
    with(|scene| scene.world.state_calls.push(call));
}

fn all_keys() -> Vec<u32> {
    with(|scene| {
        assert!(!scene.keys.is_empty(), "trap: keyed state is closed in this call");
        (0..u32::try_from(scene.keys.len()).expect("few keys")).collect()
    })
}

pub(super) fn expect_open() {
    with(|scene| scene.expect_call(&[Call::Open], "making a state handle"));
}

fn same_length(keys: &[u32], values: usize) {
    assert_eq!(keys.len(), values, "trap: as many values as keys");
}

#[derive(Debug)]
pub(crate) struct ValueState {
    name: String,
}

impl ValueState {
    pub(crate) fn new(name: &str) -> Self {
        expect_open();
        Self { name: name.to_owned() }
    }

    pub(crate) fn load(&self) -> OptionalColumn {
        count("value.load");
        let mut column = ColumnBuilder::new();
        for key in all_keys() {
            read(&self.name, key, |stored| match stored {
                Some(Stored::Value(value)) => column.push(value.as_ref()),
                _ => column.push_missing(),
            });
            refresh(&self.name, key, None);
        }
        column.take()
    }

    pub(crate) fn store(&self, values: &OptionalColumn) {
        count("value.store");
        self.write(&all_keys(), values);
    }

    pub(crate) fn store_some(&self, keys: &[u32], values: &OptionalColumn) {
        count("value.store-some");
        self.write(keys, values);
    }

    fn write(&self, keys: &[u32], values: &OptionalColumn) {
        let column = Column::of(values);
        same_length(keys, column.len());
        for (&key, value) in keys.iter().zip(column.iter()) {
            write(&self.name, key, value.map(|value| Stored::Value(held(value))));
        }
    }
}

#[derive(Debug)]
pub(crate) struct ListState {
    name: String,
}

impl ListState {
    pub(crate) fn new(name: &str) -> Self {
        expect_open();
        Self { name: name.to_owned() }
    }

    pub(crate) fn get(&self, key: u32) -> BytesColumn {
        count("list.get");
        let list = self.list(key);
        refresh(&self.name, key, None);
        ColumnBuilder::from_iter(list).take().values
    }

    pub(crate) fn set(&self, key: u32, values: &BytesColumn) {
        count("list.set");
        let values: Vec<_> = Column::of_bytes(values).iter().flatten().map(held).collect();
        write(&self.name, key, Some(values).filter(|values| !values.is_empty()).map(Stored::List));
    }

    pub(crate) fn append_many(&self, keys: &[u32], values: &BytesColumn) {
        count("list.append-many");
        let values = Column::of_bytes(values);
        same_length(keys, values.len());
        for (&key, value) in keys.iter().zip(values.iter().flatten()) {
            let mut list = self.list(key);
            list.push(held(value));
            write(&self.name, key, Some(Stored::List(list)));
        }
    }

    pub(crate) fn get_many(&self, keys: &[u32]) -> Lists {
        count("list.get-many");
        let mut values = ColumnBuilder::new();
        let mut ends = Vec::new();
        for &key in keys {
            self.list(key).iter().for_each(|value| values.push(value.as_ref()));
            refresh(&self.name, key, None);
            ends.push(u32::try_from(values.len()).expect("few values"));
        }
        Lists { ends, values: values.take().values }
    }

    fn list(&self, key: u32) -> Vec<Held> {
        read(&self.name, key, |stored| match stored {
            Some(Stored::List(list)) => list.clone(),
            _ => Vec::new(),
        })
    }
}

#[derive(Debug)]
pub(crate) struct MapState {
    name: String,
}

impl MapState {
    pub(crate) fn new(name: &str) -> Self {
        expect_open();
        Self { name: name.to_owned() }
    }

    pub(crate) fn get(&self, key: u32, entry: &[u8]) -> Option<Vec<u8>> {
        count("map.get");
        let value = self.map(key).remove(entry)?;
        refresh(&self.name, key, Some(entry));
        Some(value.as_ref().to_vec())
    }

    pub(crate) fn clear(&self, key: u32) {
        count("map.clear");
        write(&self.name, key, None);
    }

    pub(crate) fn is_empty(&self, key: u32) -> bool {
        count("map.is-empty");
        // The host looks at the first entry, and so refreshes it.
        Column::of_bytes(&self.page(key, None, None, 1).entries).is_empty()
    }

    pub(crate) fn get_many(&self, keys: &[u32], entries: &BytesColumn) -> OptionalColumn {
        count("map.get-many");
        let entries = Column::of_bytes(entries);
        same_length(keys, entries.len());
        let mut values = ColumnBuilder::new();
        for (&key, entry) in keys.iter().zip(entries.iter().flatten()) {
            match self.map(key).get(entry) {
                Some(value) => values.push(value.as_ref()),
                None => values.push_missing(),
            }
            refresh(&self.name, key, Some(entry));
        }
        values.take()
    }

    pub(crate) fn put_many(&self, keys: &[u32], entries: &BytesColumn, values: &OptionalColumn) {
        count("map.put-many");
        let (entries, values) = (Column::of_bytes(entries), Column::of(values));
        same_length(keys, entries.len());
        same_length(keys, values.len());
        for ((&key, entry), value) in keys.iter().zip(entries.iter().flatten()).zip(values.iter()) {
            let mut map = self.map(key);
            match value {
                Some(value) => map.insert(entry.to_vec(), held(value)),
                None => map.remove(entry),
            };
            write(&self.name, key, Some(map).filter(|map| !map.is_empty()).map(Stored::Map));
        }
    }

    pub(crate) fn scan(&self, key: u32, start: Option<&[u8]>, end: Option<&[u8]>, limit: u32) -> Page {
        count("map.scan");
        self.page(key, start, end, limit)
    }

    fn page(&self, key: u32, start: Option<&[u8]>, end: Option<&[u8]>, limit: u32) -> Page {
        let page = page(&self.map(key), start, end, limit);
        Column::of_bytes(&page.entries).iter().for_each(|entry| refresh(&self.name, key, entry));
        page
    }

    fn map(&self, key: u32) -> BTreeMap<Vec<u8>, Held> {
        read(&self.name, key, |stored| match stored {
            Some(Stored::Map(map)) => map.clone(),
            _ => BTreeMap::new(),
        })
    }
}

/// A page of a map.
pub(super) fn page<V: AsRef<[u8]>>(
    map: &BTreeMap<Vec<u8>, V>,
    start: Option<&[u8]>,
    end: Option<&[u8]>,
    limit: u32,
) -> Page {
    let start = start.map_or(Bound::Unbounded, |start| Bound::Included(start.to_vec()));
    let before_end = |entry: &[u8]| end.is_none_or(|end| entry < end);
    let mut range = map.range((start, Bound::Unbounded)).take_while(|(entry, _)| before_end(entry));
    let (entries, values): (ColumnBuilder, ColumnBuilder) = {
        let page: Vec<_> = range.by_ref().take(limit as usize).collect();
        (page.iter().map(|(entry, _)| entry).collect(), page.iter().map(|(_, value)| value).collect())
    };
    let more = range.next().is_some();
    let (mut entries, mut values) = (entries, values);
    Page { entries: entries.take().values, values: values.take().values, more }
}
