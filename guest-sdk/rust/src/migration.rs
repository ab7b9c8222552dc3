//! How values that an older version of an operator wrote become what it declares now.
//!
//! Receives, from a state's `#[describe(version = …, migrate(…))]`, a function for each older version; gives the host's
//! values to it, decoded, and encodes what it makes of them. Does not own which values those are: the host rewrites all
//! of them before the operator's first record, and none if one fails.

use std::fmt;
use std::marker::PhantomData;

use crate::bindings::weir::operator::types::BytesColumn;
use crate::codec::Codec;
use crate::column::{Column, ColumnBuilder};
use crate::describe::Field;
use crate::error::Result;

/// A field that is a state whose values can be migrated: those of all keys, a list's elements, a map's entries. Keys, and
/// the keys of entries, stay as they are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no state, so it has no version",
    note = "`#[describe(version = …)]` belongs to a `ValueState`, `ListState`, `MapState` or another state"
)]
pub trait VersionedField: Field {
    /// What it holds.
    type Value: 'static;
    /// How that is encoded.
    type Codec: Codec<Self::Value>;
}

/// Rewrites one value.
type Rewrite = Box<dyn Fn(&[u8], &mut Vec<u8>) -> Result<(), String>>;

/// What makes the values of a state `S` out of those of its older versions.
pub struct Migrations<S> {
    by_version: Vec<(u32, Rewrite)>,
    state: PhantomData<fn() -> S>,
}

impl<S: VersionedField> Migrations<S> {
    /// From no version.
    #[must_use]
    pub const fn none() -> Self {
        Self { by_version: Vec::new(), state: PhantomData }
    }

    /// And from this one, whose values are encoded by `C`.
    #[must_use]
    pub fn from<C: Codec<Old>, Old: 'static>(mut self, version: u32, migrate: fn(Old) -> Result<S::Value>) -> Self {
        let rewrite = move |old: &[u8], into: &mut Vec<u8>| {
            let old = C::decode(old).map_err(|reason| format!("no {} of version {version}: {reason}", C::name()))?;
            let new = migrate(old).map_err(|error| error.to_string())?;
            S::Codec::encode(&new, into)
        };
        self.by_version.push((version, Box::new(rewrite)));
        self
    }

    pub(crate) fn of(self, state: &'static str) -> StateMigrations {
        StateMigrations { state, by_version: self.by_version }
    }
}

impl<S> fmt::Debug for Migrations<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions: Vec<u32> = self.by_version.iter().map(|(version, _)| *version).collect();
        f.debug_struct("Migrations").field("from", &versions).finish_non_exhaustive()
    }
}

/// The same for the state of a name, whatever it holds.
pub(crate) struct StateMigrations {
    pub(crate) state: &'static str,
    by_version: Vec<(u32, Rewrite)>,
}

impl StateMigrations {
    /// The versions, as the contract's property `migrates-from` has them.
    pub(crate) fn versions(&self) -> String {
        let versions: Vec<_> = self.by_version.iter().map(|(version, _)| version.to_string()).collect();
        versions.join(",")
    }

    /// Rewrites values that a version wrote.
    pub(crate) fn migrate(&self, from_version: u32, values: &BytesColumn) -> Result<BytesColumn, String> {
        let Some((_, rewrite)) = self.by_version.iter().find(|(version, _)| *version == from_version) else {
            return Err(format!("there is no migration of state `{}` from version {from_version}", self.state));
        };
        let mut rewritten = ColumnBuilder::new();
        for value in Column::of_bytes(values).iter().flatten() {
            rewritten.push_with(|into| rewrite(value, into))?;
        }
        Ok(rewritten.take().values)
    }
}

impl fmt::Debug for StateMigrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMigrations").field("state", &self.state).field("from", &self.versions()).finish()
    }
}
