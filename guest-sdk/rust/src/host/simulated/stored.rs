//! What states hold, and since when.

use std::collections::BTreeMap;

use super::World;
use crate::bindings::exports::weir::operator::operators::Ttl;

/// What a keyed state holds for one key; no list and no map without anything in it.
#[derive(Debug, Clone)]
pub(crate) enum Stored {
    Value(Held),
    List(Vec<Held>),
    Map(BTreeMap<Vec<u8>, Held>),
}

/// A value, an element of a list or an entry of a map: each expires for itself.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    /// The processing time at which it was last written, or read where that refreshes it.
    at: i64,
}

/// What a state that belongs to no key holds; that never expires.
#[derive(Debug, Clone)]
pub(crate) enum Unkeyed {
    List(Vec<Vec<u8>>),
    Map(BTreeMap<Vec<u8>, Vec<u8>>),
}

impl World {
    /// The processing time becomes `to`, unless it is later already. What has expired by then goes at once, so that a call,
    /// within which time stands still, never finds any.
    pub(crate) fn advance_processing_time(&mut self, to: i64) {
        self.processing_time = self.processing_time.max(to);
        for (name, life) in &self.lives {
            if let Some(state) = self.states.get_mut(name) {
                state.retain(|_, stored| stored.outlives(life, self.processing_time));
            }
        }
    }

    /// A read of a key's value or list, or of one entry of its map, makes that live longer, where this was declared.
    pub(super) fn refresh(&mut self, state: &str, key: &[u8], entry: Option<&[u8]>) {
        let stored = self.states.get_mut(state).and_then(|state| state.get_mut(key));
        if let Some(stored) = stored.filter(|_| self.lives.get(state).is_some_and(|life| life.refresh_on_read)) {
            stored.refresh(entry, self.processing_time);
        }
    }
}

impl Stored {
    /// Drops the parts that have expired; whether any is left.
    fn outlives(&mut self, life: &Ttl, now: i64) -> bool {
        match self {
            Self::Value(value) => value.outlives(life, now),
            Self::List(list) => {
                list.retain(|element| element.outlives(life, now));
                !list.is_empty()
            }
            Self::Map(map) => {
                map.retain(|_, value| value.outlives(life, now));
                !map.is_empty()
            }
        }
    }

    fn refresh(&mut self, entry: Option<&[u8]>, now: i64) {
        match self {
            Self::Value(value) => value.at = now,
            Self::List(list) => list.iter_mut().for_each(|element| element.at = now),
            Self::Map(map) => {
                if let Some(value) = entry.and_then(|entry| map.get_mut(entry)) {
                    value.at = now;
                }
            }
        }
    }
}

impl Held {
    /// What was written at a processing time.
    pub(crate) fn written(bytes: &[u8], at: i64) -> Self {
        Self { bytes: bytes.to_vec(), at }
    }

    /// As the host has it: the moment at which it expires is no part of its life.
    fn outlives(&self, life: &Ttl, now: i64) -> bool {
        self.at.saturating_add_unsigned(life.duration_ms) > now
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
