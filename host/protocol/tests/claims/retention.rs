//! Which earlier entries stay restorable.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use weir_protocol::chain::Ownership;
use weir_protocol::id::EntryNumber;
use weir_protocol::manifest::Blob;

use crate::support::{checkpoint, newest, object, record, running, settle, start};

fn kept(ownership: &Ownership) -> Vec<u64> {
    newest(ownership).entry.retained.iter().map(|retained| retained.number.0).collect()
}

fn base(name: &str) -> Option<Blob> {
    Some(object(name, 0))
}

#[test]
fn newest_n_checkpoints_are_kept() {
    let mut ownership = running(3);
    let expected = [vec![], vec![1], vec![1, 2], vec![2, 3], vec![3, 4]];
    for (id, expected) in (1..).zip(expected) {
        record(&mut ownership, checkpoint(id, None, vec![]));
        assert_eq!(kept(&ownership), expected, "after checkpoint {id}");
    }
}

#[test]
fn last_entry_before_the_current_base_is_kept_beside_them() {
    let mut ownership = running(2);
    let bases = ["a", "a", "b", "b", "b", "b", "c", "c", "c"];
    let expected = [vec![], vec![1], vec![2], vec![2, 3], vec![2, 4], vec![2, 5], vec![6], vec![6, 7], vec![6, 8]];
    for ((id, name), expected) in (1..).zip(bases).zip(expected) {
        record(&mut ownership, checkpoint(id, base(name), vec![]));
        assert_eq!(kept(&ownership), expected, "after checkpoint {id}");
    }
}

#[test]
fn restarts_do_not_push_checkpoints_out() {
    let mut ownership = running(2);
    record(&mut ownership, checkpoint(1, None, vec![]));
    record(&mut ownership, checkpoint(2, None, vec![]));
    for nonce in 2..6 {
        let mut next =
            Ownership::take_over(&start(nonce, 2), newest(&ownership).clone(), &BTreeMap::new()).expect("it runs");
        settle(&mut next);
        assert_eq!(kept(&next), [1], "checkpoint 2 is in the takeover itself");
        ownership = next;
    }
}

proptest! {
    #[test]
    fn what_was_dropped_never_returns_and_the_newest_is_never_dropped(
        retained in 1_u32..5,
        bases in vec(0_u32..4, 1..25),
    ) {
        let mut ownership = running(retained);
        let mut dropped: Vec<u64> = Vec::new();
        let mut generation = 0;
        for (id, step) in (1..).zip(bases) {
            generation += u32::from(step == 0);
            let before = kept(&ownership).into_iter().chain([newest(&ownership).entry.number.0]).collect::<Vec<_>>();
            record(&mut ownership, checkpoint(id, base(&generation.to_string()), vec![]));
            let now = kept(&ownership);
            prop_assert!(now.iter().all(|number| before.contains(number) && !dropped.contains(number)));
            dropped.extend(before.into_iter().filter(|number| !now.contains(number)));
            prop_assert!(!ownership.is_dropped(newest(&ownership).entry.number));
            prop_assert!(dropped.iter().all(|number| ownership.is_dropped(EntryNumber(*number))));
            let wanted = usize::try_from(retained).expect("a u32 fits").min(usize::try_from(id).expect("it is small")) - 1;
            prop_assert!(now.len() >= wanted && now.len() <= wanted + 1);
        }
    }
}
