//! One attempt to create one entry of a chain.

use std::sync::Arc;

use crate::id::{EntryNumber, Nonce};

/// One attempt to create one entry: its number, and bytes that hold a nonce of its own.
///
/// Perform [`Append::step`], report what came of it, and go on until it says `Won` or `Lost`. From the first create on,
/// nothing else is sent for that number: the bytes are fixed, and a create that had no answer is followed by a look.
///
/// ```
/// use weir_protocol::chain::{Append, AppendStep, CreateOutcome, LookOutcome};
/// use weir_protocol::id::{EntryNumber, Nonce};
///
/// let mut append = Append::new(EntryNumber(4), Nonce(7), b"entry".to_vec());
/// assert!(matches!(append.step(), AppendStep::Create { .. }));
/// append.on_create(CreateOutcome::Unknown);
/// assert_eq!(append.step(), AppendStep::Look { number: EntryNumber(4) });
/// append.on_look(LookOutcome::Found(Nonce(7)));
/// assert_eq!(append.step(), AppendStep::Won);
/// ```
#[derive(Debug, Clone)]
pub struct Append {
    number: EntryNumber,
    nonce: Nonce,
    bytes: Arc<[u8]>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Create,
    Look,
    Won,
    Lost,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendStep {
    /// Create the entry, if it is absent.
    Create {
        /// The entry.
        number: EntryNumber,
        /// Its bytes, the same each time.
        bytes: Arc<[u8]>,
    },
    /// Read the entry and report whose it is. Where the read fails, read again.
    Look {
        /// The entry.
        number: EntryNumber,
    },
    /// The entry is there, and it is this attempt's.
    Won,
    /// The number is another's.
    Lost,
}

/// What the store answered to a create-if-absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateOutcome {
    /// It was created.
    Created,
    /// Something is there already; it may be from an earlier try of this attempt.
    AlreadyExists,
    /// An error or no answer in time: it may have been created, now or later.
    Unknown,
}

/// What a read of the entry showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookOutcome {
    /// Nothing is there.
    Absent,
    /// An entry with this nonce.
    Found(Nonce),
}

impl Append {
    /// An attempt to create entry `number`; `bytes` hold `nonce`, which no other attempt has.
    #[must_use]
    pub fn new(number: EntryNumber, nonce: Nonce, bytes: Vec<u8>) -> Self {
        Self { number, nonce, bytes: bytes.into(), phase: Phase::Create }
    }

    /// The number that it is after.
    #[must_use]
    pub const fn number(&self) -> EntryNumber {
        self.number
    }

    /// What to do next.
    #[must_use]
    pub fn step(&self) -> AppendStep {
        match self.phase {
            Phase::Create => AppendStep::Create { number: self.number, bytes: Arc::clone(&self.bytes) },
            Phase::Look => AppendStep::Look { number: self.number },
            Phase::Won => AppendStep::Won,
            Phase::Lost => AppendStep::Lost,
        }
    }

    /// Notes the answer to a create.
    ///
    /// # Panics
    /// When the next step was no create.
    pub fn on_create(&mut self, outcome: CreateOutcome) {
        assert_eq!(self.phase, Phase::Create, "entry {} was created out of turn", self.number);
        self.phase = match outcome {
            CreateOutcome::Created => Phase::Won,
            CreateOutcome::AlreadyExists | CreateOutcome::Unknown => Phase::Look,
        };
    }

    /// Notes what a look showed.
    ///
    /// # Panics
    /// When the next step was no look.
    pub fn on_look(&mut self, outcome: LookOutcome) {
        assert_eq!(self.phase, Phase::Look, "entry {} was looked at out of turn", self.number);
        self.phase = match outcome {
            LookOutcome::Absent => Phase::Create,
            LookOutcome::Found(nonce) if nonce == self.nonce => Phase::Won,
            LookOutcome::Found(_) => Phase::Lost,
        };
    }
}
