//! What goes wrong inside operators.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use weir_operator::abilities::{Abilities, NewRecords};
use weir_operator::batch::BytesColumn;
use weir_operator::native::NativeError;
use weir_operator::turn::Origin;

use super::log::Log;

/// What a dishonest operator does, to show that the checks can fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dishonesty {
    /// It is honest.
    #[default]
    None,
    /// One result is emitted twice.
    Doubles,
    /// One result is dropped.
    Drops,
}

/// What an operator says that takes its task with it.
pub(super) const PANIC: &str = "an injected panic";

const FAILS: u32 = 1;
const TRAPS: u32 = 2;

/// A cheap handle to what goes wrong next; all operators of a run share it.
#[derive(Debug, Clone)]
pub(super) struct Hazards {
    pub(super) log: Log,
    dishonesty: Dishonesty,
    panics: Arc<AtomicU32>,
    /// What the next call does wrong; one thing, since a call that is tried again must not fail once more.
    trouble: Arc<AtomicU32>,
    has_rescaled: Arc<AtomicBool>,
}

impl Hazards {
    pub(super) fn new(log: Log, dishonesty: Dishonesty) -> Self {
        Self { log, dishonesty, panics: Arc::default(), trouble: Arc::default(), has_rescaled: Arc::default() }
    }

    /// The next call takes its task with it.
    pub(super) fn panic_soon(&self) {
        self.panics.store(1, Ordering::Relaxed);
    }

    /// The next call fails, and the one after it does not.
    pub(super) fn fail_soon(&self) {
        self.trouble.store(FAILS, Ordering::Relaxed);
    }

    /// The next call does what no operator may.
    pub(super) fn trap_soon(&self) {
        self.trouble.store(TRAPS, Ordering::Relaxed);
    }

    /// From now on the job may have another parallelism than it began with.
    pub(super) fn rescales(&self) {
        self.has_rescaled.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_rescaled(&self) -> bool {
        self.has_rescaled.load(Ordering::Relaxed)
    }

    /// Nothing goes wrong any more.
    pub(super) fn cease(&self) {
        self.panics.store(0, Ordering::Relaxed);
        self.trouble.store(0, Ordering::Relaxed);
    }

    /// Does now what was to happen soon.
    pub(super) fn strike(&self, abilities: &mut Abilities) -> Result<(), NativeError> {
        if self.panics.swap(0, Ordering::Relaxed) > 0 {
            self.log.note("operator", "panics");
            // Unlike `panic!` this writes nothing to the terminal.
            std::panic::resume_unwind(Box::new(PANIC));
        }
        match self.trouble.swap(0, Ordering::Relaxed) {
            FAILS => {
                self.log.note("operator", "fails once");
                Err(NativeError::failure("an injected failure"))
            }
            TRAPS => {
                self.log.note("operator", "traps once");
                Ok(abilities.emit(99, NewRecords::new(Origin::Unkeyed, BytesColumn::default()))?)
            }
            _ => Ok(()),
        }
    }

    /// How often the result of a record is emitted.
    pub(super) fn copies(&self, number: u64) -> u32 {
        match self.dishonesty {
            Dishonesty::Doubles if number == 17 => 2,
            Dishonesty::Drops if number == 17 => 0,
            Dishonesty::None | Dishonesty::Doubles | Dishonesty::Drops => 1,
        }
    }

    pub(super) fn is_honest(&self) -> bool {
        self.dishonesty == Dishonesty::None
    }
}
