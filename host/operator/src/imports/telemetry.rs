//! `weir:operator/telemetry`.

use wasmtime::component::LinkerInstance;

use super::{Context, of};
use crate::abilities::Level;
use crate::component::Guest;

pub(super) fn link(linker: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    linker.func_wrap("log", |mut cx: Context<'_>, (level, message): (Level, String)| {
        Ok(of(&mut cx).log(level, &message)?)
    })?;
    linker.func_wrap("counter-add", |mut cx: Context<'_>, (name, delta): (String, u64)| {
        Ok(of(&mut cx).counter_add(&name, delta)?)
    })?;
    linker.func_wrap("gauge-set", |mut cx: Context<'_>, (name, value): (String, f64)| {
        Ok(of(&mut cx).gauge_set(&name, value)?)
    })?;
    linker.func_wrap("histogram-record", |mut cx: Context<'_>, (name, value): (String, f64)| {
        Ok(of(&mut cx).histogram_record(&name, value)?)
    })
}
