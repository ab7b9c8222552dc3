//! Bytes to integers and back, for the layout that the parent module draws.

use weir_operator::keyed_state::StateError;

use super::corrupt;

pub(super) const MAGIC: [u8; 8] = *b"weir.kst";
pub(super) const END_MAGIC: [u8; 8] = *b"weir.end";
pub(super) const VERSION: u16 = 1;
/// Of a file with a stamped row.
pub(super) const VERSION_STAMPED: u16 = 2;
/// Of a file with a list, whose elements may share records.
pub(super) const VERSION_BUNDLED: u16 = 3;
/// The kind of a list's row, since its elements may share records.
pub(super) const LIST_OF_BUNDLES: u8 = 4;
/// Added to the kind of a stamped row.
pub(super) const STAMPED: u8 = 0x80;
pub(crate) const HEAD_BYTES: usize = 16;
pub(crate) const TAIL_BYTES: usize = 20;
/// Bytes of a run before its records.
pub(super) const RUN_HEADER_BYTES: usize = 8;

/// The version that a file with a row of this kind, which may be stamped, has at least.
pub(super) const fn version_of(kind: u8) -> u16 {
    if kind & !STAMPED == LIST_OF_BUNDLES {
        VERSION_BUNDLED
    } else if kind & STAMPED != 0 {
        VERSION_STAMPED
    } else {
        VERSION
    }
}

/// Appends a length and the bytes.
pub(in crate::state) fn put_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    while length >= 0x80 {
        into.push(u8::try_from(length & 0x7f).expect("7 bits") | 0x80);
        length >>= 7;
    }
    into.push(u8::try_from(length).expect("7 bits"));
    into.extend_from_slice(bytes);
}

/// Appends a short text of the footer.
pub(in crate::state) fn put_text(into: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("names and codecs were checked to be short");
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(text.as_bytes());
}

/// Takes integers off the front of a part of a file.
#[derive(Debug, Clone, Copy)]
pub(in crate::state) struct Parser<'a> {
    rest: &'a [u8],
    /// What the part is, for errors.
    what: &'static str,
}

impl<'a> Parser<'a> {
    pub(in crate::state) const fn new(rest: &'a [u8], what: &'static str) -> Self {
        Self { rest, what }
    }

    fn ends_early(&self) -> StateError {
        corrupt(format_args!("its {} ends too early", self.what))
    }

    pub(in crate::state) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (fixed, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.ends_early())?;
        self.rest = rest;
        Ok(*fixed)
    }

    pub(in crate::state) fn u8(&mut self) -> Result<u8, StateError> {
        self.fixed().map(u8::from_le_bytes)
    }

    pub(in crate::state) fn u16(&mut self) -> Result<u16, StateError> {
        self.fixed().map(u16::from_le_bytes)
    }

    pub(in crate::state) fn u32(&mut self) -> Result<u32, StateError> {
        self.fixed().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, StateError> {
        self.fixed().map(u64::from_le_bytes)
    }

    /// A length and so many bytes.
    pub(in crate::state) fn bytes(&mut self) -> Result<&'a [u8], StateError> {
        let mut length = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.u8()?;
            length |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return self.take(length);
            }
        }
        Err(corrupt(format_args!("its {} holds a length of more than 5 bytes", self.what)))
    }

    pub(in crate::state) fn text(&mut self) -> Result<String, StateError> {
        let length = self.u16()?;
        let bytes = self.take(length.into())?;
        String::from_utf8(bytes.to_vec()).map_err(|_| corrupt(format_args!("its {} holds a text not UTF-8", self.what)))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], StateError> {
        let length = usize::try_from(length).map_err(|_| self.ends_early())?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.ends_early())?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(in crate::state) fn end(&self) -> Result<(), StateError> {
        if self.is_at_end() {
            return Ok(());
        }
        Err(corrupt(format_args!("its {} has {} bytes too many", self.what, self.rest.len())))
    }
}
