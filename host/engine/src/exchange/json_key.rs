//! A field of a JSON value as a key: its canonical JSON text.
//!
//! Equal values have equal text, whatever their spelling: no white space, object keys sorted by their bytes, strings
//! with the shortest escapes, a number that is whole and fits in 64 bits as its decimal digits (so `1`, `1.0` and `1e0`
//! are one key), any other in the shortest form that reads back as the same 64-bit float, as RFC 8785 sets it. Key
//! groups follow from these bytes, so the form never changes for a job.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Why a value has no such field.
#[derive(Debug)]
pub(super) enum FieldError {
    /// It is JSON, without the field.
    Missing,
    /// It is no JSON.
    Malformed(serde_json::Error),
}

impl FieldError {
    /// In words.
    pub(super) fn reason(&self, path: &[String]) -> String {
        let field = path.join(".");
        match self {
            Self::Missing => format!("the value has no field `{field}`, which this edge's key is taken from"),
            Self::Malformed(error) => {
                format!(
                    "the value is no JSON ({error}), so it has no field `{field}`, which this edge's key is taken from"
                )
            }
        }
    }
}

/// Appends the canonical text of the field at `path`. Where an object names a key twice, the last counts. After an
/// error, what was appended is to be thrown away.
pub(super) fn canonical_field(value: &[u8], path: &[String], into: &mut Vec<u8>) -> Result<(), FieldError> {
    let mut json = serde_json::Deserializer::from_slice(value);
    let found = Field { path, into }.deserialize(&mut json).and_then(|found| json.end().map(|()| found));
    match found {
        Ok(true) => Ok(()),
        Ok(false) => Err(FieldError::Missing),
        Err(error) => Err(FieldError::Malformed(error)),
    }
}

/// Walks down a path and tells whether it was there.
struct Field<'a> {
    path: &'a [String],
    into: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        if self.path.is_empty() {
            json.deserialize_any(Canonical { into: self.into })?;
            Ok(true)
        } else {
            json.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let (name, path) = self.path.split_first().expect("a visitor is made only for a path that goes on");
        let start = self.into.len();
        let mut found = false;
        while let Some(is_name) = map.next_key_seed(IsName(name))? {
            if is_name {
                self.into.truncate(start);
                found = map.next_value_seed(Field { path, into: self.into })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<bool, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| false)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }
}

/// Compares an object's key with a name, without copying it.
struct IsName<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object's key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

/// Writes whatever it visits in canonical form.
struct Canonical<'a> {
    into: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Canonical<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        write_scalar(text, self.into);
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        write_scalar(&number, self.into);
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        write_scalar(&number, self.into);
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        write_float(number, self.into);
        Ok(())
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        write_scalar(&truth, self.into);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.into.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        write_value(&Value::deserialize(SeqAccessDeserializer::new(seq))?, self.into);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        write_value(&Value::deserialize(MapAccessDeserializer::new(map))?, self.into);
        Ok(())
    }
}

fn write_value(value: &Value, into: &mut Vec<u8>) {
    match value {
        Value::Null => into.extend_from_slice(b"null"),
        Value::Bool(truth) => write_scalar(truth, into),
        Value::String(text) => write_scalar(text, into),
        Value::Number(number) if number.is_f64() => write_float(number.as_f64().unwrap_or_default(), into),
        Value::Number(number) => write_scalar(number, into),
        Value::Array(values) => {
            into.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    into.push(b',');
                }
                write_value(value, into);
            }
            into.push(b']');
        }
        Value::Object(fields) => {
            // Sorted here, whatever order the map itself keeps.
            let fields: BTreeMap<&String, &Value> = fields.iter().collect();
            into.push(b'{');
            for (index, (name, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    into.push(b',');
                }
                write_scalar(name, into);
                into.push(b':');
                write_value(value, into);
            }
            into.push(b'}');
        }
    }
}

fn write_float(number: f64, into: &mut Vec<u8>) {
    const I64_START: f64 = -9_223_372_036_854_775_808.0;
    const U64_END: f64 = 18_446_744_073_709_551_616.0;
    if number.fract() == 0.0 && (I64_START..U64_END).contains(&number) {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number of 64 bits, which 128 hold")]
        write_scalar(&(number as i128), into);
    } else {
        write_shortest(number, into);
    }
}

/// The shortest digits that read back as the same float, set as RFC 8785 (and so JavaScript) sets them. Not left to
/// serde_json, whose form has changed between versions.
fn write_shortest(number: f64, into: &mut Vec<u8>) {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').expect("`{:e}` writes an exponent");
    let exponent: i32 = exponent.parse().expect("`{:e}` writes a whole exponent");
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
    let digits = mantissa.replace('.', "");
    let count = i32::try_from(digits.len()).expect("a float has at most 17 digits");
    // The value is 0.`digits` times ten to this power.
    let point = exponent + 1;
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let text = match point {
        _ if count <= point && point <= 21 => format!("{sign}{digits}{}", zeros(point - count)),
        1..=21 => {
            let (whole, part) = digits.split_at(usize::try_from(point).expect("it is at least 1"));
            format!("{sign}{whole}.{part}")
        }
        -5..=0 => format!("{sign}0.{}{digits}", zeros(-point)),
        _ => format!("{sign}{mantissa}e{exponent:+}"),
    };
    into.extend_from_slice(text.as_bytes());
}

fn write_scalar<T: serde::Serialize + ?Sized>(scalar: &T, into: &mut Vec<u8>) {
    serde_json::to_writer(into, scalar).expect("a scalar can be written to memory");
}
