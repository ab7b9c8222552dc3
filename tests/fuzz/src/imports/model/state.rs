//! Keyed state and timers of a call, as plain maps.

use std::ops::Bound;

use weir_operator::batch::{BytesColumn, OptionalColumn};
use weir_operator::turn::TimerChange;

use super::super::granted::{Bytes, Granted, OfKey, optional, plain};
use super::{Call, Command, Misuse, Told, is_keyed, must, well_formed, well_formed_optional};

/// The most entries of one page.
const PAGE_ENTRIES_MAX: usize = 4_096;

impl Call<'_> {
    /// What is legal only where keyed state is open.
    pub(super) fn of_keys(&mut self, command: &Command) -> Told {
        must(is_keyed(&self.turn.work))?;
        match command {
            Command::GetValue(key) => Ok(Granted::Values(vec![self.of(*key)?.0.clone()])),
            Command::SetValue(key, value) => self.put_values(&[*key], vec![value.clone()]),
            Command::Load => self.values(&self.all_keys()),
            Command::Store(values) => {
                let values = self.optional(values, self.keys.len())?;
                self.put_values(&self.all_keys(), values)
            }
            Command::LoadSome(keys) => self.values(keys),
            Command::StoreSome(keys, values) => {
                let values = self.optional(values, keys.len())?;
                self.put_values(keys, values)
            }
            Command::GetList(key) => Ok(Granted::Lists(vec![self.of(*key)?.1.clone()])),
            Command::Append(key, value) => self.append(&[*key], vec![value.clone()]),
            Command::SetList(key, values) => {
                well_formed(values)?;
                self.of(*key)?.1.clear();
                let values = plain(values);
                self.append(&vec![*key; values.len()], values)
            }
            Command::AppendMany(keys, values) => {
                let values = self.plain(values, keys.len())?;
                self.append(keys, values)
            }
            Command::GetLists(keys) => {
                self.check_keys(keys)?;
                Ok(Granted::Lists(keys.iter().map(|key| self.known(*key).1.clone()).collect()))
            }
            Command::Timer(change) => {
                self.check_keys(&[change.key])?;
                self.timers.push(change.clone());
                Ok(Granted::Done)
            }
            Command::Timers { register, domain, keys, at, tag } => {
                must(keys.len() == at.len())?;
                self.check_keys(keys)?;
                let (register, domain, tag) = (*register, *domain, *tag);
                let changes = keys.iter().zip(at);
                self.timers.extend(changes.map(|(&key, &at)| TimerChange { register, domain, key, at, tag }));
                Ok(Granted::Done)
            }
            of_map => self.of_map(of_map),
        }
    }

    fn of_map(&mut self, command: &Command) -> Told {
        match command {
            Command::GetEntry(key, entry) => Ok(Granted::Values(vec![self.of(*key)?.2.get(entry).cloned()])),
            Command::PutEntry(key, entry, value) => self.put_entries(&[*key], vec![entry.clone()], vec![value.clone()]),
            Command::ClearMap(key) => {
                self.of(*key)?.2.clear();
                Ok(Granted::Done)
            }
            Command::IsMapEmpty(key) => Ok(Granted::Flag(self.of(*key)?.2.is_empty())),
            Command::Scan { key, start, end, limit } => {
                let (start, end) = (start.as_deref(), end.as_deref());
                let map = &self.of(*key)?.2;
                let within = |entry: &&Bytes| {
                    start.is_none_or(|start| entry.as_slice() >= start) && end.is_none_or(|end| entry.as_slice() < end)
                };
                let entries: Vec<_> = map.range::<[u8], _>((Bound::Unbounded, Bound::Unbounded)).collect();
                let found: Vec<_> = entries.into_iter().filter(|(entry, _)| within(entry)).collect();
                let limit = (*limit).min(PAGE_ENTRIES_MAX);
                let page = found.iter().take(limit).map(|(entry, value)| (Bytes::clone(entry), Bytes::clone(value)));
                Ok(Granted::Page(page.collect(), found.len() > limit))
            }
            Command::GetEntries(keys, entries) => {
                let entries = self.plain(entries, keys.len())?;
                self.check_keys(keys)?;
                let found = keys.iter().zip(&entries).map(|(key, entry)| self.known(*key).2.get(entry).cloned());
                Ok(Granted::Values(found.collect()))
            }
            Command::PutEntries(keys, entries, values) => {
                let entries = self.plain(entries, keys.len())?;
                let values = self.optional(values, keys.len())?;
                self.put_entries(keys, entries, values)
            }
            other => unreachable!("{other:?} is nothing of keys"),
        }
    }

    fn all_keys(&self) -> Vec<u32> {
        (0..).take(self.keys.len()).collect()
    }

    fn check_keys(&self, keys: &[u32]) -> Result<(), Misuse> {
        must(keys.iter().all(|key| (*key as usize) < self.keys.len()))
    }

    /// Everything of a key.
    fn of(&mut self, key: u32) -> Result<&mut OfKey, Misuse> {
        let key = self.keys.get(key as usize).ok_or(Misuse)?;
        Ok(self.state.entry(key.clone()).or_default())
    }

    /// The same for a key that was checked.
    fn known(&mut self, key: u32) -> &mut OfKey {
        self.of(key).expect("it was checked")
    }

    fn plain(&self, column: &BytesColumn, count: usize) -> Result<Vec<Bytes>, Misuse> {
        well_formed(column)?;
        must(column.len() == count)?;
        Ok(plain(column))
    }

    fn optional(&self, column: &OptionalColumn, count: usize) -> Result<Vec<Option<Bytes>>, Misuse> {
        well_formed_optional(column)?;
        must(column.len() == count)?;
        Ok(optional(column))
    }

    fn values(&mut self, keys: &[u32]) -> Told {
        self.check_keys(keys)?;
        Ok(Granted::Values(keys.iter().map(|key| self.known(*key).0.clone()).collect()))
    }

    fn put_values(&mut self, keys: &[u32], values: Vec<Option<Bytes>>) -> Told {
        self.check_keys(keys)?;
        for (key, value) in keys.iter().zip(values) {
            self.written += value.as_ref().map_or(0, Vec::len) as u64;
            self.known(*key).0 = value;
        }
        Ok(Granted::Done)
    }

    fn append(&mut self, keys: &[u32], values: Vec<Bytes>) -> Told {
        self.check_keys(keys)?;
        for (key, value) in keys.iter().zip(values) {
            self.written += value.len() as u64;
            self.known(*key).1.push(value);
        }
        Ok(Granted::Done)
    }

    fn put_entries(&mut self, keys: &[u32], entries: Vec<Bytes>, values: Vec<Option<Bytes>>) -> Told {
        self.check_keys(keys)?;
        for ((key, entry), value) in keys.iter().zip(entries).zip(values) {
            self.written += (entry.len() + value.as_ref().map_or(0, Vec::len)) as u64;
            match value {
                Some(value) => self.known(*key).2.insert(entry, value),
                None => self.known(*key).2.remove(&entry),
            };
        }
        Ok(Granted::Done)
    }
}
