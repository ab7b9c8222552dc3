//! What every implementation of [`Operator`](crate::operator::Operator) must do, as functions that a test calls.
//!
//! Receives a factory of the *odd operator*, which does whatever its records say (see [`odd`]); each function panics
//! with what went wrong. [`check_all`] runs them all. What only a component can do wrong (memory, CPU time, WASI) is
//! tested where components are built.

mod checks;
pub mod odd;
mod trial;

pub use checks::check_all;
pub use trial::{Trial, context};

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::odd;

    #[tokio::test]
    async fn native_operators_keep_the_contract() {
        super::check_all(&(Arc::new(odd::factory()) as Arc<dyn crate::operator::Factory>)).await;
    }
}
