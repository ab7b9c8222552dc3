//! Who gets what of the state that belongs to no key.

use std::collections::BTreeSet;

use proptest::prelude::*;
use weir_protocol::Fault;
use weir_protocol::manifest::Checksum;
use weir_protocol::redistribution::{Element, Place};

fn places(parallelism: u32) -> impl Iterator<Item = Place> {
    (0..parallelism).map(move |index| Place { index, parallelism })
}

fn shown(elements: &[Element]) -> String {
    elements.iter().map(|element| format!("{}.{}", element.subtask, element.at)).collect::<Vec<_>>().join(" ")
}

#[test]
fn split_elements_are_dealt_round_in_the_order_of_the_old_subtasks() {
    let dealt: Vec<_> = places(3).map(|place| shown(&place.split(&[3, 0, 1, 3]))).collect();
    assert_eq!(dealt, ["0.0 2.0 3.2", "0.1 3.0", "0.2 3.1"]);
    let gathered: Vec<_> = places(1).map(|place| shown(&place.split(&[2, 1]))).collect();
    assert_eq!(gathered, ["0.0 0.1 1.0"]);
}

#[test]
fn union_elements_go_to_every_subtask_in_the_order_of_the_old_ones() {
    assert!(places(3).all(|place| shown(&place.union(&[2, 1])) == "0.0 0.1 1.0"));
}

#[test]
fn at_the_old_parallelism_each_subtask_gets_back_its_own() {
    for place in places(3) {
        let index = place.index as usize;
        let own: Vec<_> = (0..4).map(|at| Element { subtask: index, at }).collect();
        assert_eq!((place.split(&[4; 3]), place.union(&[4; 3])), (own.clone(), own));
        assert_eq!(place.broadcast(&[Checksum(1), Checksum(2), Checksum(3)]), Ok(Some(index)));
        assert_eq!(place.sources(3), index..index + 1);
    }
}

#[test]
fn copies_of_a_broadcast_map_that_differ_are_refused_at_another_parallelism() {
    let copies = [Checksum(7), Checksum(7), Checksum(8)];
    let diverged = Place { index: 0, parallelism: 2 }.broadcast(&copies).expect_err("they differ");
    assert_eq!((diverged.other, diverged.fault()), (2, Fault::Corrupt));
    assert!(diverged.to_string().contains("old parallelism, 3"), "{diverged}");
}

#[test]
fn a_subtask_without_a_past_gets_nothing() {
    let place = Place { index: 1, parallelism: 2 };
    assert_eq!((place.split(&[]), place.union(&[]), place.broadcast(&[])), (vec![], vec![], Ok(None)));
    assert_eq!(place.sources(0), 0..0);
}

proptest! {
    #[test]
    fn at_any_parallelism_every_element_is_split_to_exactly_one_and_evenly(
        lengths in prop::collection::vec(0_usize..20, 0..8),
        parallelism in 1_u32..12,
    ) {
        let given: Vec<_> = places(parallelism).map(|place| place.split(&lengths)).collect();
        let all: BTreeSet<_> = given.iter().flatten().copied().collect();
        let total = lengths.iter().sum::<usize>();
        prop_assert_eq!(all.len(), total, "none is lost");
        prop_assert_eq!(given.iter().map(Vec::len).sum::<usize>(), total, "none is doubled");
        if lengths.len() != parallelism as usize {
            let sizes: Vec<_> = given.iter().map(Vec::len).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn every_subtask_gets_a_copy_of_equal_broadcast_maps(old in 1_usize..9, parallelism in 1_u32..12) {
        for place in places(parallelism) {
            let from = place.broadcast(&vec![Checksum(5); old]).unwrap();
            prop_assert!(from.is_some_and(|from| from < old && place.sources(old).contains(&from)));
        }
    }
}
