//! What the registry needs of whoever runs components.

use std::fmt::Debug;
use std::sync::Arc;

use weir_operator::operator::Factory;
use weir_protocol::Fault;
use weir_protocol::description::OperatorDescription;

/// Admits components and makes them runnable.
pub trait Compiler: Send + Sync + Debug {
    /// Checks and compiles. Takes seconds of CPU time for a large component that was not compiled before, so it is
    /// called on threads that may block. `hash` is the SHA-256 of the bytes, in 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`Refusal`].
    fn compile(&self, hash: &str, bytes: &[u8]) -> Result<Arc<dyn Compiled>, Refusal>;
}

/// A component that can be run.
pub trait Compiled: Send + Sync + Debug {
    /// What its operators say of themselves.
    fn operators(&self) -> Vec<OperatorDescription>;

    /// Makes instances of one of them; `None` if there is none of that name.
    fn factory(&self, operator: &str) -> Option<Arc<dyn Factory>>;
}

/// Why bytes are no component that can be run here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Who must act: [`Fault::Request`] where the component is not admitted.
    pub fault: Fault,
    /// What is wrong (the import, the export, the state), and the mend.
    pub message: String,
}
