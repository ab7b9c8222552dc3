//! What a component costs beside native code: the same keyed operator as native Rust, and as a Rust component in batch
//! and in record form, each called as the task loop calls it (attempts, then commit) on the engine's own state.
//!
//! Batches have 1,024 rows, values 100 bytes, keys 20 bytes drawn uniformly. Every operator gets the same batches in
//! turn, a slice of a round each, so that what else the machine does hits all alike; a barrier ends each round, as one
//! a second would at two million records a second. The time is the CPU time of the thread: the call from the batch as
//! the exchange made it to the committed state; making the batch is not part of it. Ratios are of one round.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::sync::Arc;
use std::time::Duration;

use mimalloc::MiMalloc;
use weir_engine::clock::thread_cpu_time;
use weir_engine::state::SubtaskState;
use weir_operator::attempt::{Attempts, Budget, Step};
use weir_operator::batch::{Batch, BytesColumn, Keys, OptionalColumn};
use weir_operator::keyed_state::{KeyedState, StateId};
use weir_operator::operator::{Factory, OpenContext};
use weir_operator::turn::{Turn, Work};
use weir_operator::unkeyed_state::UnkeyedState;
use weir_protocol::job_spec::{ErrorPolicy, LimitSpec};
use weir_protocol::key_group::MaxParallelism;
use weir_tests::figures::{grouped, median, table};
use weir_tests::{counting, guests};

/// As the node has it.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

const ROWS: u64 = 1_024;
const VALUE_BYTES: usize = 100;
const BATCHES: usize = 2_000;
/// Batches that one operator gets before the next has its turn.
const SLICE: usize = 100;
const ROUNDS: usize = 5;

/// What is measured: an operator, and how often the native one's time it may take.
struct Contender {
    name: &'static str,
    factory: Arc<dyn Factory>,
    goal: Option<f64>,
}

fn main() {
    let component = guests::load(guests::KEYED_COUNT).expect("it is admitted");
    let component = |operator: &str| component.factory(operator).expect("it has the operator");
    let contender = |name, factory, goal| Contender { name, factory, goal };
    let counts = [
        contender("native", counting::count(), None),
        contender("component, batch form", component("batch"), Some(1.5)),
        contender("component, record form", component("record"), Some(3.0)),
    ];
    let sums = [
        contender("native", counting::sum(), None),
        contender("component, batch form", component("sum-batch"), None),
        contender("component, record form", component("sum-record"), None),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    runtime.block_on(async {
        for keys in [1_000, 1_000_000] {
            let batches = batches(keys);
            let keys = grouped(keys);
            println!("keyed count of records with 100-byte values, {keys} keys, CPU time of the task's thread");
            println!("{}", compare(&counts, &batches).await);
            println!("the same, but each operator is given the values and adds up their lengths, {keys} keys");
            println!("{}", compare(&sums, &batches).await);
        }
    });
}

/// Measures contenders with each other; the first is what the others are compared with.
async fn compare(contenders: &[Contender], batches: &[Keys]) -> String {
    let mut lanes = Vec::new();
    for contender in contenders {
        let mut lane = Lane::new(contender);
        for keys in batches {
            lane.process(keys).await;
        }
        lane.barrier();
        lane.rounds.clear();
        lanes.push(lane);
    }
    for _ in 0..ROUNDS {
        for slice in batches.chunks(SLICE) {
            for lane in &mut lanes {
                for keys in slice {
                    lane.process(keys).await;
                }
            }
        }
        lanes.iter_mut().for_each(Lane::barrier);
    }
    let expected = lanes[0].numbers(&batches[0]);
    assert!(lanes.iter_mut().all(|lane| lane.numbers(&batches[0]) == expected), "all operators count the same");
    let header = ["operator", "ns/record", "x native", "goal", "met"].map(str::to_owned).to_vec();
    let rows = contenders.iter().zip(&lanes).map(|(contender, lane)| row(contender, lane, &lanes[0]));
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

fn row(contender: &Contender, lane: &Lane, native: &Lane) -> Vec<String> {
    let records = (BATCHES as u64 * ROWS) as f64;
    let time = median(lane.rounds.iter().map(|round| round.as_secs_f64() * 1e9 / records));
    let ratio = |(round, native): (&Duration, &Duration)| round.as_secs_f64() / native.as_secs_f64();
    let ratio = median(lane.rounds.iter().zip(&native.rounds).map(ratio));
    let goal = contender.goal.map_or(String::new(), |goal| format!("<= {goal:.1}"));
    let met = contender.goal.map_or("", |goal| if ratio <= goal { "yes" } else { "NO" });
    vec![contender.name.to_owned(), format!("{time:.1}"), format!("{ratio:.2}"), goal, met.to_owned()]
}

/// One operator with its state.
struct Lane {
    attempts: Attempts,
    /// Lent to a turn for the length of its calls.
    state: Option<Box<dyn KeyedState>>,
    values: OptionalColumn,
    /// The time of the round so far.
    round: Duration,
    rounds: Vec<Duration>,
}

impl Lane {
    fn new(contender: &Contender) -> Self {
        let context = OpenContext {
            uid: contender.name.to_owned(),
            job: "bench".to_owned(),
            config: String::new(),
            subtask: 0,
            parallelism: 1,
            seed: 1,
            processing_time: 0,
            unkeyed: UnkeyedState::default(),
            limits: LimitSpec::default(),
        };
        let description = contender.factory.description();
        let max = MaxParallelism::DEFAULT;
        let state = SubtaskState::new(&description.states, max, max.range(0, 1)).expect("one state");
        let budget = Budget::new(0, 0);
        let values = (0..ROWS).map(|_| [7; VALUE_BYTES]).collect::<Vec<_>>();
        Self {
            attempts: Attempts::new(Arc::clone(&contender.factory), context, ErrorPolicy::Fail, budget),
            state: Some(Box::new(state)),
            values: values.iter().map(<[u8; VALUE_BYTES]>::as_slice).collect::<BytesColumn>().into(),
            round: Duration::ZERO,
            rounds: Vec::new(),
        }
    }

    /// One batch, as the task loop has it processed.
    async fn process(&mut self, keys: &Keys) {
        let rows = u32::try_from(ROWS).expect("few rows");
        let batch = Batch { rows, keys: Some(keys.clone()), values: self.values.clone(), ..Batch::default() };
        let before = thread_cpu_time();
        let mut turn = Turn::new(Work::Batch { input: 0, batch });
        turn.state = self.state.take();
        self.attempts.start(&mut turn);
        loop {
            match self.attempts.step(&mut turn).await {
                Step::Commit => {
                    let effects = std::mem::take(&mut turn.effects);
                    let state = turn.state.as_deref_mut().expect("the input is keyed");
                    state.commit(&effects.writes).expect("there is room");
                }
                Step::Done => break,
                Step::DeadLetter(letter) => unreachable!("{letter:?}"),
                Step::Fails(failure) => unreachable!("{failure}"),
            }
        }
        self.state = turn.state.take();
        self.round += thread_cpu_time() - before;
    }

    /// Ends a round; what the barrier froze counts as written to the object store.
    fn barrier(&mut self) {
        let state: &mut dyn std::any::Any = self.state.as_deref_mut().expect("no turn is under way");
        let state: &mut SubtaskState = state.downcast_mut().expect("it is the engine's");
        let before = thread_cpu_time();
        let segment = state.freeze(0);
        self.rounds.push(std::mem::take(&mut self.round) + (thread_cpu_time() - before));
        drop(segment);
    }

    /// What the state holds for some keys.
    fn numbers(&mut self, keys: &Keys) -> OptionalColumn {
        let state = self.state.as_deref_mut().expect("no turn is under way");
        let all: Vec<u32> = (0..).take(keys.count()).collect();
        let mut numbers = OptionalColumn::default();
        state.select(keys, 0).expect("keys can be selected");
        state.values(StateId(0), &all, &mut numbers).expect("a value state");
        numbers
    }
}

fn batches(keys: u64) -> Vec<Keys> {
    let mut random = 1;
    let batch = |_| {
        let keys: Vec<_> = (0..ROWS).map(|_| format!("key-{:016}", draw(&mut random) % keys)).collect();
        Keys::encode(keys.iter().map(String::as_bytes))
    };
    (0..BATCHES).map(batch).collect()
}

/// The next of a fixed sequence that looks random.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 20
}
