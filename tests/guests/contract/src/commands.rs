//! The commands that every implementation of the odd operator obeys.

use crate::exports::weir::operator::operators::Failure;
use crate::weir::operator::headers;
use crate::weir::operator::output::{Emitted, Header, Origin, OwnKeys, emit, emit_with_headers, forward, reject};
use crate::weir::operator::state::{ListState, MapState, Page, ValueState};
use crate::weir::operator::telemetry::{Level, counter_add, gauge_set, histogram_record, log};
use crate::weir::operator::timers;
use crate::weir::operator::types::{BytesColumn, OptionalColumn, TimeDomain};
use crate::{Odd, column, one, text, unkeyed, value_at, world};

/// The row whose command is carried out.
#[derive(Clone, Copy)]
pub struct Row {
    pub number: u32,
    pub key: u32,
    pub call: u32,
}

pub fn carry_out(verb: &str, rest: &str, row: Row, odd: &mut Odd) -> Result<(), Failure> {
    match verb.split_once('-').map_or(verb, |(family, _)| family) {
        "value" => value(verb, rest, row, &odd.value),
        "list" => list(verb, rest, row, &odd.list),
        "map" => map(verb, rest, row, &odd.map),
        "split" => unkeyed::list(verb, rest, row, &odd.split),
        "union" => unkeyed::list(verb, rest, row, &odd.union),
        "rule" => unkeyed::rule(verb, rest, row, &odd.rules),
        "emit" | "bad" | "flood" => emissions(verb, rest, row),
        "fail" => return fail(verb, rest, row),
        "trap" => std::process::abort(),
        _ => other(verb, rest, row),
    }
    Ok(())
}

fn value(verb: &str, rest: &str, row: Row, state: &ValueState) {
    match verb {
        "value-get" => answer(row, &shown(state.get(row.key).as_deref())),
        "value-set" => state.set(row.key, rest.as_bytes()),
        "value-clear" => state.clear(row.key),
        "value-load" => answer(row, &joined(&state.load())),
        "value-store" => state.store(&column(rest.split(',').map(given))),
        "value-load-some" => answer(row, &joined(&state.load_some(&numbers(rest)))),
        "value-store-some" => {
            let (keys, values) = pairs(rest);
            state.store_some(&keys, &column(values.into_iter().map(given)));
        }
        _ => unknown(verb),
    }
}

fn list(verb: &str, rest: &str, row: Row, state: &ListState) {
    match verb {
        "list-get" => answer(row, &joined(&present(state.get(row.key)))),
        "list-append" => state.append(row.key, rest.as_bytes()),
        "list-set" => state.set(row.key, &bytes(rest.split(','))),
        "list-clear" => state.clear(row.key),
        "list-get-many" => {
            let lists = state.get_many(&numbers(rest));
            let mut start = 0;
            let mut shown = Vec::new();
            for end in lists.ends {
                let values = (start..end).map(|index| text(value_at(&lists.values, index as usize)));
                shown.push(values.collect::<Vec<_>>().join(","));
                start = end;
            }
            answer(row, &shown.join("|"));
        }
        "list-append-many" => {
            let (keys, values) = pairs(rest);
            state.append_many(&keys, &bytes(values.into_iter()));
        }
        _ => unknown(verb),
    }
}

fn map(verb: &str, rest: &str, row: Row, state: &MapState) {
    match verb {
        "map-get" => answer(row, &shown(state.get(row.key, rest.as_bytes()).as_deref())),
        "map-put" => {
            let (entry, value) = rest.split_once('=').expect("E=V");
            state.put(row.key, entry.as_bytes(), value.as_bytes());
        }
        "map-remove" => state.remove(row.key, rest.as_bytes()),
        "map-clear" => state.clear(row.key),
        "map-is-empty" => answer(row, &state.is_empty(row.key).to_string()),
        "map-scan" => {
            let [start, end, limit]: [&str; 3] =
                rest.split(' ').collect::<Vec<_>>().try_into().expect("START END LIMIT");
            show_page(row, &state.scan(row.key, given(start), given(end), limit.parse().expect("a number")));
        }
        "map-get-many" => {
            let (keys, entries) = pairs(rest);
            answer(row, &joined(&state.get_many(&keys, &bytes(entries.into_iter()))));
        }
        "map-put-many" => {
            let (keys, rest) = pairs(rest);
            let entries: Vec<_> = rest.iter().map(|pair| pair.split_once('=').expect("E=V")).collect();
            let values = column(entries.iter().map(|(_, value)| given(value)));
            state.put_many(&keys, &bytes(entries.iter().map(|(entry, _)| *entry)), &values);
        }
        _ => unknown(verb),
    }
}

pub fn show_page(row: Row, page: &Page) {
    let entries = (0..page.entries.offsets.len() - 1)
        .map(|index| format!("{}={}", text(value_at(&page.entries, index)), text(value_at(&page.values, index))));
    let entries = entries.collect::<Vec<_>>().join(",");
    answer(row, &format!("{entries} {}", if page.more { "more" } else { "end" }));
}

fn emissions(verb: &str, rest: &str, row: Row) {
    let value = one(rest.as_bytes());
    match verb {
        "emit-each" => plain(0, Origin::EachRow, column([Some(rest.as_bytes()); 2].into_iter())),
        "emit-rows" | "emit-keys" => {
            let indices = numbers(rest);
            let values = column(indices.iter().map(|_| Some(verb.as_bytes())));
            let origin = if verb == "emit-rows" { Origin::Rows(indices) } else { Origin::Keys(indices) };
            plain(0, origin, values);
        }
        "emit-own" => {
            let keys = OwnKeys { keys: bytes([rest, "other", rest].into_iter()), key_of: vec![2, 1, 0] };
            plain(0, Origin::OwnKeys(keys), column([Some(b"own".as_slice()); 3].into_iter()));
        }
        "emit-unkeyed" => plain(0, Origin::Unkeyed, value),
        "emit-late" => plain(1, Origin::Rows(vec![row.number]), value),
        "emit-missing" => plain(0, Origin::Rows(vec![row.number]), column([None].into_iter())),
        "emit-at" => {
            let timestamps = vec![rest.parse().expect("a time")];
            emit(0, &Emitted { origin: Origin::Unkeyed, values: one(b"at"), timestamps });
        }
        "emit-header" => {
            let (name, value) = rest.split_once('=').expect("N=V");
            let headers = [Header { name: name.into(), values: one(value.as_bytes()) }];
            let records = Emitted { origin: Origin::Unkeyed, values: one(b"header"), timestamps: Vec::new() };
            emit_with_headers(0, &records, &headers);
        }
        "bad-offsets" => {
            let values = BytesColumn { data: b"abc".to_vec(), offsets: vec![0, 2, 1, 3] };
            plain(0, Origin::Unkeyed, present(values));
        }
        "bad-validity" => plain(0, Origin::Unkeyed, OptionalColumn { validity: vec![1, 1, 1], ..value }),
        "bad-length" => plain(0, Origin::Rows(vec![row.number; 2]), value),
        "bad-own-key" => {
            plain(0, Origin::OwnKeys(OwnKeys { keys: bytes(["k"].into_iter()), key_of: vec![1] }), value);
        }
        "bad-port" => plain(9, Origin::Unkeyed, value),
        "flood" => loop {
            plain(0, Origin::Unkeyed, one(&[b'x'; 65_536]));
        },
        _ => unknown(verb),
    }
}

fn fail(verb: &str, rest: &str, row: Row) -> Result<(), Failure> {
    let failure = |message: &str| Err(Failure { rows: Vec::new(), message: message.into() });
    match verb {
        "fail-rows" => Err(Failure { rows: numbers(rest), message: "these rows".into() }),
        "fail-worn" if row.call > 1 => failure("worn"),
        "fail-worn" => Ok(()),
        _ => failure(rest),
    }
}

fn other(verb: &str, rest: &str, row: Row) {
    let at_and_tag = || {
        let (at, tag) = rest.split_once(' ').expect("AT TAG");
        (at.parse().expect("a time"), tag.parse().expect("a tag"))
    };
    match verb {
        "timer" => {
            let (at, tag) = at_and_tag();
            timers::register(TimeDomain::EventTime, row.key, at, tag);
        }
        "cancel-timer" => {
            let (at, tag) = at_and_tag();
            timers::cancel(TimeDomain::EventTime, row.key, at, tag);
        }
        "timers" => {
            let (keys, times) = pairs(rest);
            let times: Vec<i64> = times.iter().map(|at| at.parse().expect("a time")).collect();
            timers::register_many(TimeDomain::ProcessingTime, &keys, &times, 1);
            timers::cancel_many(TimeDomain::ProcessingTime, &[], &[], 1);
        }
        "watermark" => answer(row, &timers::watermark().to_string()),
        "processing-time" => answer(row, &timers::processing_time().to_string()),
        "forward" => forward(0, &numbers(rest)),
        "reject" => reject(&numbers(rest), "rejected"),
        "header" => answer(row, &joined(&headers::get(rest))),
        "header-names" => answer(row, &headers::names().join(",")),
        "counter" => counter_add(rest, 1),
        "gauge" => gauge_set(rest, 0.5),
        "histogram" => histogram_record(rest, 0.5),
        "names" => (0..10_000).for_each(|name| counter_add(&name.to_string(), 1)),
        "log" => log(Level::Info, rest),
        _ => match world::see(verb, rest) {
            Some(seen) => answer(row, &seen),
            None => unknown(verb),
        },
    }
}

fn plain(port: u32, origin: Origin, values: OptionalColumn) {
    emit(port, &Emitted { origin, values, timestamps: Vec::new() });
}

/// Emits what a command found out, from the command's row.
pub fn answer(row: Row, found: &str) {
    plain(0, Origin::Rows(vec![row.number]), one(found.as_bytes()));
}

pub fn unknown(verb: &str) {
    unreachable!("the odd operator does not know `{verb}`");
}

pub fn present(values: BytesColumn) -> OptionalColumn {
    OptionalColumn { values, validity: Vec::new() }
}

/// `-` stands for a missing value.
pub fn given(value: &str) -> Option<&[u8]> {
    (value != "-").then_some(value.as_bytes())
}

pub fn bytes<'a>(values: impl Iterator<Item = &'a str>) -> BytesColumn {
    column(values.map(|value| Some(value.as_bytes()))).values
}

fn numbers(text: &str) -> Vec<u32> {
    text.split(',').map(|number| number.parse().expect("a number")).collect()
}

/// `0=A,1=B` as numbers and texts.
fn pairs(text: &str) -> (Vec<u32>, Vec<&str>) {
    let pairs = text.split(',').map(|pair| pair.split_once('=').expect("N=X"));
    pairs.map(|(number, value)| (number.parse::<u32>().expect("a number"), value)).unzip()
}

pub fn shown(value: Option<&[u8]>) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

pub fn joined(values: &OptionalColumn) -> String {
    let is_present = |index: usize| values.validity.is_empty() || values.validity[index / 8] >> (index % 8) & 1 == 1;
    let count = values.values.offsets.len() - 1;
    let shown = (0..count).map(|index| shown(is_present(index).then(|| value_at(&values.values, index))));
    shown.collect::<Vec<_>>().join(",")
}
