//! The exports of a component: finds the operator that the host asks for and keeps its one instance.

use std::cell::RefCell;

use super::{Entry, Failure, Instance};
use crate::bindings::exports::weir::operator::operators::{Context, OperatorSpec};
use crate::bindings::weir::operator::types::{Batch, BytesColumn, FiredTimers};

thread_local! {
    /// The operator that was opened. A component's instance runs on one thread and is one operator's.
    static INSTANCE: RefCell<Option<Box<dyn Instance>>> = const { RefCell::new(None) };
}

/// What the component's operators say of themselves.
#[must_use]
pub fn describe(entries: &[Entry]) -> Vec<OperatorSpec> {
    entries.iter().map(|entry| (entry.describe)()).collect()
}

/// Opens the operator that the context names.
///
/// # Errors
/// If there is none of the name, or it says that it cannot be opened.
pub fn open(entries: &[Entry], context: &Context) -> Result<(), String> {
    let instance = (find(entries, &context.operator_name)?.start)(context).map_err(|error| error.to_string())?;
    INSTANCE.set(Some(instance));
    Ok(())
}

/// Rewrites values that an older version of an operator wrote. Nothing is open.
///
/// # Errors
/// If there is no operator of the name, no such migration, or a value cannot be migrated.
pub fn migrate(
    entries: &[Entry],
    operator: &str,
    state: &str,
    from_version: u32,
    values: &BytesColumn,
) -> Result<BytesColumn, String> {
    (find(entries, operator)?.migrate)(state, from_version, values)
}

fn find<'a>(entries: &'a [Entry], wanted: &str) -> Result<&'a Entry, String> {
    entries.iter().find(|entry| entry.name == wanted).ok_or_else(|| {
        let names: Vec<_> = entries.iter().map(|entry| entry.name).collect();
        format!("this component has no operator `{wanted}`; it has: {}", names.join(", "))
    })
}

/// Records of one input.
///
/// # Errors
/// The operator's.
pub fn process(input: u32, batch: &Batch) -> Result<(), Failure> {
    with_instance(|instance| instance.process(input, batch))
}

/// Timers that are due.
///
/// # Errors
/// The operator's.
pub fn on_timers(fired: &FiredTimers) -> Result<(), Failure> {
    with_instance(|instance| instance.on_timers(fired))
}

/// All inputs have ended.
///
/// # Errors
/// The operator's.
pub fn finish() -> Result<(), Failure> {
    with_instance(|instance| instance.finish())
}

fn with_instance<T>(call: impl FnOnce(&mut dyn Instance) -> T) -> T {
    INSTANCE.with_borrow_mut(|instance| call(instance.as_deref_mut().expect("the host calls `open` first")))
}
