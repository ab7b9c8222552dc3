//! What an operator says of itself: its inputs, outputs and states, told by the fields of its struct.
//!
//! `#[derive(Describe)]` reads the struct; each field is a [`Field`], which declares itself, is opened once per
//! instance, and is flushed at the end of every call. An author seldom meets the names of this module.

use std::ops::Deref;

use serde::de::DeserializeOwned;

use crate::bindings::exports::weir::operator::operators as contract;
pub use crate::bindings::exports::weir::operator::operators::{Columns, InputKind};
use crate::bindings::weir::operator::types::BytesColumn;
use crate::error::{Error, Result};
use crate::migration::{Migrations, StateMigrations, VersionedField};
use crate::operator::Context;
pub use weir_sdk_macros::Describe;

/// An operator's description; made by `#[derive(Describe)]`.
pub trait Describe: Sized + 'static {
    /// The operator's name, unique within its component.
    const NAME: &'static str;
    /// For people.
    const DOC: &'static str;

    /// Declares everything there is and makes the operator, closed: no state is reachable yet.
    fn declare(spec: &mut Spec) -> Self;

    /// Shows every part to the visitor, until one fails.
    ///
    /// # Errors
    /// The visitor's.
    fn visit(&mut self, visitor: &mut dyn FnMut(&mut dyn Field) -> Result) -> Result;
}

/// A part of an operator that the host has to know of, or that works for a whole batch at a time.
pub trait Field {
    /// Declares itself under the name and makes itself, closed.
    fn declare(name: &'static str, spec: &mut Spec) -> Self
    where
        Self: Sized;

    /// Opens itself; called once per instance.
    ///
    /// # Errors
    /// If the instance cannot be opened.
    fn open(&mut self, context: &Context) -> Result {
        let _unused = context;
        Ok(())
    }

    /// Hands the host what was gathered; called at the end of every call that went well.
    ///
    /// # Errors
    /// If something cannot be encoded.
    fn flush(&mut self) -> Result {
        Ok(())
    }
}

/// A field that is a keyed state, and so may have a time to live.
pub trait StateField: Field {}

/// How long each value, list element and map entry of a state lives; `#[describe(ttl = "…")]` on its field. The
/// clock is processing time: in a test, that of
/// [`advance_processing_time`](crate::harness::Harness::advance_processing_time).
///
/// ```
/// use weir_sdk::prelude::*;
///
/// /// Lets through what it has not seen for an hour.
/// #[derive(Describe)]
/// struct Distinct {
///     #[describe(ttl = "1h")]
///     seen: ValueState<bool>,
/// }
///
/// impl Operator for Distinct {
///     fn process(&mut self, _record: &Record, out: &mut Output) -> Result {
///         if self.seen.get()?.is_some() {
///             return Ok(());
///         }
///         self.seen.set(true);
///         out.forward()
///     }
/// }
///
/// weir_sdk::export!(Distinct);
/// # use weir_sdk::harness::Harness;
///
/// let mut distinct = Harness::<Distinct>::new();
/// distinct.send(("ann", "first")).advance_processing_time(3_599_999).send(("ann", "second"));
/// distinct.advance_processing_time(3_600_000).send(("ann", "third"));
/// assert_eq!(distinct.take_values(), ["first", "third"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    /// Milliseconds of processing time since the last write, or read, where reads refresh.
    pub duration_ms: u64,
    /// Whether a read makes what is there live longer too.
    pub refresh_on_read: bool,
    /// Whether a read may still see what has expired and was not cleaned up yet. When the host cleans up is not laid down: a
    /// [`Harness`](crate::harness::Harness) does so at once, and never shows any.
    pub return_expired: bool,
}

/// The contract's property that says from which versions a state can be migrated.
const MIGRATES_FROM: &str = "migrates-from";

/// What has been declared so far.
#[derive(Debug, Default)]
pub struct Spec {
    inputs: Vec<Input>,
    outputs: Vec<&'static str>,
    states: Vec<contract::StateSpec>,
    migrations: Vec<StateMigrations>,
}

/// A declared input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input {
    pub(crate) name: &'static str,
    pub(crate) kind: InputKind,
    pub(crate) columns: Columns,
}

impl Spec {
    /// What an operator declares, and the operator itself, closed.
    pub(crate) fn of<O: Describe>() -> (Self, O) {
        let mut spec = Self { outputs: vec!["out"], ..Self::default() };
        let operator = O::declare(&mut spec);
        if spec.inputs.is_empty() {
            spec.input("in", InputKind::Keyed, Columns::all());
        }
        (spec, operator)
    }

    /// Declares the next input.
    pub fn input(&mut self, name: &'static str, kind: InputKind, columns: Columns) {
        self.inputs.push(Input { name, kind, columns });
    }

    /// Declares a side output.
    pub fn output(&mut self, name: &'static str) -> Port {
        self.outputs.push(name);
        Port(u32::try_from(self.outputs.len() - 1).expect("few outputs"))
    }

    /// Declares a state whose parts expire.
    pub fn expiring<S: StateField>(&mut self, name: &'static str, ttl: Ttl) -> S {
        let first = self.states.len();
        let state = S::declare(name, self);
        for declared in &mut self.states[first..] {
            declared.ttl = Some(contract::Ttl {
                duration_ms: ttl.duration_ms,
                refresh_on_read: ttl.refresh_on_read,
                return_expired: ttl.return_expired,
            });
        }
        state
    }

    /// Declares that the state that was declared last has this version, and what becomes of values of older ones.
    ///
    /// # Panics
    /// If it has another name.
    pub fn versioned<S: VersionedField>(&mut self, name: &'static str, version: u32, migrations: Migrations<S>) {
        let declared = self.states.last_mut().filter(|declared| declared.name == name);
        let declared = declared.expect("a versioned field has just declared its state");
        let migrations = migrations.of(name);
        declared.version = version;
        declared.properties.push((MIGRATES_FROM.to_owned(), migrations.versions()));
        self.migrations.push(migrations);
    }

    pub(crate) fn migrate(&self, state: &str, from_version: u32, values: &BytesColumn) -> Result<BytesColumn, String> {
        match self.migrations.iter().find(|migrations| migrations.state == state) {
            Some(migrations) => migrations.migrate(from_version, values),
            None => Err(format!("state `{state}` has no migration")),
        }
    }

    pub(crate) fn state(&mut self, name: &'static str, kind: contract::StateKind, codec: &str) {
        self.states.push(contract::StateSpec {
            name: name.to_owned(),
            kind,
            codec: codec.to_owned(),
            version: 1,
            ttl: None,
            properties: Vec::new(),
        });
    }

    /// The names of the states that have a time to live, with that.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn lives(&self) -> impl Iterator<Item = (String, contract::Ttl)> {
        self.states.iter().filter_map(|state| Some((state.name.clone(), state.ttl?)))
    }

    pub(crate) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    pub(crate) fn outputs(&self) -> &[&'static str] {
        &self.outputs
    }

    /// As the contract has it.
    pub(crate) fn into_contract(self, name: &str, doc: &str) -> contract::OperatorSpec {
        let input = |input: &Input| contract::InputSpec {
            name: input.name.to_owned(),
            kind: input.kind,
            columns: input.columns,
        };
        contract::OperatorSpec {
            name: name.to_owned(),
            doc: doc.to_owned(),
            inputs: self.inputs.iter().map(input).collect(),
            outputs: self.outputs.iter().map(|name| contract::OutputSpec { name: (*name).to_owned() }).collect(),
            states: self.states,
            config_schema: String::new(),
            properties: Vec::new(),
        }
    }
}

/// An output. As a field it declares a side output of the field's name; [`Port::MAIN`] is always there, named `out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port(pub(crate) u32);

impl Port {
    /// The main output.
    pub const MAIN: Self = Self(0);
}

impl Field for Port {
    fn declare(name: &'static str, spec: &mut Spec) -> Self {
        spec.output(name)
    }
}

/// The operator's configuration: the `config` of the job file, read into `T` when the instance is opened.
///
/// A job without one gives `{}`, so that a `T` with `#[serde(default)]` needs none.
#[derive(Debug, Clone)]
pub struct Config<T>(Option<T>);

impl<T: DeserializeOwned> Field for Config<T> {
    fn declare(_name: &'static str, _spec: &mut Spec) -> Self {
        Self(None)
    }

    fn open(&mut self, context: &Context) -> Result {
        let text = match context.config.trim() {
            "" | "null" => "{}",
            text => text,
        };
        let config = serde_json::from_str(text).map_err(|error| Error::failure(format_args!("config: {error}")))?;
        self.0 = Some(config);
        Ok(())
    }
}

impl<T> Deref for Config<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("the configuration is there from `open` on")
    }
}
