//! The world's imports: each WIT interface in the file of its name, handing the guest's wishes to its
//! [`Abilities`].
//!
//! Nothing is checked here but the types, which wasmtime compares with the component's when it is linked.

mod headers;
mod output;
mod state;
mod telemetry;
mod timers;
mod unkeyed_state;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance};

use crate::abilities::Abilities;
use crate::component::Guest;

/// The version of the contract that this host speaks.
pub(crate) const VERSION: &str = "0.1.0";

/// The interfaces of the contract that a component may import; `types` holds no function.
pub(crate) const INTERFACES: [&str; 6] = ["types", "state", "output", "headers", "timers", "telemetry"];

/// What a host function is given of its instance.
type Context<'a> = StoreContextMut<'a, Guest>;

/// Links everything that the contract offers.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut states = interface(linker, "state")?;
    state::link(&mut states)?;
    unkeyed_state::link(&mut states)?;
    output::link(&mut interface(linker, "output")?)?;
    headers::link(&mut interface(linker, "headers")?)?;
    timers::link(&mut interface(linker, "timers")?)?;
    telemetry::link(&mut interface(linker, "telemetry")?)
}

fn interface<'a>(linker: &'a mut Linker<Guest>, name: &str) -> wasmtime::Result<LinkerInstance<'a, Guest>> {
    linker.instance(&format!("weir:operator/{name}@{VERSION}"))
}

/// The abilities of the instance that calls.
fn of<'a>(context: &'a mut Context<'_>) -> &'a mut Abilities {
    &mut context.data_mut().abilities
}
