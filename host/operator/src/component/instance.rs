//! One instance of a component's operator, for one subtask.

use std::sync::Arc;

use futures::future::BoxFuture;
use wasmtime::Store;
use weir_protocol::Fault;
use weir_protocol::description::OperatorDescription;
use weir_protocol::job_spec::LimitSpec;

use super::call::{Exports, FAILED_START, outcome};
use super::migration::ComponentMigrator;
use super::{Guest, LoadedComponent, START_CPU_NS_MAX};
use crate::abilities::{Abilities, Phase};
use crate::engine::Measured;
use crate::migrator::Migrator;
use crate::operator::{CallError, Factory, OpenContext, Operator};
use crate::turn::{Turn, Work};

pub(super) struct ComponentFactory {
    pub(super) component: Arc<LoadedComponent>,
    pub(super) description: Arc<OperatorDescription>,
}

impl Factory for ComponentFactory {
    fn description(&self) -> &OperatorDescription {
        &self.description
    }

    fn open(&self, context: OpenContext) -> BoxFuture<'_, Result<Box<dyn Operator>, CallError>> {
        Box::pin(self.open_instance(context))
    }

    fn exports_migration(&self) -> bool {
        self.component.exports_migration
    }

    fn migrator(&self, context: OpenContext) -> Option<Box<dyn Migrator>> {
        let (component, description) = (Arc::clone(&self.component), Arc::clone(&self.description));
        let migrator = ComponentMigrator { component, description, context, instance: None };
        self.exports_migration().then(|| Box::new(migrator) as Box<dyn Migrator>)
    }
}

impl ComponentFactory {
    async fn open_instance(&self, context: OpenContext) -> Result<Box<dyn Operator>, CallError> {
        let abilities = Abilities::new(Arc::clone(&self.description), &context);
        let mut store = Guest::store(&self.component.engine, abilities, context.seed);
        let cpu_ns = cpu_ns(&context.limits, 0).max(START_CPU_NS_MAX);
        store.data().begin(context.processing_time, context.seed, cpu_ns);
        let meter = Arc::clone(&store.data().meter);
        let opened = async {
            store.set_epoch_deadline(1);
            let instance = match self.component.pre.instantiate_async(&mut store).await {
                Ok(instance) => instance,
                Err(error) => return Err(outcome(&mut store, FAILED_START, &error)),
            };
            let exports = Exports::of(&instance, &mut store)
                .map_err(|error| CallError::Host { fault: Fault::Bug, message: error.to_string() })?;
            store.data_mut().abilities.enter(Phase::Open);
            match exports.open(&mut store, &self.description.name, &context).await {
                Ok(Ok(())) => Ok(exports),
                Ok(Err(message)) => Err(CallError::Failure { rows: Vec::new(), message }),
                Err(error) => Err(outcome(&mut store, "`open`", &error)),
            }
        };
        let exports = Measured::new(std::pin::pin!(opened), meter).await?;
        store.data_mut().flush_lines();
        store.data_mut().abilities.opened();
        Ok(Box::new(ComponentInstance { store, exports, description: Arc::clone(&self.description) }))
    }
}

impl std::fmt::Debug for ComponentFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComponentFactory")
            .field("component", &self.component.hash)
            .field("operator", &self.description.name)
            .finish()
    }
}

struct ComponentInstance {
    store: Store<Guest>,
    exports: Exports,
    description: Arc<OperatorDescription>,
}

impl Operator for ComponentInstance {
    fn call<'a>(&'a mut self, turn: &'a mut Turn) -> BoxFuture<'a, Result<(), CallError>> {
        Box::pin(self.run(turn))
    }

    fn is_worn(&self) -> bool {
        self.store.data().limiter.is_worn()
    }
}

impl ComponentInstance {
    async fn run(&mut self, turn: &mut Turn) -> Result<(), CallError> {
        let guest = self.store.data_mut();
        guest.begin(turn.processing_time, turn.seed, cpu_ns(guest.abilities.limits(), turn.work.rows()));
        guest.limiter.begin();
        let meter = Arc::clone(&guest.meter);
        let work = guest.abilities.begin(turn);
        self.store.set_epoch_deadline(1);
        let called = {
            let call = self.exports.run(&mut self.store, &self.description, &work);
            Measured::new(std::pin::pin!(call), meter).await
        };
        let called = match called {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(failure.into_error(work.rows())),
            Err(error) => Err(outcome(&mut self.store, export_name(&work), &error)),
        };
        let guest = self.store.data_mut();
        guest.flush_lines();
        guest.abilities.end(turn, work);
        called
    }
}

/// CPU time that a call may use.
pub(super) fn cpu_ns(limits: &LimitSpec, rows: u32) -> u64 {
    let for_call = limits.call_cpu_ms_max.saturating_mul(1_000_000);
    for_call.saturating_add(limits.row_cpu_us_max.saturating_mul(1_000).saturating_mul(rows.into()))
}

const fn export_name(work: &Work) -> &'static str {
    match work {
        Work::Batch { .. } => "`process`",
        Work::Timers(_) => "`on-timers`",
        Work::Finish => "`finish`",
    }
}
