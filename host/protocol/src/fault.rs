//! Who must act when something fails.
//!
//! Every error of the host maps to one of these kinds at the border of its module. The kind, not the error's type,
//! decides what happens next: whether a record is dead-lettered, a request refused, a job restarted or stopped.

use serde::{Deserialize, Serialize};

/// Who must act, and so what the host does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The operator's author: a trap, a failure, a limit. The batch is undone and the job's policy applies.
    Guest,
    /// The caller: the request is wrong. Nothing was changed; the message says what is wrong, where, and the mend.
    Request,
    /// Nobody, for now: something outside is away. Retried with back-off, then the job restarts from its newest entry.
    Unavailable,
    /// The operator of the node: bytes that should be there are not, or differ. The job stops; nothing is guessed.
    Corrupt,
    /// The authors of Weir: a broken invariant. The task stops with evidence, the others go on.
    Bug,
}

impl Fault {
    /// Whether running the same thing again from the newest entry can help.
    ///
    /// ```
    /// use weir_protocol::Fault;
    /// assert!(Fault::Unavailable.is_restartable());
    /// assert!(!Fault::Corrupt.is_restartable());
    /// ```
    #[must_use]
    pub const fn is_restartable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Guest | Self::Bug)
    }
}
