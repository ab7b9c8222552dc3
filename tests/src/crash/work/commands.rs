//! Commands to the odd operator of the contract suite, all for one key: values, lists, maps, timers, failures.
//!
//! A model obeys the same commands, so that every answer is known. Only when a timer fires is open: its lines may stand
//! anywhere among the answers, each once.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rand::RngExt;
use rand::rngs::StdRng;
use weir_engine::clock::Clock;
use weir_engine::dead_letter::Payload;

use super::{Seen, Work};
use crate::crash::broken::Broken;
use crate::{guests, oracle};

/// Commands that one meal adds, at most.
const COMMANDS_MAX: u32 = 120;

/// Characters of a value, at most: enough of them to make objects of a checkpoint's parts.
const VALUE_CHARS_MAX: usize = 2_000;

/// Timers fire within this many milliseconds.
const TIMER_MAX_MS: i64 = 1_500;

/// An endless job.
pub(super) struct Commands {
    folder: PathBuf,
    file: File,
    clock: Clock,
    commands: u64,
    last_timer: i64,
    value: String,
    list: Vec<String>,
    map: BTreeMap<String, String>,
    /// What the commands are answered with.
    answers: Vec<String>,
    /// The lines of timers.
    timers: Vec<String>,
    /// The commands that fail, as the dead letters' values will show them.
    failing: Vec<String>,
}

impl Commands {
    pub(super) fn new(input: &Path) -> Result<Self> {
        Ok(Self {
            folder: input.to_owned(),
            file: OpenOptions::new().create(true).append(true).open(input.join("commands.txt"))?,
            clock: Clock::system(),
            commands: 0,
            last_timer: 0,
            value: "-".to_owned(),
            list: Vec::new(),
            map: BTreeMap::new(),
            answers: Vec::new(),
            timers: Vec::new(),
            failing: Vec::new(),
        })
    }

    /// The next command, obeyed by the model.
    fn command(&mut self, random: &mut StdRng) -> String {
        self.commands += 1;
        let number = self.commands;
        match random.random_range(0..100) {
            0..15 => {
                self.value = format!("{number:0width$}", width = random.random_range(1..VALUE_CHARS_MAX));
                format!("value-set {}", self.value)
            }
            15..30 => self.answered("value-get", self.value.clone()),
            30..45 => {
                self.list.push(number.to_string());
                format!("list-append {number}")
            }
            45..55 => self.answered("list-get", self.list.join(",")),
            55..58 => {
                self.list.clear();
                "list-clear".to_owned()
            }
            58..73 => {
                let entry = format!("e{}", random.random_range(0..40));
                self.map.insert(entry.clone(), number.to_string());
                format!("map-put {entry}={number}")
            }
            73..80 => {
                let entry = format!("e{}", random.random_range(0..40));
                self.map.remove(&entry);
                format!("map-remove {entry}")
            }
            80..88 => {
                let entries: Vec<String> = self.map.iter().map(|(entry, value)| format!("{entry}={value}")).collect();
                self.answered("map-scan - - 1000", format!("{} end", entries.join(",")))
            }
            88..97 => self.timer(random),
            97 => self.failing_with(format!("trap {number}")),
            _ => self.failing_with(format!("fail {number}")),
        }
    }

    fn answered(&mut self, command: &str, answer: String) -> String {
        self.answers.push(answer);
        command.to_owned()
    }

    fn timer(&mut self, random: &mut StdRng) -> String {
        // Two timers of one key, time and tag are one timer.
        let at = (self.clock.now() + random.random_range(0..TIMER_MAX_MS)).max(self.last_timer + 1);
        self.last_timer = at;
        self.timers.push(format!("all {at} 1"));
        format!("timers 0={at}")
    }

    fn failing_with(&mut self, command: String) -> String {
        let letter = Some(Payload::new(command.as_bytes()));
        self.failing.push(serde_json::to_string(&letter).expect("a payload is plain JSON"));
        command
    }
}

impl Work for Commands {
    fn component(&self) -> (&'static str, &'static str) {
        ("contract", guests::CONTRACT)
    }

    fn job(&self) -> String {
        let folder = self.folder.display();
        format!(
            r#"
            [[source]]
            uid = "commands"
            type = "files"
            paths = ["{folder}/*.txt"]
            follow = true
            parallelism = 1

            [[source]]
            uid = "nothing"
            type = "files"
            paths = ["{folder}/none"]
            follow = true
            parallelism = 1

            [[operator]]
            uid = "odd"
            component = "contract"
            operator = "odd"
            inputs = [
                {{ from = "commands", input = "keyed", key = {{ constant = "all" }} }},
                {{ from = "nothing", input = "plain" }},
                {{ from = "nothing", input = "side" }},
            ]
            parallelism = 1

            [[sink]]
            uid = "answers"
            type = "files"
            path = "output"
            from = "odd"
            parallelism = 1
            "#
        )
    }

    fn sinks(&self) -> &'static [&'static str] {
        &["answers"]
    }

    fn is_endless(&self) -> bool {
        true
    }

    fn feed(&mut self, random: &mut StdRng) -> Result<()> {
        let commands: Vec<String> = (0..random.random_range(1..COMMANDS_MAX)).map(|_| self.command(random)).collect();
        Ok(self.file.write_all((commands.join("\n") + "\n").as_bytes())?)
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_complete(&self, seen: &Seen) -> bool {
        seen.of("answers").len() >= self.answers.len() + self.timers.len() && seen.letters.len() >= self.failing.len()
    }

    fn check(&self, seen: &Seen, in_the_end: bool) -> Result<(), Broken> {
        let is_timer = |line: &&String| line.starts_with("all ");
        let (timers, answers): (Vec<&String>, Vec<&String>) = seen.of("answers").iter().partition(is_timer);
        let timers: Vec<String> = timers.into_iter().cloned().collect();
        for (index, (found, expected)) in answers.iter().zip(&self.answers).enumerate() {
            Broken::unless(*found == expected, "as-without-failures", || {
                format!("answer {index} is `{found}`, and should be `{expected}`")
            })?;
        }
        let enough = if in_the_end { answers.len() == self.answers.len() } else { answers.len() <= self.answers.len() };
        Broken::unless(enough, "nothing-lost", || {
            format!("{} answers to {} questions", answers.len(), self.answers.len())
        })?;
        oracle::each_once(&timers, &self.timers, in_the_end).map_err(Broken::naming("timers-once"))?;
        oracle::each_once(&seen.letters, &self.failing, in_the_end).map_err(Broken::naming("dead-letters-once"))
    }
}
