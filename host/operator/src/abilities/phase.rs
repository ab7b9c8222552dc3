//! Where an instance is in its life, and which abilities it has there.

use weir_protocol::description::{InputKind, OperatorDescription};

use super::{Abilities, Violation};
use crate::turn::Work;

/// What is being called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing yet: a language's runtime may be starting.
    Start,
    /// `describe`.
    Describe,
    /// `migrate`.
    Migrate,
    /// `open`.
    Open,
    /// `process`, for a batch of this kind of input.
    Process(InputKind),
    /// `on-timers`.
    OnTimers,
    /// `finish`.
    Finish,
}

impl Phase {
    pub(super) fn of(work: &Work, description: &OperatorDescription) -> Self {
        match work {
            Work::Batch { input, .. } => {
                let input = description.inputs.get(*input as usize);
                Self::Process(input.expect("the job graph feeds only inputs that exist").kind)
            }
            Work::Timers(_) => Self::OnTimers,
            Work::Finish => Self::Finish,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Start => "the start of the instance",
            Self::Describe => "`describe`",
            Self::Migrate => "`migrate`",
            Self::Open => "`open`",
            Self::Process(InputKind::Keyed) => "`process` of a keyed input",
            Self::Process(InputKind::Unkeyed) => "`process` of an unkeyed input",
            Self::Process(InputKind::Broadcast) => "`process` of a broadcast input",
            Self::OnTimers => "`on-timers`",
            Self::Finish => "`finish`",
        }
    }
}

impl Abilities {
    /// State handles are made in `open`.
    pub(super) fn in_open(&self, ability: &str) -> Result<(), Violation> {
        self.legal(ability, self.phase == Phase::Open, "in `open`")
    }

    /// Keyed state and timers belong to the keys of what is processed.
    pub(super) fn in_keyed(&self, ability: &str) -> Result<(), Violation> {
        let legal = matches!(self.phase, Phase::Process(InputKind::Keyed) | Phase::OnTimers);
        self.legal(ability, legal, "while a batch of a keyed input or fired timers are processed")
    }

    /// What all subtasks hold alike is written to only by what all of them are given alike.
    pub(super) fn in_broadcast(&self, ability: &str) -> Result<(), Violation> {
        let legal = self.phase == Phase::Process(InputKind::Broadcast);
        let place = "while a batch of a broadcast input is processed, which every instance is given: write there, or keep \
                     this in keyed or operator state";
        self.legal(ability, legal, place)
    }

    /// Rows and headers belong to a batch.
    pub(super) fn in_process(&self, ability: &str) -> Result<(), Violation> {
        self.legal(ability, matches!(self.phase, Phase::Process(_)), "in `process`")
    }

    /// Records leave while something is processed.
    pub(super) fn in_any_call(&self, ability: &str) -> Result<(), Violation> {
        let legal = matches!(self.phase, Phase::Process(_) | Phase::OnTimers | Phase::Finish);
        self.legal(ability, legal, "in `process`, `on-timers` and `finish`")
    }

    /// Everything but `describe`, and what runs before `open`.
    pub(super) fn once_open(&self, ability: &str) -> Result<(), Violation> {
        let legal = !matches!(self.phase, Phase::Start | Phase::Describe | Phase::Migrate);
        self.legal(ability, legal, "from `open` on: nothing before it may use an import of weir:operator")
    }

    /// Log lines are all that `migrate` may leave.
    pub(super) fn once_open_or_migrating(&self, ability: &str) -> Result<(), Violation> {
        if self.phase == Phase::Migrate { Ok(()) } else { self.once_open(ability) }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    fn legal(&self, ability: &str, legal: bool, place: &str) -> Result<(), Violation> {
        if legal {
            return Ok(());
        }
        Err(Violation::rule(format!("{ability} is legal only {place}; it was called in {}", self.phase.name())))
    }
}
