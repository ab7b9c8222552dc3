//! At the end of their inputs timers that set timers are bounded, and keep neither barriers nor cancellation waiting.

use weir_protocol::Fault;

use super::*;

/// Sets a timer for each record, and when it fires the next, until `until`. Emits nothing.
struct Clockwork {
    until: Timestamp,
}

impl NativeOperator for Clockwork {
    fn open(&mut self, _context: &OpenContext, _abilities: &mut Abilities) -> Result<(), NativeError> {
        Ok(())
    }

    fn process(&mut self, _input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        let keys = batch.keys.as_ref().expect("the input is keyed");
        keys.key_of.iter().try_for_each(|key| set(abilities, *key, 0))
    }

    fn on_timers(&mut self, fired: &FiredTimers, abilities: &mut Abilities) -> Result<(), NativeError> {
        let fired = fired.keys.key_of.iter().zip(&fired.at).filter(|(_, at)| **at < self.until);
        fired.map(|(key, at)| (*key, at + 1)).try_for_each(|(key, at)| set(abilities, key, at))
    }

    fn finish(&mut self, _abilities: &mut Abilities) -> Result<(), NativeError> {
        Ok(())
    }
}

fn set(abilities: &mut Abilities, key: u32, at: Timestamp) -> Result<(), NativeError> {
    let domain = TimeDomain::EventTime;
    Ok(abilities.change_timer(TimerChange { register: true, domain, key, at, tag: 0 })?)
}

/// A clockwork whose input has ended.
async fn ended(until: Timestamp) -> Bench {
    let mut bench = Bench::running(move || Clockwork { until }, no_state(), NO_TIME);
    bench.feed(&["a"]).await;
    bench.mark(Element::Watermark(END_OF_TIME)).await;
    bench.mark(Element::End).await;
    bench
}

#[tokio::test]
async fn a_timer_that_sets_the_next_for_ever_ends_the_attempt_and_names_the_operator() {
    let mut bench = ended(END_OF_TIME).await;
    let error = bench.task.join_next().await.expect("it runs").expect("it did not panic").expect_err("it has no end");
    assert_eq!(error.fault, Fault::Request, "{error}");
    let said = ["operator `alarm` sets event-time timers without end", "1 timers were pending", "100001 have fired"];
    assert!(said.iter().all(|said| error.message.contains(said)), "{error}");
}

#[tokio::test]
async fn a_timer_that_sets_the_next_some_thousand_times_comes_to_its_end() {
    let mut bench = ended(90_000).await;
    assert_eq!(bench.read(2).await, ["@end", "."]);
    assert_eq!(bench.task.join_next().await.map(|ended| ended.expect("it did not panic")), Some(Ok(())));
}

#[tokio::test]
async fn while_timers_fire_at_the_end_barriers_get_through() {
    let mut bench = ended(END_OF_TIME).await;
    for checkpoint in [3, 4] {
        let barrier = Barrier { checkpoint: CheckpointId(checkpoint), at: 0 };
        bench.trigger.send_replace(Some(barrier));
        assert_eq!(bench.read(1).await, [format!("#{checkpoint}")]);
        let Some(Handed::Sealed(sealed, part)) = bench.handed.next().await else { panic!("nothing was sealed") };
        assert_eq!(sealed, CheckpointId(checkpoint));
        let SealedKind::Operator { segment, watermark, .. } = part.kind else { panic!("it is an operator") };
        assert_eq!((segment.is_some(), watermark), (true, END_OF_TIME));
    }
}

#[tokio::test]
async fn while_timers_fire_at_the_end_the_task_can_be_ended() {
    let mut bench = ended(END_OF_TIME).await;
    bench.trigger.send_replace(Some(Barrier { checkpoint: CheckpointId(1), at: 0 }));
    assert_eq!(bench.read(1).await, ["#1"]);
    bench.task.abort_all();
    let ended = bench.task.join_next().await.expect("it was running");
    assert!(ended.is_err_and(|error| error.is_cancelled()));
}

#[tokio::test]
async fn a_barrier_that_an_input_had_brought_is_not_taken_again_at_the_end() {
    let mut bench = Bench::start();
    let barrier = Barrier { checkpoint: CheckpointId(3), at: 0 };
    bench.trigger.send_replace(Some(barrier));
    bench.feed(&["e5"]).await;
    bench.mark(Element::Barrier(barrier)).await;
    bench.mark(Element::End).await;
    assert_eq!(bench.read(6).await, ["batch", "#3", "alarm 5", "end", "@end", "."]);
}

#[tokio::test]
async fn what_was_restored_in_the_midst_of_the_end_fires_once_its_inputs_have_ended_again() {
    let mut state = no_state();
    let keys = Keys::encode([&b"k"[..]]);
    let change = TimerChange { register: true, domain: TimeDomain::EventTime, key: 0, at: 7, tag: 7 };
    state.apply_timers(&[change], &keys).expect("there is room");
    let mut bench = Bench::of(state, END_OF_TIME);
    bench.trigger.send_replace(Some(Barrier { checkpoint: CheckpointId(9), at: 0 }));
    bench.mark(Element::Watermark(END_OF_TIME)).await;
    bench.mark(Element::End).await;
    assert_eq!(bench.read(5).await, ["#9", "alarm 7", "end", "@end", "."]);
}
