//! State: handles, own writes, atomicity, bounds.

use weir_protocol::job_spec::LimitSpec;

use super::{Made, Trial, mentions, ok, opened, panic_with, trapped};
use crate::operator::CallError;

pub(super) async fn check(factory: &Made) {
    handles_are_checked_against_the_description(factory).await;
    values_read_their_own_writes(factory).await;
    lists_read_their_own_writes(factory).await;
    maps_read_their_own_writes(factory).await;
    scans_merge_what_is_committed_with_what_is_written(factory).await;
    what_is_committed_is_seen_by_the_next_call(factory).await;
    a_failure_undoes_everything(factory).await;
    keyed_state_is_closed_without_keys(factory).await;
    indices_and_lengths_are_checked(factory).await;
}

async fn handles_are_checked_against_the_description(factory: &Made) {
    for (config, part) in [("undeclared", "`no-such-state` is not declared"), ("wrong-kind", "declared as keyed-value")]
    {
        match Trial::open(factory, config, LimitSpec::default()).await {
            Err(CallError::Trap(message)) => mentions(&message, part),
            other => panic_with("a handle that was not declared traps", &other),
        }
    }
    match Trial::open(factory, "refuse", LimitSpec::default()).await {
        Err(CallError::Failure { message, .. }) => assert_eq!(message, "it refuses"),
        other => panic_with("an `open` that returns an error fails with its words", &other),
    }
}

async fn values_read_their_own_writes(factory: &Made) {
    let mut trial = opened(factory).await;
    let rows = [("a", "value-get"), ("a", "value-set 1"), ("a", "value-get"), ("b", "value-load")];
    assert_eq!(ok!(trial.keyed(&rows)), ["0:-", "0:1", "0:1,-"]);
    let rows = [
        ("a", "value-store x,-"),
        ("b", "value-load"),
        ("a", "value-store-some 1=y,1=z,0=-"),
        ("b", "value-load-some 1,0,1"),
        ("b", "value-clear"),
        ("a", "value-load"),
    ];
    assert_eq!(ok!(trial.keyed(&rows)), ["0:x,-", "0:z,-,z", "0:-,-"]);
    assert_eq!(ok!(trial.keyed(&[("b", "value-load")])), ["0:-"]);
}

async fn lists_read_their_own_writes(factory: &Made) {
    let mut trial = opened(factory).await;
    let rows = [("a", "list-append 1"), ("b", "list-append-many 1=x,0=2,1=y"), ("a", "list-get-many 1,0,1")];
    assert_eq!(ok!(trial.keyed(&rows)), ["0:x,y|1,2|x,y"]);
    let rows =
        [("a", "list-append 3"), ("a", "list-get"), ("a", "list-set 8,9"), ("a", "list-append 10"), ("a", "list-get")];
    assert_eq!(ok!(trial.keyed(&rows)), ["0:1,2,3", "0:8,9,10"]);
    assert_eq!(ok!(trial.keyed(&[("a", "list-get"), ("a", "list-clear"), ("a", "list-get")])), ["0:8,9,10", "0:"]);
    assert_eq!(ok!(trial.keyed(&[("a", "list-get"), ("b", "list-get")])), ["0:", "0:x,y"]);
}

async fn maps_read_their_own_writes(factory: &Made) {
    let mut trial = opened(factory).await;
    let rows =
        [("a", "map-is-empty"), ("a", "map-put-many 0=k=1,0=l=2,0=k=3"), ("a", "map-get k"), ("a", "map-is-empty")];
    assert_eq!(ok!(trial.keyed(&rows)), ["0:true", "0:3", "0:false"]);
    let rows = [("a", "map-remove k"), ("a", "map-put m=4"), ("b", "map-get-many 0=k,0=l,1=l,0=m")];
    assert_eq!(ok!(trial.keyed(&rows)), ["0:-,2,-,4"]);
    let rows = [("a", "map-clear"), ("a", "map-get l"), ("a", "map-put n=5"), ("a", "map-get-many 0=l,0=n")];
    assert_eq!(ok!(trial.keyed(&rows)), ["0:-", "0:-,5"]);
    assert_eq!(ok!(trial.keyed(&[("a", "map-scan - - 9")])), ["0:n=5 end"]);
}

async fn scans_merge_what_is_committed_with_what_is_written(factory: &Made) {
    let mut trial = opened(factory).await;
    ok!(trial.keyed(&[("a", "map-put-many 0=b=1,0=d=1,0=f=1,0=h=1")]));
    let rows = [
        ("a", "map-put-many 0=a=2,0=d=2,0=f=-,0=g=2"),
        ("a", "map-scan - - 9"),
        ("a", "map-scan - - 3"),
        ("a", "map-scan d - 1"),
        ("a", "map-scan c g 9"),
        ("a", "map-scan h c 9"),
        ("a", "map-scan g h 1"),
        ("a", "map-scan - - 0"),
    ];
    let expected = [
        "0:a=2,b=1,d=2,g=2,h=1 end",
        "0:a=2,b=1,d=2 more",
        "0:d=2 more",
        "0:d=2 end",
        "0: end",
        "0:g=2 end",
        "0: more",
    ];
    assert_eq!(ok!(trial.keyed(&rows)), expected);
}

async fn what_is_committed_is_seen_by_the_next_call(factory: &Made) {
    let mut trial = opened(factory).await;
    ok!(trial.keyed(&[("a", "value-set 1"), ("b", "value-set 2")]));
    // The same keys in another order have other indices.
    assert_eq!(ok!(trial.keyed(&[("c", "value-load"), ("b", "value-load"), ("a", "value-load")])), ["0:-,2,1"; 3]);
}

async fn a_failure_undoes_everything(factory: &Made) {
    let mut trial = opened(factory).await;
    ok!(trial.keyed(&[("a", "value-set 1")]));
    let rows =
        [("a", "value-set 2"), ("a", "list-append x"), ("a", "map-put e=1"), ("a", "timer 5 1"), ("a", "fail no")];
    match trial.keyed(&rows).await {
        Err(CallError::Failure { rows, message }) => assert_eq!((rows, message), (vec![], "no".to_owned())),
        other => panic_with("a failure is returned as it is", &other),
    }
    let mut fresh = opened(factory).await.with_state_of(trial);
    let rows = [("a", "value-get"), ("a", "list-get"), ("a", "map-is-empty")];
    assert_eq!(ok!(fresh.keyed(&rows)), ["0:1", "0:", "0:true"]);
}

async fn keyed_state_is_closed_without_keys(factory: &Made) {
    for (input, command) in
        [(1, "value-get"), (2, "value-load"), (1, "list-get"), (2, "map-is-empty"), (1, "timer 1 1")]
    {
        match opened(factory).await.unkeyed(input, &[command]).await {
            Err(CallError::Trap(message)) => mentions(&message, "is legal only while a batch of a keyed input"),
            other => panic_with("keyed state is closed where there are no keys", &other),
        }
    }
}

async fn indices_and_lengths_are_checked(factory: &Made) {
    for command in ["value-load-some 0,1", "value-store-some 7=A", "list-get-many 1", "map-get-many 4294967295=e"] {
        mentions(&trapped(factory, &[("a", command)]).await, "is out of bounds; the batch has 1 keys");
    }
    mentions(&trapped(factory, &[("a", "value-store A,B")]).await, "has 2 entries but `the batch's keys` has 1");
}
