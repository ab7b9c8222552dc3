//! Where the sources of a job begin that nothing records yet.

use std::collections::BTreeMap;

use weir_protocol::id::Uid;
use weir_protocol::job_spec::JobSpec;
use weir_protocol::manifest::Positions;

use crate::source::{SourceError, resolve_start};

/// The start positions of those sources that are new.
///
/// # Errors
/// What one of them names cannot be read, with its uid.
pub(super) async fn resolve_starts(
    spec: &JobSpec,
    is_new: impl Fn(&Uid) -> bool,
) -> Result<BTreeMap<Uid, Positions>, SourceError> {
    let mut positions = BTreeMap::new();
    for source in spec.sources.iter().filter(|source| is_new(&source.uid)) {
        let resolved = resolve_start(&source.connector, source.parallelism.unwrap_or(spec.parallelism)).await;
        let resolved = resolved.map_err(|error| {
            let message = format!("source `{}`: {error}", source.uid);
            SourceError { message, ..error }
        })?;
        positions.insert(source.uid.clone(), resolved);
    }
    Ok(positions)
}
