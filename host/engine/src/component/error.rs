//! Why the registry did not do what it was asked.

use weir_protocol::Fault;

use crate::component::Refusal;
use crate::spawn::Panicked;
use crate::store::StoreError;

/// Why the registry did not do what it was asked. Nothing that can be seen was changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The bytes were not admitted.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such component.
    #[error("no component is called `{0}`, by name or by hash; upload it, or see which there are (`weir list`)")]
    Unknown(String),
    /// A name that would be taken for a hash.
    #[error("`{0}` cannot be the name of a component, as it has the form of a hash; use another")]
    NameIsHash(String),
    /// A name that too many were writing at once.
    #[error("the name `{0}` is being written by others all the time; try again")]
    Contended(String),
    /// The object store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Compiling broke an invariant.
    #[error("compiling component {hash} failed: {panicked}")]
    Compiling {
        /// Which.
        hash: String,
        /// What was said.
        panicked: Panicked,
    },
}

impl RegistryError {
    /// Who must act.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Refused(refusal) => refusal.fault,
            Self::Unknown(_) | Self::NameIsHash(_) => Fault::Request,
            Self::Contended(_) => Fault::Unavailable,
            Self::Store(error) => error.fault(),
            Self::Compiling { .. } => Fault::Bug,
        }
    }
}
