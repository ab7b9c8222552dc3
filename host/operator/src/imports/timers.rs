//! `weir:operator/timers`.

use wasmtime::component::LinkerInstance;
use weir_protocol::time::Timestamp;

use super::{Context, of};
use crate::component::Guest;
use crate::turn::{TimeDomain, TimerChange};

type One = (TimeDomain, u32, Timestamp, u32);
type Many = (TimeDomain, Vec<u32>, Vec<Timestamp>, u32);

pub(super) fn link(linker: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    for (name, register) in [("register", true), ("cancel", false)] {
        linker.func_wrap(name, move |mut cx: Context<'_>, (domain, key, at, tag): One| {
            Ok(of(&mut cx).change_timer(TimerChange { register, domain, key, at, tag })?)
        })?;
    }
    for (name, register) in [("register-many", true), ("cancel-many", false)] {
        linker.func_wrap(name, move |mut cx: Context<'_>, (domain, keys, at, tag): Many| {
            Ok(of(&mut cx).change_timers(register, domain, &keys, &at, tag)?)
        })?;
    }
    linker.func_wrap("watermark", |mut cx: Context<'_>, ()| Ok((of(&mut cx).watermark()?,)))?;
    linker.func_wrap("processing-time", |mut cx: Context<'_>, ()| Ok((of(&mut cx).processing_time()?,)))
}
