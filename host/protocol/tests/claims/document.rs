//! Durable documents.

use proptest::prelude::*;
use weir_protocol::Fault;
use weir_protocol::document::{DocumentError, decode, encode};

#[test]
fn document_looks_like_this() {
    let bytes = encode(1, &serde_json::json!({"a": 1}));
    let text = String::from_utf8(bytes).expect("JSON is text");
    assert_eq!(text, "{\"format\":1,\"xxh3\":\"c5e3762ffc8453c6\",\"body\":{\"a\":1}}\n");
}

#[test]
fn another_format_is_refused_by_its_number() {
    let error = decode::<serde_json::Value>(1, &encode(2, &7)).expect_err("format 2");
    assert_eq!(error, DocumentError::UnknownFormat { found: 2, known: 1 });
    assert_eq!(error.fault(), Fault::Corrupt);
}

#[test]
fn format_in_another_spelling_is_refused() {
    for spelling in ["+1", "01", " 1"] {
        let whole = String::from_utf8(encode(1, &7)).expect("JSON is text");
        let changed = whole.replace("\"format\":1,", &format!("\"format\":{spelling},"));
        assert_eq!(decode::<u32>(1, changed.as_bytes()), Err(DocumentError::Malformed), "{changed}");
    }
}

#[test]
fn empty_object_is_refused() {
    assert_eq!(decode::<serde_json::Value>(1, b""), Err(DocumentError::Malformed));
}

#[test]
fn body_of_another_shape_is_refused() {
    let error = decode::<u32>(1, &encode(1, &"text")).expect_err("a text is no number");
    assert!(matches!(error, DocumentError::Unsound(_)), "{error}");
}

proptest! {
    #[test]
    fn what_is_decoded_is_what_was_encoded(body: Vec<(String, i64)>) {
        prop_assert_eq!(decode::<Vec<(String, i64)>>(1, &encode(1, &body)), Ok(body));
    }

    #[test]
    fn a_changed_bit_is_noticed(body: String, at: prop::sample::Index, bit in 0_u32..8) {
        let mut bytes = encode(1, &body);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(decode::<String>(1, &bytes).is_err());
    }

    #[test]
    fn a_cut_document_is_noticed(body: String, cut: prop::sample::Index) {
        let bytes = encode(1, &body);
        prop_assert!(decode::<String>(1, &bytes[..cut.index(bytes.len())]).is_err());
    }
}
