//! What a call emits, forwards and gives up on, and what it sees of its batch.

use weir_operator::abilities::NewRecords;
use weir_operator::batch::{Batch, Keys};
use weir_operator::turn::{Emitted, Origin, Work};
use weir_protocol::key_group::key_hash;

use super::super::granted::{Bytes, Granted, optional, plain};
use super::{Call, Misuse, Told, is_keyed, must, well_formed, well_formed_optional};

/// Ports that `describe` declares.
const PORTS: u32 = 2;

/// What left in one step.
#[derive(Debug, PartialEq)]
pub(super) enum Sent {
    /// Values, and each record's own key.
    New(Vec<Option<Bytes>>, Option<Vec<Bytes>>),
    Forwarded(Vec<u32>),
}

impl Sent {
    pub(super) fn of(emitted: &Emitted) -> Self {
        let (origin, values) = match emitted {
            Emitted::New { origin, values, .. } => (origin, values),
            Emitted::Forwarded(rows) => return Self::Forwarded(rows.clone()),
        };
        if let Origin::OwnKeys(keys) = origin {
            let distinct = plain(&keys.distinct);
            let hashes: Vec<u64> = distinct.iter().map(|key| key_hash(key)).collect();
            assert_eq!(keys.hashes, hashes, "each key has its hash");
            assert!((1..distinct.len()).all(|at| !distinct[..at].contains(&distinct[at])), "each key stands once");
        }
        Self::New(optional(values), own_keys(origin))
    }
}

fn own_keys(origin: &Origin) -> Option<Vec<Bytes>> {
    let Origin::OwnKeys(Keys { distinct, key_of, .. }) = origin else { return None };
    Some(key_of.iter().map(|key| distinct.get(*key as usize).to_vec()).collect())
}

impl Call<'_> {
    fn batch(&self) -> Result<&Batch, Misuse> {
        match &self.turn.work {
            Work::Batch { batch, .. } => Ok(batch),
            Work::Timers(_) | Work::Finish => Err(Misuse),
        }
    }

    fn check_rows(&self, rows: &[u32]) -> Result<(), Misuse> {
        must(rows.iter().all(|row| *row < self.turn.work.rows()))
    }

    pub(super) fn emit(&mut self, port: u32, records: &NewRecords) -> Told {
        must(port < PORTS)?;
        well_formed_optional(&records.values)?;
        let count = records.values.len();
        must(records.timestamps.is_empty() || records.timestamps.len() == count)?;
        for header in records.headers.iter().flatten() {
            well_formed_optional(&header.values)?;
            must(header.values.len() == count)?;
        }
        self.check_origin(&records.origin, count)?;
        self.emitted += records.values.values.data.len() as u64;
        if count > 0 {
            self.sent.push((port, Sent::New(optional(&records.values), own_keys(&records.origin))));
        }
        Ok(Granted::Done)
    }

    fn check_origin(&self, origin: &Origin, count: usize) -> Result<(), Misuse> {
        let finishing = matches!(self.turn.work, Work::Finish);
        match origin {
            Origin::EachRow => must(!finishing && count == self.turn.work.rows() as usize),
            Origin::Rows(rows) => {
                must(!finishing && rows.len() == count)?;
                self.check_rows(rows)
            }
            Origin::Keys(keys) => {
                let within = keys.iter().all(|key| (*key as usize) < self.keys.len());
                must(is_keyed(&self.turn.work) && keys.len() == count && within)
            }
            Origin::OwnKeys(keys) => {
                well_formed(&keys.distinct)?;
                let within = keys.key_of.iter().all(|key| (*key as usize) < keys.distinct.len());
                must(keys.key_of.len() == count && within)
            }
            Origin::Unkeyed => Ok(()),
        }
    }

    pub(super) fn forward(&mut self, port: u32, rows: &[u32]) -> Told {
        let batch = self.batch()?;
        must(port < PORTS)?;
        self.check_rows(rows)?;
        let bytes: usize = rows.iter().map(|row| batch.values.values.get(*row as usize).len()).sum();
        self.emitted += bytes as u64;
        if !rows.is_empty() {
            self.sent.push((port, Sent::Forwarded(rows.to_vec())));
        }
        Ok(Granted::Done)
    }

    pub(super) fn reject(&mut self, rows: &[u32]) -> Told {
        self.batch()?;
        self.check_rows(rows)?;
        let new: Vec<u32> = rows.iter().copied().filter(|row| self.rejected.insert(*row)).collect();
        if !new.is_empty() {
            self.rejections.push(new);
        }
        Ok(Granted::Done)
    }

    pub(super) fn header_names(&self) -> Told {
        let mut names: Vec<String> = Vec::new();
        for header in &self.batch()?.headers {
            if !names.contains(&header.name) {
                names.push(header.name.clone());
            }
        }
        Ok(Granted::Names(names))
    }

    pub(super) fn header(&self, name: &str) -> Told {
        let batch = self.batch()?;
        let named: Vec<_> = batch.headers.iter().filter(|header| header.name == name).collect();
        let last = |row: usize| named.iter().rev().find_map(|header| header.values.get(row)).map(<[u8]>::to_vec);
        Ok(Granted::Values((0..batch.rows as usize).map(last).collect()))
    }
}
