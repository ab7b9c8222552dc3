//! One open operator: receives the contract's calls, gives them to the author's code in the form it was written in.

mod batch_form;
mod component;
mod record_form;

pub use component::{describe, finish, migrate, on_timers, open, process};

use crate::batch::Batch;
use crate::bindings::weir::operator::types;
pub use crate::bindings::weir::operator::types::Failure;
use crate::describe::{Describe, Spec};
use crate::error::{Culprits, Error, Result};
use crate::operator::{BatchOperator, Context, Operator};
use crate::state;
use batch_form::BatchInstance;
use record_form::RecordInstance;

/// An operator in either form; `F` is found by the compiler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no operator",
    note = "implement `weir_sdk::Operator` (one record at a time) or `weir_sdk::BatchOperator` (columns)"
)]
pub trait Runnable<F>: Describe {
    /// Makes the instance, opened.
    ///
    /// # Errors
    /// What `open` says.
    fn start(context: &Context) -> Result<Box<dyn Instance>>;
}

/// The form of [`Operator`].
#[derive(Debug)]
pub enum RecordForm {}

/// The form of [`BatchOperator`].
#[derive(Debug)]
pub enum BatchForm {}

impl<O: Operator> Runnable<RecordForm> for O {
    fn start(context: &Context) -> Result<Box<dyn Instance>> {
        let (spec, mut operator) = opened::<O>(context)?;
        Operator::open(&mut operator, context)?;
        Ok(Box::new(RecordInstance::new(spec, operator)))
    }
}

impl<O: BatchOperator> Runnable<BatchForm> for O {
    fn start(context: &Context) -> Result<Box<dyn Instance>> {
        let (spec, mut operator) = opened::<O>(context)?;
        BatchOperator::open(&mut operator, context)?;
        Ok(Box::new(BatchInstance::new(spec, operator)))
    }
}

fn opened<O: Describe>(context: &Context) -> Result<(Spec, O)> {
    let (spec, mut operator) = Spec::of::<O>();
    operator.visit(&mut |field| field.open(context))?;
    Ok((spec, operator))
}

/// The contract's calls on one instance. After an error the instance is worth nothing.
pub trait Instance {
    /// Records of one input.
    ///
    /// # Errors
    /// The operator's.
    fn process(&mut self, input: u32, batch: &types::Batch) -> Result<(), Failure>;

    /// Timers that are due.
    ///
    /// # Errors
    /// The operator's.
    fn on_timers(&mut self, fired: &types::FiredTimers) -> Result<(), Failure>;

    /// All inputs have ended.
    ///
    /// # Errors
    /// The operator's.
    fn finish(&mut self) -> Result<(), Failure>;
}

/// One operator of a component: what `export!` makes a list of.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    name: &'static str,
    describe: fn() -> crate::bindings::exports::weir::operator::operators::OperatorSpec,
    start: fn(&Context) -> Result<Box<dyn Instance>>,
    migrate: fn(&str, u32, &types::BytesColumn) -> Result<types::BytesColumn, String>,
}

impl Entry {
    /// The operator `O`, in the form it was written in.
    #[must_use]
    pub const fn of<O: Runnable<F>, F>() -> Self {
        Self { name: O::NAME, describe: described::<O>, start: O::start, migrate: migrated::<O> }
    }

    /// Whether one alone of these has its name.
    #[must_use]
    pub const fn has_own_name(&self, all: &[Self]) -> bool {
        let (mut index, mut of_this_name) = (0, 0);
        while index < all.len() {
            of_this_name += are_same(self.name.as_bytes(), all[index].name.as_bytes()) as usize;
            index += 1;
        }
        of_this_name == 1
    }
}

/// What `==` is where constants are computed.
const fn are_same(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}

/// What the operator says of itself.
pub(crate) fn described<O: Describe>() -> crate::bindings::exports::weir::operator::operators::OperatorSpec {
    Spec::of::<O>().0.into_contract(O::NAME, O::DOC)
}

/// Values of an older version of a state, in the form that the operator declares now.
pub(crate) fn migrated<O: Describe>(
    state: &str,
    from_version: u32,
    values: &types::BytesColumn,
) -> Result<types::BytesColumn, String> {
    Spec::of::<O>().0.migrate(state, from_version, values)
}

/// Runs a call with keyed state open for so many keys.
fn with_keys<T>(keys: u32, call: impl FnOnce() -> T) -> T {
    state::begin(keys);
    let result = call();
    state::end();
    result
}

/// The end of a call that went well: the operator's parts hand over what they gathered.
fn flush(operator: &mut impl Describe) -> Result {
    operator.visit(&mut |field| field.flush())
}

/// The failure of a call whose rows have these keys.
fn failure(error: Error, current: &[u32], key_of: &[u32], keys: &types::BytesColumn) -> Failure {
    let rows: Vec<u32> = match error.culprits {
        Culprits::Current => current.to_vec(),
        Culprits::Rows(rows) => rows,
        Culprits::Key(wanted) => (0..).zip(key_of).filter(|(_, key)| **key == wanted).map(|(row, _)| row).collect(),
    };
    let key = rows.first().and_then(|&row| key_of.get(row as usize)).and_then(|&key| {
        let column = crate::column::Column::of_bytes(keys);
        ((key as usize) < column.len()).then(|| column.get(key as usize)).flatten()
    });
    let message = match key {
        Some(key) => format!("key `{}`: {}", String::from_utf8_lossy(key), error.message),
        None => error.message,
    };
    Failure { rows, message }
}

/// The same for a batch.
fn batch_failure(error: Error, current: &[u32], batch: &types::Batch) -> Failure {
    failure(error, current, &batch.key_of, &batch.keys)
}

/// The same for timers.
fn timer_failure(error: Error, current: &[u32], fired: &types::FiredTimers) -> Failure {
    failure(error, current, &fired.key_of, &fired.keys)
}

/// The failure of `finish`, which has no rows.
fn finish_failure(error: Error) -> Failure {
    Failure { rows: Vec::new(), message: error.message }
}

/// The batch as the operator sees it.
fn view<'a>(spec: &Spec, input: u32, batch: &'a types::Batch) -> Batch<'a> {
    let input = spec.inputs().get(input as usize).expect("the host knows the inputs by `describe`");
    Batch::new(*input, batch)
}
