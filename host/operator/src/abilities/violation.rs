//! Why an ability refused.

use weir_protocol::Fault;

use crate::keyed_state::StateError;
use crate::operator::CallError;

/// Why an ability was not granted. For a component it is a trap; native code gets it as an error to pass on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A rule of the contract was broken; the text says which, where, and the mend.
    #[error("{0}")]
    Rule(String),
    /// A limit was passed; the text names it, its value and the mend.
    #[error("{0}")]
    Limit(String),
    /// The host could not serve the ability.
    #[error("{message}")]
    Host {
        /// Who must act.
        fault: Fault,
        /// What is wrong.
        message: String,
    },
}

impl Violation {
    pub(crate) fn rule(text: impl Into<String>) -> Self {
        Self::Rule(text.into())
    }
}

impl From<StateError> for Violation {
    fn from(error: StateError) -> Self {
        Self::Host { fault: error.fault, message: error.message }
    }
}

impl From<Violation> for CallError {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Rule(text) => Self::Trap(text),
            Violation::Limit(text) => Self::Limit(text),
            Violation::Host { fault, message } => Self::Host { fault, message },
        }
    }
}
