//! Retrying and splitting, with real instances.

use std::sync::Arc;

use weir_protocol::job_spec::{ErrorPolicy, LimitSpec};

use super::Made;
use crate::attempt::{Attempts, Budget, Step};
use crate::contract::trial::batch;
use crate::keyed_state::PlainState;
use crate::operator::OpenContext;
use crate::turn::{Turn, Work};

pub(super) async fn check(factory: &Made) {
    culprits_alone_are_given_up_on(factory).await;
    an_instance_that_is_the_cause_is_replaced(factory).await;
    named_rows_are_given_up_on_at_once(factory).await;
}

/// What became of a batch: what was committed, part by part, and which rows were given up on.
async fn outcome(factory: &Made, batches: &[&[(&str, &str)]]) -> (Vec<Vec<String>>, Vec<(Vec<u32>, String)>) {
    let context = OpenContext {
        uid: "odd".into(),
        job: "contract".into(),
        config: String::new(),
        subtask: 0,
        parallelism: 1,
        seed: 1,
        processing_time: 0,
        limits: LimitSpec::default(),
    };
    let mut attempts = Attempts::new(Arc::clone(factory), context, ErrorPolicy::DeadLetter, Budget::new(9, 0));
    let (mut committed, mut letters) = (Vec::new(), Vec::new());
    for rows in batches {
        let mut turn = Turn::new(Work::Batch { input: 0, batch: batch(rows) });
        turn.state = Some(Box::new(PlainState::new()));
        attempts.start(&mut turn);
        loop {
            match attempts.step(&mut turn).await {
                Step::Commit => {
                    let Work::Batch { batch, .. } = &turn.work else { continue };
                    let values = batch.values.iter().flatten();
                    committed.push(values.map(|value| String::from_utf8_lossy(value).into_owned()).collect());
                    let state = turn.state.as_mut().expect("every call gives back the state");
                    state.commit(&turn.effects.writes).expect("plain state commits any writes");
                }
                Step::DeadLetter(letter) => letters.push((letter.rows, letter.reason)),
                Step::Done => break,
                Step::Fails(failure) => super::panic_with("the job goes on", &failure),
            }
        }
    }
    (committed, letters)
}

async fn culprits_alone_are_given_up_on(factory: &Made) {
    let rows = [("a", "counter 0"), ("a", "fail one"), ("b", "counter 2"), ("a", "trap"), ("a", "counter 4")];
    let (committed, letters) = outcome(factory, &[&rows]).await;
    assert_eq!(committed.concat(), ["counter 0", "counter 2", "counter 4"]);
    assert_eq!(letters[0], (vec![1], "one".to_owned()));
    assert_eq!(letters[1].0, [3]);
    super::mentions(&letters[1].1, "trap");
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
