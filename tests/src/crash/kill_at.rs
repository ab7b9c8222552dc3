//! At which step a node kills or stops itself, as text: `before:entry:3`.

use std::fmt;
use std::str::FromStr;

use weir_engine::step::{Step, When};

/// The environment variable that tells `weir-killable` where to die.
pub const KILL_AT: &str = "WEIR_KILL_AT";

/// The environment variable that tells `weir-killable` where to stop, until it gets SIGCONT.
pub const STOP_AT: &str = "WEIR_STOP_AT";

/// The `nth` time (from 1) that a process is on this side of this step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KillAt {
    /// Before or after.
    pub when: When,
    /// The step.
    pub step: Step,
    /// How many of them the process sees, this one included.
    pub nth: u32,
}

impl KillAt {
    /// The step and its side, whichever time it is: `before:entry`.
    #[must_use]
    pub fn place(self) -> String {
        format!("{}:{}", self.when.name(), self.step.name())
    }
}

impl fmt::Display for KillAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.place(), self.nth)
    }
}

impl FromStr for KillAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no step to die at; write, for example, before:entry:3");
        let [when, step, nth] = text.split(':').collect::<Vec<_>>()[..] else { return Err(wrong()) };
        let when = When::ALL.into_iter().find(|known| known.name() == when).ok_or_else(wrong)?;
        let mut steps = Step::ALL.into_iter().chain(Step::OF_STATE_ON_DISK).chain([Step::Wish, Step::Copy]);
        let step = steps.find(|known| known.name() == step).ok_or_else(wrong)?;
        let nth = nth.parse().ok().filter(|nth| *nth > 0).ok_or_else(wrong)?;
        Ok(Self { when, step, nth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for step in Step::ALL.into_iter().chain(Step::OF_STATE_ON_DISK) {
            for when in When::ALL {
                let at = KillAt { when, step, nth: 3 };
                assert_eq!(at.to_string().parse(), Ok(at));
            }
        }
        for wrong in ["", "before:entry", "before:entry:0", "after:lunch:1", "during:entry:1"] {
            assert!(wrong.parse::<KillAt>().is_err(), "{wrong}");
        }
    }
}
