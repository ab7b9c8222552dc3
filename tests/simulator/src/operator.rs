//! A subtask of the operator: keyed state, timers, and what it emits.
//!
//! It joins two sides and the ingest log by key: counts and hashes what it sees, ends sessions, fires a timer at the end
//! of each window, and says in the end how much came. Barriers are aligned by [`Alignment`] or overtake by
//! [`Unaligned`]; watermarks are merged by [`WatermarkMerge`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use weir_protocol::alignment::{Aligning, Alignment, Barrier};
use weir_protocol::id::CheckpointId;
use weir_protocol::key_group::KeyGroupRange;
use weir_protocol::time::{END_OF_TIME, Timestamp};
use weir_protocol::unaligned::Unaligned;
use weir_protocol::watermark::{Merged, WatermarkMerge};

use crate::data::{
    Channel, Element, INGEST, KEYS, Outcome, Record, SIDES, Segment, Slot, StateKey, Value, ends_session, owns, window,
    window_end,
};
use crate::rules::{Mutant, Rules};

/// What is kept.
pub(crate) type States = BTreeMap<StateKey, Value>;

#[derive(Debug)]
pub(crate) struct Operator {
    rules: Rules,
    range: KeyGroupRange,
    states: States,
    touched: BTreeSet<StateKey>,
    timers: BTreeSet<(Timestamp, StateKey)>,
    merge: WatermarkMerge,
    gate: Gate,
    /// Committed, and not sent.
    pub(crate) unsent: VecDeque<Element>,
    /// An unaligned checkpoint whose channel state is not whole.
    capture: Option<Capture>,
    /// What a closed segment and the end are handed over as.
    pub(crate) sealed: Vec<Sealed>,
    pub(crate) processed: u64,
    /// Records that came though time was over.
    pub(crate) after_time: u64,
}

#[derive(Debug)]
pub(crate) enum Gate {
    Aligned(Alignment),
    Unaligned(Unaligned),
}

#[derive(Debug)]
struct Capture {
    checkpoint: CheckpointId,
    sealed: Sealed,
    channel: Channel,
}

/// What was closed at a barrier, or at the end (`checkpoint`: none).
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) checkpoint: Option<CheckpointId>,
    pub(crate) segment: Option<Segment>,
    pub(crate) watermark: Timestamp,
    /// The whole state, for local disk.
    pub(crate) states: Rc<States>,
}

impl Operator {
    pub(crate) fn new(rules: Rules, range: KeyGroupRange, gate: Gate, merge: WatermarkMerge, states: States) -> Self {
        let timer = |key: &StateKey| match key.slot {
            Slot::Timer(window) => Some((window_end(window), *key)),
            Slot::Side(_) | Slot::Session(_) | Slot::Fired(_) => None,
        };
        let timers = states.keys().filter_map(timer).collect();
        Self {
            rules,
            range,
            states,
            touched: BTreeSet::new(),
            timers,
            merge,
            gate,
            unsent: VecDeque::new(),
            capture: None,
            sealed: Vec::new(),
            processed: 0,
            after_time: 0,
        }
    }

    /// Before anything arrives: a timer that is due by now should have fired in another life.
    pub(crate) fn timer_due(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at).filter(|at| *at <= self.merge.current())
    }

    /// Takes up what was on its way when the checkpoint was taken that it is restored from.
    pub(crate) fn resume(&mut self, channel: &Channel, range: KeyGroupRange) {
        let splits = !self.rules.lacks(Mutant::RowsNotSplit);
        let outputs = channel.outputs.iter().filter(|outcome| owns(range, outcome.key()) || !splits);
        self.unsent.extend(outputs.map(|outcome| Element::Outcome(*outcome)));
        for record in channel.inputs.iter().filter(|record| owns(range, record.key) || !splits) {
            self.process(*record);
            self.fire();
        }
    }

    pub(crate) fn is_blocked(&self, input: usize) -> bool {
        match &self.gate {
            Gate::Aligned(alignment) => alignment.is_blocked(input),
            Gate::Unaligned(_) => false,
        }
    }

    pub(crate) fn on_record(&mut self, input: usize, record: Record) {
        self.merge.on_active(input);
        if let Gate::Unaligned(unaligned) = &self.gate
            && let Some(checkpoint) = unaligned.captures(input)
            && let Some(capture) = self.capture.as_mut().filter(|capture| capture.checkpoint == checkpoint)
            && !self.rules.lacks(Mutant::ForgetArriving)
        {
            capture.channel.inputs.push(record);
        }
        self.process(record);
        self.fire();
    }

    pub(crate) fn on_watermark(&mut self, input: usize, watermark: Timestamp) {
        let merged = self.merge.on_watermark(input, watermark);
        self.on_merged(merged);
    }

    pub(crate) fn on_idle(&mut self, input: usize) {
        let merged = self.merge.on_idle(input);
        self.on_merged(merged);
    }

    /// The barrier to send on before anything else, if there is one.
    pub(crate) fn on_barrier(&mut self, input: usize, barrier: Barrier) -> Option<Barrier> {
        match &mut self.gate {
            Gate::Aligned(alignment) => match alignment.on_barrier(input, barrier) {
                Aligning::Aligned { barrier, .. } => Some(self.close(barrier)),
                Aligning::Blocked { .. } | Aligning::Stale => None,
            },
            Gate::Unaligned(unaligned) => {
                let reaction = unaligned.on_barrier(input, barrier)?;
                if reaction.gave_up.is_some() {
                    self.give_up_capture();
                }
                if reaction.first {
                    self.begin_capture(barrier.checkpoint);
                }
                if reaction.last {
                    self.end_capture(barrier.checkpoint);
                }
                reaction.first.then_some(barrier)
            }
        }
    }

    /// The barrier that this completes, if any.
    pub(crate) fn on_end(&mut self, input: usize) -> Option<Barrier> {
        match &mut self.gate {
            Gate::Aligned(alignment) => alignment.on_end(input).map(|barrier| self.close(barrier)),
            Gate::Unaligned(unaligned) => {
                if let Some(checkpoint) = unaligned.on_end(input) {
                    self.end_capture(checkpoint);
                }
                None
            }
        }
    }

    /// The barrier that the coordinator has triggered, where no input can bring it any more.
    pub(crate) fn on_trigger(&mut self, barrier: Barrier) -> Option<Barrier> {
        match &mut self.gate {
            Gate::Aligned(alignment) => alignment.on_trigger(barrier).then(|| self.close(barrier)),
            Gate::Unaligned(_) => None,
        }
    }

    /// After the barrier that the end may have completed.
    pub(crate) fn merge_end(&mut self, input: usize) {
        let merged = self.merge.on_end(input);
        self.on_merged(merged);
    }

    /// Everything has come. What was captured and is not whole will never be.
    pub(crate) fn finish(&mut self) {
        self.give_up_capture();
        for key in (0..KEYS).filter(|key| owns(self.range, *key) || self.rules.lacks(Mutant::NoClipping)) {
            let count = |side: u8| self.states.get(&StateKey { key, slot: Slot::Side(side) }).map_or(0, |v| v.count);
            let counts = [count(0), count(1), count(INGEST)];
            if counts.iter().any(|count| *count > 0) {
                self.unsent.push_back(Element::Outcome(Outcome::Final { key, counts }));
            }
        }
        let sealed = self.freeze(None);
        self.sealed.push(sealed);
    }

    fn close(&mut self, barrier: Barrier) -> Barrier {
        let sealed = self.freeze(Some(barrier.checkpoint));
        self.sealed.push(sealed);
        barrier
    }

    fn begin_capture(&mut self, checkpoint: CheckpointId) {
        let outcome = |element: &Element| match element {
            Element::Outcome(outcome) => Some(*outcome),
            Element::Record(_) | Element::Watermark(_) | Element::Idle | Element::Barrier(_) | Element::End => None,
        };
        let mut outputs: Vec<_> = self.unsent.iter().filter_map(outcome).collect();
        if self.rules.lacks(Mutant::ForgetUnsent) {
            outputs.clear();
        }
        let sealed = self.freeze(Some(checkpoint));
        self.capture =
            Some(Capture { checkpoint, sealed, channel: Channel { checkpoint, inputs: Vec::new(), outputs } });
    }

    fn end_capture(&mut self, checkpoint: CheckpointId) {
        let Some(capture) = self.capture.take_if(|capture| capture.checkpoint == checkpoint) else { return };
        let Capture { mut sealed, channel, .. } = capture;
        if !channel.inputs.is_empty() || !channel.outputs.is_empty() {
            sealed.segment.get_or_insert_default().channel = Some(Rc::new(channel));
        }
        self.sealed.push(sealed);
    }

    /// The segment stays part of the state; the channel state goes.
    fn give_up_capture(&mut self) {
        if let Some(capture) = self.capture.take() {
            self.sealed.push(capture.sealed);
        }
    }

    fn freeze(&mut self, checkpoint: Option<CheckpointId>) -> Sealed {
        let touched = std::mem::take(&mut self.touched);
        let mut changes: Vec<_> = touched.into_iter().map(|key| (key, self.states.get(&key).copied())).collect();
        if self.rules.lacks(Mutant::DropTombstones) {
            changes.retain(|(_, value)| value.is_some());
        }
        let segment = (!changes.is_empty()).then_some(Segment { changes, channel: None });
        Sealed { checkpoint, segment, watermark: self.merge.current(), states: Rc::new(self.states.clone()) }
    }

    fn on_merged(&mut self, merged: Merged) {
        match merged {
            Merged::Unchanged => {}
            Merged::Advanced(watermark) if self.rules.lacks(Mutant::WatermarkBeforeTimers) => {
                self.unsent.push_back(Element::Watermark(watermark));
                self.fire();
            }
            Merged::Advanced(watermark) => {
                self.fire();
                if watermark != END_OF_TIME {
                    self.unsent.push_back(Element::Watermark(watermark));
                }
            }
            Merged::Idle => self.unsent.push_back(Element::Idle),
        }
    }

    fn process(&mut self, record: Record) {
        self.processed += 1;
        self.after_time += u64::from(self.merge.current() == END_OF_TIME);
        let Record { key, side, .. } = record;
        let value =
            self.states.get(&StateKey { key, slot: Slot::Side(side) }).copied().unwrap_or_default().with(record);
        self.set(StateKey { key, slot: Slot::Side(side) }, Some(value));
        let session = StateKey { key, slot: Slot::Session(side) };
        let records = self.states.get(&session).map_or(0, |session| session.count) + 1;
        let kept = (!ends_session(value.count)).then_some(Value { count: records, hash: 0 });
        self.set(session, kept);
        let missed = side < SIDES - 1 && !self.await_window(key, window(record.time));
        self.unsent.push_back(Element::Outcome(Outcome::Seen { record, value, session: records, missed }));
    }

    /// Counts the record in its window, unless that has fired; the hash of a timer says whether its time was over when it
    /// was set.
    fn await_window(&mut self, key: u8, window: u16) -> bool {
        if self.states.contains_key(&StateKey { key, slot: Slot::Fired(window) }) {
            return false;
        }
        let late = u64::from(window_end(window) <= self.merge.current());
        let timer = StateKey { key, slot: Slot::Timer(window) };
        let awaited = self.states.get(&timer).copied().unwrap_or(Value { count: 0, hash: late });
        self.set(timer, Some(Value { count: awaited.count + 1, ..awaited }));
        self.timers.insert((window_end(window), timer));
        true
    }

    fn fire(&mut self) {
        while let Some((_, timer)) = self.timers.first().copied().filter(|(at, _)| *at <= self.merge.current()) {
            self.timers.pop_first();
            let Slot::Timer(window) = timer.slot else { unreachable!("only timers are awaited") };
            let Some(awaited) = self.states.get(&timer).copied() else { continue };
            self.set(timer, None);
            self.set(StateKey { slot: Slot::Fired(window), ..timer }, Some(Value::default()));
            let fired = Outcome::Fired { key: timer.key, window, records: awaited.count, late: awaited.hash == 1 };
            self.unsent.push_back(Element::Outcome(fired));
        }
    }

    fn set(&mut self, key: StateKey, value: Option<Value>) {
        match value {
            Some(value) => self.states.insert(key, value),
            None => self.states.remove(&key),
        };
        self.touched.insert(key);
    }
}
