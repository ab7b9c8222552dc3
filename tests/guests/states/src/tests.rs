//! The guest itself, in the SDK's harness.

use weir_sdk::harness::{Harness, Incoming};

use super::Count;

#[test]
fn every_way_of_counting_agrees() {
    let mut count = Harness::<Count>::new();
    count.send_batch(["a", "b", "b"].map(|rule| Incoming::value(rule).input("rules")));
    count.send_batch([("x", ""), ("y", ""), ("x", "")]).replace_instance().send(("x", ""));
    assert_eq!(count.take_values(), ["x\t1", "y\t1", "x\t2", "x\t3"]);
    assert_eq!((count.operator_list(|count| &count.records), count.reasons().len()), (vec![4], 0));
    assert_eq!(count.finish().take_values(), ["!records\t4", "!union\t4", "!rules\t2"]);
}
