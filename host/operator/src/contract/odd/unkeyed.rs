//! What the odd operator does with state that belongs to no key.

use super::{Outcome, Row, answer, joined, range, show_page, shown, unknown};
use crate::abilities::{Abilities, BroadcastState, OperatorState};
use crate::batch::BytesColumn;
use crate::native::NativeError;

/// What each entry of `rule-fill` has.
const FILL_BYTES: usize = 1_000_000;

/// What is tried in `open`.
pub(super) fn probe(config: &str, abilities: &mut Abilities) -> Outcome {
    match config {
        "wrong-list" => drop(abilities.operator_state("rules")?),
        "early-split" => {
            let split = abilities.operator_state("split")?;
            abilities.set_operator_list(split, BytesColumn::default())?;
        }
        "early-rule" => {
            let rules = abilities.broadcast_state("rules")?;
            abilities.put_broadcast(rules, b"e", Some(b"v"))?;
        }
        "look" => {
            let (split, rules) = (abilities.operator_state("split")?, abilities.broadcast_state("rules")?);
            let (split, rule) = (abilities.get_operator_list(split)?, abilities.get_broadcast(rules, b"e")?);
            return Err(NativeError::failure(format!("{} {}", joined(&split.into()), shown(rule.as_deref()))));
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn list(verb: &str, rest: &str, row: Row, state: OperatorState, abilities: &mut Abilities) -> Outcome {
    match verb.split_once('-').map_or(verb, |(_, action)| action) {
        "get" => {
            let values = abilities.get_operator_list(state)?;
            answer(row, &joined(&values.into()), abilities)?;
        }
        "set" => abilities.set_operator_list(state, rest.split(',').map(str::as_bytes).collect())?,
        "clear" => abilities.set_operator_list(state, BytesColumn::default())?,
        "bad" => {
            let offsets = BytesColumn { data: b"abc".to_vec(), offsets: vec![0, 2, 1, 3] };
            abilities.set_operator_list(state, offsets)?;
        }
        _ => unknown(verb),
    }
    Ok(())
}

pub(super) fn rule(verb: &str, rest: &str, row: Row, state: BroadcastState, abilities: &mut Abilities) -> Outcome {
    match verb {
        "rule-get" => {
            let value = abilities.get_broadcast(state, rest.as_bytes())?;
            answer(row, &shown(value.as_deref()), abilities)?;
        }
        "rule-put" => {
            let (entry, value) = rest.split_once('=').expect("E=V");
            abilities.put_broadcast(state, entry.as_bytes(), Some(value.as_bytes()))?;
        }
        "rule-fill" => {
            let value = vec![b'x'; FILL_BYTES];
            for entry in 0..rest.parse::<u32>().expect("a number") {
                abilities.put_broadcast(state, entry.to_string().as_bytes(), Some(&value))?;
            }
        }
        "rule-remove" => abilities.put_broadcast(state, rest.as_bytes(), None)?,
        "rule-scan" => {
            let page = abilities.scan_broadcast(state, range(rest))?;
            show_page(&page, row, abilities)?;
        }
        _ => unknown(verb),
    }
    Ok(())
}
