//! What was done to the nodes, counted.

use std::collections::BTreeMap;
use std::fmt;

use super::disk::Suffered;

/// Sums over scenarios.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Scenarios that were played to their end.
    pub scenarios: u64,
    /// Nodes that were started.
    pub starts: u64,
    /// Nodes that died of SIGKILL while a job was theirs, by where: `before:entry`, `any moment`, `full disk`, ….
    pub kills: BTreeMap<String, u64>,
    /// Nodes that were killed before a job ran in them, which is no kill above.
    pub starting: u64,
    /// Nodes that were paused and went on later, by where: `before:entry`, `any moment`.
    pub pauses: BTreeMap<String, u64>,
    /// Lives that ended while state lay on the node's disk.
    pub on_disk: u64,
    /// Calls to the disk that failed for want of room.
    pub refused: u64,
    /// Writes that a full disk cut short.
    pub torn: u64,
    /// Calls to the disk that took long.
    pub delayed: u64,
    /// Jobs that went on by themselves when there was room again.
    pub recoveries: u64,
    /// Jobs that a second node took from the first, which then stopped by itself.
    pub takeovers: u64,
}

impl Totals {
    /// All kills.
    #[must_use]
    pub fn killed(&self) -> u64 {
        self.kills.values().sum()
    }

    /// Adds those of another scenario.
    pub fn add(&mut self, other: &Self) {
        self.scenarios += other.scenarios;
        self.starts += other.starts;
        for (place, kills) in &other.kills {
            *self.kills.entry(place.clone()).or_default() += kills;
        }
        self.starting += other.starting;
        for (place, pauses) in &other.pauses {
            *self.pauses.entry(place.clone()).or_default() += pauses;
        }
        self.on_disk += other.on_disk;
        self.refused += other.refused;
        self.torn += other.torn;
        self.delayed += other.delayed;
        self.recoveries += other.recoveries;
        self.takeovers += other.takeovers;
    }

    pub(super) fn note_kill(&mut self, place: &str) {
        *self.kills.entry(place.to_owned()).or_default() += 1;
    }

    pub(super) fn note_pause(&mut self, place: &str) {
        *self.pauses.entry(place.to_owned()).or_default() += 1;
    }

    pub(super) fn note_disk(&mut self, suffered: Suffered) {
        self.refused += suffered.refused;
        self.torn += suffered.torn;
        self.delayed += suffered.delayed;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenarios, starts, kills, starting, pauses, on_disk, refused, torn, delayed, recoveries, takeovers } =
            self;
        writeln!(f, "{scenarios} scenarios, {starts} starts ({starting} killed at once), {} kills:", self.killed())?;
        for (place, kills) in kills {
            writeln!(f, "  {kills:>6}  {place}")?;
        }
        for (place, pauses) in pauses {
            writeln!(f, "  {pauses:>6}  {place}, paused")?;
        }
        writeln!(f, "{on_disk} lives ended while state lay on the node's disk")?;
        writeln!(
            f,
            "disk: {refused} calls refused, {torn} writes torn, {delayed} calls slow, {recoveries} recoveries"
        )?;
        write!(f, "{takeovers} takeovers from a node that lived")
    }
}
