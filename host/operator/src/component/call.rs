//! Calls of a component's exports: parameters by reference, results and traps as errors.

use wasmtime::component::{ComponentType, Func, Instance, Lift, Lower};
use wasmtime::{Store, WasmBacktrace};
use weir_protocol::description::{Columns, OperatorDescription};
use weir_protocol::time::Timestamp;

use super::describe::OperatorSpec;
use super::{AdmissionError, Guest};
use crate::abilities::Violation;
use crate::batch::{Batch, BytesColumn, Keys, OptionalColumn};
use crate::imports::VERSION;
use crate::operator::{CallError, OpenContext};
use crate::turn::{FiredTimers, TimeDomain, Work};

/// Where a trap happened that was in no export.
pub(super) const FAILED_START: &str = "the start of the instance";

/// The longest reason of a trap, in bytes; what is behind is cut off.
const REASON_BYTES_MAX: usize = 8_192;

/// What `process`, `on-timers` and `finish` return.
type Returned = (Result<(), Failure>,);

/// `failure` of the contract.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Failure {
    rows: Vec<u32>,
    message: String,
}

/// `batch` of the contract.
#[derive(ComponentType, Lower)]
#[component(record)]
struct BatchParam<'a> {
    rows: u32,
    #[component(name = "key-count")]
    key_count: u32,
    keys: &'a BytesColumn,
    #[component(name = "key-of")]
    key_of: &'a [u32],
    values: &'a OptionalColumn,
    timestamps: &'a [Timestamp],
}

/// `fired-timers` of the contract.
#[derive(ComponentType, Lower)]
#[component(record)]
struct FiredParam<'a> {
    domain: TimeDomain,
    keys: &'a BytesColumn,
    #[component(name = "key-of")]
    key_of: &'a [u32],
    at: &'a [Timestamp],
    tags: &'a [u32],
}

/// `context` of the contract.
#[derive(ComponentType, Lower)]
#[component(record)]
struct ContextParam<'a> {
    #[component(name = "operator-name")]
    operator_name: &'a str,
    config: &'a str,
    job: &'a str,
    subtask: u32,
    parallelism: u32,
    seed: u64,
    properties: &'a [(String, String)],
}

/// The exports of one instance.
pub(super) struct Exports {
    describe: Func,
    open: Func,
    process: Func,
    on_timers: Func,
    finish: Func,
}

impl Exports {
    /// Finds the exports and compares their types with the contract's.
    pub(super) fn of(instance: &Instance, store: &mut Store<Guest>) -> Result<Self, AdmissionError> {
        let interface = format!("weir:operator/operators@{VERSION}");
        let operators = instance.get_export_index(&mut *store, None, &interface);
        let mut find = |name: &str| {
            let index = instance.get_export_index(&mut *store, operators.as_ref(), name);
            let func = index.and_then(|index| instance.get_func(&mut *store, index));
            func.ok_or_else(|| AdmissionError::MissingExport { interface: "operators", name: name.to_owned() })
        };
        let exports = Self {
            describe: find("describe")?,
            open: find("open")?,
            process: find("process")?,
            on_timers: find("on-timers")?,
            finish: find("finish")?,
        };
        exports.check_types(store)?;
        Ok(exports)
    }

    fn check_types(&self, store: &Store<Guest>) -> Result<(), AdmissionError> {
        let misfit = |name: &str| {
            let name = name.to_owned();
            move |error: wasmtime::Error| AdmissionError::MisfittingExport { name, detail: format!("{error:#}") }
        };
        self.describe.typed::<(), (Vec<OperatorSpec>,)>(store).map_err(misfit("describe"))?;
        self.open.typed::<(ContextParam<'_>,), (Result<(), String>,)>(store).map_err(misfit("open"))?;
        self.process.typed::<(u32, BatchParam<'_>), Returned>(store).map_err(misfit("process"))?;
        self.on_timers.typed::<(FiredParam<'_>,), Returned>(store).map_err(misfit("on-timers"))?;
        self.finish.typed::<(), Returned>(store).map_err(misfit("finish"))?;
        Ok(())
    }

    pub(super) async fn describe(&self, store: &mut Store<Guest>) -> wasmtime::Result<Vec<OperatorSpec>> {
        let describe = self.describe.typed::<(), (Vec<OperatorSpec>,)>(&*store)?;
        Ok(describe.call_async(store, ()).await?.0)
    }

    pub(super) async fn open(
        &self,
        store: &mut Store<Guest>,
        operator: &str,
        context: &OpenContext,
    ) -> wasmtime::Result<Result<(), String>> {
        let open = self.open.typed::<(ContextParam<'_>,), (Result<(), String>,)>(&*store)?;
        let context = ContextParam {
            operator_name: operator,
            config: &context.config,
            job: &context.job,
            subtask: context.subtask,
            parallelism: context.parallelism,
            seed: context.seed,
            properties: &[],
        };
        Ok(open.call_async(store, (context,)).await?.0)
    }

    /// Calls what the work is for.
    pub(super) async fn run(
        &self,
        store: &mut Store<Guest>,
        operator: &OperatorDescription,
        work: &Work,
    ) -> wasmtime::Result<Result<(), Failure>> {
        let empty = Empty::default();
        let (returned,) = match work {
            Work::Batch { input, batch } => {
                let asked = operator.inputs[*input as usize].columns;
                let process = self.process.typed::<(u32, BatchParam<'_>), Returned>(&*store)?;
                process.call_async(store, (*input, empty.batch(batch, asked, operator, *input))).await?
            }
            Work::Timers(fired) => {
                let on_timers = self.on_timers.typed::<(FiredParam<'_>,), Returned>(&*store)?;
                on_timers.call_async(store, (fired_param(fired),)).await?
            }
            Work::Finish => self.finish.typed::<(), Returned>(&*store)?.call_async(store, ()).await?,
        };
        Ok(returned)
    }
}

/// What stands for columns that an operator did not ask for.
#[derive(Default)]
struct Empty {
    keys: Keys,
    values: OptionalColumn,
}

impl Empty {
    fn batch<'a>(
        &'a self,
        batch: &'a Batch,
        asked: Columns,
        operator: &OperatorDescription,
        input: u32,
    ) -> BatchParam<'a> {
        let keyed = operator.inputs[input as usize].kind == weir_protocol::description::InputKind::Keyed;
        let keys = batch.keys.as_ref().filter(|_| keyed).unwrap_or(&self.keys);
        BatchParam {
            rows: batch.rows,
            key_count: u32::try_from(keys.count()).expect("batches are bounded far below 2^32 keys"),
            keys: if asked.keys { &keys.distinct } else { &self.keys.distinct },
            key_of: &keys.key_of,
            values: if asked.values { &batch.values } else { &self.values },
            timestamps: if asked.timestamps { &batch.timestamps } else { &[] },
        }
    }
}

fn fired_param(fired: &FiredTimers) -> FiredParam<'_> {
    FiredParam {
        domain: fired.domain,
        keys: &fired.keys.distinct,
        key_of: &fired.keys.key_of,
        at: &fired.at,
        tags: &fired.tags,
    }
}

impl Failure {
    pub(super) fn into_error(self, rows_in_work: u32) -> CallError {
        CallError::failure(self.rows, self.message, rows_in_work)
    }
}

/// What a call that trapped is to be reported as, with what the guest printed last and where it was.
pub(super) fn outcome(store: &mut Store<Guest>, export: &str, error: &wasmtime::Error) -> CallError {
    let printed = store.data_mut().flush_lines();
    let violation = error.chain().find_map(|cause| cause.downcast_ref::<Violation>());
    match violation {
        Some(Violation::Limit(text)) => return CallError::Limit(text.clone()),
        Some(Violation::Host { fault, message }) => {
            return CallError::Host { fault: *fault, message: message.clone() };
        }
        Some(Violation::Rule(_)) | None => {}
    }
    if let Some(text) = store.data().limiter.refusal() {
        return CallError::Limit(text);
    }
    let mut reason = format!("the operator trapped in {export}: {}", error.root_cause());
    if !printed.is_empty() {
        reason.push_str("\nit printed last:\n");
        reason.push_str(&printed);
    }
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        reason.push('\n');
        reason.push_str(&backtrace.to_string());
    }
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    CallError::Trap(reason)
}
