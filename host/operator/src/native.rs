//! Operators in native Rust: what benches compare components with, and what simulations run.
//!
//! Receives the same turns as a component does, and gives native code the same [`Abilities`] with the same checks, so
//! that both are interchangeable. Does not own limits of memory and CPU time: native code is trusted.

use std::sync::Arc;

use futures::future::BoxFuture;
use weir_protocol::description::OperatorDescription;
use weir_protocol::job_spec::LimitSpec;

use crate::abilities::{Abilities, Phase, Violation};
use crate::batch::{Batch, BytesColumn};
use crate::migrator::{Migrator, checked};
use crate::operator::{CallError, Factory, OpenContext, Operator};
use crate::turn::{FiredTimers, Turn, Work};

/// An operator in native Rust.
pub trait NativeOperator: Send {
    /// Called once, before anything else; makes the state handles.
    ///
    /// # Errors
    /// Whatever keeps the operator from starting; the job fails.
    fn open(&mut self, context: &OpenContext, abilities: &mut Abilities) -> Result<(), NativeError>;

    /// Processes a batch of an input.
    ///
    /// # Errors
    /// A failure, or the violation that an ability answered; everything the call did is undone.
    fn process(&mut self, input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError>;

    /// Handles timers that are due.
    ///
    /// # Errors
    /// As for [`process`](Self::process).
    fn on_timers(&mut self, _fired: &FiredTimers, _abilities: &mut Abilities) -> Result<(), NativeError> {
        Ok(())
    }

    /// All inputs have ended.
    ///
    /// # Errors
    /// As for [`process`](Self::process); the job fails.
    fn finish(&mut self, _abilities: &mut Abilities) -> Result<(), NativeError> {
        Ok(())
    }
}

/// Why native code did not process something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NativeError {
    /// Its own failure.
    #[error("{message}")]
    Failure {
        /// The rows that it names; none: it does not know.
        rows: Vec<u32>,
        /// Its own words.
        message: String,
    },
    /// An ability refused.
    #[error(transparent)]
    Violation(#[from] Violation),
}

impl NativeError {
    /// A failure that names no rows.
    #[must_use]
    pub fn failure(message: impl Into<String>) -> Self {
        Self::Failure { rows: Vec::new(), message: message.into() }
    }
}

type Make = dyn Fn() -> Box<dyn NativeOperator> + Send + Sync;
/// Rewrites a value of a state that a version wrote.
type Migrate = dyn Fn(&str, u32, &[u8]) -> Result<Vec<u8>, NativeError> + Send + Sync;

/// Makes instances of a native operator.
#[derive(Clone)]
pub struct NativeFactory {
    description: Arc<OperatorDescription>,
    make: Arc<Make>,
    migrate: Option<Arc<Migrate>>,
}

impl NativeFactory {
    /// A factory whose instances `make` makes.
    #[must_use]
    pub fn new<O: NativeOperator + 'static>(
        description: OperatorDescription,
        make: impl Fn() -> O + Send + Sync + 'static,
    ) -> Self {
        Self { description: Arc::new(description), make: Arc::new(move || Box::new(make())), migrate: None }
    }

    /// The same, where `migrate` rewrites values of older versions: it is given the state, the version and the value.
    #[must_use]
    pub fn migrating(
        mut self,
        migrate: impl Fn(&str, u32, &[u8]) -> Result<Vec<u8>, NativeError> + Send + Sync + 'static,
    ) -> Self {
        self.migrate = Some(Arc::new(migrate));
        self
    }
}

impl Factory for NativeFactory {
    fn description(&self) -> &OperatorDescription {
        &self.description
    }

    fn open(&self, context: OpenContext) -> BoxFuture<'_, Result<Box<dyn Operator>, CallError>> {
        let mut operator = (self.make)();
        let mut abilities = Abilities::new(Arc::clone(&self.description), &context).waiting();
        abilities.enter(Phase::Open);
        let opened = operator.open(&context, &mut abilities);
        abilities.opened();
        let opened = opened.map_err(|error| call_error(error, 0));
        Box::pin(std::future::ready(opened.map(|()| Box::new(Instance { operator, abilities }) as Box<dyn Operator>)))
    }

    fn exports_migration(&self) -> bool {
        self.migrate.is_some()
    }

    fn migrator(&self, context: OpenContext) -> Option<Box<dyn Migrator>> {
        let migrate = self.migrate.clone()?;
        Some(Box::new(NativeMigrator { migrate, limits: context.limits }))
    }
}

struct NativeMigrator {
    migrate: Arc<Migrate>,
    limits: LimitSpec,
}

impl Migrator for NativeMigrator {
    fn migrate(&mut self, state: &str, from_version: u32, values: &BytesColumn) -> Result<BytesColumn, CallError> {
        let mut rewritten = BytesColumn::with_capacity(values.len(), values.data.len());
        for value in values.iter() {
            let value = (self.migrate)(state, from_version, value).map_err(|error| call_error(error, 0))?;
            rewritten.push(&value);
        }
        checked(values, rewritten, &self.limits)
    }
}

impl std::fmt::Debug for NativeFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativeFactory").field("operator", &self.description.name).finish_non_exhaustive()
    }
}

struct Instance {
    operator: Box<dyn NativeOperator>,
    abilities: Abilities,
}

impl Operator for Instance {
    fn call<'a>(&'a mut self, turn: &'a mut Turn) -> BoxFuture<'a, Result<(), CallError>> {
        let work = self.abilities.begin(turn);
        let called = match &*work {
            Work::Batch { input, batch } => self.operator.process(*input, batch, &mut self.abilities),
            Work::Timers(fired) => self.operator.on_timers(fired, &mut self.abilities),
            Work::Finish => self.operator.finish(&mut self.abilities),
        };
        let called = called.map_err(|error| call_error(error, work.rows()));
        self.abilities.end(turn, work);
        Box::pin(std::future::ready(called))
    }
}

fn call_error(error: NativeError, rows_in_work: u32) -> CallError {
    match error {
        NativeError::Failure { rows, message } => CallError::failure(rows, message, rows_in_work),
        NativeError::Violation(violation) => violation.into(),
    }
}
