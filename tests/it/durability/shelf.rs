//! Where the tests' results go: a sink over an object store, and a reader that checks the sequence.

use std::fmt;
use std::sync::Arc;

use futures::TryStreamExt;
use futures::future::{BoxFuture, FutureExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use weir_engine::sink::{OpenOutbox, Publisher, SinkError};
use weir_protocol::Fault;
use weir_protocol::id::CheckpointId;

/// Publishes the lines of one outbox as one object, then creates its marker.
#[derive(Debug)]
pub(super) struct Shelf(Arc<dyn ObjectStore>);

/// A sink that never answers.
#[derive(Debug)]
pub(super) struct Silent;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Marker {
    checkpoint: CheckpointId,
    predecessor: Option<CheckpointId>,
}

impl Shelf {
    pub(super) fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self(objects)
    }

    /// Every line that is public, in order. Checks that each marker names the one before it.
    pub(super) async fn lines(&self) -> Vec<String> {
        let mut last = None;
        let mut lines = Vec::new();
        for checkpoint in self.markers().await.expect("the reader's store is sound") {
            let marker = self.0.get(&marker(checkpoint)).await.unwrap().bytes().await.unwrap();
            let marker: Marker = serde_json::from_slice(&marker).unwrap();
            assert_eq!(marker, Marker { checkpoint, predecessor: last }, "a gap or a fork among the results");
            let part = self.0.get(&part(checkpoint)).await.unwrap().bytes().await.unwrap();
            lines.extend(String::from_utf8(part.to_vec()).unwrap().lines().map(ToOwned::to_owned));
            last = Some(checkpoint);
        }
        lines
    }

    async fn markers(&self) -> Result<Vec<CheckpointId>, Error> {
        let found: Vec<_> = self.0.list(Some(&Path::from("markers"))).try_collect().await?;
        let number = |path: &Path| path.filename().expect("it is a file").parse().map(CheckpointId);
        let mut markers: Vec<_> =
            found.iter().map(|object| number(&object.location).expect("markers are numbers")).collect();
        markers.sort_unstable();
        Ok(markers)
    }

    async fn publish(&self, outbox: &OpenOutbox) -> Result<(), SinkError> {
        let markers = self.markers().await.map_err(away)?;
        let mut bytes = Vec::new();
        outbox.parts.iter().for_each(|part| bytes.extend_from_slice(&part.part.bytes));
        if markers.contains(&outbox.checkpoint) {
            let public = self.0.get(&part(outbox.checkpoint)).await.map_err(away)?.bytes().await.map_err(away)?;
            assert_eq!(public, bytes, "other results under the same identity");
            return Ok(());
        }
        assert_eq!(markers.last().copied(), outbox.predecessor, "the marker moves only from predecessor to successor");
        self.0.put(&part(outbox.checkpoint), PutPayload::from(bytes)).await.map_err(away)?;
        let new = Marker { checkpoint: outbox.checkpoint, predecessor: outbox.predecessor };
        let bytes = serde_json::to_vec(&new).expect("a marker is plain data");
        let create = PutOptions::from(PutMode::Create);
        match self.0.put_opts(&marker(outbox.checkpoint), PutPayload::from(bytes), create).await {
            Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(away(error)),
        }
    }
}

impl Publisher for Shelf {
    fn publish<'a>(&'a self, outbox: &'a OpenOutbox) -> BoxFuture<'a, Result<(), SinkError>> {
        self.publish(outbox).boxed()
    }

    fn marker(&self) -> BoxFuture<'_, Result<Option<CheckpointId>, SinkError>> {
        async { Ok(self.markers().await.map_err(away)?.last().copied()) }.boxed()
    }
}

impl Publisher for Silent {
    fn publish<'a>(&'a self, _: &'a OpenOutbox) -> BoxFuture<'a, Result<(), SinkError>> {
        std::future::pending().boxed()
    }

    fn marker(&self) -> BoxFuture<'_, Result<Option<CheckpointId>, SinkError>> {
        std::future::pending().boxed()
    }
}

fn part(checkpoint: CheckpointId) -> Path {
    Path::from(format!("parts/{:020}", checkpoint.0))
}

fn marker(checkpoint: CheckpointId) -> Path {
    Path::from(format!("markers/{:020}", checkpoint.0))
}

fn away(error: impl fmt::Display) -> SinkError {
    SinkError { fault: Fault::Unavailable, message: error.to_string() }
}
