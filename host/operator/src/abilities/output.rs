//! Where records go.

use std::collections::BTreeMap;

use weir_protocol::description::InputKind;
use weir_protocol::key_group::key_hash;
use weir_protocol::time::Timestamp;

use super::{Abilities, Phase, Violation, column, same_length};
use crate::batch::{Batch, BytesColumn, HeaderColumn, Keys, NO_KEY, OptionalColumn};
use crate::turn::{Emission, Emitted, Origin, Rejection};

/// The longest reason of a rejection, in bytes; what is behind is cut off.
const REASON_BYTES_MAX: usize = 4_096;

/// What a record costs of the limit beside its bytes.
const RECORD_BYTES: usize = 8;

/// New records, as an operator hands them over: nothing is checked yet.
#[derive(Debug, Clone)]
pub struct NewRecords {
    /// Where they come from. Own keys need no hashes and may stand twice.
    pub origin: Origin,
    /// Their values.
    pub values: OptionalColumn,
    /// Their event times where the origin's do not apply; else empty.
    pub timestamps: Vec<Timestamp>,
    /// Headers of their own; `None`: those of their rows.
    pub headers: Option<Vec<HeaderColumn>>,
}

impl NewRecords {
    /// Records with the event times and headers of where they come from.
    #[must_use]
    pub fn new(origin: Origin, values: impl Into<OptionalColumn>) -> Self {
        Self { origin, values: values.into(), timestamps: Vec::new(), headers: None }
    }
}

impl Abilities {
    /// Emits records to an output.
    ///
    /// # Errors
    /// Outside `process`, `on-timers` and `finish`; an unknown port; a malformed column; lengths that differ; an index
    /// out of bounds; too many bytes.
    pub fn emit(&mut self, port: u32, records: NewRecords) -> Result<(), Violation> {
        const ABILITY: &str = "output.emit";
        self.in_any_call(ABILITY)?;
        self.check_port(ABILITY, port)?;
        let NewRecords { origin, values, timestamps, headers } = records;
        column(ABILITY, "values", values.check())?;
        let count = values.len();
        if !timestamps.is_empty() {
            same_length(ABILITY, ("timestamps", timestamps.len()), ("values", count))?;
        }
        for header in headers.iter().flatten() {
            column(ABILITY, &header.name, header.values.check())?;
            same_length(ABILITY, ("headers", header.values.len()), ("values", count))?;
        }
        let header_bytes: usize = headers.iter().flatten().map(|h| h.name.len() + h.values.bytes()).sum();
        self.charge_emitted(values.bytes() + header_bytes + count * RECORD_BYTES)?;
        let origin = self.check_origin(origin, count)?;
        if count > 0 {
            let records = Emitted::New { origin, values, timestamps, headers };
            self.call.effects.emissions.push(Emission { port, records });
        }
        Ok(())
    }

    /// Forwards rows of the batch as they are.
    ///
    /// # Errors
    /// Outside `process`; an unknown port; a row out of bounds; too many bytes.
    pub fn forward(&mut self, port: u32, rows: Vec<u32>) -> Result<(), Violation> {
        const ABILITY: &str = "output.forward";
        self.in_process(ABILITY)?;
        self.check_port(ABILITY, port)?;
        self.check_rows(ABILITY, &rows)?;
        let bytes = forwarded_bytes(self.batch()?, &rows);
        self.charge_emitted(bytes)?;
        if !rows.is_empty() {
            self.call.effects.emissions.push(Emission { port, records: Emitted::Forwarded(rows) });
        }
        Ok(())
    }

    /// Gives up on rows of the batch. A row that was given up on already keeps its first reason.
    ///
    /// # Errors
    /// Outside `process`; a row out of bounds; too many bytes of reasons.
    pub fn reject(&mut self, rows: &[u32], reason: &str) -> Result<(), Violation> {
        const ABILITY: &str = "output.reject";
        self.in_process(ABILITY)?;
        self.check_rows(ABILITY, rows)?;
        self.call.rejected.resize(self.call.rows as usize, false);
        let rejected = &mut self.call.rejected;
        let rows: Vec<u32> =
            rows.iter().copied().filter(|row| !std::mem::replace(&mut rejected[*row as usize], true)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
        self.charge_emitted(reason.len() + rows.len() * RECORD_BYTES)?;
        self.call.effects.rejections.push(Rejection { rows, reason: reason.to_owned() });
        Ok(())
    }

    fn check_port(&self, ability: &str, port: u32) -> Result<(), Violation> {
        let outputs = &self.description.outputs;
        if (port as usize) < outputs.len() {
            return Ok(());
        }
        let declared = outputs.join(", ");
        Err(Violation::rule(format!(
            "{ability}: there is no port {port}; `describe` declares {}: {declared}",
            outputs.len()
        )))
    }

    fn check_origin(&mut self, origin: Origin, count: usize) -> Result<Origin, Violation> {
        const ABILITY: &str = "output.emit";
        let finishing = self.phase() == Phase::Finish;
        if finishing && !matches!(origin, Origin::OwnKeys(_) | Origin::Unkeyed) {
            return Err(Violation::rule(format!(
                "{ABILITY}: in `finish` only `own-keys` and `unkeyed` are legal origins"
            )));
        }
        match &origin {
            Origin::EachRow => same_length(ABILITY, ("values", count), ("the batch", self.call.rows as usize))?,
            Origin::Rows(rows) => {
                same_length(ABILITY, ("rows", rows.len()), ("values", count))?;
                self.check_rows(ABILITY, rows)?;
            }
            Origin::Keys(keys) => {
                if !matches!(self.phase(), Phase::Process(InputKind::Keyed) | Phase::OnTimers) {
                    return Err(Violation::rule(format!("{ABILITY}: the origin `keys` needs a keyed input or timers")));
                }
                same_length(ABILITY, ("keys", keys.len()), ("values", count))?;
                self.check_keys(ABILITY, keys)?;
            }
            Origin::OwnKeys(_) => return self.check_own_keys(origin, count),
            Origin::Unkeyed => {}
        }
        let indices = match &origin {
            Origin::Rows(indices) | Origin::Keys(indices) => indices.len() * 4,
            Origin::EachRow | Origin::OwnKeys(_) | Origin::Unkeyed => 0,
        };
        self.charge_emitted(indices)?;
        Ok(origin)
    }

    fn check_own_keys(&mut self, origin: Origin, count: usize) -> Result<Origin, Violation> {
        const ABILITY: &str = "output.emit";
        let Origin::OwnKeys(Keys { distinct, key_of, .. }) = origin else { return Ok(origin) };
        column(ABILITY, "keys", distinct.check())?;
        same_length(ABILITY, ("key-of", key_of.len()), ("values", count))?;
        if let Some(key) = key_of.iter().find(|key| **key as usize >= distinct.len()) {
            let keys = distinct.len();
            return Err(Violation::rule(format!("{ABILITY}: `key-of` holds {key}, but there are {keys} own keys")));
        }
        self.charge_emitted(distinct.data.len() + distinct.offsets.len() * 4 + key_of.len() * 4)?;
        Ok(Origin::OwnKeys(dictionary(distinct, key_of)))
    }
}

/// Keys whose dictionary may hold a key twice, made to hold each once.
fn dictionary(keys: BytesColumn, mut key_of: Vec<u32>) -> Keys {
    let mut first: BTreeMap<(u64, &[u8]), u32> = BTreeMap::new();
    let mut new_index = Vec::with_capacity(keys.len());
    let mut distinct = BytesColumn::with_capacity(keys.len(), keys.data.len());
    let mut hashes = Vec::with_capacity(keys.len());
    for key in keys.iter() {
        let hash = key_hash(key);
        let next = u32::try_from(hashes.len()).unwrap_or(NO_KEY);
        let index = *first.entry((hash, key)).or_insert(next);
        if index == next {
            distinct.push(key);
            hashes.push(hash);
        }
        new_index.push(index);
    }
    key_of.iter_mut().for_each(|key| *key = new_index[*key as usize]);
    Keys { distinct, hashes, key_of }
}

/// What forwarding rows makes the host hold.
fn forwarded_bytes(batch: &Batch, rows: &[u32]) -> usize {
    let length =
        |values: &BytesColumn, index: usize| values.offsets.get(index + 1).map_or(0, |_| values.get(index).len());
    let of_row = |row: u32| {
        let row = row as usize;
        let headers: usize = batch.headers.iter().map(|header| length(&header.values.values, row)).sum();
        let key = batch.keys.as_ref().map_or(0, |keys| length(&keys.distinct, keys.key_of[row] as usize));
        length(&batch.values.values, row) + headers + key + RECORD_BYTES
    };
    rows.iter().map(|&row| of_row(row)).sum()
}
