//! Durations and sizes as people write them: `"500ms"`, `"64MiB"`.

use crate::job_file::fields::Read;
use crate::job_file::tree::{Node, Value};

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

/// Why something is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Negative,
    Fraction,
    TooLarge,
    NoNumber,
    Unit,
    /// Neither a number nor a text.
    Kind,
}

impl Wrong {
    fn why(self, most: &str, units: &str) -> String {
        match self {
            Self::Negative => ": it is below 0".to_owned(),
            Self::Fraction => ": it is no whole number, so take a smaller unit".to_owned(),
            Self::TooLarge => format!(": it is larger than {most}"),
            Self::NoNumber => ": it has no number".to_owned(),
            Self::Unit => format!("; the units are {units}"),
            Self::Kind => String::new(),
        }
    }
}

/// Milliseconds: an integer, or a text with a unit.
pub(super) const DURATION: Read<u64> = |node, what| {
    quantity(node, ms).map_err(|wrong| {
        let why = wrong.why("2^64 - 1 milliseconds", &names(&DURATIONS));
        let forms = "(\"500ms\", \"10s\", \"5min\" or milliseconds)";
        node.error(format!("{what} must be a duration {forms}, not {}{why}", node.shown()))
    })
};

/// Bytes: an integer, or a text with a unit.
pub(super) const SIZE: Read<u64> = |node, what| {
    if let Value::Text(text) = &node.value
        && let Some(readings) = two_readings(text)
    {
        return Err(node.error(format!("{what} {readings}")));
    }
    quantity(node, size_of).map_err(|wrong| {
        let forms = "(\"64KiB\", \"256MiB\", \"1GiB\" or bytes)";
        node.error(format!("{what} must be a size {forms}, not {}{}", node.shown(), why_no_size(wrong)))
    })
};

fn why_no_size(wrong: Wrong) -> String {
    wrong.why("2^64 - 1 bytes", "B, KiB, MiB, GiB, TiB; Flink's b, k, m, g, t and kb, mb, gb, tb are the same")
}

fn names(units: &[(&str, u64)]) -> String {
    units.iter().rev().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn quantity(node: &Node, read: fn(&str) -> Result<u64, Wrong>) -> Result<u64, Wrong> {
    match &node.value {
        Value::Integer(integer) if *integer < 0 => Err(Wrong::Negative),
        Value::Integer(integer) => u64::try_from(*integer).map_err(|_| Wrong::TooLarge),
        Value::Float(_) => Err(Wrong::Fraction),
        Value::Text(text) => read(text),
        Value::Null | Value::Boolean(_) | Value::List(_) | Value::Table(_) => Err(Wrong::Kind),
    }
}

/// Bytes, as a command line gives them: a number, or one with a unit.
///
/// # Errors
/// Why it is no size.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    match two_readings(text) {
        Some(readings) => Err(format!("it {readings}")),
        None => size_of(text).map_err(|wrong| format!("it is no size{}", why_no_size(wrong))),
    }
}

/// Why a size is not read that means one thing to some and another to Flink, and how to write either.
fn two_readings(text: &str) -> Option<String> {
    let (number, unit) = split(text).ok()?;
    let (_, decimal) = TWO_MEANINGS.iter().find(|(name, _)| unit.ends_with('B') && name.eq_ignore_ascii_case(unit))?;
    let (decimal, binary) = (number.checked_mul(*decimal)?, size_of(text).ok()?);
    let written = size(binary);
    // None of either is none.
    (decimal != binary).then(|| {
        format!(
            "is {text:?}, which to some is {decimal} bytes, and {binary} to Flink; write {decimal}, or \"{written}\""
        )
    })
}

fn ms(text: &str) -> Result<u64, Wrong> {
    parse(text, &DURATIONS, |name, unit| name == unit)
}

fn size_of(text: &str) -> Result<u64, Wrong> {
    parse(text, &SIZES, str::eq_ignore_ascii_case)
}

fn parse(text: &str, units: &[(&str, u64)], is_named: fn(&str, &str) -> bool) -> Result<u64, Wrong> {
    let (number, unit) = split(text)?;
    let (_, factor) = units.iter().find(|(name, _)| is_named(name, unit)).ok_or(Wrong::Unit)?;
    number.checked_mul(*factor).ok_or(Wrong::TooLarge)
}

/// A number and its unit, which may be missing.
fn split(text: &str) -> Result<(u64, &str), Wrong> {
    let text = text.trim_matches(' ');
    if text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        return Err(Wrong::Negative);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if digits == 0 {
        return Err(Wrong::NoNumber);
    }
    if text[digits..].starts_with(['.', ',']) {
        return Err(Wrong::Fraction);
    }
    let number = text[..digits].parse().map_err(|_| Wrong::TooLarge)?;
    Ok((number, text[digits..].trim_start_matches(' ')))
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
