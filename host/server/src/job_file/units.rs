//! Durations and sizes as people write them: `"500ms"`, `"64MiB"`.

use crate::job_file::fields::Read;
use crate::job_file::tree::{Error, Node, Value};

/// Longest first, so that writing finds the shortest text.
const DURATIONS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// Those of 1,024 first, which are the ones written.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Milliseconds: an integer, or a text with a unit.
pub(super) const DURATION: Read<u64> =
    |node, what| quantity(node, &DURATIONS).ok_or_else(|| wrong(node, what, "a duration", "500ms", "10s", "5min"));

/// Bytes: an integer, or a text with a unit.
pub(super) const SIZE: Read<u64> =
    |node, what| quantity(node, &SIZES).ok_or_else(|| wrong(node, what, "a size", "64KiB", "256MiB", "1GiB"));

fn wrong(node: &Node, what: &str, kind: &str, first: &str, second: &str, third: &str) -> Error {
    let (number, units) = if kind == "a size" { ("bytes", names(&SIZES)) } else { ("milliseconds", names(&DURATIONS)) };
    let given = node.shown();
    let units = if matches!(node.value, Value::Text(_)) { format!("; the units are {units}") } else { String::new() };
    node.error(format!(
        "{what} must be {kind} (\"{first}\", \"{second}\", \"{third}\" or {number}), not {given}{units}"
    ))
}

fn names(units: &[(&str, u64)]) -> String {
    units.iter().rev().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn quantity(node: &Node, units: &[(&str, u64)]) -> Option<u64> {
    match &node.value {
        Value::Integer(integer) => u64::try_from(*integer).ok(),
        Value::Text(text) => parse(text, units),
        Value::Null | Value::Boolean(_) | Value::Float(_) | Value::List(_) | Value::Table(_) => None,
    }
}

/// Bytes, as a command line gives them: a number, or one with a unit.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| parse(text, &SIZES))
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = (&text[..digits], text[digits..].trim_start_matches(' '));
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Milliseconds in the largest unit that fits: `1500` → `"1500ms"`, `60000` → `"1min"`.
pub(crate) fn duration(ms: u64) -> String {
    shortest(ms, &DURATIONS)
}

/// Bytes in the largest unit of 1,024 that fits.
pub(crate) fn size(bytes: u64) -> String {
    shortest(bytes, &SIZES)
}

fn shortest(quantity: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| quantity != 0 && quantity.is_multiple_of(*factor);
    let (unit, factor) = units.iter().find(fits).or(units.last()).expect("there are units");
    format!("{}{unit}", quantity / factor)
}
