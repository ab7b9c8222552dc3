//! One subtask between whoever feeds it and whoever reads it.

use std::sync::Arc;

use weir_operator::abilities::{Abilities, NewRecords};
use weir_operator::attempt::{Budget, StateQuota};
use weir_operator::batch::{Batch, Keys, OptionalColumn};
use weir_operator::native::{NativeError, NativeFactory, NativeOperator};
use weir_operator::operator::OpenContext;
use weir_operator::turn::{FiredTimers, Origin, TimerChange};
use weir_operator::unkeyed_state::UnkeyedState;
use weir_protocol::description::{Columns, InputKind, OperatorDescription};
use weir_protocol::id::{CheckpointId, JobId, Nonce, SubtaskId};
use weir_protocol::job_spec::{ErrorPolicy, LimitSpec, PartitionSpec};
use weir_protocol::key_group::{KeyGroupRange, MaxParallelism};
use weir_protocol::time::NO_TIME;

use super::*;
use crate::clock::Clock;
use crate::exchange::{Edge, InputChannel, Inputs, connect};
use crate::heard::Heard;
use crate::metrics::SubtaskMetrics;
use crate::task::{DeadLetters, Handed, Handover, Receiver, handover};

mod ending;
mod on_disk;

/// Registers a timer for each record: `e7` at event time 7, `p7` at processing time 7. Emits the tag of each timer that
/// fires, and `end` when it finishes. A record `bad` is rejected.
struct Alarm;

impl NativeOperator for Alarm {
    fn open(&mut self, _context: &OpenContext, _abilities: &mut Abilities) -> Result<(), NativeError> {
        Ok(())
    }

    fn process(&mut self, _input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        let keys = batch.keys.as_ref().expect("the input is keyed");
        for (row, value) in batch.values.iter().enumerate() {
            let value = std::str::from_utf8(value.expect("there is a value")).expect("it is text");
            let (domain, at) = match value.split_at(1) {
                ("e", at) => (TimeDomain::EventTime, at),
                ("p", at) => (TimeDomain::ProcessingTime, at),
                _ => {
                    abilities.reject(&[u32::try_from(row).expect("few rows")], "no alarm")?;
                    continue;
                }
            };
            let at: i64 = at.parse().expect("it is a number");
            let tag = u32::try_from(at).expect("it is small");
            abilities.change_timer(TimerChange { register: true, domain, key: keys.key_of[row], at, tag })?;
        }
        emit(abilities, Origin::Unkeyed, &["batch".to_owned()])
    }

    fn on_timers(&mut self, fired: &FiredTimers, abilities: &mut Abilities) -> Result<(), NativeError> {
        let texts: Vec<String> = fired.tags.iter().map(|tag| format!("alarm {tag}")).collect();
        emit(abilities, Origin::EachRow, &texts)
    }

    fn finish(&mut self, abilities: &mut Abilities) -> Result<(), NativeError> {
        emit(abilities, Origin::Unkeyed, &["end".to_owned()])
    }
}

fn emit(abilities: &mut Abilities, origin: Origin, texts: &[String]) -> Result<(), NativeError> {
    let mut values = OptionalColumn::default();
    texts.iter().for_each(|text| values.push(Some(text.as_bytes())));
    Ok(abilities.emit(0, NewRecords::new(origin, values))?)
}

fn description() -> OperatorDescription {
    let columns = Columns { keys: true, values: true, timestamps: true };
    OperatorDescription {
        name: "alarm".to_owned(),
        doc: String::new(),
        inputs: vec![InputDescription { name: "records".to_owned(), kind: InputKind::Keyed, columns }],
        outputs: vec!["alarms".to_owned()],
        states: Vec::new(),
        config_schema: String::new(),
        properties: Vec::new(),
    }
}

/// A task between its feeder and whoever reads it.
struct Bench {
    feeder: Outputs,
    reader: Inputs,
    handed: Receiver,
    trigger: watch::Sender<Option<Barrier>>,
    metrics: Arc<SubtaskMetrics>,
    task: tokio::task::JoinSet<Result<(), TaskError>>,
    _keep: Handover,
}

fn wire() -> (Outputs, Inputs) {
    let mut connection = connect(&PartitionSpec::Forward, 1, 1);
    let to = "next".parse().expect("it is a name");
    let edge = Edge { to, partition: PartitionSpec::Forward, targets: connection.senders.remove(0) };
    let receivers = connection.receivers.remove(0);
    let channels = receivers.into_iter().map(|receiver| InputChannel { input: 0, receiver }).collect();
    (Outputs::new(MaxParallelism::DEFAULT, vec![vec![edge]], Arc::default()), Inputs::new(channels))
}

impl Bench {
    fn start() -> Self {
        Self::of(no_state(), NO_TIME)
    }

    /// One whose state was restored, with the watermark that it had.
    fn of(state: SubtaskState, watermark: Timestamp) -> Self {
        Self::running(|| Alarm, state, watermark)
    }

    fn running<O: NativeOperator + 'static>(
        make: impl Fn() -> O + Send + Sync + 'static,
        state: SubtaskState,
        watermark: Timestamp,
    ) -> Self {
        Self::reached_by_time(true, make, state, watermark)
    }

    fn reached_by_time<O: NativeOperator + 'static>(
        is_reached: bool,
        make: impl Fn() -> O + Send + Sync + 'static,
        state: SubtaskState,
        watermark: Timestamp,
    ) -> Self {
        let is_timeless = !is_reached;
        let (feeder, inputs) = wire();
        let (outputs, reader) = wire();
        let id = SubtaskId { uid: "alarm".parse().expect("it is a name"), index: 0 };
        let (handover, handed) = handover();
        let (trigger, triggered) = watch::channel(None);
        let (clock, budget) = (Clock::starting_at(1_000), Budget::new(10, 0));
        let letters = DeadLetters::new(JobId(1), id.clone(), ErrorPolicy::DeadLetter, budget.clone(), Arc::default());
        let metrics: Arc<SubtaskMetrics> = Arc::default();
        let seen = Arc::clone(&metrics);
        let keep = handover.clone();
        let subtask = Subtask { id: id.clone(), clock, metrics, letters, handover, has_checkpoints: true };
        let seeds = Seeds::new(JobId(1), &id, Nonce(1), CheckpointId(0));
        let context = OpenContext {
            uid: "alarm".to_owned(),
            job: "job".to_owned(),
            config: "{}".to_owned(),
            subtask: 0,
            parallelism: 1,
            seed: 1,
            processing_time: 0,
            unkeyed: UnkeyedState::default(),
            limits: LimitSpec::default(),
        };
        let factory = Arc::new(NativeFactory::new(description(), make));
        let attempts = Attempts::new(factory, context, ErrorPolicy::DeadLetter, budget);
        let task = OperatorTask {
            subtask,
            attempts,
            inputs: description().inputs,
            gate: Gate::new(inputs, CheckpointId(0), clock, Arc::default()),
            watermarks: WatermarkMerge::new(1, watermark),
            outputs,
            state: Some(Box::new(state)),
            unkeyed: UnkeyedStore::default(),
            seeds,
            processing_time: NO_TIME,
            share: StateQuota::new(None).share(),
            shown_at: NO_TIME,
            is_shown: false,
            triggered,
            is_timeless,
        };
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(task.run());
        Self { feeder, reader, handed, trigger, metrics: seen, task: tasks, _keep: keep }
    }

    /// Sends one batch of records, all of one key.
    async fn feed(&mut self, records: &[&str]) {
        let mut values = OptionalColumn::default();
        records.iter().for_each(|record| values.push(Some(record.as_bytes())));
        let keys = Keys::encode(records.iter().map(|_| &b"k"[..]));
        let rows = u32::try_from(records.len()).expect("few rows");
        self.feeder.send(0, Batch { rows, keys: Some(keys), values, ..Batch::default() }).await.expect("it runs");
        self.feeder.flush().await.expect("it runs");
    }

    async fn mark(&mut self, element: Element) {
        self.feeder.broadcast(element).await.expect("it runs");
    }

    /// The next `count` things that come out, in short.
    async fn read(&mut self, count: usize) -> Vec<String> {
        let mut read = Vec::new();
        while read.len() < count {
            read.extend(in_short(&self.reader.next().await.expect("it runs").expect("it has not ended").1));
        }
        read
    }
}

fn in_short(element: &Element) -> Vec<String> {
    match element {
        Element::Batch(batch) => {
            batch.values.iter().flatten().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
        }
        Element::Watermark(END_OF_TIME) => vec!["@end".to_owned()],
        Element::Watermark(watermark) => vec![format!("@{watermark}")],
        Element::Idle => vec!["~".to_owned()],
        Element::Barrier(barrier) => vec![format!("#{}", barrier.checkpoint)],
        Element::End => vec![".".to_owned()],
    }
}

fn no_state() -> SubtaskState {
    let groups = KeyGroupRange { start: 0, end: 128 };
    SubtaskState::new(&[], MaxParallelism::DEFAULT, groups).expect("no state is no problem")
}

#[tokio::test]
async fn a_watermark_goes_on_behind_the_outputs_of_the_timers_it_fired() {
    let mut bench = Bench::start();
    bench.feed(&["e5", "e3", "e9"]).await;
    bench.mark(Element::Watermark(6)).await;
    assert_eq!(bench.read(4).await, ["batch", "alarm 3", "alarm 5", "@6"]);
}

#[tokio::test]
async fn a_timer_that_is_due_already_fires_right_after_its_batch() {
    let mut bench = Bench::start();
    bench.mark(Element::Watermark(6)).await;
    bench.feed(&["e5"]).await;
    assert_eq!(bench.read(3).await, ["@6", "batch", "alarm 5"]);
}

#[tokio::test]
async fn at_the_end_pending_timers_fire_then_finish_then_the_end_of_time_goes_on() {
    let mut bench = Bench::start();
    bench.feed(&["e5", "e900"]).await;
    bench.mark(Element::Watermark(END_OF_TIME)).await;
    bench.mark(Element::End).await;
    assert_eq!(bench.read(6).await, ["batch", "alarm 5", "alarm 900", "end", "@end", "."]);
    let Some(Handed::Finished(last)) = bench.handed.next().await else { panic!("it has not finished") };
    assert!(
        matches!(last.kind, SealedKind::Operator { segment: None, .. }),
        "the timers came and went: {:?}",
        last.kind
    );
    assert_eq!(bench.task.join_next().await.map(|ended| ended.expect("it did not panic")), Some(Ok(())));
}

#[tokio::test]
async fn what_changed_behind_the_last_barrier_is_part_of_the_last_report() {
    let mut bench = Bench::start();
    bench.mark(Element::Barrier(Barrier { checkpoint: CheckpointId(1), at: 0 })).await;
    bench.feed(&["p999999"]).await;
    bench.mark(Element::End).await;
    assert!(matches!(bench.handed.next().await, Some(Handed::Sealed(CheckpointId(1), _))));
    let Some(Handed::Finished(last)) = bench.handed.next().await else { panic!("it has not finished") };
    assert!(matches!(last.kind, SealedKind::Operator { segment: Some(_), .. }), "{:?}", last.kind);
}

#[tokio::test]
async fn a_processing_time_timer_fires_without_any_input() {
    let mut bench = Bench::start();
    bench.feed(&["p1"]).await;
    assert_eq!(bench.read(2).await, ["batch", "alarm 1"]);
    bench.feed(&["p1020"]).await;
    assert_eq!(bench.read(2).await, ["batch", "alarm 1020"]);
}

#[tokio::test]
async fn what_is_sealed_at_a_barrier_is_what_came_before_it() {
    let mut bench = Bench::start();
    bench.feed(&["e5", "bad"]).await;
    bench.mark(Element::Watermark(2)).await;
    bench.mark(Element::Barrier(Barrier { checkpoint: CheckpointId(1), at: 0 })).await;
    bench.mark(Element::Barrier(Barrier { checkpoint: CheckpointId(2), at: 0 })).await;
    assert_eq!(bench.read(4).await, ["batch", "@2", "#1", "#2"]);
    let Some(Handed::Sealed(CheckpointId(1), first)) = bench.handed.next().await else { panic!("nothing was sealed") };
    assert_eq!((first.given_up, first.letters.map(|letters| letters.records)), (1, Some(1)));
    assert!(matches!(first.kind, SealedKind::Operator { segment: Some(_), watermark: 2, .. }), "{:?}", first.kind);
    let Some(Handed::Sealed(CheckpointId(2), second)) = bench.handed.next().await else { panic!("nothing was sealed") };
    assert_eq!((second.given_up, second.letters), (1, None));
    assert!(matches!(second.kind, SealedKind::Operator { segment: None, watermark: 2, .. }), "{:?}", second.kind);
}

#[tokio::test]
async fn the_first_timer_that_never_fires_is_warned_of_once() {
    let heard = Heard::default();
    let listens = heard.listen();
    let warned = |heard: &Heard| heard.lines().iter().filter(|line| line.contains("which never fire here")).count();
    for (is_reached, warnings) in [(true, 0), (false, 1)] {
        let mut bench = Bench::reached_by_time(is_reached, || Alarm, no_state(), NO_TIME);
        bench.feed(&["p999999"]).await;
        assert_eq!((bench.read(1).await, warned(&heard)), (vec!["batch".to_owned()], 0));
        for _ in 0..2 {
            bench.feed(&["e5", "e6"]).await;
            assert_eq!((bench.read(1).await, warned(&heard)), (vec!["batch".to_owned()], warnings));
        }
    }
    drop(listens);
}

#[tokio::test(start_paused = true)]
async fn what_the_last_batch_left_is_shown_though_nothing_follows() {
    let mut bench = Bench::start();
    bench.feed(&["p999999"]).await;
    assert_eq!(bench.read(1).await, ["batch"]);
    assert_eq!(bench.metrics.state().timers, 0, "people were told when it began");
    Clock::starting_at(0).sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(bench.metrics.state().timers, 1);
}
