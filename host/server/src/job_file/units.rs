//! Durations and sizes as people write them: `"500ms"`, `"64MiB"`.

use crate::job_file::fields::Read;
use crate::job_file::tree::{Error, Node, Value};

/// Longest first, so that writing finds the shortest text.
const DURATIONS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// Powers of 1,024, in any case. Those that are written come first; Flink's names follow, with Flink's meaning.
const SIZES: [(&str, u64); 19] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("bytes", 1),
    ("k", 1 << 10),
    ("kb", 1 << 10),
    ("kibibytes", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1 << 20),
    ("mebibytes", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1 << 30),
    ("gibibytes", 1 << 30),
    ("t", 1 << 40),
    ("tb", 1 << 40),
    ("tebibytes", 1 << 40),
    ("", 1),
];

/// What units that end in a capital B without an i are by the International System of Units, in any case. Flink takes
/// them for powers of 1,024, so they are not read.
const TWO_MEANINGS: [(&str, u64); 4] =
    [("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000)];

/// Milliseconds: an integer, or a text with a unit.
pub(super) const DURATION: Read<u64> =
    |node, what| quantity(node, ms).ok_or_else(|| wrong(node, what, "a duration", "500ms", "10s", "5min"));

/// Bytes: an integer, or a text with a unit.
pub(super) const SIZE: Read<u64> = |node, what| {
    if let Value::Text(text) = &node.value
        && let Some(readings) = two_readings(text)
    {
        return Err(node.error(format!("{what} {readings}")));
    }
    quantity(node, size_of).ok_or_else(|| wrong(node, what, "a size", "64KiB", "256MiB", "1GiB"))
};

fn wrong(node: &Node, what: &str, kind: &str, first: &str, second: &str, third: &str) -> Error {
    let (number, units) = if kind == "a size" {
        ("bytes", "B, KiB, MiB, GiB, TiB; Flink's b, k, m, g, t and kb, mb, gb, tb are the same".to_owned())
    } else {
        ("milliseconds", names(&DURATIONS))
    };
    let given = node.shown();
    let units = if matches!(node.value, Value::Text(_)) { format!("; the units are {units}") } else { String::new() };
    node.error(format!(
        "{what} must be {kind} (\"{first}\", \"{second}\", \"{third}\" or {number}), not {given}{units}"
    ))
}

fn names(units: &[(&str, u64)]) -> String {
    units.iter().rev().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn quantity(node: &Node, read: fn(&str) -> Option<u64>) -> Option<u64> {
    match &node.value {
        Value::Integer(integer) => u64::try_from(*integer).ok(),
        Value::Text(text) => read(text),
        Value::Null | Value::Boolean(_) | Value::Float(_) | Value::List(_) | Value::Table(_) => None,
    }
}

/// Bytes, as a command line gives them: a number, or one with a unit.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    size_of(text).filter(|_| two_readings(text).is_none())
}

/// Why a size is not read that means one thing to some and another to Flink, and how to write either.
pub(crate) fn two_readings(text: &str) -> Option<String> {
    let (number, unit) = split(text)?;
    let (_, decimal) = TWO_MEANINGS.iter().find(|(name, _)| unit.ends_with('B') && name.eq_ignore_ascii_case(unit))?;
    let (decimal, binary) = (number.checked_mul(*decimal)?, size_of(text)?);
    let written = size(binary);
    // None of either is none.
    (decimal != binary).then(|| {
        format!(
            "is {text:?}, which to some is {decimal} bytes, and {binary} to Flink; write {decimal}, or \"{written}\""
        )
    })
}

fn ms(text: &str) -> Option<u64> {
    parse(text, &DURATIONS, |name, unit| name == unit)
}

fn size_of(text: &str) -> Option<u64> {
    parse(text, &SIZES, str::eq_ignore_ascii_case)
}

fn parse(text: &str, units: &[(&str, u64)], is_named: fn(&str, &str) -> bool) -> Option<u64> {
    let (number, unit) = split(text)?;
    let (_, factor) = units.iter().find(|(name, _)| is_named(name, unit))?;
    number.checked_mul(*factor)
}

/// A number and its unit, which may be missing.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim_matches(' ');
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, text[digits..].trim_start_matches(' ')))
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
