//! What the fuzzer tries: for each target claims, and inputs made from bytes.
//!
//! A target receives any bytes at all and panics if they show that a claim does not hold. Under libFuzzer (the program
//! `weir-fuzz`) coverage decides which bytes come next; `make test` replays the corpus and tries bytes from seeds.

pub mod allocation;
pub mod choices;
pub mod damage;

pub mod checkpoint_file;
pub mod coordinator;
pub mod entry;
pub mod imports;
pub mod job_file;

#[cfg(test)]
mod noticed;

/// Something that is fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Panics if the bytes show that a claim does not hold.
    pub check: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 5] = [
    Target { name: "entry", check: entry::check },
    Target { name: "checkpoint-file", check: checkpoint_file::check },
    Target { name: "job-file", check: job_file::check },
    Target { name: "coordinator", check: coordinator::check },
    Target { name: "imports", check: imports::check },
];

/// The target of a name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
