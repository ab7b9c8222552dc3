use weir_operator::batch::{BytesColumn, OptionalColumn};

use super::*;

fn batch(values: &[Option<&str>]) -> Batch {
    let mut column = OptionalColumn::default();
    values.iter().for_each(|value| column.push(value.map(str::as_bytes)));
    Batch { rows: u32::try_from(values.len()).unwrap(), values: column, ..Batch::default() }
}

fn field(path: &[&str]) -> KeyExtractor {
    KeyExtractor::new(KeySpec::Field(path.iter().map(|&name| name.to_owned()).collect()))
}

fn keys(extracted: &Extracted<'_>) -> Vec<Option<String>> {
    let keys = &extracted.keys;
    let text = |key: u32| String::from_utf8(keys.distinct.get(key as usize).to_vec()).unwrap();
    keys.key_of.iter().map(|&key| (key != NO_KEY).then(|| text(key))).collect()
}

#[track_caller]
fn check_field(value: &str, path: &[&str], expected: Option<&str>) {
    let batch = batch(&[Some(value)]);
    assert_eq!(keys(&field(path).extract(&batch)), [expected.map(str::to_owned)], "{value}");
}

#[test]
fn a_field_is_its_canonical_text() {
    check_field(r#"{"id": "a b"}"#, &["id"], Some(r#""a b""#));
    check_field(r#"{"id": "é\u0041\/\u000a\u0001"}"#, &["id"], Some(r#""éA/\n\u0001""#));
    check_field(r#"{"id": 7}"#, &["id"], Some("7"));
    check_field(r#"{"id": 7.0}"#, &["id"], Some("7"));
    check_field(r#"{"id": 0.7e1}"#, &["id"], Some("7"));
    check_field(r#"{"id": -0.0}"#, &["id"], Some("0"));
    check_field(r#"{"id": -0}"#, &["id"], Some("0"));
    check_field(r#"{"id": 18446744073709551615}"#, &["id"], Some("18446744073709551615"));
    check_field(r#"{"id": -9223372036854775808}"#, &["id"], Some("-9223372036854775808"));
    check_field(r#"{"id": 1e17}"#, &["id"], Some("100000000000000000"));
    check_field(r#"{"id": 1.50}"#, &["id"], Some("1.5"));
    check_field(r#"{"id": 100000000000000000000}"#, &["id"], Some("100000000000000000000"));
    check_field(r#"{"id": -1e21}"#, &["id"], Some("-1e+21"));
    check_field(r#"{"id": 1.25e300}"#, &["id"], Some("1.25e+300"));
    check_field(r#"{"id": 123.456}"#, &["id"], Some("123.456"));
    check_field(r#"{"id": 0.00000125}"#, &["id"], Some("0.00000125"));
    check_field(r#"{"id": -0.000000125}"#, &["id"], Some("-1.25e-7"));
    check_field(r#"{"id": null}"#, &["id"], Some("null"));
    check_field(r#"{"id": true}"#, &["id"], Some("true"));
    check_field(r#"{"id": {"b": [1.0, {}], "a": "x"}}"#, &["id"], Some(r#"{"a":"x","b":[1,{}]}"#));
    check_field(r#"{"user": {"x": [], "id": 1}, "id": 2}"#, &["user", "id"], Some("1"));
    check_field(r#"{"id": 1, "id": 2}"#, &["id"], Some("2"));
    check_field(r#"{"user": {"id": 1}, "user": 3}"#, &["user", "id"], None);
}

#[test]
fn a_value_without_the_field_lacks_a_key() {
    for value in ["{}", r#"{"user": 1}"#, r#"{"user": [{"id": 1}]}"#, r#"{"user": {"idx": 1}}"#, "7", "\"id\"", "[]"] {
        check_field(value, &["user", "id"], None);
    }
    for malformed in ["", "{", r#"{"user":{"id":1}"#, r#"{"user":{"id":1}} x"#, r#"{"user":{"id":"\ud800"}}"#] {
        check_field(malformed, &["user", "id"], None);
    }
}

#[test]
fn what_lacks_a_key_is_named_with_the_reason() {
    let batch = batch(&[Some(r#"{"id":1}"#), Some("{}"), None, Some("x"), Some(r#"{"id":1}"#)]);
    let mut extractor = field(&["id"]);
    let extracted = extractor.extract(&batch);
    assert_eq!(extracted.keys.key_of, [0, NO_KEY, NO_KEY, NO_KEY, 0]);
    let rows: Vec<u32> = extracted.lacking.iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, [1, 2, 3]);
    assert!(extracted.lacking[0].1.contains("no field `id`"));
    assert!(extracted.lacking[1].1.contains("deletion"));
    assert!(extracted.lacking[2].1.contains("no JSON"));
}

#[test]
fn whole_values_and_constants_are_keys() {
    let batch = batch(&[Some("b"), Some("a"), None, Some("b")]);
    let by_value = KeyExtractor::new(KeySpec::Value).extract(&batch).keys.into_owned();
    assert_eq!(by_value.distinct, [b"b".as_slice(), b"a"].into_iter().collect::<BytesColumn>());
    assert_eq!(by_value.hashes, [key_hash(b"b"), key_hash(b"a")]);
    assert_eq!(by_value.key_of, [0, 1, NO_KEY, 0]);
    let constant = KeyExtractor::new(KeySpec::Constant("k".to_owned())).extract(&batch).keys.into_owned();
    assert_eq!(constant, Keys::encode([b"k".as_slice(); 4]));
}

#[test]
fn carried_keys_are_taken_as_they_are() {
    let mut batch = batch(&[Some("1"), Some("2")]);
    let mut extractor = KeyExtractor::new(KeySpec::Carried);
    assert_eq!(extractor.extract(&batch).lacking.len(), 2);
    batch.keys = Some(Keys { key_of: vec![NO_KEY, 0], ..Keys::encode([b"k".as_slice()]) });
    let extracted = extractor.extract(&batch);
    assert!(matches!(extracted.keys, Cow::Borrowed(_)));
    assert_eq!(extracted.lacking.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [0]);
}
