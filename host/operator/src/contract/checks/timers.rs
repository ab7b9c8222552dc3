//! Timers and times.

use super::{Made, mentions, ok, opened, panic_with, trapped};
use crate::operator::CallError;
use crate::turn::{TimeDomain, TimerChange};

pub(super) async fn check(factory: &Made) {
    changes_keep_their_order(factory).await;
    fired_timers_are_rows_with_keys(factory).await;
    a_failing_timer_undoes_its_call(factory).await;
    times_are_those_of_the_call(factory).await;
    mentions(&trapped(factory, &[("a", "timers 0=1,1=2")]).await, "key index 1 is out of bounds");
}

async fn changes_keep_their_order(factory: &Made) {
    let mut trial = opened(factory).await;
    ok!(trial.keyed(&[("a", "timer 5 1"), ("b", "cancel-timer 6 2"), ("b", "timers 1=7,0=8")]));
    let change = |register, domain, key, at, tag| TimerChange { register, domain, key, at, tag };
    assert_eq!(
        trial.effects.timers,
        [
            change(true, TimeDomain::EventTime, 0, 5, 1),
            change(false, TimeDomain::EventTime, 1, 6, 2),
            change(true, TimeDomain::ProcessingTime, 1, 7, 1),
            change(true, TimeDomain::ProcessingTime, 0, 8, 1),
        ]
    );
}

async fn fired_timers_are_rows_with_keys(factory: &Made) {
    let mut trial = opened(factory).await;
    let fired = ok!(trial.fire(TimeDomain::EventTime, &[("b", 3, 1), ("a", 4, 14)]));
    assert_eq!(fired, ["0:b 3 1", "0:a 4 14"]);
    assert_eq!(ok!(trial.keyed(&[("a", "value-get"), ("b", "value-get")])), ["0:timer", "0:-"]);
}

async fn a_failing_timer_undoes_its_call(factory: &Made) {
    let mut trial = opened(factory).await;
    let failed = trial.fire(TimeDomain::ProcessingTime, &[("a", 1, 14), ("b", 2, 13)]).await;
    if !matches!(failed, Err(CallError::Failure { .. })) {
        panic_with("the tag 13 fails", &failed);
    }
    let mut fresh = opened(factory).await.with_state_of(trial);
    assert_eq!(ok!(fresh.keyed(&[("a", "value-get")])), ["0:-"]);
}

async fn times_are_those_of_the_call(factory: &Made) {
    let mut trial = opened(factory).await;
    (trial.watermark, trial.processing_time) = (17, 1_000);
    let rows = [("a", "watermark"), ("a", "processing-time"), ("a", "processing-time")];
    assert_eq!(ok!(trial.keyed(&rows)), ["0:17", "0:1000", "0:1000"]);
}
