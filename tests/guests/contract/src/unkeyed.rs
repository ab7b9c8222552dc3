//! What the odd operator does with state that belongs to no key.

use crate::commands::{Row, answer, bytes, given, joined, present, show_page, shown, unknown};
use crate::weir::operator::state::{BroadcastState, OperatorState};
use crate::weir::operator::types::BytesColumn;

/// What is tried in `open`.
pub fn probe(config: &str) -> Result<(), String> {
    match config {
        "wrong-list" => drop(OperatorState::new("rules")),
        "early-split" => OperatorState::new("split").set(&bytes([].into_iter())),
        "early-rule" => BroadcastState::new("rules").put(b"e", b"v"),
        "look" => {
            let split = joined(&present(OperatorState::new("split").get()));
            return Err(format!("{split} {}", shown(BroadcastState::new("rules").get(b"e").as_deref())));
        }
        _ => {}
    }
    Ok(())
}

pub fn list(verb: &str, rest: &str, row: Row, state: &OperatorState) {
    match verb.split_once('-').map_or(verb, |(_, action)| action) {
        "get" => answer(row, &joined(&present(state.get()))),
        "set" => state.set(&bytes(rest.split(','))),
        "clear" => state.set(&bytes([].into_iter())),
        "bad" => state.set(&BytesColumn { data: b"abc".to_vec(), offsets: vec![0, 2, 1, 3] }),
        _ => unknown(verb),
    }
}

pub fn rule(verb: &str, rest: &str, row: Row, state: &BroadcastState) {
    match verb {
        "rule-get" => answer(row, &shown(state.get(rest.as_bytes()).as_deref())),
        "rule-put" => {
            let (entry, value) = rest.split_once('=').expect("E=V");
            state.put(entry.as_bytes(), value.as_bytes());
        }
        "rule-fill" => {
            let value = vec![b'x'; 1_000_000];
            for entry in 0..rest.parse::<u32>().expect("a number") {
                state.put(entry.to_string().as_bytes(), &value);
            }
        }
        "rule-remove" => state.remove(rest.as_bytes()),
        "rule-scan" => {
            let [start, end, limit]: [&str; 3] =
                rest.split(' ').collect::<Vec<_>>().try_into().expect("START END LIMIT");
            show_page(row, &state.scan(given(start), given(end), limit.parse().expect("a number")));
        }
        _ => unknown(verb),
    }
}
