//! The entries of an ordered map, fetched a page at a time: what maps of keys and broadcast maps have in common.

use super::undecodable;
use crate::bindings::weir::operator::state::Page;
use crate::codec::{Codec, EntryKey};
use crate::column::{Column, ColumnBuilder};
use crate::error::Result;

/// How many entries are fetched at a time.
const PAGE_ENTRIES: u32 = 256;

/// How far entries were read.
pub(super) struct Pages {
    /// Where the next page starts; `None` where there is none.
    from: Option<Vec<u8>>,
    end: Option<Vec<u8>>,
    page: Page,
    next: usize,
}

impl Pages {
    /// From `start` on, and before `end`.
    pub(super) fn between<K: EntryKey>(start: Option<&K>, end: Option<&K>) -> Self {
        let bytes = |bound: &K| {
            let mut bytes = Vec::new();
            bound.encode_key(&mut bytes);
            bytes
        };
        let empty = || ColumnBuilder::new().take().values;
        let page = Page { entries: empty(), values: empty(), more: false };
        Self { from: Some(start.map(bytes).unwrap_or_default()), end: end.map(bytes), page, next: 0 }
    }

    /// The next entry of the state `name`. `scan` is given a start, an end and how many entries are wanted.
    pub(super) fn next<K: EntryKey, V: 'static, C: Codec<V>>(
        &mut self,
        name: &'static str,
        scan: impl FnOnce(Option<&[u8]>, Option<&[u8]>, u32) -> Page,
    ) -> Option<Result<(K, V)>> {
        if self.next == Column::of_bytes(&self.page.entries).len() {
            self.fetch(scan)?;
        }
        let entry = Column::of_bytes(&self.page.entries).get(self.next)?;
        let value = Column::of_bytes(&self.page.values).get(self.next)?;
        self.next += 1;
        let entry = K::decode_key(entry).map_err(|reason| undecodable(name, "entry key", &reason));
        let value = C::decode(value).map_err(|reason| undecodable(name, C::name(), &reason));
        Some(entry.and_then(|entry| Ok((entry, value?))))
    }

    /// The next page, if it has any entry.
    fn fetch(&mut self, scan: impl FnOnce(Option<&[u8]>, Option<&[u8]>, u32) -> Page) -> Option<()> {
        let from = self.from.take()?;
        self.page = scan(Some(&from), self.end.as_deref(), PAGE_ENTRIES);
        self.next = 0;
        if self.page.more {
            let entries = Column::of_bytes(&self.page.entries);
            let mut after = entries.get(entries.len().checked_sub(1)?)?.to_vec();
            after.push(0);
            self.from = Some(after);
        }
        (!Column::of_bytes(&self.page.entries).is_empty()).then_some(())
    }
}
