//! Going to a place in a file without reading what stands before it.
//!
//! The footer tells the key groups of each block; within a key group, the first record of a block tells what stands
//! before it, so the block that can hold a place is found by halving.

use std::cmp::Ordering;

use weir_operator::keyed_state::StateError;
use weir_protocol::key_group::{KeyGroup, KeyGroupRange};

use super::{Block, Cursor, Reader, corrupt};
use crate::state::file::{FileRecord, StateRow};

/// A place in the order of records: before the first record of a key, whether there is one or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The key's group.
    pub group: KeyGroup,
    /// The state's name; `None`: timers.
    pub state: Option<String>,
    /// The key.
    pub key: Vec<u8>,
}

impl Place {
    /// How a record of this row compares with the place; one of the place's own key is behind it.
    fn compare(&self, row: &StateRow, record: &FileRecord<'_>) -> Ordering {
        let rank = (self.state.is_some(), self.state.as_deref().unwrap_or_default());
        let order = record.group.cmp(&self.group).then_with(|| row.rank().cmp(&rank));
        order.then_with(|| record.key.cmp(&self.key)).then(Ordering::Greater)
    }
}

impl Cursor {
    /// Goes to the first record behind a place, instead of the first of all. Whether there is one.
    pub(in crate::state::file) fn advance_to(&mut self, place: &Place) -> Result<bool, StateError> {
        self.next_block = self.block_before(place)?;
        while self.advance()? {
            let record = self.record();
            if place.compare(&self.reader.header.rows[usize::from(record.row)], &record).is_gt() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The last block that can have records before the place and behind it, or one before that.
    fn block_before(&self, place: &Place) -> Result<usize, StateError> {
        let blocks = &self.reader.blocks;
        let mut low = blocks.partition_point(|block: &Block| block.last_group < place.group.0);
        let mut high = blocks.partition_point(|block: &Block| block.first_group <= place.group.0);
        // The block `low`, if there is one, may hold the place; `high` and all behind it begin behind it.
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if begins_behind(&self.reader, middle, place)? {
                high = middle;
            } else {
                low = middle;
            }
        }
        Ok(low)
    }
}

fn begins_behind(reader: &Reader, block: usize, place: &Place) -> Result<bool, StateError> {
    let mut first = Cursor::new(reader.clone(), KeyGroupRange { start: 0, end: u16::MAX });
    first.next_block = block;
    if !first.advance()? {
        return Err(corrupt(format_args!("block {block} holds no record")));
    }
    let record = first.record();
    Ok(place.compare(&reader.header.rows[usize::from(record.row)], &record).is_gt())
}
