//! Why something in the object store could not be done.

use weir_protocol::Fault;

/// Why something in the object store could not be done; each names the object (or the place) and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store did not answer, or answered with an error; it was asked more than once.
    #[error("could not {action} object `{object}`: {reason}")]
    Unavailable {
        /// What was tried: `read`, `write`, `create`, `list`, `delete`.
        action: &'static str,
        /// The object, or the folder that was listed.
        object: String,
        /// What the store said.
        reason: String,
    },
    /// The store refuses, and will go on to do so until somebody changes something: credentials, a bucket, access.
    #[error("could not {action} object `{object}`: {reason}")]
    Denied {
        /// What was tried, as in [`Unavailable`](Self::Unavailable).
        action: &'static str,
        /// The object, or the folder that was listed.
        object: String,
        /// Why, and the mend.
        reason: String,
    },
    /// An object that must be there is not.
    #[error("object `{object}` is missing")]
    Missing {
        /// The object.
        object: String,
    },
    /// An object is there but its bytes are not those that were written.
    #[error("object `{object}` is damaged: {reason}")]
    Damaged {
        /// The object.
        object: String,
        /// What differs.
        reason: String,
    },
    /// The store cannot be used.
    #[error("the object store `{location}` cannot be used: {reason}")]
    Refused {
        /// Which store.
        location: String,
        /// Why, and the mend.
        reason: String,
    },
}

impl StoreError {
    /// Who must act. A running job waits until what was denied is allowed: nothing of it is lost meanwhile.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Unavailable { .. } | Self::Denied { .. } => Fault::Unavailable,
            Self::Missing { .. } | Self::Damaged { .. } => Fault::Corrupt,
            Self::Refused { .. } => Fault::Request,
        }
    }
}
