//! What a call must do, said with plain maps: the call works on a copy, which counts if the call returns ok.

mod batch;
mod cost;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use weir_operator::abilities::Violation;
use weir_operator::batch::{BytesColumn, OptionalColumn};
use weir_operator::turn::{Effects, MetricChange, TimerChange, Turn, Work};

use super::granted::{Bytes, Granted, OfKey, plain};
use super::{Answer, Command};

use batch::Sent;

/// How a call ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Error,
}

/// What was asked for is not legal.
#[derive(Debug)]
struct Misuse;

type Told = Result<Granted, Misuse>;

/// What is committed.
#[derive(Debug, Default)]
pub(super) struct Model {
    state: State,
}

type State = BTreeMap<Bytes, OfKey>;

/// Whether keyed state is open.
pub(super) fn is_keyed(work: &Work) -> bool {
    matches!(work, Work::Batch { input: 0, .. } | Work::Timers(_))
}

/// One call.
pub(super) struct Call<'a> {
    turn: &'a Turn,
    state: State,
    keys: Vec<Bytes>,
    limit: u64,
    /// At least so many bytes were written, and emitted.
    written: u64,
    emitted: u64,
    /// At most so many were charged.
    charged_max: u64,
    sent: Vec<(u32, Sent)>,
    timers: Vec<TimerChange>,
    rejected: BTreeSet<u32>,
    rejections: Vec<Vec<u32>>,
    counters: BTreeMap<String, u64>,
}

/// What a call leaves, to be committed.
pub(super) struct Done(State);

impl Model {
    pub(super) fn begin<'a>(&self, turn: &'a Turn, limit: u64) -> Call<'a> {
        Call {
            turn,
            state: self.state.clone(),
            keys: turn.work.keys().map_or_else(Vec::new, |keys| plain(&keys.distinct)),
            limit,
            written: 0,
            emitted: 0,
            charged_max: 0,
            sent: Vec::new(),
            timers: Vec::new(),
            rejected: BTreeSet::new(),
            rejections: Vec::new(),
            counters: BTreeMap::new(),
        }
    }

    pub(super) fn commit(&mut self, done: Done) {
        self.state = done.0;
    }

    /// Everything of one key.
    pub(super) fn of(&self, key: &[u8]) -> OfKey {
        self.state.get(key).cloned().unwrap_or_default()
    }
}

impl Call<'_> {
    /// Plays the commands beside what was answered, and says how the call ends.
    pub(super) fn play(&mut self, commands: &[Command], answers: &[Answer], swallow: bool) -> Outcome {
        let mut answers = answers.iter();
        for command in commands {
            if let Command::Fail(_) = command {
                return Outcome::Error;
            }
            let answer = answers.next().expect("each command was answered, until one ended the call");
            self.charged_max += cost::most(command, &self.turn.work);
            match (answer, self.obey(command)) {
                (Ok(granted), Ok(told)) => assert_eq!(*granted, told, "{command:?}"),
                (Err(Violation::Rule(_)), Err(Misuse)) if swallow => {}
                (Err(Violation::Rule(_)), Err(Misuse)) => return Outcome::Error,
                (Err(Violation::Limit(text)), _) => {
                    assert!(self.charged_max > self.limit, "no limit was passed: {text}: {command:?}");
                    return Outcome::Error;
                }
                (answer, told) => unreachable!("{command:?}: {answer:?} and not {told:?}"),
            }
            assert!(self.written.max(self.emitted) <= self.limit, "a limit was passed: {command:?}");
        }
        Outcome::Ok
    }

    /// Checks what the call leaves beside state, and gives its state.
    pub(super) fn compare(self, effects: &Effects) -> Done {
        let sent: Vec<_> =
            effects.emissions.iter().map(|emission| (emission.port, Sent::of(&emission.records))).collect();
        assert_eq!(sent, self.sent, "what was emitted");
        assert_eq!(effects.timers, self.timers, "what was registered and cancelled");
        let rejections: Vec<_> = effects.rejections.iter().map(|rejection| rejection.rows.clone()).collect();
        assert_eq!(rejections, self.rejections, "which rows were given up on");
        let mut counters: BTreeMap<String, u64> = BTreeMap::new();
        for change in &effects.metrics {
            if let MetricChange::Counter(name, delta) = change {
                let sum = counters.entry(name.clone()).or_default();
                *sum = sum.saturating_add(*delta);
            }
        }
        assert_eq!(counters, self.counters, "what was counted");
        Done(self.state)
    }

    fn obey(&mut self, command: &Command) -> Told {
        match command {
            Command::Watermark => Ok(Granted::Time(self.turn.watermark)),
            Command::ProcessingTime => Ok(Granted::Time(self.turn.processing_time)),
            Command::Emit(port, records) => self.emit(*port, records),
            Command::Forward(port, rows) => self.forward(*port, rows),
            Command::Reject(rows, _) => self.reject(rows),
            Command::HeaderNames => self.header_names(),
            Command::Header(name) => self.header(name),
            Command::Counter(name, delta) => {
                let sum = self.counters.entry(name.clone()).or_default();
                *sum = sum.saturating_add(*delta);
                Ok(Granted::Done)
            }
            Command::Gauge(_) | Command::Log(_) => Ok(Granted::Done),
            Command::OpenState(_) | Command::Fail(_) => Err(Misuse),
            of_keys => self.of_keys(of_keys),
        }
    }
}

/// A condition of the contract.
fn must(holds: bool) -> Result<(), Misuse> {
    if holds { Ok(()) } else { Err(Misuse) }
}

/// The rules for columns, as the contract words them.
fn well_formed(column: &BytesColumn) -> Result<(), Misuse> {
    let offsets = &column.offsets;
    let ends = offsets.first() == Some(&0) && offsets.last().map(|last| *last as usize) == Some(column.data.len());
    must(ends && offsets.is_sorted())
}

fn well_formed_optional(column: &OptionalColumn) -> Result<(), Misuse> {
    well_formed(&column.values)?;
    let values = column.values.offsets.len() - 1;
    must(column.validity.is_empty() || column.validity.len() == values.div_ceil(8))
}
