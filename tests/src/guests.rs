//! The components that the build made: the path of each, and a loader to share.

use std::sync::{Arc, LazyLock};

use weir_operator::component::{AdmissionError, LoadedComponent, Loader};

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

static LOADER: LazyLock<Loader> = LazyLock::new(|| Loader::new(None).expect("components run on this machine"));

/// The bytes of a component.
///
/// # Panics
/// When the build did not make it.
#[must_use]
pub fn bytes(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| unreachable!("{path} was built: {error}"))
}

/// Compiles and admits a component, with a loader that keeps nothing.
///
/// # Errors
/// When it is refused.
pub fn load(path: &str) -> Result<Arc<LoadedComponent>, AdmissionError> {
    LOADER.load(&bytes(path))
}
