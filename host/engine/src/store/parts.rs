//! Writing an object, in parts where it is large.
//!
//! Guarantees that the object appears whole or not at all, and that of an upload which failed nothing is left where the
//! store still answers. Does not repeat anything: the caller does.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, Result};

/// Larger objects are written in parts of this size. Clouds take no smaller ones than 5 MiB, and 10,000 at most.
const PART_BYTES: usize = 8 << 20;
/// Parts of one object that are on their way at once.
const PARTS_AT_ONCE: usize = 4;

/// Writes an object, whatever was there before.
pub(super) async fn put(objects: &dyn ObjectStore, name: &Path, bytes: &Bytes) -> Result<()> {
    if bytes.len() <= PART_BYTES {
        objects.put(name, PutPayload::from(bytes.clone())).await?;
        return Ok(());
    }
    let mut upload = objects.put_multipart(name).await?;
    let starts = (0..bytes.len()).step_by(PART_BYTES);
    let part = |start: usize| PutPayload::from(bytes.slice(start..bytes.len().min(start.saturating_add(PART_BYTES))));
    // Parts are numbered as they are asked for, so this is done in order, and each as its turn comes.
    let sent = stream::iter(starts).map(|start| upload.put_part(part(start))).buffered(PARTS_AT_ONCE).try_collect();
    match sent.await {
        Ok(()) => {}
        Err(error) => {
            // That this fails too says nothing new; the bucket's own rules remove what was begun and never finished.
            drop(upload.abort().await);
            return Err(error);
        }
    }
    upload.complete().await?;
    Ok(())
}
