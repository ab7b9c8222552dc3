//! Numbered records made up on the spot.
//!
//! Record `i` is the same whoever makes it, and when: its key, its value and its event time follow from `i`. The
//! numbers are dealt out to as many splits as the source's parallelism was at the start; split `s` of `n` holds
//! `s, s + n, s + 2n, …`. A restored source of another parallelism deals out those splits.

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_protocol::Fault;
use weir_protocol::job_spec::GeneratorSpec;
use weir_protocol::time::Timestamp;

use super::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, Polled, Positions, Source, SourceError};
use crate::clock::Clock;

mod pace;
mod records;

use pace::{Allowance, Pace};
use records::Records;

/// The least size of a value: room for the longest key and number.
const VALUE_BYTES_MIN: u32 = 64;

/// The greatest size of a value.
const VALUE_BYTES_MAX: u32 = 1 << 20;

/// One subtask of a generator.
#[derive(Debug)]
pub(super) struct Generator {
    records: Records,
    /// No record has this number or a greater one.
    end: u64,
    rows_max: u32,
    splits: Vec<Split>,
    pace: Option<Pace>,
    clock: Clock,
}

#[derive(Debug)]
struct Split {
    name: String,
    position: Position,
}

/// How far a split is, as it stands in manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    /// The number of its next record.
    next: u64,
    /// From one of its records to the next.
    step: u64,
}

/// One split for each subtask, each at its first record.
pub(super) fn start(spec: &GeneratorSpec, parallelism: u32) -> Result<Positions, SourceError> {
    let refused = |message: String| Err(SourceError { fault: Fault::Request, message });
    if spec.keys == 0 {
        return refused("keys must be at least 1".to_owned());
    }
    if spec.rate == Some(0) {
        return refused("rate must be at least 1; leave it out for as fast as possible".to_owned());
    }
    if !(VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&spec.value_bytes) {
        let given = spec.value_bytes;
        return refused(format!("value-bytes must be between {VALUE_BYTES_MIN} and {VALUE_BYTES_MAX}, not {given}"));
    }
    let position = |split: u32| Position { next: split.into(), step: parallelism.into() };
    Ok((0..parallelism).map(|split| (split_name(split), to_json(position(split)))).collect())
}

impl Generator {
    pub(super) fn open(
        spec: &GeneratorSpec,
        subtask: u32,
        parallelism: u32,
        positions: &Positions,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        let mine = positions.iter().skip(subtask as usize).step_by(parallelism as usize);
        let splits: Vec<Split> = mine.map(|(name, position)| split(name, position)).collect::<Result<_, _>>()?;
        let active = u32::try_from(positions.len()).unwrap_or(u32::MAX).min(parallelism);
        Ok(Self {
            records: Records::new(spec),
            // Event times are numbers, and end with them.
            end: spec.count.unwrap_or(u64::MAX).min(Timestamp::MAX.unsigned_abs()),
            rows_max: (BATCH_BYTES_MAX / spec.value_bytes).clamp(1, BATCH_ROWS_MAX),
            splits,
            pace: spec.rate.map(|rate| Pace::new(clock.elapsed(), rate, active)),
            clock,
        })
    }

    /// The split that is furthest behind, and not at its end.
    fn behind(&self) -> Option<usize> {
        let unfinished = self.splits.iter().enumerate().filter(|(_, split)| split.position.next < self.end);
        unfinished.min_by_key(|(_, split)| split.position.next).map(|(index, _)| index)
    }

    /// How many records may be made; waits until there is one.
    async fn allowed(&self) -> u64 {
        let Some(pace) = &self.pace else { return u64::MAX };
        loop {
            match pace.allowance(self.clock.elapsed()) {
                Allowance::Due(due) => return due,
                Allowance::Wait(wait) => self.clock.sleep(wait).await,
            }
        }
    }

    async fn poll(&mut self) -> Polled {
        let Some(index) = self.behind() else { return Polled::End };
        let allowed = self.allowed().await;
        // Nothing awaits from here on, so a record is either given and counted, or neither.
        let Position { next, step } = self.splits[index].position;
        let left = (self.end - next).div_ceil(step);
        let rows = u32::try_from(left.min(allowed)).unwrap_or(u32::MAX).min(self.rows_max);
        self.splits[index].position.next = next.saturating_add(u64::from(rows) * step);
        if let Some(pace) = &mut self.pace {
            pace.made(rows.into(), self.clock.elapsed());
        }
        let batch = self.records.make(next, step, rows);
        Polled::Batch { batch, rejects: Vec::new() }
    }
}

impl Source for Generator {
    fn next(&mut self) -> BoxFuture<'_, Result<Polled, SourceError>> {
        self.poll().map(Ok).boxed()
    }

    fn positions(&self) -> Positions {
        self.splits.iter().map(|split| (split.name.clone(), to_json(split.position))).collect()
    }

    fn watermark(&self) -> Option<Timestamp> {
        let next = self.splits.iter().map(|split| split.position.next).min()?;
        Timestamp::try_from(next).ok().map(|next| next - 1)
    }
}

/// Padded, so that splits are dealt out in the order of their numbers.
fn split_name(split: u32) -> String {
    format!("{split:05}")
}

fn split(name: &str, position: &Value) -> Result<Split, SourceError> {
    let parsed = Position::deserialize(position).ok().filter(|position| position.step > 0);
    let wrong = || SourceError {
        fault: Fault::Corrupt,
        message: format!("split `{name}` of a generator has the position {position}, which is none of a generator's"),
    };
    Ok(Split { name: name.to_owned(), position: parsed.ok_or_else(wrong)? })
}

fn to_json(position: Position) -> Value {
    serde_json::to_value(position).expect("two numbers are JSON")
}

#[cfg(test)]
mod tests;
