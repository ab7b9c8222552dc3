//! Both forms leave the same state behind.

use serde_json::json;
use weir_sdk::harness::Harness;

use crate::{AccessBatch, AccessRecord};

#[test]
fn both_forms_write_the_same() {
    for access in ["value-update", "list-append", "list-add-all", "map-update", "map-put-all", "map-remove"] {
        let config = json!({ "access": access });
        let mut record = Harness::<AccessRecord>::with_config(&config);
        let mut batch = Harness::<AccessBatch>::with_config(&config);
        let records = [("a", ""), ("b", ""), ("a", "")];
        record.send_batch(records);
        batch.send_batch(records);
        for key in ["a", "b"] {
            assert_eq!(record.value(|o| &o.value, key), batch.value(|o| &o.value, key), "{access}");
            assert_eq!(record.list(|o| &o.list, key), batch.list(|o| &o.list, key), "{access}");
            assert_eq!(record.map(|o| &o.map, key), batch.map(|o| &o.map, key), "{access}");
        }
    }
}
