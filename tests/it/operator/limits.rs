//! What a component may use up.

use weir_operator::contract::Trial;
use weir_operator::operator::CallError;
use weir_protocol::Fault;
use weir_protocol::job_spec::LimitSpec;

use super::{obey, odd, trial};

fn small() -> LimitSpec {
    LimitSpec { memory_bytes_max: 16 << 20, call_cpu_ms_max: 50, emitted_bytes_max: 1 << 20, ..LimitSpec::default() }
}

#[track_caller]
fn limit(called: Result<Vec<String>, CallError>, part: &str) {
    match called {
        Err(CallError::Limit(message)) => assert!(message.contains(part), "the limit says `{part}`: {message}"),
        other => unreachable!("the call passes a limit; instead: {other:?}"),
    }
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_limit_of_cpu_time() {
    limit(obey("spin", small()).await, "more than 51 ms of CPU time");
}

#[tokio::test]
async fn rows_add_to_the_limit_of_cpu_time() {
    let limits = LimitSpec { call_cpu_ms_max: 0, row_cpu_us_max: 20_000, ..small() };
    limit(trial(limits).await.keyed(&[("a", "spin"), ("a", "spin"), ("a", "spin")]).await, "60 ms");
}

#[tokio::test]
async fn a_memory_bomb_ends_at_the_limit_of_memory() {
    limit(obey("grow", small()).await, "more than 16777216 bytes of memory");
}

#[tokio::test]
async fn a_component_that_needs_more_memory_than_allowed_does_not_open() {
    let limits = LimitSpec { memory_bytes_max: 65_536, ..small() };
    let refused = Trial::open(&odd(), "", limits).await.expect_err("it needs more to start");
    limit(Err(refused), "65536 bytes of memory");
}

#[tokio::test]
async fn handles_are_bounded() {
    let refused = Trial::open(&odd(), "handles", small()).await.expect_err("it makes handles without end");
    limit(Err(refused), "at most 1024 state handles");
}

#[tokio::test]
async fn a_limit_is_the_guests_fault() {
    let failed = obey("spin", small()).await.expect_err("it never ends");
    assert_eq!(failed.fault(), Fault::Guest);
}

#[tokio::test]
async fn an_instance_that_holds_much_memory_is_worn() {
    use weir_operator::operator::OpenContext;
    use weir_operator::turn::{Turn, Work};
    use weir_operator::unkeyed_state::UnkeyedState;

    let context = OpenContext {
        uid: "odd".into(),
        job: "wear".into(),
        config: String::new(),
        subtask: 0,
        parallelism: 1,
        seed: 1,
        processing_time: 0,
        unkeyed: UnkeyedState::default(),
        limits: small(),
    };
    let mut instance = odd().open(context).await.expect("it opens");
    assert!(!instance.is_worn());
    let values = [b"grow-to 13".as_slice()].into_iter().collect::<weir_operator::batch::BytesColumn>();
    let batch = weir_operator::batch::Batch { rows: 1, values: values.into(), ..Default::default() };
    instance.call(&mut Turn::new(Work::Batch { input: 1, batch })).await.expect("it fits");
    assert!(instance.is_worn());
}

/// Two guests on one thread: each yields to the other, and neither is charged for the other's time.
#[tokio::test]
async fn guests_yield_and_pay_for_their_own_slices_only() {
    let one = LimitSpec { call_cpu_ms_max: 400, ..small() };
    let (spins, works) = (obey("spin", one.clone()), obey("work 5000", one));
    let (spins, works) = futures::join!(spins, works);
    limit(spins, "401 ms");
    assert_eq!(works.expect("its own time is short"), ["0:done"]);
}
