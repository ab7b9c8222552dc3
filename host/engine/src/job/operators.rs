//! Where the engine gets the operators that jobs name.

use futures::future::BoxFuture;
use std::sync::Arc;
use weir_operator::operator::Factory;
use weir_protocol::Fault;

/// Finds operators: the registry of uploaded components, or a plain map of native ones.
pub trait Operators: Send + Sync + std::fmt::Debug {
    /// The factory of one operator of a component. Called when a job is submitted and at each start of an attempt;
    /// what it takes long to make (compiled code) is cached behind it.
    fn factory<'a>(
        &'a self,
        component: &'a str,
        operator: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn Factory>, OperatorsError>>;
}

/// Why there is no factory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OperatorsError {
    /// Who must act: `Request` for a name that nobody uploaded, `Unavailable` where the store is away, `Corrupt` where
    /// its bytes differ.
    pub fault: Fault,
    /// What is wrong, and the mend.
    pub message: String,
}
