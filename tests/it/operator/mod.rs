//! Components: what is admitted, what they may do, what they may use up.

mod admission;
mod cache;
mod contract;
mod limits;
mod migration;
mod wasi;

use std::sync::{Arc, LazyLock};

use weir_operator::component::LoadedComponent;
use weir_operator::contract::Trial;
use weir_operator::operator::{CallError, Factory};
use weir_protocol::job_spec::LimitSpec;
use weir_tests::guests;

static CONTRACT: LazyLock<Arc<LoadedComponent>> =
    LazyLock::new(|| guests::load(guests::CONTRACT).expect("the odd operator is admitted"));

/// The odd operator, as a component.
fn odd() -> Arc<dyn Factory> {
    CONTRACT.factory("odd").expect("the component has this operator")
}

async fn trial(limits: LimitSpec) -> Trial {
    Trial::open(&odd(), "", limits).await.expect("the odd operator opens")
}

/// What one command answers or dies of, on an instance of its own.
async fn obey(command: &str, limits: LimitSpec) -> Result<Vec<String>, CallError> {
    trial(limits).await.keyed(&[("key", command)]).await
}
