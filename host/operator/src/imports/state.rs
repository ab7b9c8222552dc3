//! `weir:operator/state`, as far as it belongs to a key.

use wasmtime::component::{LinkerInstance, Resource, ResourceType};

use super::{Context, of};
use crate::abilities::{ListState, MapState, ValueState};
use crate::batch::{BytesColumn, OptionalColumn};
use crate::component::Guest;
use crate::keyed_state::{Entries, EntryRange, Read, StateId};

type Handle<T> = Resource<T>;
type Bytes = Vec<u8>;

pub(super) fn link(linker: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    link_value(linker)?;
    link_list(linker)?;
    link_map(linker)
}

// A handle is the state's number; the guest cannot forge one, and the type of the handle is the kind of the state.
fn value(handle: &Handle<ValueState>) -> ValueState {
    ValueState(StateId(handle.rep()))
}

fn list(handle: &Handle<ListState>) -> ListState {
    ListState(StateId(handle.rep()))
}

fn map(handle: &Handle<MapState>) -> MapState {
    MapState(StateId(handle.rep()))
}

fn link_value(linker: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    resource::<ValueState>(linker, "value-state")?;
    linker.func_wrap("[constructor]value-state", |mut cx: Context<'_>, (name,): (String,)| {
        let state = of(&mut cx).value_state(&name)?;
        Ok((Handle::<ValueState>::new_own(state.0.0),))
    })?;
    linker.func_wrap_async(
        "[method]value-state.get",
        |mut cx: Context<'_>, (state, key): (Handle<ValueState>, u32)| {
            Box::new(async move {
                let state = value(&state);
                bring(&mut cx, Read::Values(state.0, Some(&[key]))).await?;
                Ok((of(&mut cx).get_value(state, key)?,))
            })
        },
    )?;
    linker.func_wrap(
        "[method]value-state.set",
        |mut cx: Context<'_>, (state, key, bytes): (Handle<ValueState>, u32, Bytes)| {
            Ok(of(&mut cx).set_value(value(&state), key, Some(&bytes))?)
        },
    )?;
    linker.func_wrap("[method]value-state.clear", |mut cx: Context<'_>, (state, key): (Handle<ValueState>, u32)| {
        Ok(of(&mut cx).set_value(value(&state), key, None)?)
    })?;
    linker.func_wrap_async("[method]value-state.load", |mut cx: Context<'_>, (state,): (Handle<ValueState>,)| {
        Box::new(async move {
            let state = value(&state);
            bring(&mut cx, Read::Values(state.0, None)).await?;
            Ok((of(&mut cx).load(state)?,))
        })
    })?;
    linker.func_wrap(
        "[method]value-state.store",
        |mut cx: Context<'_>, (state, values): (Handle<ValueState>, OptionalColumn)| {
            Ok(of(&mut cx).store(value(&state), values)?)
        },
    )?;
    linker.func_wrap_async(
        "[method]value-state.load-some",
        |mut cx: Context<'_>, (state, keys): (Handle<ValueState>, Vec<u32>)| {
            Box::new(async move {
                let state = value(&state);
                bring(&mut cx, Read::Values(state.0, Some(&keys))).await?;
                Ok((of(&mut cx).load_some(state, &keys)?,))
            })
        },
    )?;
    linker.func_wrap(
        "[method]value-state.store-some",
        |mut cx: Context<'_>, (state, keys, values): (Handle<ValueState>, Vec<u32>, OptionalColumn)| {
            Ok(of(&mut cx).store_some(value(&state), &keys, &values)?)
        },
    )
}

fn link_list(linker: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    resource::<ListState>(linker, "list-state")?;
    linker.func_wrap("[constructor]list-state", |mut cx: Context<'_>, (name,): (String,)| {
        let state = of(&mut cx).list_state(&name)?;
        Ok((Handle::<ListState>::new_own(state.0.0),))
    })?;
    linker.func_wrap_async(
        "[method]list-state.get",
        |mut cx: Context<'_>, (state, key): (Handle<ListState>, u32)| {
            Box::new(async move {
                let state = list(&state);
                bring(&mut cx, Read::Lists(state.0, &[key])).await?;
                Ok((of(&mut cx).get_list(state, key)?,))
            })
        },
    )?;
    linker.func_wrap(
        "[method]list-state.append",
        |mut cx: Context<'_>, (state, key, bytes): (Handle<ListState>, u32, Bytes)| {
            Ok(of(&mut cx).append(list(&state), key, &bytes)?)
        },
    )?;
    linker.func_wrap(
        "[method]list-state.set",
        |mut cx: Context<'_>, (state, key, values): (Handle<ListState>, u32, BytesColumn)| {
            Ok(of(&mut cx).set_list(list(&state), key, values)?)
        },
    )?;
    linker.func_wrap("[method]list-state.clear", |mut cx: Context<'_>, (state, key): (Handle<ListState>, u32)| {
        Ok(of(&mut cx).set_list(list(&state), key, BytesColumn::default())?)
    })?;
    linker.func_wrap(
        "[method]list-state.append-many",
        |mut cx: Context<'_>, (state, keys, values): (Handle<ListState>, Vec<u32>, BytesColumn)| {
            Ok(of(&mut cx).append_many(list(&state), &keys, &values)?)
        },
    )?;
    linker.func_wrap_async(
        "[method]list-state.get-many",
        |mut cx: Context<'_>, (state, keys): (Handle<ListState>, Vec<u32>)| {
            Box::new(async move {
                let state = list(&state);
                bring(&mut cx, Read::Lists(state.0, &keys)).await?;
                Ok((of(&mut cx).get_lists(state, &keys)?,))
            })
        },
    )
}

fn link_map(linker: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    resource::<MapState>(linker, "map-state")?;
    linker.func_wrap("[constructor]map-state", |mut cx: Context<'_>, (name,): (String,)| {
        let state = of(&mut cx).map_state(&name)?;
        Ok((Handle::<MapState>::new_own(state.0.0),))
    })?;
    linker.func_wrap_async(
        "[method]map-state.get",
        |mut cx: Context<'_>, (state, key, entry): (Handle<MapState>, u32, Bytes)| {
            Box::new(async move {
                let state = map(&state);
                bring(&mut cx, Read::Entries(state.0, &[key], &BytesColumn::from_iter([&entry[..]]))).await?;
                Ok((of(&mut cx).get_entry(state, key, &entry)?,))
            })
        },
    )?;
    linker.func_wrap(
        "[method]map-state.put",
        |mut cx: Context<'_>, (state, key, entry, bytes): (Handle<MapState>, u32, Bytes, Bytes)| {
            Ok(of(&mut cx).put_entry(map(&state), key, &entry, Some(&bytes))?)
        },
    )?;
    linker.func_wrap(
        "[method]map-state.remove",
        |mut cx: Context<'_>, (state, key, entry): (Handle<MapState>, u32, Bytes)| {
            Ok(of(&mut cx).put_entry(map(&state), key, &entry, None)?)
        },
    )?;
    linker.func_wrap("[method]map-state.clear", |mut cx: Context<'_>, (state, key): (Handle<MapState>, u32)| {
        Ok(of(&mut cx).clear_map(map(&state), key)?)
    })?;
    linker.func_wrap_async(
        "[method]map-state.is-empty",
        |mut cx: Context<'_>, (state, key): (Handle<MapState>, u32)| {
            Box::new(async move {
                let state = map(&state);
                bring_range(&mut cx, state, key, EntryRange { start: None, end: None, limit: 1 }).await?;
                Ok((of(&mut cx).is_map_empty(state, key)?,))
            })
        },
    )?;
    linker.func_wrap_async("[method]map-state.scan", |mut cx: Context<'_>, params: ScanParams| {
        Box::new(async move { scan(&mut cx, params).await })
    })?;
    linker.func_wrap_async(
        "[method]map-state.get-many",
        |mut cx: Context<'_>, (state, keys, entries): (Handle<MapState>, Vec<u32>, BytesColumn)| {
            Box::new(async move {
                let state = map(&state);
                bring(&mut cx, Read::Entries(state.0, &keys, &entries)).await?;
                Ok((of(&mut cx).get_entries(state, &keys, &entries)?,))
            })
        },
    )?;
    linker.func_wrap(
        "[method]map-state.put-many",
        |mut cx: Context<'_>,
         (state, keys, entries, values): (Handle<MapState>, Vec<u32>, BytesColumn, OptionalColumn)| {
            Ok(of(&mut cx).put_entries(map(&state), &keys, &entries, &values)?)
        },
    )
}

type ScanParams = (Handle<MapState>, u32, Option<Bytes>, Option<Bytes>, u32);

async fn scan(cx: &mut Context<'_>, (state, key, start, end, limit): ScanParams) -> wasmtime::Result<(Entries,)> {
    let (state, limit) = (map(&state), limit as usize);
    let range = EntryRange { start: start.as_deref(), end: end.as_deref(), limit };
    bring_range(cx, state, key, range).await?;
    Ok((of(cx).scan(state, key, range)?,))
}

async fn bring_range(cx: &mut Context<'_>, state: MapState, key: u32, range: EntryRange<'_>) -> wasmtime::Result<()> {
    match of(cx).range_below(state, key, range) {
        Some(below) => bring(cx, Read::Scan(state.0, key, below)).await,
        None => Ok(()),
    }
}

/// Brings what is about to be read into memory; while the disk is read, the guest's fiber is suspended and its thread
/// is free.
async fn bring(cx: &mut Context<'_>, read: Read<'_>) -> wasmtime::Result<()> {
    if let Some(fetch) = of(cx).fetch(&read)? {
        let fetched = fetch.elsewhere().await;
        of(cx).supply(fetched)?;
    }
    Ok(())
}

pub(super) fn resource<T: 'static>(linker: &mut LinkerInstance<'_, Guest>, name: &str) -> wasmtime::Result<()> {
    linker.resource(name, ResourceType::host::<T>(), |mut cx, _| {
        of(&mut cx).drop_handle();
        Ok(())
    })
}
