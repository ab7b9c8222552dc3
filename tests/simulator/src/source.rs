//! A subtask of a source: its splits, in the order of their records' times.

use std::collections::BTreeMap;

use weir_protocol::manifest::Positions;
use weir_protocol::time::{END_OF_TIME, Timestamp};

use crate::data::{Element, INGEST, KEYS, Record, SPLITS};
use crate::plan::Plan;

/// How long nothing must come before a source says that it is idle.
const IDLE_AFTER: u64 = 10;
/// Slots of the ingest log that are read at once.
const SLOTS_MAX: usize = 6;

#[derive(Debug)]
pub(crate) struct Source {
    side: u8,
    /// Where each of its splits goes on.
    splits: BTreeMap<u8, u32>,
    sent: Timestamp,
    last_at: u64,
    pub(crate) is_idle: bool,
    pub(crate) is_paused: bool,
    /// It has sent its end.
    pub(crate) has_ended: bool,
}

/// What a step of a source came to.
pub(crate) enum Polled {
    Some,
    Nothing,
    Idle,
    End,
}

impl Source {
    /// A split without a position begins with what comes next.
    pub(crate) fn new(side: u8, index: u32, parallelism: u32, positions: &Positions, plan: &Plan, now: u64) -> Self {
        let splits = if side == INGEST { 1 } else { SPLITS };
        let own = (0..splits).filter(|split| u32::from(*split) % parallelism == index);
        let position = |split: u8| {
            let known = positions.get(&split.to_string()).and_then(serde_json::Value::as_u64);
            known.map_or_else(|| latest(plan, side, split, now), |known| u32::try_from(known).expect("it was one"))
        };
        let splits = own.map(|split| (split, position(split))).collect();
        let (sent, is_idle) = (Timestamp::MIN, false);
        Self { side, splits, sent, last_at: now, is_idle, is_paused: false, has_ended: false }
    }

    pub(crate) const fn is_ingest(&self) -> bool {
        self.side == INGEST
    }

    pub(crate) fn positions(&self) -> Positions {
        self.splits.iter().map(|(split, position)| (split.to_string(), (*position).into())).collect()
    }

    /// Its positions, for people: `0:7 1:4`.
    pub(crate) fn shown(&self) -> String {
        let shown: Vec<String> = self.splits.iter().map(|(split, position)| format!("{split}:{position}")).collect();
        shown.join(" ")
    }

    /// Reads up to `most` records, and the watermark behind them.
    pub(crate) fn poll(&mut self, plan: &Plan, now: u64, most: u64, out: &mut Vec<Element>) -> Polled {
        let mut read = 0;
        while read < most {
            let Some((split, position, time)) = self.next(plan) else {
                return self.end(out);
            };
            let index = usize::try_from(position).expect("it is small");
            if plan.available[stream(self.side, split)][index] > now {
                break;
            }
            out.push(Element::Record(plan.streams[stream(self.side, split)][index]));
            self.splits.insert(split, position + 1);
            debug_assert!(time > self.sent || plan.idle, "no record is late");
            read += 1;
        }
        if read > 0 {
            self.is_idle = false;
            self.last_at = now;
            let watermark = self.next(plan).map(|(_, _, time)| time - 1);
            if let Some(watermark) = watermark.filter(|watermark| *watermark > self.sent) {
                self.sent = watermark;
                out.push(Element::Watermark(watermark));
            }
            return Polled::Some;
        }
        if plan.idle && !self.is_idle && now >= self.last_at + IDLE_AFTER {
            self.is_idle = true;
            out.push(Element::Idle);
            return Polled::Idle;
        }
        Polled::Nothing
    }

    /// Takes in what the ingest log holds behind the position.
    pub(crate) fn take_slots(&mut self, slots: &[(u64, Option<u32>)], out: &mut Vec<Element>) -> Polled {
        let mut polled = Polled::Nothing;
        for (slot, request) in slots.iter().take(SLOTS_MAX) {
            let position = self.splits.get_mut(&0).expect("the log is one split");
            if u64::from(*position) != *slot {
                break;
            }
            let Some(request) = request else { return self.end(out) };
            out.push(Element::Record(slot_record(*position, *request)));
            *position += 1;
            polled = Polled::Some;
        }
        if matches!(polled, Polled::Some) || !self.is_idle {
            self.is_idle = true;
            out.push(Element::Idle);
        }
        polled
    }

    /// Where it goes on in the ingest log.
    pub(crate) fn slot(&self) -> u64 {
        u64::from(self.splits.get(&0).copied().unwrap_or_default())
    }

    fn end(&mut self, out: &mut Vec<Element>) -> Polled {
        self.has_ended = true;
        out.extend([Element::Watermark(END_OF_TIME), Element::End]);
        Polled::End
    }

    /// The split whose next record is the earliest.
    fn next(&self, plan: &Plan) -> Option<(u8, u32, Timestamp)> {
        let next = |(split, position): (&u8, &u32)| {
            let index = usize::try_from(*position).expect("it is small");
            let record = plan.streams[stream(self.side, *split)].get(index)?;
            Some((*split, *position, record.time))
        };
        self.splits.iter().filter_map(next).min_by_key(|(_, _, time)| *time)
    }
}

pub(crate) fn stream(side: u8, split: u8) -> usize {
    usize::from(side * SPLITS + split)
}

/// Where a split starts that starts with what comes next.
pub(crate) fn latest(plan: &Plan, side: u8, split: u8, now: u64) -> u32 {
    if side == INGEST {
        return 0;
    }
    let there = plan.available[stream(side, split)].iter().filter(|at| **at <= now).count();
    u32::try_from(there).expect("it is small")
}

/// What a slot of the ingest log is as a record.
pub(crate) fn slot_record(slot: u32, request: u32) -> Record {
    let key = u8::try_from(request % u32::from(KEYS)).expect("it is small");
    Record { side: INGEST, split: 0, position: slot, key, request, time: 0 }
}
