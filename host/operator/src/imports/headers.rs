//! `weir:operator/headers`.

use wasmtime::component::LinkerInstance;

use super::{Context, of};
use crate::component::Guest;

pub(super) fn link(linker: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    linker.func_wrap("names", |mut cx: Context<'_>, ()| Ok((of(&mut cx).header_names()?,)))?;
    linker.func_wrap("get", |mut cx: Context<'_>, (name,): (String,)| Ok((of(&mut cx).header(&name)?,)))
}
