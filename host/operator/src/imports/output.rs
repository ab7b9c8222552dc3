//! `weir:operator/output`.

use wasmtime::component::{ComponentType, Lift, LinkerInstance};
use weir_protocol::time::Timestamp;

use super::{Context, of};
use crate::abilities::NewRecords;
use crate::batch::{BytesColumn, HeaderColumn, Keys, OptionalColumn};
use crate::component::Guest;
use crate::turn::Origin;

/// `origin` of the contract.
#[derive(ComponentType, Lift)]
#[component(variant)]
enum GivenOrigin {
    #[component(name = "each-row")]
    EachRow,
    #[component(name = "rows")]
    Rows(Vec<u32>),
    #[component(name = "keys")]
    Keys(Vec<u32>),
    #[component(name = "own-keys")]
    OwnKeys(OwnKeys),
    #[component(name = "unkeyed")]
    Unkeyed,
}

/// `own-keys` of the contract.
#[derive(ComponentType, Lift)]
#[component(record)]
struct OwnKeys {
    keys: BytesColumn,
    #[component(name = "key-of")]
    key_of: Vec<u32>,
}

/// `emitted` of the contract.
#[derive(ComponentType, Lift)]
#[component(record)]
struct Emitted {
    origin: GivenOrigin,
    values: OptionalColumn,
    timestamps: Vec<Timestamp>,
}

/// `header` of the contract.
#[derive(ComponentType, Lift)]
#[component(record)]
struct Header {
    name: String,
    values: OptionalColumn,
}

pub(super) fn link(linker: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    linker.func_wrap("emit", |mut cx: Context<'_>, (port, records): (u32, Emitted)| {
        Ok(of(&mut cx).emit(port, records.into_new(None))?)
    })?;
    linker.func_wrap(
        "emit-with-headers",
        |mut cx: Context<'_>, (port, records, headers): (u32, Emitted, Vec<Header>)| {
            let headers = headers.into_iter().map(|header| HeaderColumn { name: header.name, values: header.values });
            Ok(of(&mut cx).emit(port, records.into_new(Some(headers.collect())))?)
        },
    )?;
    linker.func_wrap("forward", |mut cx: Context<'_>, (port, rows): (u32, Vec<u32>)| {
        Ok(of(&mut cx).forward(port, rows)?)
    })?;
    linker.func_wrap("reject", |mut cx: Context<'_>, (rows, reason): (Vec<u32>, String)| {
        Ok(of(&mut cx).reject(&rows, &reason)?)
    })
}

impl Emitted {
    fn into_new(self, headers: Option<Vec<HeaderColumn>>) -> NewRecords {
        let origin = match self.origin {
            GivenOrigin::EachRow => Origin::EachRow,
            GivenOrigin::Rows(rows) => Origin::Rows(rows),
            GivenOrigin::Keys(keys) => Origin::Keys(keys),
            GivenOrigin::OwnKeys(OwnKeys { keys, key_of }) => {
                Origin::OwnKeys(Keys { distinct: keys, hashes: Vec::new(), key_of })
            }
            GivenOrigin::Unkeyed => Origin::Unkeyed,
        };
        NewRecords { origin, values: self.values, timestamps: self.timestamps, headers }
    }
}
