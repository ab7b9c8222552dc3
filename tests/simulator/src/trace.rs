//! What happened in a run, in order: a column for each actor, a row for each event.

use std::fmt;

use xxhash_rust::xxh3::Xxh3Default;

/// Rows kept for reading; older ones count only in the hash.
const ROWS_MAX: usize = 400;

/// A run's events. The [hash](Trace::hash) covers all of them, so that two runs of one seed can be compared; the newest
/// are kept to be read.
#[derive(Clone, Default)]
pub struct Trace {
    columns: Vec<String>,
    rows: std::collections::VecDeque<Row>,
    noted: u64,
    hash: Xxh3Default,
}

#[derive(Debug, Clone)]
struct Row {
    /// The step, or the simulated time in milliseconds.
    at: u64,
    column: usize,
    text: String,
}

impl Trace {
    /// Notes an event of an actor; a column is made when its actor is first heard of.
    pub fn note(&mut self, at: u64, actor: &str, text: impl Into<String>) {
        let text = text.into();
        for bytes in [&at.to_le_bytes()[..], actor.as_bytes(), b"\0", text.as_bytes(), b"\n"] {
            self.hash.update(bytes);
        }
        let column = self.columns.iter().position(|known| known == actor).unwrap_or_else(|| {
            self.columns.push(actor.to_owned());
            self.columns.len() - 1
        });
        self.noted += 1;
        self.rows.push_back(Row { at, column, text });
        if self.rows.len() > ROWS_MAX {
            self.rows.pop_front();
        }
    }

    /// A hash of everything noted.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// How many events were noted.
    #[must_use]
    pub const fn noted(&self) -> u64 {
        self.noted
    }
}

/// The newest rows, each text under its actor.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths: Vec<usize> = self.columns.iter().map(|name| name.chars().count()).collect();
        for row in &self.rows {
            widths[row.column] = widths[row.column].max(row.text.chars().count());
        }
        write!(f, "{:>8}", "")?;
        for (name, width) in self.columns.iter().zip(&widths) {
            write!(f, " | {name:width$}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:>8}", row.at)?;
            for (column, width) in widths.iter().enumerate() {
                let text = if column == row.column { row.text.as_str() } else { "" };
                write!(f, " | {text:width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("noted", &self.noted).field("hash", &self.hash()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_stands_under_its_actor() {
        let mut trace = Trace::default();
        trace.note(1, "source", "barrier 1");
        trace.note(2, "sink", "sealed");
        let rows: Vec<String> = trace.to_string().lines().map(|row| row.trim_end().to_owned()).collect();
        assert_eq!(rows[0].find("sink"), rows[2].find("sealed"));
        assert_eq!(rows[0].find("source"), rows[1].find("barrier 1"));
    }

    #[test]
    fn the_hash_covers_what_and_who_and_when() {
        let hash = |at, actor: &str, text: &str| {
            let mut trace = Trace::default();
            trace.note(at, actor, text);
            trace.hash()
        };
        let hashes = [hash(1, "a", "b"), hash(2, "a", "b"), hash(1, "b", "b"), hash(1, "a", "c")];
        assert!(hashes.iter().enumerate().all(|(i, one)| !hashes[..i].contains(one)));
    }
}
