//! Reading pieces of a file, after making sure that it is still the file that was read so far. Blocking.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::position::{FINGERPRINT_BYTES, Position, fingerprint_bytes};

/// The longest line, its line end not counted; a longer one goes to the dead letters.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// How much is read at once: room for the longest line and its end.
const CHUNK_BYTES: usize = LINE_BYTES_MAX + 2;

/// A piece of a file, from the position that it was asked for.
#[derive(Debug)]
pub(super) struct Chunk {
    head: Vec<u8>,
    /// What lies before the piece and goes into fingerprints, then the piece.
    bytes: Vec<u8>,
    /// Where `bytes` begins in the file.
    start: u64,
    /// Where in `bytes` the next line begins.
    next: usize,
    /// Whether the piece reaches to where the file ended.
    pub(super) is_last: bool,
}

/// What one look into a file gives.
#[derive(Debug)]
pub(super) enum Piece {
    Chunk(Chunk),
    LongLine(LongLine),
    Changed(String),
}

impl Piece {
    pub(super) fn read(
        path: &Path,
        position: &Position,
        searched: Option<u64>,
        ends_with_file: bool,
    ) -> io::Result<Self> {
        Ok(match searched {
            None => Chunk::read(path, position)?.map_or_else(Self::Changed, Self::Chunk),
            Some(from) => {
                LongLine::skip(path, position, from, ends_with_file)?.map_or_else(Self::Changed, Self::LongLine)
            }
        })
    }
}

/// What was read of a file that is still the same; else how it has changed, in words.
pub(super) type Unchanged<T> = Result<T, String>;

/// The end of a line that is too long.
#[derive(Debug)]
pub(super) struct LongLine {
    /// Behind it; `None` where it has no end yet.
    pub(super) end: Option<Position>,
    /// How far it was looked for.
    pub(super) searched: u64,
    /// How the line begins.
    pub(super) start: Vec<u8>,
}

impl Chunk {
    /// Reads on from a position.
    pub(super) fn read(path: &Path, position: &Position) -> io::Result<Unchanged<Self>> {
        let mut file = File::open(path)?;
        let (head, mut bytes) = match verified(&mut file, position)? {
            Ok(ends) => ends,
            Err(how) => return Ok(Err(how)),
        };
        let next = bytes.len();
        file.seek(SeekFrom::Start(position.offset))?;
        read_up_to(&mut file, CHUNK_BYTES, &mut bytes)?;
        let is_last = bytes.len() - next < CHUNK_BYTES;
        let start = position.offset - as_u64(next);
        Ok(Ok(Self { head, bytes, start, next, is_last }))
    }

    /// What was not taken yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.next..]
    }

    /// Where the rest begins in the file.
    pub(super) fn offset(&self) -> u64 {
        self.start + as_u64(self.next)
    }

    /// Whether the rest is longer than a line may be.
    pub(super) fn is_full(&self) -> bool {
        self.rest().len() >= CHUNK_BYTES
    }

    /// Takes bytes off the rest; the position behind them.
    pub(super) fn take(&mut self, bytes: usize) -> Position {
        self.next += bytes;
        Position::new(self.offset(), &self.head, &self.bytes[..self.next])
    }
}

impl LongLine {
    /// Looks for the end of the line that begins at a position, from `from` on. Where `ends_with_file`, the end of the
    /// file ends it too.
    pub(super) fn skip(
        path: &Path,
        position: &Position,
        from: u64,
        ends_with_file: bool,
    ) -> io::Result<Unchanged<Self>> {
        let mut file = File::open(path)?;
        if let Err(how) = verified(&mut file, position)? {
            return Ok(Err(how));
        }
        let start = read_at(&mut file, position.offset, FINGERPRINT_BYTES)?;
        let mut searched = from;
        let mut end = None;
        file.seek(SeekFrom::Start(from))?;
        while end.is_none() {
            let mut bytes = Vec::new();
            read_up_to(&mut file, CHUNK_BYTES, &mut bytes)?;
            let found = memchr::memchr(b'\n', &bytes).map(|at| searched + as_u64(at) + 1);
            searched += as_u64(bytes.len());
            end = found.or((bytes.is_empty() && ends_with_file).then_some(searched));
            if bytes.is_empty() {
                break;
            }
        }
        let end = end.map(|offset| position_at(&mut file, offset)).transpose()?;
        Ok(Ok(Self { end, searched, start }))
    }
}

/// The position at the end of a file, or (`complete`) behind its last line feed.
pub(super) fn end_of(path: &Path, complete: bool) -> io::Result<Position> {
    let mut file = File::open(path)?;
    let mut end = file.metadata()?.len();
    while complete && end > 0 {
        let start = end.saturating_sub(as_u64(CHUNK_BYTES));
        let bytes = read_at(&mut file, start, usize::try_from(end - start).unwrap_or(CHUNK_BYTES))?;
        match memchr::memrchr(b'\n', &bytes) {
            Some(at) => {
                end = start + as_u64(at) + 1;
                break;
            }
            None => end = start,
        }
    }
    position_at(&mut file, end)
}

/// The first bytes of a file and the last before a position, if they are what they were.
fn verified(file: &mut File, position: &Position) -> io::Result<Unchanged<(Vec<u8>, Vec<u8>)>> {
    let (offset, len) = (position.offset, file.metadata()?.len());
    if len < offset {
        return Ok(Err(format!("it was read up to byte {offset}, but has only {len} bytes now")));
    }
    let (head, before) = ends(file, offset)?;
    let needed = fingerprint_bytes(offset);
    let now = (head.len() >= needed && before.len() >= needed).then(|| Position::new(offset, &head, &before));
    if now.as_ref() != Some(position) {
        return Ok(Err(format!("what was read of it, up to byte {offset}, is no longer what it holds")));
    }
    Ok(Ok((head, before)))
}

fn position_at(file: &mut File, offset: u64) -> io::Result<Position> {
    let (head, before) = ends(file, offset)?;
    let needed = fingerprint_bytes(offset);
    if head.len() < needed || before.len() < needed {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it was cut while it was read"));
    }
    Ok(Position::new(offset, &head, &before))
}

/// The first bytes, and the last ones before an offset.
fn ends(file: &mut File, offset: u64) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let needed = fingerprint_bytes(offset);
    let before = read_at(file, offset - as_u64(needed), needed)?;
    Ok((read_at(file, 0, FINGERPRINT_BYTES)?, before))
}

fn read_at(file: &mut File, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut into = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    read_up_to(file, bytes, &mut into)?;
    Ok(into)
}

fn read_up_to(file: &mut File, bytes: usize, into: &mut Vec<u8>) -> io::Result<()> {
    file.by_ref().take(as_u64(bytes)).read_to_end(into).map(|_count| ())
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length in memory fits in 64 bits")
}
