//! State that belongs to no key: own writes, atomicity, where it may be used, bounds.

use weir_protocol::job_spec::LimitSpec;

use super::{Made, Trial, mentions, ok, opened, panic_with};
use crate::operator::CallError;
use crate::turn::{TimeDomain, Work};
use crate::unkeyed_state::UnkeyedState;

pub(super) async fn check(factory: &Made) {
    lists_read_their_own_writes_in_every_call(factory).await;
    broadcast_maps_read_their_own_writes(factory).await;
    broadcast_scans_merge_what_is_committed_with_what_is_written(factory).await;
    a_failure_undoes_what_was_written_for_no_key(factory).await;
    state_is_there_in_open_and_cannot_be_written_there(factory).await;
    broadcast_maps_are_written_only_for_broadcast_records(factory).await;
    what_is_malformed_or_too_much_is_refused(factory).await;
}

async fn lists_read_their_own_writes_in_every_call(factory: &Made) {
    let mut trial = opened(factory).await;
    let rows = [("a", "split-get"), ("a", "split-set 1,2"), ("b", "union-set u"), ("b", "split-get")];
    assert_eq!(ok!(trial.keyed(&rows)), ["0:", "0:1,2"]);
    for input in [1, 2] {
        let commands = ["split-get", "union-get", "split-set 3", "split-get", "split-set 1,2"];
        assert_eq!(ok!(trial.unkeyed(input, &commands)), ["0:1,2", "0:u", "0:3"]);
    }
    assert_eq!(ok!(trial.keyed(&[("c", "union-clear"), ("c", "union-get"), ("c", "split-get")])), ["0:", "0:1,2"]);
    assert_eq!(ok!(trial.unkeyed(1, &["union-get"])), ["0:"]);
}

async fn broadcast_maps_read_their_own_writes(factory: &Made) {
    let mut trial = opened(factory).await;
    let commands = ["rule-get k", "rule-put k=1", "rule-put l=2", "rule-put k=3", "rule-get k"];
    assert_eq!(ok!(trial.unkeyed(2, &commands)), ["0:-", "0:3"]);
    assert_eq!(ok!(trial.keyed(&[("a", "rule-get k"), ("a", "rule-get m")])), ["0:3", "0:-"]);
    assert_eq!(ok!(trial.unkeyed(1, &["rule-get l"])), ["0:2"]);
    assert_eq!(
        ok!(trial.unkeyed(2, &["rule-remove k", "rule-get k", "rule-put =empty", "rule-get "])),
        ["0:-", "0:empty"]
    );
    assert_eq!(ok!(trial.unkeyed(1, &["rule-scan - - 9"])), ["0:=empty,l=2 end"]);
}

async fn broadcast_scans_merge_what_is_committed_with_what_is_written(factory: &Made) {
    let mut trial = opened(factory).await;
    ok!(trial.unkeyed(2, &["rule-put b=1", "rule-put d=1", "rule-put f=1"]));
    let commands = [
        "rule-put a=2",
        "rule-put d=2",
        "rule-remove f",
        "rule-scan - - 9",
        "rule-scan - - 2",
        "rule-scan b d 9",
        "rule-scan d b 9",
        "rule-scan - - 0",
    ];
    let expected = ["0:a=2,b=1,d=2 end", "0:a=2,b=1 more", "0:b=1 end", "0: end", "0: more"];
    assert_eq!(ok!(trial.unkeyed(2, &commands)), expected);
    assert_eq!(ok!(trial.unkeyed(1, &["rule-scan b - 1"])), ["0:b=1 more"]);
}

async fn a_failure_undoes_what_was_written_for_no_key(factory: &Made) {
    let mut trial = opened(factory).await;
    ok!(trial.unkeyed(2, &["split-set 1", "rule-put e=1"]));
    match trial.unkeyed(2, &["split-set 2", "union-set 2", "rule-put e=2", "rule-remove e", "fail no"]).await {
        Err(CallError::Failure { message, .. }) => assert_eq!(message, "no"),
        other => panic_with("a failure is returned as it is", &other),
    }
    let mut fresh = opened(factory).await.with_state_of(trial);
    assert_eq!(ok!(fresh.unkeyed(1, &["split-get", "union-get", "rule-get e"])), ["0:1", "0:", "0:1"]);
}

async fn state_is_there_in_open_and_cannot_be_written_there(factory: &Made) {
    let mut trial = opened(factory).await;
    ok!(trial.unkeyed(2, &["split-set 1,2", "rule-put e=v"]));
    match Trial::open_on(factory, "look", LimitSpec::default(), trial.unkeyed).await {
        Err(CallError::Failure { message, .. }) => assert_eq!(message, "1,2 v"),
        other => panic_with("it tells what it sees", &other),
    }
    for (config, part) in [
        ("early-split", "operator-state.set is legal only in `process`, `on-timers` and `finish`"),
        ("early-rule", "broadcast-state.put is legal only while a batch of a broadcast input"),
        ("wrong-list", "declared as broadcast, not as operator-split or operator-union"),
    ] {
        match Trial::open_on(factory, config, LimitSpec::default(), UnkeyedState::default()).await {
            Err(CallError::Trap(message)) => mentions(&message, part),
            other => panic_with("what is not legal in `open` traps", &other),
        }
    }
}

async fn broadcast_maps_are_written_only_for_broadcast_records(factory: &Made) {
    for command in ["rule-put e=v", "rule-remove e"] {
        let on_keyed = opened(factory).await.keyed(&[("a", command)]).await;
        let on_unkeyed = opened(factory).await.unkeyed(1, &[command]).await;
        for outcome in [on_keyed, on_unkeyed] {
            match outcome {
                Err(CallError::Trap(message)) => {
                    mentions(&message, "is legal only while a batch of a broadcast input is processed");
                    mentions(&message, "keep this in keyed or operator state");
                }
                other => panic_with("the copies would no longer be equal", &other),
            }
        }
    }
    let mut trial = opened(factory).await;
    ok!(trial.unkeyed(2, &["rule-put e=v"]));
    ok!(trial.fire(TimeDomain::EventTime, &[("a", 1, 1)]));
    ok!(trial.call(Work::Finish));
    assert_eq!(ok!(trial.unkeyed(1, &["rule-get e"])), ["0:v"]);
}

async fn what_is_malformed_or_too_much_is_refused(factory: &Made) {
    match opened(factory).await.unkeyed(1, &["split-bad"]).await {
        Err(CallError::Trap(message)) => mentions(&message, "operator-state.set: the column `values` is malformed"),
        other => panic_with("a malformed column traps", &other),
    }
    let limits = LimitSpec { memory_bytes_max: 20_000_000, emitted_bytes_max: 100_000_000, ..LimitSpec::default() };
    let mut trial = Trial::open(factory, "", limits.clone()).await.expect("the odd operator opens");
    ok!(trial.unkeyed(2, &["rule-fill 15", "rule-fill 15", "split-set 1"]));
    let full = trial.unkeyed.clone();
    match trial.unkeyed(2, &["rule-remove 3", "rule-fill 15", "rule-fill 25"]).await {
        Err(CallError::Limit(message)) => {
            mentions(&message, "broadcast-state.put: operator and broadcast state of this subtask would have 20000");
            mentions(&message, "but at most 20000000");
            mentions(&message, "raise the job's `limits.memory`");
        }
        other => panic_with("more than an instance may have passes a limit", &other.map(|read| read.len())),
    }
    // What is too much already, because the limit was lowered, can still become less.
    let limits = LimitSpec { memory_bytes_max: 12_000_000, ..limits };
    let mut trial = Trial::open_on(factory, "", limits, full).await.expect("the odd operator opens");
    assert_eq!(ok!(trial.unkeyed(2, &["rule-remove 3", "split-clear", "rule-get 3", "split-get"])), ["0:-", "0:"]);
    assert!(matches!(trial.unkeyed(2, &["rule-put more=1"]).await, Err(CallError::Limit(_))));
}
