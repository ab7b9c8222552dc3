//! Keys, key groups and subtasks.

use proptest::prelude::*;
use weir_protocol::key_group::{KeyGroup, KeyGroupRange, MaxParallelism, key_hash};

fn layouts() -> impl Strategy<Value = (MaxParallelism, u32)> {
    let max = prop_oneof![Just(1), Just(128), Just(MaxParallelism::BOUND), 1..=MaxParallelism::BOUND];
    max.prop_flat_map(|max| (Just(MaxParallelism::new(max).expect("within the bound")), 1..=max))
}

proptest! {
    #[test]
    fn every_key_is_in_exactly_one_key_group_and_subtask((max, parallelism) in layouts(), key: Vec<u8>) {
        let group = max.key_group(key_hash(&key));
        prop_assert!(group.0 < max.get());
        let owners: Vec<u32> = (0..parallelism).filter(|&i| max.range(i, parallelism).contains(group)).collect();
        prop_assert_eq!(owners, vec![max.subtask(group, parallelism)]);
    }

    #[test]
    fn ranges_of_all_subtasks_are_the_whole_key_space_in_order((max, parallelism) in layouts()) {
        let mut next = 0;
        for index in 0..parallelism {
            let range = max.range(index, parallelism);
            prop_assert_eq!(range.start, next);
            prop_assert!(!range.is_empty(), "no subtask is without key groups up to the maximum parallelism");
            next = range.end;
        }
        prop_assert_eq!(next, max.get());
    }

    #[test]
    fn clip_holds_exactly_the_key_groups_of_both(a in 0_u16..200, b in 0_u16..200, c in 0_u16..200, d in 0_u16..200) {
        let (left, right) = (KeyGroupRange { start: a, end: b }, KeyGroupRange { start: c, end: d });
        for group in (0..200).map(KeyGroup) {
            prop_assert_eq!(left.clip(right).contains(group), left.contains(group) && right.contains(group));
        }
    }
}

#[test]
fn range_agrees_with_subtask_at_every_parallelism() {
    let max = MaxParallelism::DEFAULT;
    for parallelism in 1..=u32::from(max.get()) {
        for group in (0..max.get()).map(KeyGroup) {
            assert!(max.range(max.subtask(group, parallelism), parallelism).contains(group));
        }
    }
}

#[test]
fn key_hash_is_xxh3_64_with_seed_0() {
    assert_eq!(key_hash(b""), 0x2d06_8005_38d3_94c2);
    assert_eq!(MaxParallelism::DEFAULT.key_group(key_hash(b"")), KeyGroup(0x42));
}

#[test]
fn parallelism_outside_its_bounds_is_refused() {
    let refused = [(0, "max-parallelism"), (MaxParallelism::BOUND + 1, "max-parallelism")];
    for (given, what) in refused {
        let error = MaxParallelism::new(given).expect_err("outside the bound");
        assert!(error.to_string().contains(what), "{error}");
    }
    for parallelism in [0, 129] {
        let error = MaxParallelism::DEFAULT.check(parallelism).expect_err("outside the bound");
        assert_eq!(error.to_string(), format!("parallelism must be between 1 and 128, not {parallelism}"));
    }
}
