//! The virtual WASI: time and chance are the call's, and there is nothing else.

use weir_operator::operator::CallError;
use weir_protocol::job_spec::LimitSpec;

use super::{obey, trial};

#[tokio::test]
async fn clocks_give_the_calls_processing_time_and_stand_still() {
    let mut trial = trial(LimitSpec::default()).await;
    trial.processing_time = 1_700_000_000_123;
    assert_eq!(trial.keyed(&[("a", "clock")]).await.expect("it looks at clocks"), ["0:1700000000123 0"]);
}

#[tokio::test]
async fn chance_follows_from_the_calls_seed() {
    let mut seen = Vec::new();
    for seed in [7, 8, 7] {
        let mut trial = trial(LimitSpec::default()).await;
        trial.seed = seed;
        let once = trial.keyed(&[("a", "random"), ("a", "random")]).await.expect("it draws");
        assert_ne!(once[0], once[1]);
        let again = trial.keyed(&[("a", "random"), ("a", "random")]).await.expect("it draws");
        assert_eq!(once, again, "the seed is the call's, not the instance's");
        seen.push(once);
    }
    assert_eq!(seen[0], seen[2]);
    assert_ne!(seen[0], seen[1]);
}

#[tokio::test]
async fn there_are_no_files_arguments_or_environment() {
    assert_eq!(obey("files", LimitSpec::default()).await.expect("it looks"), ["0:false"]);
    assert_eq!(obey("environment", LimitSpec::default()).await.expect("it looks"), ["0:0 0"]);
}

#[tokio::test]
async fn printing_is_allowed_and_what_was_printed_explains_a_trap() {
    assert_eq!(obey("print hello", LimitSpec::default()).await.expect("it prints"), ["0:done"]);
    match trial(LimitSpec::default()).await.keyed(&[("a", "print oh"), ("a", "no-such-command")]).await {
        Err(CallError::Trap(reason)) => {
            for part in ["the operator trapped in `process`", "oh, again", "does not know `no-such-command`"] {
                assert!(reason.contains(part), "the reason says `{part}`: {reason}");
            }
        }
        other => unreachable!("an unknown command panics; instead: {other:?}"),
    }
}

#[tokio::test]
async fn waiting_and_leaving_trap_with_the_mend() {
    for (command, part) in [("sleep", "register a timer instead"), ("exit", "Exited with i32 exit status")] {
        match obey(command, LimitSpec::default()).await {
            Err(CallError::Trap(reason)) => assert!(reason.contains(part), "the reason says `{part}`: {reason}"),
            other => unreachable!("`{command}` traps; instead: {other:?}"),
        }
    }
}
