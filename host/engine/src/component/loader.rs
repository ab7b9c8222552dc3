//! The compiler that runs WebAssembly: `weir-operator`'s loader.

use std::sync::Arc;

use weir_operator::component::{LoadedComponent, Loader};
use weir_operator::operator::Factory;
use weir_protocol::description::OperatorDescription;

use crate::component::{Compiled, Compiler, Refusal};

impl Compiler for Loader {
    fn compile(&self, _hash: &str, bytes: &[u8]) -> Result<Arc<dyn Compiled>, Refusal> {
        let loaded = self.load(bytes).map_err(|error| Refusal { fault: error.fault(), message: error.to_string() })?;
        Ok(Arc::new(Loaded(loaded)))
    }
}

#[derive(Debug)]
struct Loaded(Arc<LoadedComponent>);

impl Compiled for Loaded {
    fn operators(&self) -> Vec<OperatorDescription> {
        self.0.operators().cloned().collect()
    }

    fn factory(&self, operator: &str) -> Option<Arc<dyn Factory>> {
        self.0.factory(operator)
    }
}
