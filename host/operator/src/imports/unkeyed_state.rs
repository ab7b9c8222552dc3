//! `weir:operator/state`, as far as it belongs to no key.

use wasmtime::component::{LinkerInstance, Resource};

use super::state::resource;
use super::{Context, of};
use crate::abilities::{BroadcastState, OperatorState};
use crate::batch::BytesColumn;
use crate::component::Guest;
use crate::keyed_state::{Entries, EntryRange, StateId};

type Handle<T> = Resource<T>;
type Bytes = Vec<u8>;

pub(super) fn link(linker: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    link_operator(linker)?;
    link_broadcast(linker)
}

fn operator(handle: &Handle<OperatorState>) -> OperatorState {
    OperatorState(StateId(handle.rep()))
}

fn broadcast(handle: &Handle<BroadcastState>) -> BroadcastState {
    BroadcastState(StateId(handle.rep()))
}

fn link_operator(linker: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    resource::<OperatorState>(linker, "operator-state")?;
    linker.func_wrap("[constructor]operator-state", |mut cx: Context<'_>, (name,): (String,)| {
        let state = of(&mut cx).operator_state(&name)?;
        Ok((Handle::<OperatorState>::new_own(state.0.0),))
    })?;
    linker.func_wrap("[method]operator-state.get", |mut cx: Context<'_>, (state,): (Handle<OperatorState>,)| {
        Ok((of(&mut cx).get_operator_list(operator(&state))?,))
    })?;
    linker.func_wrap(
        "[method]operator-state.set",
        |mut cx: Context<'_>, (state, values): (Handle<OperatorState>, BytesColumn)| {
            Ok(of(&mut cx).set_operator_list(operator(&state), values)?)
        },
    )
}

fn link_broadcast(linker: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    resource::<BroadcastState>(linker, "broadcast-state")?;
    linker.func_wrap("[constructor]broadcast-state", |mut cx: Context<'_>, (name,): (String,)| {
        let state = of(&mut cx).broadcast_state(&name)?;
        Ok((Handle::<BroadcastState>::new_own(state.0.0),))
    })?;
    linker.func_wrap(
        "[method]broadcast-state.get",
        |mut cx: Context<'_>, (state, entry): (Handle<BroadcastState>, Bytes)| {
            Ok((of(&mut cx).get_broadcast(broadcast(&state), &entry)?,))
        },
    )?;
    linker.func_wrap(
        "[method]broadcast-state.put",
        |mut cx: Context<'_>, (state, entry, bytes): (Handle<BroadcastState>, Bytes, Bytes)| {
            Ok(of(&mut cx).put_broadcast(broadcast(&state), &entry, Some(&bytes))?)
        },
    )?;
    linker.func_wrap(
        "[method]broadcast-state.remove",
        |mut cx: Context<'_>, (state, entry): (Handle<BroadcastState>, Bytes)| {
            Ok(of(&mut cx).put_broadcast(broadcast(&state), &entry, None)?)
        },
    )?;
    linker.func_wrap("[method]broadcast-state.scan", scan)
}

type ScanParams = (Handle<BroadcastState>, Option<Bytes>, Option<Bytes>, u32);

fn scan(mut cx: Context<'_>, (state, start, end, limit): ScanParams) -> wasmtime::Result<(Entries,)> {
    let range = EntryRange { start: start.as_deref(), end: end.as_deref(), limit: limit as usize };
    Ok((of(&mut cx).scan_broadcast(broadcast(&state), range)?,))
}
