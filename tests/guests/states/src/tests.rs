//! The guest itself, in the SDK's harness.

use weir_sdk::harness::{Harness, Incoming};

use super::{Count, LEFT, Later};

#[test]
fn every_way_of_counting_agrees() {
    let mut count = Harness::<Count>::new();
    count.send_batch(["a", "b", "b"].map(|rule| Incoming::value(rule).input("rules")));
    count.send_batch([("x", ""), ("y", ""), ("x", "")]).replace_instance().send(("x", ""));
    assert_eq!(count.take_values(), ["x\t1", "y\t1", "x\t2", "x\t3"]);
    assert_eq!((count.operator_list(|count| &count.records), count.reasons().len()), (vec![4], 0));
    assert_eq!(count.finish().take_values(), ["!records\t4", "!union\t4", "!rules\t2"]);
}

#[test]
fn the_next_version_goes_on_where_the_first_was() {
    let mut later = Harness::<Later>::new();
    let count = 2_u64.to_le_bytes();
    later.put_old("sum", 1, "x", &count).put_old("tally", 1, "x", &count);
    later.put_old("left", 1, "x", &(LEFT - 2).to_le_bytes()).put_bytes("greatest", "x", &count);
    assert_eq!(Harness::<Later>::migrated("by_instance", 1, b"[1,7]"), Ok(vec![2, 1, 7]));
    later.send(("y", ""));
    assert_eq!(later.take_values(), ["y\t1"]);
    assert_eq!(later.send(("x", "")).reasons(), ["key `x`: the counts do not agree"], "its list is not there");
}
