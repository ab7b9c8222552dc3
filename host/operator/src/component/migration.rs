//! A component's `migration`: instances that are never opened, and only rewrite values.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Func, Instance};
use weir_protocol::Fault;
use weir_protocol::description::OperatorDescription;

use super::call::{FAILED_START, outcome};
use super::instance::cpu_ns;
use super::loader::run;
use super::{AdmissionError, Guest, LoadedComponent, START_CPU_NS_MAX};
use crate::abilities::Abilities;
use crate::batch::BytesColumn;
use crate::engine::Measured;
use crate::imports::VERSION;
use crate::migrator::{Migrator, checked};
use crate::operator::{CallError, OpenContext};

type Params<'a> = (&'a str, &'a str, u32, &'a BytesColumn);
type Returned = (Result<BytesColumn, String>,);

/// The function of an instance's `migration`; `None`: the component has none.
///
/// # Errors
/// Where it is not what the contract demands.
pub(super) fn export(instance: &Instance, store: &mut Store<Guest>) -> Result<Option<Func>, AdmissionError> {
    const MIGRATION: &str = "migration";
    let interface = format!("weir:operator/{MIGRATION}@{VERSION}");
    let Some(migration) = instance.get_export_index(&mut *store, None, &interface) else { return Ok(None) };
    let migrate = instance.get_export_index(&mut *store, Some(&migration), "migrate");
    let migrate = migrate.and_then(|index| instance.get_func(&mut *store, index));
    let name = || "migrate".to_owned();
    let migrate = migrate.ok_or_else(|| AdmissionError::MissingExport { interface: MIGRATION, name: name() })?;
    match migrate.typed::<Params<'_>, Returned>(&*store) {
        Ok(_) => Ok(Some(migrate)),
        Err(error) => Err(AdmissionError::MisfittingExport { name: name(), detail: format!("{error:#}") }),
    }
}

/// Rewrites values of one operator.
pub(super) struct ComponentMigrator {
    pub(super) component: Arc<LoadedComponent>,
    pub(super) description: Arc<OperatorDescription>,
    pub(super) context: OpenContext,
    /// Made when it is needed; dropped where a call failed, or it holds much memory.
    pub(super) instance: Option<MigratingInstance>,
}

pub(super) struct MigratingInstance {
    store: Store<Guest>,
    migrate: Func,
}

impl Migrator for ComponentMigrator {
    fn migrate(&mut self, state: &str, from_version: u32, values: &BytesColumn) -> Result<BytesColumn, CallError> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.start()?,
        };
        let limits = &self.context.limits;
        let rows = u32::try_from(values.len()).unwrap_or(u32::MAX);
        let guest = instance.store.data_mut();
        guest.begin(self.context.processing_time, self.context.seed, cpu_ns(limits, rows));
        guest.limiter.begin();
        guest.abilities.begin_migration();
        let meter = Arc::clone(&guest.meter);
        instance.store.set_epoch_deadline(1);
        let called = {
            let call = async {
                let migrate = instance.migrate.typed::<Params<'_>, Returned>(&instance.store)?;
                let params = (self.description.name.as_str(), state, from_version, values);
                migrate.call_async(&mut instance.store, params).await
            };
            run(Measured::new(std::pin::pin!(call), meter))
        };
        let rewritten = match called {
            Ok((Ok(rewritten),)) => checked(values, rewritten, limits)?,
            Ok((Err(message),)) => return Err(CallError::Failure { rows: Vec::new(), message }),
            Err(error) => return Err(outcome(&mut instance.store, "`migrate`", &error)),
        };
        instance.store.data_mut().flush_lines();
        if !instance.store.data().limiter.is_worn() {
            self.instance = Some(instance);
        }
        Ok(rewritten)
    }
}

impl ComponentMigrator {
    fn start(&self) -> Result<MigratingInstance, CallError> {
        let abilities = Abilities::new(Arc::clone(&self.description), &self.context);
        let mut store = Guest::store(&self.component.engine, abilities, self.context.seed);
        let cpu_ns = cpu_ns(&self.context.limits, 0).max(START_CPU_NS_MAX);
        store.data().begin(self.context.processing_time, self.context.seed, cpu_ns);
        let meter = Arc::clone(&store.data().meter);
        let started = async {
            store.set_epoch_deadline(1);
            match self.component.pre.instantiate_async(&mut store).await {
                Ok(instance) => Ok(instance),
                Err(error) => Err(outcome(&mut store, FAILED_START, &error)),
            }
        };
        let instance = run(Measured::new(std::pin::pin!(started), meter))?;
        match export(&instance, &mut store) {
            Ok(Some(migrate)) => Ok(MigratingInstance { store, migrate }),
            Ok(None) => Err(bug("a component that exported `migration` does so no more".to_owned())),
            Err(error) => Err(bug(error.to_string())),
        }
    }
}

const fn bug(message: String) -> CallError {
    CallError::Host { fault: Fault::Bug, message }
}
