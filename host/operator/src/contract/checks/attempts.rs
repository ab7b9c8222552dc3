//! Retrying and splitting, with real instances.

use std::sync::Arc;

use weir_protocol::job_spec::{ErrorPolicy, LimitSpec};

use super::Made;
use crate::attempt::{Attempts, Budget, Step};
use crate::contract::trial::batch;
use crate::keyed_state::{PlainState, StateId};
use crate::operator::OpenContext;
use crate::turn::{Turn, Work};
use crate::unkeyed_state::UnkeyedState;

pub(super) async fn check(factory: &Made) {
    culprits_alone_are_given_up_on(factory).await;
    parts_that_pass_keep_what_they_wrote_for_no_key(factory).await;
    an_instance_that_is_the_cause_is_replaced(factory).await;
    named_rows_are_given_up_on_at_once(factory).await;
}

/// What became of a batch: what was committed, part by part, and which rows were given up on.
async fn outcome(factory: &Made, batches: &[&[(&str, &str)]]) -> (Vec<Vec<String>>, Vec<(Vec<u32>, String)>) {
    let (committed, letters, _) = outcome_and_list(factory, batches).await;
    (committed, letters)
}

/// The same, and what the list of the subtask held after each part.
async fn outcome_and_list(
    factory: &Made,
    batches: &[&[(&str, &str)]],
) -> (Vec<Vec<String>>, Vec<(Vec<u32>, String)>, Vec<Option<Vec<u8>>>) {
    let context = OpenContext {
        uid: "odd".into(),
        job: "contract".into(),
        config: String::new(),
        subtask: 0,
        parallelism: 1,
        seed: 1,
        processing_time: 0,
        unkeyed: UnkeyedState::default(),
        limits: LimitSpec::default(),
    };
    let mut attempts = Attempts::new(Arc::clone(factory), context, ErrorPolicy::DeadLetter, Budget::new(9, 0));
    let (mut committed, mut letters, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    let split = super::super::odd::description().states.iter().position(|state| state.name == "split");
    let split = StateId(u32::try_from(split.expect("the odd operator has it")).expect("few states"));
    let mut unkeyed = UnkeyedState::default();
    for rows in batches {
        let mut turn = Turn::new(Work::Batch { input: 0, batch: batch(rows) });
        turn.state = Some(Box::new(PlainState::new()));
        turn.unkeyed = std::mem::take(&mut unkeyed);
        attempts.start(&mut turn);
        loop {
            match attempts.step(&mut turn).await {
                Step::Commit => {
                    let Work::Batch { batch, .. } = &turn.work else { continue };
                    let values = batch.values.iter().flatten();
                    committed.push(values.map(|value| String::from_utf8_lossy(value).into_owned()).collect());
                    let state = turn.state.as_mut().expect("every call gives back the state");
                    state.commit(&turn.effects.writes).expect("plain state commits any writes");
                    turn.unkeyed.commit(std::mem::take(&mut turn.effects.unkeyed));
                    lists.push(turn.unkeyed.list(split).map(|list| list.data.clone()));
                }
                Step::DeadLetter(letter) => letters.push((letter.rows, letter.reason)),
                Step::Done => break,
                Step::Fails(failure) => super::panic_with("the job goes on", &failure),
            }
        }
        unkeyed = turn.unkeyed;
    }
    (committed, letters, lists)
}

async fn culprits_alone_are_given_up_on(factory: &Made) {
    let rows = [("a", "counter 0"), ("a", "fail one"), ("b", "counter 2"), ("a", "trap"), ("a", "counter 4")];
    let (committed, letters) = outcome(factory, &[&rows]).await;
    assert_eq!(committed.concat(), ["counter 0", "counter 2", "counter 4"]);
    assert_eq!(letters[0], (vec![1], "one".to_owned()));
    assert_eq!(letters[1].0, [3]);
    super::mentions(&letters[1].1, "trap");
}

async fn parts_that_pass_keep_what_they_wrote_for_no_key(factory: &Made) {
    let rows = [("a", "split-set 1"), ("a", "fail one"), ("a", "union-clear"), ("a", "split-set 2")];
    let (committed, _, lists) = outcome_and_list(factory, &[&rows, &[("a", "split-get")]]).await;
    assert_eq!(committed.concat(), ["split-set 1", "union-clear", "split-set 2", "split-get"]);
    assert_eq!(lists.first(), Some(&Some(b"1".to_vec())), "it was split behind the first row");
    assert_eq!(lists.last(), Some(&Some(b"2".to_vec())));
}

async fn an_instance_that_is_the_cause_is_replaced(factory: &Made) {
    let batches: [&[_]; 2] = [&[("a", "counter 0")], &[("a", "fail-worn"), ("a", "counter 1")]];
    let (committed, letters) = outcome(factory, &batches).await;
    assert_eq!(committed, [vec!["counter 0"], vec!["fail-worn", "counter 1"]]);
    assert_eq!(letters, []);
}

async fn named_rows_are_given_up_on_at_once(factory: &Made) {
    // The failing row names itself and the first; without it, nothing fails.
    let rows = [("a", "counter 0"), ("a", "counter 1"), ("a", "fail-rows 2,0")];
    let (committed, letters) = outcome(factory, &[&rows]).await;
    assert_eq!(committed, [vec!["counter 1"]]);
    assert_eq!(letters, [(vec![0, 2], "these rows".to_owned())]);
}
