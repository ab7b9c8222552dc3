//! Both forms do the same.

use serde_json::json;
use weir_sdk::harness::Harness;

use super::{CountBatch, CountRecord, SumBatch, SumRecord};

#[test]
fn both_forms_count_and_emit_the_same() {
    let records = [("a", "x"), ("b", "x"), ("a", "x")];
    let mut batch = Harness::<CountBatch>::with_config(&json!({ "emit": true }));
    let mut record = Harness::<CountRecord>::with_config(&json!({ "emit": true }));
    for counts in [["1", "1", "2"], ["3", "2", "4"]] {
        let emitted = batch.send_batch(records).take();
        assert_eq!(emitted, record.send_batch(records).take());
        assert!(emitted.iter().map(|record| record.value_text()).eq(counts));
    }
    assert_eq!(batch.value(|batch| &batch.count, "a"), Some(4));
    assert_eq!(record.value(|record| &record.count, "a"), Some(4));
}

#[test]
fn nothing_is_emitted_unless_asked_for() {
    assert!(Harness::<CountRecord>::new().send(("a", "x")).take().is_empty());
    assert!(Harness::<CountBatch>::new().send(("a", "x")).take().is_empty());
}

#[test]
fn both_forms_add_up_the_same() {
    let records = [("a", "x"), ("b", "xy"), ("a", "xyz")];
    let mut batch = Harness::<SumBatch>::new();
    let mut record = Harness::<SumRecord>::new();
    batch.send_batch(records);
    record.send_batch(records);
    for key in ["a", "b"] {
        let sum = batch.value(|batch| &batch.bytes, key);
        assert_eq!(sum, record.value(|record| &record.bytes, key));
    }
    assert_eq!(batch.value(|batch| &batch.bytes, "a"), Some(4));
}
