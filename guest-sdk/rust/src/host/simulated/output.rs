//! Outputs in memory; the interface `output` of the contract.

use super::{Call, Emitted, Row, Scene, with};
use crate::batch::NO_TIME;
use crate::bindings::weir::operator::output as contract;
use crate::column::Column;
use contract::{Header, Origin};

pub(crate) fn emit(port: u32, records: &contract::Emitted) {
    with(|scene| send(scene, port, records, None));
}

pub(crate) fn emit_with_headers(port: u32, records: &contract::Emitted, headers: &[Header]) {
    with(|scene| send(scene, port, records, Some(headers)));
}

pub(crate) fn forward(port: u32, rows: &[u32]) {
    with(|scene| {
        scene.expect_call(&[Call::Process], "`forward`");
        for &row in rows {
            let Row { key, value, timestamp, headers } = scene.row(row).clone();
            let key = key.map(|key| scene.key(key).to_vec());
            let port = port_name(scene, port);
            scene.emitted.push(Emitted { port, key, value, timestamp, headers });
        }
    });
}

pub(crate) fn reject(rows: &[u32], reason: &str) {
    with(|scene| {
        scene.expect_call(&[Call::Process], "`reject`");
        for &row in rows {
            let _checked = scene.row(row);
            scene.rejected.push((row, reason.to_owned()));
        }
    });
}

fn port_name(scene: &Scene, port: u32) -> &'static str {
    scene.outputs.get(port as usize).unwrap_or_else(|| panic!("trap: there is no output {port}"))
}

fn send(scene: &mut Scene, port: u32, records: &contract::Emitted, headers: Option<&[Header]>) {
    scene.expect_call(&[Call::Process, Call::Timers, Call::Finish], "`emit`");
    let port = port_name(scene, port);
    let values = Column::of(&records.values);
    let sources = sources(scene, &records.origin, values.len());
    assert_eq!(sources.len(), values.len(), "trap: `origin` gives {} records, `values` others", sources.len());
    let own_times = &records.timestamps;
    assert!(own_times.is_empty() || own_times.len() == values.len(), "trap: as many timestamps as values, or none");
    for (index, (source, value)) in sources.into_iter().zip(values.iter()).enumerate() {
        let own_time = own_times.get(index).copied();
        scene.emitted.push(Emitted {
            port,
            key: source.key,
            value: value.map(<[u8]>::to_vec),
            timestamp: own_time.map_or(source.timestamp, |at| Some(at).filter(|&at| at != NO_TIME)),
            headers: headers.map_or(source.headers, |headers| headers_of(headers, index)),
        });
    }
}

fn headers_of(headers: &[Header], index: usize) -> Vec<(String, Option<Vec<u8>>)> {
    let value = |header: &Header| Column::of(&header.values).get(index).map(<[u8]>::to_vec);
    headers.iter().filter_map(|header| value(header).map(|value| (header.name.clone(), Some(value)))).collect()
}

/// What a record takes over from where it comes from.
struct Source {
    key: Option<Vec<u8>>,
    timestamp: Option<i64>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn sources(scene: &Scene, origin: &Origin, count: usize) -> Vec<Source> {
    if scene.call == Call::Finish {
        let legal = matches!(origin, Origin::OwnKeys(_) | Origin::Unkeyed);
        assert!(legal, "trap: in `finish` only own keys and unkeyed records are legal");
    }
    match origin {
        Origin::EachRow => scene.rows.iter().map(|row| of_row(scene, row)).collect(),
        Origin::Rows(rows) => rows.iter().map(|&row| of_row(scene, scene.row(row))).collect(),
        Origin::Keys(keys) => keys.iter().map(|&key| of_key(scene, key)).collect(),
        Origin::OwnKeys(own) => own.key_of.iter().map(|&key| of_own_key(scene, &own.keys, key)).collect(),
        Origin::Unkeyed => (0..count).map(|_| without_row(scene, None)).collect(),
    }
}

fn of_row(scene: &Scene, row: &Row) -> Source {
    let key = row.key.map(|key| scene.key(key).to_vec());
    Source { key, timestamp: row.timestamp, headers: row.headers.clone() }
}

fn of_key(scene: &Scene, key: u32) -> Source {
    let bytes = scene.key(key).to_vec();
    let times = scene.rows.iter().filter(|row| row.key == Some(key)).map(|row| row.timestamp);
    Source { key: Some(bytes), timestamp: times.max().flatten(), headers: Vec::new() }
}

fn of_own_key(scene: &Scene, keys: &crate::bindings::weir::operator::types::BytesColumn, key: u32) -> Source {
    let keys = Column::of_bytes(keys);
    assert!((key as usize) < keys.len(), "trap: own key {key} of {} keys", keys.len());
    without_row(scene, keys.get(key as usize))
}

/// The latest event time of the call.
fn without_row(scene: &Scene, key: Option<&[u8]>) -> Source {
    let timestamp = scene.rows.iter().map(|row| row.timestamp).max().flatten();
    Source { key: key.map(<[u8]>::to_vec), timestamp, headers: Vec::new() }
}
