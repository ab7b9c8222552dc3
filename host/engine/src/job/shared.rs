//! What all jobs of an engine share.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::clock::{Clock, Entropy};
use crate::sink::LineWriter;
use crate::spawn::Runtime;
use crate::state::LocalDisk;
use crate::store::{Places, Store};

use super::Operators;

/// What all jobs of an engine share; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) control: Runtime,
    pub(crate) data: Handle,
    pub(crate) operators: Arc<dyn Operators>,
    pub(crate) places: Arc<dyn Places>,
    pub(crate) disk: Option<LocalDisk>,
    pub(crate) stdout: LineWriter,
}
