//! From a seed to a job, what goes wrong in its world, and what happens to the processes that run it.

use std::fmt::Write as _;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::hazards::Dishonesty;
use super::store::Flaw;
use super::weather::Climate;

/// A whole run, before it begins.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is submitted.
    pub job: Job,
    /// What goes wrong with the stores.
    pub climate: Climate,
    /// Whether things go wrong already while the job is submitted.
    pub submits_in_bad_weather: bool,
    /// From when on the store is away, and how long, once the job's component is there; in milliseconds.
    pub outage_at_submission: Option<(u64, u64)>,
    /// Whether whoever submits has the process started anew after a few refusals; else it only asks again.
    pub restarts_to_submit: bool,
    /// Whether the process that is left of two on one store ends the job; else another one takes its place.
    pub keeps_survivors: bool,
    /// What happens to processes and operators, one after the other.
    pub events: Vec<(Duration, Event)>,
    /// A store that must not be trusted.
    pub flaw: Flaw,
    /// An operator that must not be trusted.
    pub dishonesty: Dishonesty,
}

/// What the job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Subtasks of sources and operators.
    pub parallelism: u32,
    /// Of operators, where they have been changed.
    pub operators: Option<u32>,
    /// Whether the operator is one that refuses to open.
    pub is_broken: bool,
    /// Records of each source.
    pub records: Vec<u64>,
    /// Records a second of each source.
    pub rate: u64,
    /// Keys; a multiple of the parallelism, so that one subtask of a source makes all records of a key.
    pub keys: u64,
    /// `value`, `list` or `map`.
    pub state: &'static str,
    /// Bytes of memory for state, of which the rest lies on a local disk; `None`: all is in memory.
    pub memory: Option<u64>,
    /// Whether each record sets a timer.
    pub has_timers: bool,
    /// Whether a second operator checks what the first one emits.
    pub is_checked: bool,
    /// Every so manyth record is bad; 0: none is.
    pub poison: u64,
    /// Whether bad records are rejected; else the operator fails and the engine has to find them.
    pub rejects: bool,
    /// Milliseconds.
    pub interval: u64,
    /// Milliseconds.
    pub min_pause: u64,
    /// Milliseconds.
    pub timeout: u64,
    /// How many checkpoints are kept.
    pub retained: u32,
    /// How many may be on their way.
    pub concurrent: u32,
    /// How many may fail in a row.
    pub tolerable: u32,
    /// How many restarts in a row the job bears; in a plan from a seed so many that it never fails for good.
    pub attempts: u32,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The process dies, and another one starts after so many milliseconds.
    Crash(u64),
    /// A second process starts on the same store; the first one dies after so many milliseconds.
    Rival(u64),
    /// The process is stopped, and another one starts.
    Stop,
    /// An operator takes its task with it.
    Panic,
    /// An operator fails once.
    Fail,
    /// An operator traps once.
    Trap,
    /// Somebody cancels the job.
    Cancel,
    /// Somebody changes how many subtasks its operators have.
    Rescale(u32),
    /// Somebody changes the job to an operator that refuses to open: it goes back to what it was.
    Break,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ 0x5eed);
        let job = Job::draw(&mut random);
        let span = job.records.iter().max().map_or(0, |records| records * 1_000 / job.rate);
        let climate = Climate::draw(&mut random, span);
        let may_fail_once = job.poison == 0 || job.rejects;
        let count = random.random_range(0..=8);
        let mut events: Vec<_> = (0..count)
            .map(|_| {
                let wait = Duration::from_millis(random.random_range(0..=span * 3 / (count + 1) + 100));
                (wait, Event::draw(&mut random, may_fail_once))
            })
            .collect();
        if random.random_range(0..7) == 0 {
            events.push((Duration::from_millis(random.random_range(0..=span)), Event::Cancel));
        }
        let submits_in_bad_weather = random.random_range(0..4) == 0;
        let (restarts_to_submit, keeps_survivors) = (random.random(), random.random());
        let (flaw, dishonesty) = (Flaw::None, Dishonesty::None);
        let plan = Self {
            job,
            climate,
            submits_in_bad_weather,
            outage_at_submission: None,
            restarts_to_submit,
            keeps_survivors,
            events,
            flaw,
            dishonesty,
        };
        let plan = if submits_in_bad_weather && !restarts_to_submit { plan.with_an_outage(&mut random) } else { plan };
        plan.with_changes(&mut StdRng::seed_from_u64(seed ^ 0x5ca1e))
    }

    /// Now and then somebody changes the job between whatever else happens.
    fn with_changes(mut self, random: &mut StdRng) -> Self {
        let count = [0, 0, 0, 1, 1, 2][random.random_range(0..6)];
        let span = self.job.records.iter().max().map_or(0, |records| records * 1_000 / self.job.rate);
        for _ in 0..count {
            let wait = Duration::from_millis(random.random_range(0..=span / 2));
            let event = match random.random_range(0..4) {
                0 => Event::Break,
                _ => Event::Rescale(random.random_range(1..=5)),
            };
            self.events.insert(random.random_range(0..=self.events.len()), (wait, event));
        }
        self
    }

    /// The store goes away while the job is created, for longer than a call is tried; and the job is long enough not to
    /// have ended when it is submitted again.
    fn with_an_outage(mut self, random: &mut StdRng) -> Self {
        let start = random.random_range(0..=self.climate.latency_ms * 6 + 1);
        self.outage_at_submission = Some((start, random.random_range(2_500..8_000)));
        self.job.rate = 300;
        self.job.records.iter_mut().for_each(|records| *records = 600);
        self
    }

    /// The same job in a world where nothing goes wrong.
    #[must_use]
    pub fn without_failures(&self) -> Self {
        let climate = Climate { latency_ms: self.climate.latency_ms, ..Climate::default() };
        Self { climate, events: Vec::new(), submits_in_bad_weather: false, outage_at_submission: None, ..self.clone() }
    }
}

impl Climate {
    fn draw(random: &mut StdRng, span: u64) -> Self {
        let outages = (0..random.random_range(0..3)).map(|_| {
            let start = random.random_range(0..=span);
            start..start + random.random_range(0..3_000)
        });
        Self {
            outages: outages.collect(),
            per_mille: [0, 5, 20, 100][random.random_range(0..4)],
            latency_ms: [0, 2, 10, 40][random.random_range(0..4)],
            late_ms: [0, 200, 3_000][random.random_range(0..3)],
        }
    }
}

impl Event {
    fn draw(random: &mut StdRng, may_fail_once: bool) -> Self {
        match random.random_range(0..12) {
            0..=4 => Self::Crash(random.random_range(0..400)),
            5 | 6 => Self::Rival(random.random_range(0..600)),
            7 => Self::Stop,
            8 | 9 => Self::Panic,
            10 if may_fail_once => Self::Fail,
            11 if may_fail_once => Self::Trap,
            _ => Self::Crash(0),
        }
    }
}

impl Job {
    fn draw(random: &mut StdRng) -> Self {
        let parallelism = random.random_range(1..=3);
        let sources = random.random_range(1..=2);
        let rate = [300, 1_000, 4_000][random.random_range(0..3)];
        let interval = [20, 50, 100, 300][random.random_range(0..4)];
        Self {
            parallelism,
            operators: None,
            is_broken: false,
            records: (0..sources).map(|_| random.random_range(40..=600)).collect(),
            rate,
            keys: u64::from(parallelism) * random.random_range(1..=6),
            state: ["value", "list", "map"][random.random_range(0..3)],
            has_timers: random.random_range(0..3) == 0,
            is_checked: random.random_range(0..2) == 0,
            poison: [0, 0, 37, 90][random.random_range(0..4)],
            rejects: random.random_range(0..2) == 0,
            interval,
            min_pause: [0, 0, 30][random.random_range(0..3)],
            timeout: [300, 5_000, 600_000][random.random_range(0..3)],
            retained: random.random_range(1..=3),
            concurrent: random.random_range(1..=2),
            tolerable: [0, 0, 3][random.random_range(0..3)],
            attempts: 100_000,
            memory: (random.random_range(0..10) == 0).then(|| [1, 4_000][random.random_range(0..2)]),
        }
    }

    /// As a job file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let Self { parallelism, rate, keys, state, poison, rejects, has_timers: timers, .. } = self;
        let Self { interval, min_pause, timeout, retained, concurrent, tolerable, attempts, .. } = self;
        let mut toml = format!(
            "name = \"job\"\nparallelism = {parallelism}\n\
             [checkpoint]\ninterval = {interval}\nmin-pause = {min_pause}\ntimeout = {timeout}\nretained = {retained}\n\
             max-concurrent = {concurrent}\ntolerable-failures = {tolerable}\n\
             [restart]\nattempts = {attempts}\ndelay = 20\nmax-delay = 1000\n"
        );
        if let Some(memory) = self.memory {
            write!(toml, "[state]\nbackend = \"rocksdb\"\nmemory = {memory}\n")
                .expect("a text takes what is written to it");
        }
        let mut inputs = Vec::new();
        for (index, records) in self.records.iter().enumerate() {
            write!(
                toml,
                "[[source]]\nuid = \"source{index}\"\ntype = \"generator\"\nrate = {rate}\ncount = {records}\nkeys = \
                 {keys}\nvalue-bytes = 64\n"
            )
            .expect("a text takes what is written to it");
            inputs.push(format!("{{ input = \"in{index}\", from = \"source{index}\" }}"));
        }
        let name = if self.is_broken { "broken" } else { "tally" };
        let operator = if inputs.len() == 1 { name.to_owned() } else { format!("{name}-two") };
        let inputs = inputs.join(", ");
        let config = format!("{{ state = \"{state}\", timers = {timers}, poison = {poison}, rejects = {rejects} }}");
        let own = self.operators.map(|operators| format!("parallelism = {operators}\n")).unwrap_or_default();
        let last = if self.is_checked { "check" } else { "tally" };
        write!(
            toml,
            "[[operator]]\nuid = \"tally\"\ncomponent = \"native\"\noperator = \"{operator}\"\ninputs = [{inputs}]\n\
             config = {config}\n{own}"
        )
        .expect("a text takes what is written to it");
        if self.is_checked {
            toml += "[[operator]]\nuid = \"check\"\ncomponent = \"native\"\noperator = \"check\"\ninputs = [{ from = \
                     \"tally\" }]\n";
            toml += &own;
        }
        write!(toml, "[[sink]]\nuid = \"out\"\ntype = \"files\"\npath = \"out\"\nparallelism = 1\nfrom = \"{last}\"\n")
            .expect("a text takes what is written to it");
        toml
    }
}
