//! Snapshots: the durable form of state that belongs to no key.
//!
//! A snapshot holds all of it, and is covered by a checksum; a reader refuses what does not verify.
//!
//! ```text
//!   snapshot  "weir.ust" (8)  version u16 = 1  states u16  state*  xxh3-64 of all before (8)   integers little-endian
//!   state     kind u8  version u32  name  codec  items u32  item*      name, codec: length u16, UTF-8; names rise
//!   item      of a list: the element; of a map: the entry's key (they rise), its value   each: length as LEB128, bytes
//! ```
//!
//! Kinds: 1 split list, 2 union list, 3 broadcast map. Versions other than 1 are refused.

use std::sync::Arc;

use bytes::Bytes;
use weir_operator::batch::BytesColumn;
use weir_operator::keyed_state::StateError;
use weir_operator::unkeyed_state::{BroadcastMap, UnkeyedValue};
use weir_protocol::description::StateKind;
use xxhash_rust::xxh3::xxh3_64;

use super::{Named, Row, corrupt};
use crate::state::file::format::{Parser, put_bytes, put_text};

const MAGIC: [u8; 8] = *b"weir.ust";
const VERSION: u16 = 1;

pub(super) fn encode(rows: &[Row]) -> Bytes {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|a, b| a.named.name.cmp(&b.named.name));
    let mut into = MAGIC.to_vec();
    into.extend_from_slice(&VERSION.to_le_bytes());
    into.extend_from_slice(&u16::try_from(rows.len()).expect("admission bounds the number of states").to_le_bytes());
    for Row { named, value } in rows {
        into.push(code(named.kind));
        into.extend_from_slice(&named.version.to_le_bytes());
        put_text(&mut into, &named.name);
        put_text(&mut into, &named.codec);
        put_items(&mut into, value);
    }
    let checksum = xxh3_64(&into);
    into.extend_from_slice(&checksum.to_le_bytes());
    into.into()
}

/// Appends what a state holds: the same bytes for the same content.
pub(super) fn put_items(into: &mut Vec<u8>, value: &UnkeyedValue) {
    let mut count = |items: usize| {
        let items = u32::try_from(items).expect("what an instance can hold has far fewer than 2^32 items");
        into.extend_from_slice(&items.to_le_bytes());
    };
    match value {
        UnkeyedValue::List(list) => {
            count(list.len());
            list.iter().for_each(|element| put_bytes(into, element));
        }
        UnkeyedValue::Map(map) => {
            count(map.len());
            for (entry, value) in map.iter() {
                put_bytes(into, entry);
                put_bytes(into, value);
            }
        }
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Row>, StateError> {
    let Some((body, checksum)) = bytes.split_last_chunk() else { return Err(corrupt("it is cut off")) };
    if xxh3_64(body) != u64::from_le_bytes(*checksum) {
        return Err(corrupt("its checksum is wrong"));
    }
    let mut parser = Parser::new(body, "snapshot");
    if parser.fixed()? != MAGIC {
        return Err(corrupt("it does not begin as one"));
    }
    let version = parser.u16()?;
    if version != VERSION {
        return Err(corrupt(format_args!("it has version {version}, and this version of Weir reads {VERSION}")));
    }
    let states = parser.u16()?;
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..states {
        let row = row(&mut parser)?;
        if rows.last().is_some_and(|last| last.named.name >= row.named.name) {
            return Err(corrupt(format_args!("state `{}` is out of order", row.named.name)));
        }
        rows.push(row);
    }
    parser.end()?;
    Ok(rows)
}

fn row(parser: &mut Parser<'_>) -> Result<Row, StateError> {
    let kind = parser.u8()?;
    let version = parser.u32()?;
    let (name, codec) = (parser.text()?, parser.text()?);
    let kind = match kind {
        1 => StateKind::OperatorSplit,
        2 => StateKind::OperatorUnion,
        3 => StateKind::Broadcast,
        _ => return Err(corrupt(format_args!("state `{name}` has the unknown kind {kind}"))),
    };
    let value = if kind == StateKind::Broadcast { map(parser)? } else { list(parser)? };
    Ok(Row { named: Named { name, kind, version, codec }, value })
}

fn list(parser: &mut Parser<'_>) -> Result<UnkeyedValue, StateError> {
    let mut list = BytesColumn::default();
    for _ in 0..parser.u32()? {
        list.push(parser.bytes()?);
    }
    Ok(UnkeyedValue::List(Arc::new(list)))
}

fn map(parser: &mut Parser<'_>) -> Result<UnkeyedValue, StateError> {
    let mut map = BroadcastMap::new();
    for _ in 0..parser.u32()? {
        let (entry, value) = (parser.bytes()?, parser.bytes()?);
        if map.last_key_value().is_some_and(|(last, _)| **last >= *entry) {
            return Err(corrupt("the entries of a map are out of order"));
        }
        map.insert(entry.into(), value.into());
    }
    Ok(UnkeyedValue::Map(Arc::new(map)))
}

fn code(kind: StateKind) -> u8 {
    match kind {
        StateKind::OperatorSplit => 1,
        StateKind::OperatorUnion => 2,
        StateKind::Broadcast => 3,
        StateKind::KeyedValue | StateKind::KeyedList | StateKind::KeyedMap => {
            unreachable!("keyed state is kept elsewhere")
        }
    }
}
