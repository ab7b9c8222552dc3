//! What an operator emitted, as a batch: `origin` of the contract (`wit/runtime.wit`) put into effect.
//!
//! Receives a call's work and its emissions, whose indices are checked already; gives records with the keys, event
//! times and headers that the contract promises.

use weir_operator::batch::{Batch, HeaderColumn, Keys, NO_KEY, Rows};
use weir_operator::turn::{Emitted, FiredTimers, Origin, TimeDomain, Work};
use weir_protocol::time::{NO_TIME, Timestamp};

use super::builder::{BatchBuilder, KeyMap};
use super::dictionary::Dictionary;

/// The rows of one call's work, whether records or timers.
pub(super) struct Resolver<'a> {
    batch: Option<&'a Batch>,
    keys: Option<&'a Keys>,
    /// Empty where no row has an event time.
    timestamps: &'a [Timestamp],
    headers: &'a [HeaderColumn],
    /// The latest event time of each key's rows; empty until it is asked for.
    latest_of_key: Vec<Timestamp>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(work: &'a Work) -> Self {
        let (batch, keys, timestamps, headers): (_, _, &[Timestamp], &[HeaderColumn]) = match work {
            Work::Batch { batch, .. } => (Some(batch), batch.keys.as_ref(), &batch.timestamps, &batch.headers),
            Work::Timers(FiredTimers { domain: TimeDomain::EventTime, keys, at, .. }) => (None, Some(keys), at, &[]),
            Work::Timers(FiredTimers { keys, .. }) => (None, Some(keys), &[], &[]),
            Work::Finish => (None, None, &[], &[]),
        };
        Self { batch, keys, timestamps, headers, latest_of_key: Vec::new() }
    }

    /// The records of one emission.
    pub(super) fn resolve(&mut self, emitted: Emitted) -> Batch {
        match emitted {
            Emitted::Forwarded(rows) => self.forwarded(&rows),
            Emitted::New { origin, values, timestamps, headers } => {
                let rows = values.len();
                let own = (!timestamps.is_empty()).then_some(timestamps);
                let (keys, timestamps, inherited) = self.origin(origin, rows, own);
                let rows = u32::try_from(rows).expect("what a call may emit is bounded far below 2^32 records");
                Batch { rows, keys, values, timestamps, headers: headers.unwrap_or(inherited) }
            }
        }
    }

    fn forwarded(&self, rows: &[u32]) -> Batch {
        let batch = self.batch.expect("rows are forwarded only where a batch is processed");
        if rows.len() == batch.rows as usize && (0..).zip(rows).all(|(index, &row)| index == row) {
            return batch.clone();
        }
        let mut map = KeyMap::default();
        map.reset(self.keys.map_or(0, Keys::count));
        let mut builder = BatchBuilder::default();
        builder.append(batch, self.keys, &Rows::These(rows), &mut map);
        builder.take()
    }

    /// Keys, event times (`own` ones where given) and headers of `count` records.
    fn origin(
        &mut self,
        origin: Origin,
        count: usize,
        own: Option<Vec<Timestamp>>,
    ) -> (Option<Keys>, Vec<Timestamp>, Vec<HeaderColumn>) {
        match origin {
            Origin::EachRow => {
                let times = own.unwrap_or_else(|| self.timestamps.to_vec());
                (self.keys.cloned(), times, self.headers.to_vec())
            }
            Origin::Rows(rows) => {
                let keys = self.keys.map(|keys| gather(keys, rows.iter().map(|&row| keys.key_of[row as usize])));
                let rows = Rows::These(&rows);
                (keys, own.unwrap_or_else(|| self.times_of(&rows)), self.headers_of(&rows))
            }
            Origin::Keys(indices) => {
                let keys = self.keys.expect("keys are emitted only where the work has keys");
                let times = own.unwrap_or_else(|| self.latest_times(&indices));
                (Some(gather(keys, indices.into_iter())), times, Vec::new())
            }
            Origin::OwnKeys(keys) => (Some(distinct(keys)), own.unwrap_or_else(|| self.latest_time(count)), Vec::new()),
            Origin::Unkeyed => (None, own.unwrap_or_else(|| self.latest_time(count)), Vec::new()),
        }
    }

    fn times_of(&self, rows: &Rows<'_>) -> Vec<Timestamp> {
        let mut times = Vec::new();
        if !self.timestamps.is_empty() {
            rows.copy(self.timestamps, &mut times);
        }
        times
    }

    fn headers_of(&self, rows: &Rows<'_>) -> Vec<HeaderColumn> {
        let gathered = self.headers.iter().map(|header| {
            let mut column = HeaderColumn { name: header.name.clone(), ..HeaderColumn::default() };
            column.values.extend_rows(&header.values, rows);
            column
        });
        gathered.collect()
    }

    fn latest_times(&mut self, keys: &[u32]) -> Vec<Timestamp> {
        if self.timestamps.is_empty() {
            return Vec::new();
        }
        if self.latest_of_key.is_empty() {
            let work = self.keys.expect("keys are emitted only where the work has keys");
            self.latest_of_key.resize(work.count(), NO_TIME);
            for (&key, &time) in work.key_of.iter().zip(self.timestamps) {
                if key != NO_KEY {
                    let latest = &mut self.latest_of_key[key as usize];
                    *latest = time.max(*latest);
                }
            }
        }
        keys.iter().map(|&key| self.latest_of_key[key as usize]).collect()
    }

    fn latest_time(&self, count: usize) -> Vec<Timestamp> {
        match self.timestamps.iter().max() {
            Some(&latest) if latest != NO_TIME => vec![latest; count],
            _ => Vec::new(),
        }
    }
}

/// Some keys, in the order given, as a dictionary that holds no other.
fn gather(keys: &Keys, indices: impl ExactSizeIterator<Item = u32> + Clone) -> Keys {
    if indices.len() == keys.count() && (0..).zip(indices.clone()).all(|(at, index): (u32, u32)| at == index) {
        let key_of = indices.collect();
        return Keys { distinct: keys.distinct.clone(), hashes: keys.hashes.clone(), key_of };
    }
    let mut gathered = Dictionary::default();
    let mut at = vec![NO_KEY; keys.count()];
    gathered.keys.key_of.reserve(indices.len());
    for index in indices {
        if index != NO_KEY && at[index as usize] == NO_KEY {
            at[index as usize] = gathered.push(keys.distinct.get(index as usize), keys.hashes[index as usize]);
        }
        gathered.keys.key_of.push(if index == NO_KEY { NO_KEY } else { at[index as usize] });
    }
    gathered.take()
}

/// A guest's own dictionary, in which a key may stand twice and one may belong to no record, as one of ours.
fn distinct(keys: Keys) -> Keys {
    let mut dictionary = Dictionary::default();
    for &key in &keys.key_of {
        let index = dictionary.intern(keys.distinct.get(key as usize), keys.hashes[key as usize]);
        dictionary.keys.key_of.push(index);
    }
    dictionary.take()
}

#[cfg(test)]
mod tests;
