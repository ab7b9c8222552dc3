//! The words of two files that grow while the job runs, counted; some lines are no text.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rand::RngExt;
use rand::rngs::StdRng;

use super::{Seen, Work};
use crate::crash::broken::Broken;
use crate::{guests, oracle, published};

/// Different words.
const WORDS: u32 = 3_000;
/// Lines that one meal adds to each file, at most.
const LINES_MAX: u32 = 150;
/// Words in a line, at most.
const LINE_WORDS_MAX: u32 = 30;

/// An endless job.
pub(super) struct Words {
    folder: PathBuf,
    files: Vec<Growing>,
    /// How often each word is in the files.
    counts: BTreeMap<String, u64>,
    /// Lines that are no text, as the dead letters' values will show them.
    bad: Vec<String>,
}

/// A file that is written to; its last line may lack its end.
struct Growing {
    file: File,
    is_open_ended: bool,
}

impl Words {
    pub(super) fn new(input: &Path) -> Result<Self> {
        let file = |name: &str| OpenOptions::new().create(true).append(true).open(input.join(name));
        let files = ["a.txt", "b.txt"].iter().map(|name| Ok(Growing { file: file(name)?, is_open_ended: false }));
        let files = files.collect::<Result<_>>()?;
        Ok(Self { folder: input.to_owned(), files, counts: BTreeMap::new(), bad: Vec::new() })
    }

    /// One line, and what must come of it.
    fn line(&mut self, random: &mut StdRng) -> Vec<u8> {
        if random.random_range(0..60) == 0 {
            let number = self.bad.len();
            let line = [b"bad \xff ".as_slice(), number.to_string().as_bytes()].concat();
            let letter = weir_engine::dead_letter::Payload::new(&line);
            self.bad.push(serde_json::to_string(&Some(letter)).expect("a payload is plain JSON"));
            return line;
        }
        let words = (0..random.random_range(1..LINE_WORDS_MAX)).map(|_| format!("w{}", random.random_range(0..WORDS)));
        let words: Vec<String> = words.collect();
        for word in &words {
            *self.counts.entry(word.clone()).or_default() += 1;
        }
        words.join(" ").into_bytes()
    }
}

impl Work for Words {
    fn component(&self) -> (&'static str, &'static str) {
        ("word-count", guests::WORD_COUNT)
    }

    fn job(&self) -> String {
        let folder = self.folder.display();
        format!(
            r#"
            [[source]]
            uid = "lines"
            type = "files"
            paths = ["{folder}/*.txt"]
            follow = true

            [[operator]]
            uid = "split"
            component = "word-count"
            operator = "split"
            inputs = [{{ from = "lines" }}]

            [[operator]]
            uid = "count"
            component = "word-count"
            operator = "count"
            inputs = [{{ from = "split", key = "carried" }}]

            [[sink]]
            uid = "counts"
            type = "files"
            path = "output"
            from = "count"
            "#
        )
    }

    fn sinks(&self) -> &'static [&'static str] {
        &["counts"]
    }

    fn is_endless(&self) -> bool {
        true
    }

    fn feed(&mut self, random: &mut StdRng) -> Result<()> {
        for index in 0..self.files.len() {
            let mut text = Vec::new();
            if std::mem::take(&mut self.files[index].is_open_ended) {
                text.push(b'\n');
            }
            for _ in 0..random.random_range(1..LINES_MAX) {
                text.extend(self.line(random));
                text.push(b'\n');
            }
            if random.random_range(0..3) == 0 {
                text.pop();
                self.files[index].is_open_ended = true;
            }
            self.files[index].file.write_all(&text)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        for growing in self.files.iter_mut().filter(|growing| growing.is_open_ended) {
            growing.file.write_all(b"\n")?;
            growing.is_open_ended = false;
        }
        Ok(())
    }

    fn is_complete(&self, seen: &Seen) -> bool {
        seen.of("counts").len() as u64 >= self.counts.values().sum() && seen.letters.len() >= self.bad.len()
    }

    fn check(&self, seen: &Seen, in_the_end: bool) -> Result<(), Broken> {
        let counts = published::by_key(seen.of("counts"))?;
        oracle::counts_go_on(&counts).map_err(Broken::naming("counts-are-exact"))?;
        oracle::at_most(&counts, &self.counts, in_the_end).map_err(Broken::naming("nothing-lost"))?;
        oracle::each_once(&seen.letters, &self.bad, in_the_end).map_err(Broken::naming("dead-letters-once"))
    }
}
