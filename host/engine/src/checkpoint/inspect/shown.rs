//! Bytes, in the form in which people and tools can read them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_protocol::Fault;

use super::InspectError;

/// The most digits of a number that a JSON parser keeps.
const DIGITS_MAX: usize = 17;

/// Bytes, and how they are to be read: an object with one field, whose name says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// What the bytes mean: they are JSON, or a number or truth value in the codec that its state declares.
    Json(Value),
    /// The bytes are this text, in UTF-8.
    Text(String),
    /// The bytes are none of that.
    Base64(String),
}

impl Shown {
    /// A key, of a record or of a map's entry: text wherever it is one, so that it can be asked for as it is shown.
    #[must_use]
    pub fn key(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control));
        text.map_or_else(|| Self::Base64(STANDARD.encode(bytes)), |text| Self::Text(text.to_owned()))
    }

    /// A value in a codec, as a state names it. What is not in its codec is shown as what it looks like.
    #[must_use]
    pub fn value(codec: &str, bytes: &[u8]) -> Self {
        if let Some(value) = plain(codec, bytes) {
            return Self::Json(value);
        }
        let Some(text) = std::str::from_utf8(bytes).ok() else { return Self::Base64(STANDARD.encode(bytes)) };
        if !matches!(codec, "utf-8" | "bytes")
            && let Some(json) = json(text)
        {
            return Self::Json(json);
        }
        let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if codec != "utf-8" && text.chars().any(is_control) {
            return Self::Base64(STANDARD.encode(bytes));
        }
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(value) => value.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Base64(text) => write!(f, "base64:{text}"),
        }
    }
}

/// The bytes that a text in base64 means.
///
/// # Errors
/// When it means none.
pub fn from_base64(text: &str) -> Result<Vec<u8>, InspectError> {
    STANDARD.decode(text).map_err(|error| InspectError::Failed {
        fault: Fault::Request,
        message: format!("`{text:.64}` is no base64: {error}"),
    })
}

/// What the SDKs' plain codecs mean by these bytes.
fn plain(codec: &str, bytes: &[u8]) -> Option<Value> {
    macro_rules! number {
        ($kind:ty) => {
            Some(<$kind>::from_le_bytes(bytes.try_into().ok()?).into())
        };
    }
    match codec {
        "u8" => number!(u8),
        "u16" => number!(u16),
        "u32" => number!(u32),
        "u64" => number!(u64),
        "i8" => number!(i8),
        "i16" => number!(i16),
        "i32" => number!(i32),
        "i64" => number!(i64),
        "f32" => finite(f32::from_le_bytes(bytes.try_into().ok()?).into()),
        "f64" => finite(f64::from_le_bytes(bytes.try_into().ok()?)),
        "bool" => match bytes {
            [0] => Some(false.into()),
            [1] => Some(true.into()),
            _ => None,
        },
        _ => None,
    }
}

/// JSON has no other numbers.
fn finite(number: f64) -> Option<Value> {
    number.is_finite().then(|| number.into())
}

/// The JSON that a text is, if nothing of it would be lost.
fn json(text: &str) -> Option<Value> {
    let value = serde_json::from_str(text).ok()?;
    (!has_long_number(text)).then_some(value)
}

/// Whether a number has more digits than a parser keeps.
fn has_long_number(json: &str) -> bool {
    let (mut is_text, mut is_escaped, mut digits) = (false, false, 0);
    for byte in json.bytes() {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            b'"' if !was_escaped => is_text = !is_text,
            b'\\' if is_text && !was_escaped => is_escaped = true,
            b'0'..=b'9' if !is_text => digits += 1,
            b'.' if !is_text => {}
            _ => digits = 0,
        }
        if digits > DIGITS_MAX {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_shown_as_what_its_codec_says() {
        assert_eq!(Shown::value("u64", &7_u64.to_le_bytes()), Shown::Json(json!(7)));
        assert_eq!(Shown::value("i32", &(-2_i32).to_le_bytes()), Shown::Json(json!(-2)));
        assert_eq!(Shown::value("f64", &1.5_f64.to_le_bytes()), Shown::Json(json!(1.5)));
        assert_eq!(Shown::value("bool", &[1]), Shown::Json(json!(true)));
        assert_eq!(Shown::value("json", b"{\"a\": [1]}"), Shown::Json(json!({ "a": [1] })));
        assert_eq!(Shown::value("utf-8", b"7"), Shown::Text("7".to_owned()));
        assert_eq!(Shown::value("bytes", b"7"), Shown::Text("7".to_owned()));
        assert_eq!(Shown::value("bytes", &[0xff]), Shown::Base64("/w==".to_owned()));
    }

    #[test]
    fn a_value_that_is_not_in_its_codec_is_shown_as_what_it_looks_like() {
        assert_eq!(Shown::value("u64", b"abc"), Shown::Text("abc".to_owned()));
        assert_eq!(Shown::value("f64", &f64::NAN.to_le_bytes()), Shown::Base64("AAAAAAAA+H8=".to_owned()));
        assert_eq!(Shown::value("bool", &[2]), Shown::Base64("Ag==".to_owned()));
        assert_eq!(Shown::value("my own", b"{}"), Shown::Json(json!({})));
        assert_eq!(Shown::value("my own", &[0, 0, 0, 1]), Shown::Base64("AAAAAQ==".to_owned()));
    }

    #[test]
    fn a_number_that_a_parser_would_round_stays_text() {
        let long = "{\"n\":340282366920938463463374607431768211455}";
        assert_eq!(Shown::value("json", long.as_bytes()), Shown::Text(long.to_owned()));
        let text = "{\"n\":\"340282366920938463463374607431768211455\"}";
        assert!(matches!(Shown::value("json", text.as_bytes()), Shown::Json(_)));
    }

    #[test]
    fn a_key_is_text_where_it_is_one_and_says_so() {
        assert_eq!(Shown::key(b"\"a\""), Shown::Text("\"a\"".to_owned()));
        assert_eq!(Shown::key(b"7"), Shown::Text("7".to_owned()));
        assert_eq!(Shown::key(&[0, 1]), Shown::Base64("AAE=".to_owned()));
        assert_eq!(serde_json::to_string(&Shown::key(b"a")).unwrap(), r#"{"text":"a"}"#);
    }
}
