//! Runs an operator natively, for its author's unit tests: state, timers and outputs in memory, no host, no wasm.
//!
//! A call is atomic as it is in the host: after a failure everything it did is undone, the instance is replaced, the
//! culprits become dead letters and the other records are processed again. A panic is not caught: it fails the test.

mod incoming;
mod peek;
mod unkeyed;

use std::mem;

use serde::Serialize;

pub use crate::host::simulated::Emitted;
pub use crate::telemetry::Level;
pub use incoming::{DeadLetter, Incoming};

use crate::batch::NO_TIME;
use crate::bindings::weir::operator::types;
use crate::describe::{Describe, InputKind, Spec};
use crate::error::Result;
use crate::host::simulated::{Call, Pending, Row, Scene, World, play};
use crate::instance::{Failure, Instance, Runnable};
use crate::operator::Context;
use crate::timers::TimeDomain;

/// How many timers fire at the end for each that was pending, on average, as in the host.
const FIRED_FOR_EACH_MAX: usize = 1_000;

/// But so many in any case.
const FIRED_MAX: usize = 100_000;

/// An operator `O` with a host around it.
///
/// ```
/// use weir_sdk::harness::Harness;
/// use weir_sdk::prelude::*;
///
/// /// Counts the records of each key, and tells the count a second after the first.
/// #[derive(Describe)]
/// struct CountASecond {
///     count: ValueState<u64>,
/// }
///
/// impl Operator for CountASecond {
///     fn process(&mut self, record: &Record, out: &mut Output) -> Result {
///         if self.count.update(|count| count + 1)? == 1 {
///             let at = record.timestamp().or_reject("no event time")?;
///             out.register(Timer::event_time(at + 1_000))?;
///         }
///         Ok(())
///     }
///
///     fn on_timer(&mut self, _timer: &FiredTimer, out: &mut Output) -> Result {
///         let count = self.count.take()?.unwrap_or_default();
///         out.emit(count)
///     }
/// }
///
/// let mut harness = Harness::<CountASecond>::new();
/// harness.send(Incoming::value("a").key("k").at(0)).send(Incoming::value("b").key("k").at(10));
/// assert_eq!(harness.value(|operator| &operator.count, "k"), Some(2));
/// assert!(harness.advance_watermark(999).take().is_empty());
/// assert_eq!(harness.advance_watermark(1_000).take_values(), ["2"]);
/// # use weir_sdk::harness::Incoming;
/// ```
pub struct Harness<O> {
    start: fn(&Context) -> Result<Box<dyn Instance>>,
    instance: Option<Box<dyn Instance>>,
    /// Closed; tells the names and types of the states.
    prototype: O,
    spec: Spec,
    context: Context,
    world: World,
    emitted: Vec<Emitted>,
    dead_letters: Vec<DeadLetter>,
}

/// Making and driving it. All of these panic where the host would fail the job.
impl<O: Describe> Harness<O> {
    /// The operator, opened without a configuration.
    #[must_use]
    pub fn new<F>() -> Self
    where
        O: Runnable<F>,
    {
        Self::with_config(&serde_json::json!({}))
    }

    /// The operator, opened with a configuration.
    #[must_use]
    pub fn with_config<F>(config: &impl Serialize) -> Self
    where
        O: Runnable<F>,
    {
        let (spec, prototype) = Spec::of::<O>();
        let context = Context {
            operator_name: O::NAME.to_owned(),
            config: serde_json::to_string(config).expect("the configuration can be written as JSON"),
            job: "test".to_owned(),
            subtask: 0,
            parallelism: 1,
            seed: 1,
            properties: Vec::new(),
        };
        let world = World { lives: spec.lives().collect(), ..World::default() };
        let mut harness = Self {
            start: <O as Runnable<F>>::start,
            instance: None,
            prototype,
            spec,
            context,
            world,
            emitted: Vec::new(),
            dead_letters: Vec::new(),
        };
        harness.replace_instance();
        harness
    }

    /// Drops the instance and opens another one, as the host does when it pleases: what an operator kept in its own
    /// memory is gone.
    pub fn replace_instance(&mut self) -> &mut Self {
        let (start, context) = (self.start, self.context.clone());
        let scene = self.scene(Call::Open, Vec::new(), Vec::new());
        let (instance, scene) = play(scene, || start(&context));
        self.instance = Some(instance.unwrap_or_else(|error| panic!("`open` failed: {error}")));
        self.world = scene.world;
        self
    }

    /// Sends one record as a batch of its own: `harness.send("value")`, `harness.send(("key", "value"))`, or an
    /// [`Incoming`] that says more.
    pub fn send(&mut self, record: impl Into<Incoming>) -> &mut Self {
        self.send_batch([record])
    }

    /// Sends records as one batch (one for each run of records of the same input), then fires what is due.
    pub fn send_batch<R: Into<Incoming>>(&mut self, records: impl IntoIterator<Item = R>) -> &mut Self {
        let records: Vec<Incoming> = records.into_iter().map(Into::into).collect();
        for run in records.chunk_by(|a, b| a.input == b.input) {
            self.process(run);
        }
        self.fire_due();
        self
    }

    /// The watermark rises to `to`, in milliseconds since the Unix epoch; timers that are due fire.
    pub fn advance_watermark(&mut self, to: i64) -> &mut Self {
        self.world.watermark = self.world.watermark.max(to);
        self.fire_due();
        self
    }

    /// The time of day becomes `to`, in milliseconds since the Unix epoch: what has lived its [`Ttl`](crate::describe::Ttl)
    /// is gone, timers that are due fire. It starts at 0.
    pub fn advance_processing_time(&mut self, to: i64) -> &mut Self {
        self.world.advance_processing_time(to);
        self.fire_due();
        self
    }

    /// All inputs end: every event-time timer fires, then `finish` is called.
    pub fn finish(&mut self) -> &mut Self {
        self.advance_watermark(i64::MAX);
        let scene = self.scene(Call::Finish, Vec::new(), Vec::new());
        let result = self.call(scene, |instance| instance.finish());
        result.unwrap_or_else(|failure| panic!("`finish` failed: {}", failure.message));
        self
    }
}

/// The host's part.
impl<O: Describe> Harness<O> {
    fn scene(&self, call: Call, keys: Vec<Vec<u8>>, rows: Vec<Row>) -> Scene {
        Scene {
            call,
            outputs: self.spec.outputs().to_vec(),
            keys,
            rows,
            is_broadcast: false,
            world: self.world.clone(),
            emitted: Vec::new(),
            rejected: Vec::new(),
        }
    }

    /// One call. What it did counts only if it returned ok; else the instance is replaced.
    fn call(
        &mut self,
        scene: Scene,
        call: impl FnOnce(&mut dyn Instance) -> Result<(), Failure>,
    ) -> Result<Vec<(u32, String)>, Failure> {
        let mut instance = self.instance.take().expect("put back after every call");
        let (result, scene) = play(scene, || call(&mut *instance));
        if let Err(failure) = result {
            self.replace_instance();
            return Err(failure);
        }
        self.instance = Some(instance);
        self.world = scene.world;
        self.emitted.extend(scene.emitted);
        Ok(scene.rejected)
    }

    fn process(&mut self, records: &[Incoming]) {
        if records.is_empty() {
            return;
        }
        let input = self.input_of(&records[0]);
        let batch = incoming::batch(self.spec.inputs()[input], records);
        let mut scene = self.scene(Call::Process, batch.keys.clone(), batch.rows.clone());
        scene.is_broadcast = self.spec.inputs()[input].kind == InputKind::Broadcast;
        let index = u32::try_from(input).expect("few inputs");
        match self.call(scene, |instance| instance.process(index, &batch.raw)) {
            Ok(rejected) => {
                for (row, reason) in rejected {
                    self.dead_letters.push(DeadLetter { record: records[row as usize].clone(), reason });
                }
            }
            Err(failure) => self.retry_without_culprits(records, failure),
        }
    }

    /// Named rows become dead letters and the others are processed again; with none named, each goes alone.
    fn retry_without_culprits(&mut self, records: &[Incoming], Failure { rows, message }: Failure) {
        if rows.is_empty() && records.len() > 1 {
            return records.chunks(1).for_each(|record| self.process(record));
        }
        let is_culprit = |row: usize| rows.is_empty() || rows.iter().any(|&culprit| culprit as usize == row);
        let (culprits, others): (Vec<_>, Vec<_>) = records.iter().enumerate().partition(|(row, _)| is_culprit(*row));
        for (_, record) in culprits {
            self.dead_letters.push(DeadLetter { record: record.clone(), reason: message.clone() });
        }
        let others: Vec<Incoming> = others.into_iter().map(|(_, record)| record.clone()).collect();
        self.process(&others);
    }

    fn input_of(&self, record: &Incoming) -> usize {
        let Some(wanted) = &record.input else { return 0 };
        let position = self.spec.inputs().iter().position(|input| input.name == wanted);
        position.unwrap_or_else(|| panic!("`{}` has no input `{wanted}`", O::NAME))
    }

    /// Fires timers until none is due, at most one of each key in a call.
    ///
    /// # Panics
    /// When timers that fire at the end set timers without end.
    fn fire_due(&mut self) {
        for event_time in [true, false] {
            let is_the_end = event_time && self.world.watermark == i64::MAX;
            let most = FIRED_MAX.max(self.world.timers.len().saturating_mul(FIRED_FOR_EACH_MAX));
            let mut fired = 0;
            while let Some(due) = self.next_due(event_time) {
                fired += due.len();
                assert!(
                    !is_the_end || fired <= most,
                    "`{}` sets event-time timers without end: the inputs have ended, and {fired} have fired since, because each \
                     sets another; let it set the next one only while the watermark is below i64::MAX",
                    O::NAME
                );
                due.iter().for_each(|timer| {
                    self.world.timers.remove(timer);
                });
                self.fire(event_time, &due);
            }
        }
    }

    fn next_due(&self, event_time: bool) -> Option<Vec<Pending>> {
        let now = if event_time { self.world.watermark } else { self.world.processing_time };
        let mut due: Vec<Pending> = Vec::new();
        if event_time && now == NO_TIME {
            return None;
        }
        for timer in self.world.timers.iter().filter(|timer| timer.event_time == event_time && timer.at <= now) {
            if due.iter().all(|other| other.key != timer.key) {
                due.push(timer.clone());
            }
        }
        Some(due).filter(|due| !due.is_empty())
    }

    fn fire(&mut self, event_time: bool, due: &[Pending]) {
        let row = |(key, timer): (u32, &Pending)| Row {
            key: Some(key),
            timestamp: event_time.then_some(timer.at),
            ..Row::default()
        };
        let keys: Vec<Vec<u8>> = due.iter().map(|timer| timer.key.clone()).collect();
        let fired = types::FiredTimers {
            domain: if event_time { TimeDomain::EventTime } else { TimeDomain::ProcessingTime },
            keys: incoming::bytes_column(&keys),
            key_of: (0..u32::try_from(due.len()).expect("few timers")).collect(),
            at: due.iter().map(|timer| timer.at).collect(),
            tags: due.iter().map(|timer| timer.tag).collect(),
        };
        let scene = self.scene(Call::Timers, keys, (0..).zip(due).map(row).collect());
        let result = self.call(scene, |instance| instance.on_timers(&fired));
        result.unwrap_or_else(|failure| panic!("a timer's call failed: {}", failure.message));
    }

    /// What was emitted since the last time, in order.
    pub fn take(&mut self) -> Vec<Emitted> {
        mem::take(&mut self.emitted)
    }
}

impl<O: Describe> std::fmt::Debug for Harness<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").field("operator", &O::NAME).field("world", &self.world).finish_non_exhaustive()
    }
}
