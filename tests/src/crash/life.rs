//! One life of a node: what troubles it, and how it dies.

use std::fmt;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use weir_engine::step::{Step, When};

use super::kill_at::KillAt;

/// One life of a node, or of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It kills itself at a step; each call to the disk takes `slow` longer.
    Dies {
        /// Where.
        at: KillAt,
        /// How much.
        slow: Duration,
    },
    /// It is killed from outside.
    Killed {
        /// How long after it was started, or after the job ran.
        after: Duration,
        /// The latter.
        running: bool,
        /// Each call to the disk takes so much longer.
        slow: Duration,
    },
    /// Its disk is full for a while; it is killed before there is room again, or once the job has gone on.
    Full {
        /// The latter.
        recovers: bool,
    },
    /// Another node takes the job over.
    Rivals(Rivalry),
}

/// How a second node comes to run the job of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rivalry {
    /// It is started while the first one runs.
    Running,
    /// It is started while the first one is paused, at any moment or at a step; that one goes on later, and does not
    /// know.
    Paused(Option<KillAt>),
    /// Both are started at once.
    Race,
}

impl Life {
    /// What follows from a seed; `on_disk`: the job's state does not fit into its memory.
    pub(super) fn draw(random: &mut StdRng, on_disk: bool) -> Self {
        let slow = match random.random_range(0..5) {
            0 => Duration::from_micros(random.random_range(200..10_000)),
            _ => Duration::ZERO,
        };
        match random.random_range(0..20) {
            0..9 => Self::Dies { at: KillAt::draw(random, on_disk), slow },
            9..16 => {
                let after = Duration::from_millis(random.random_range(0..700));
                Self::Killed { after, running: random.random(), slow }
            }
            16 | 17 => Self::Full { recovers: random.random() },
            _ => Self::Rivals(Rivalry::draw(random, on_disk)),
        }
    }
}

impl KillAt {
    /// What follows from a seed.
    fn draw(random: &mut StdRng, on_disk: bool) -> Self {
        let steps: Vec<Step> = match on_disk {
            true => Step::ALL.into_iter().chain(Step::OF_STATE_ON_DISK).collect(),
            false => Step::ALL.to_vec(),
        };
        let step = steps[random.random_range(0..steps.len())];
        let when = When::ALL[random.random_range(0..When::ALL.len())];
        let nth = match step {
            Step::Takeover | Step::Restore | Step::Wish | Step::Copy => 1,
            Step::Eviction => random.random_range(1..40),
            Step::Upload | Step::Deletion => random.random_range(1..4),
            Step::Barrier | Step::Segment | Step::Acknowledgement | Step::Entry | Step::Publication | Step::Marker => {
                random.random_range(1..8)
            }
        };
        Self { when, step, nth }
    }
}

impl Rivalry {
    /// What follows from a seed.
    fn draw(random: &mut StdRng, on_disk: bool) -> Self {
        match random.random_range(0..8) {
            0 => Self::Running,
            1 => Self::Race,
            2 => Self::Paused(None),
            _ => Self::Paused(Some(KillAt::draw(random, on_disk))),
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slow = match self {
            Self::Dies { at, slow } => {
                write!(f, "dies at {at}")?;
                *slow
            }
            Self::Killed { after, running, slow } => {
                write!(f, "killed {after:?} after {}", if *running { "its job ran" } else { "it started" })?;
                *slow
            }
            Self::Full { recovers } => {
                write!(f, "disk full, {}", if *recovers { "then not" } else { "killed while it is" })?;
                Duration::ZERO
            }
            Self::Rivals(rivalry) => {
                match rivalry {
                    Rivalry::Running => write!(f, "a second node is started beside it")?,
                    Rivalry::Paused(None) => write!(f, "a second node takes over while it is paused")?,
                    Rivalry::Paused(Some(at)) => write!(f, "a second node takes over while it is paused at {at}")?,
                    Rivalry::Race => write!(f, "two nodes are started at once")?,
                }
                Duration::ZERO
            }
        };
        if slow.is_zero() { Ok(()) } else { write!(f, ", disk slower by {slow:?}") }
    }
}
