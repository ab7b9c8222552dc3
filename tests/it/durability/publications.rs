//! Publication while sinks are away.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use object_store::memory::InMemory;
use tokio::runtime::Handle;
use weir_engine::checkpoint::chain::SpecChain;
use weir_engine::checkpoint::dead_letters::read_dead_letters;
use weir_engine::checkpoint::publish::Publications;
use weir_engine::clock::{Clock, Entropy};
use weir_engine::dead_letter::DeadLetter;
use weir_engine::sink::{OpenOutbox, Publisher, SinkError};
use weir_engine::store::Store;
use weir_protocol::Fault;
use weir_protocol::chain::{EntryKind, Next};
use weir_protocol::id::{CheckpointId, JobId, SubtaskId};
use weir_protocol::manifest::{Blob, Manifest, Outbox, OutboxPart, Outlet};

use super::counting_job::{create, start_manifest, uid};
use super::shelf::Shelf;

/// A sink that never answers anything but this.
struct Refusing(Fault);

impl Publisher for Refusing {
    fn publish<'a>(&'a self, _: &'a OpenOutbox) -> BoxFuture<'a, Result<(), SinkError>> {
        let error = SinkError { fault: self.0, message: "no".to_owned() };
        async { Err(error) }.boxed()
    }

    fn marker(&self) -> BoxFuture<'_, Result<Option<CheckpointId>, SinkError>> {
        async { Ok(None) }.boxed()
    }
}

fn outbox(outlet: Outlet, by: &str, bytes: &[u8]) -> Outbox {
    let subtask = SubtaskId { uid: uid(by), index: 0 };
    let part = OutboxPart { subtask, epoch: CheckpointId(1), blob: Blob::inline(bytes), records: 1 };
    Outbox { outlet, checkpoint: CheckpointId(1), predecessor: None, parts: vec![part] }
}

/// A job with one entry beyond its start, which names an outbox of each outlet.
async fn published_with(store: &Store, shelf: &Arc<Shelf>, other: Fault) -> Publications {
    let (clock, entropy) = (Clock::system(), Entropy::seeded(1));
    let specs = SpecChain::new(store.clone(), clock, JobId(7));
    let mut owner = create(&specs, &entropy).await.unwrap();
    let letter = DeadLetter {
        uid: uid("count"),
        subtask: 0,
        at: 0,
        reason: "odd".to_owned(),
        origin: "numbers:0".to_owned(),
        key: None,
        value: None,
        event_time: None,
    };
    let outboxes = vec![
        outbox(Outlet::DeadLetters, "count", &serde_json::to_vec(&letter).unwrap()),
        outbox(Outlet::Sink(uid("away")), "away", b"never\n"),
        outbox(Outlet::Sink(uid("out")), "out", b"line\n"),
    ];
    let manifest = Manifest { checkpoint: CheckpointId(1), outboxes, ..start_manifest() };
    let kind = EntryKind::Checkpoint;
    let next = Next { nonce: entropy.nonce(), at: 0, kind, manifest, published: BTreeMap::new() };
    let confirmed = owner.append(next).await.unwrap();
    let entry = &owner.newest().unwrap().entry;
    let away: Arc<dyn Publisher> = Arc::new(Refusing(other));
    let sinks = BTreeMap::from([(uid("away"), away), (uid("out"), Arc::clone(shelf) as _)]);
    Publications::begin(store, clock, JobId(7), &sinks, (confirmed, entry), Handle::current().into()).unwrap()
}

#[tokio::test]
async fn a_sink_that_is_away_holds_up_neither_another_sink_nor_the_dead_letters() {
    let store = Store::new(Arc::new(InMemory::new()), Clock::system());
    let shelf = Arc::new(Shelf::new(Arc::new(InMemory::new())));
    let mut publications = published_with(&store, &shelf, Fault::Unavailable).await;
    while publications.published().len() < 2 || publications.progress().waiting.is_empty() {
        publications.changed().await;
    }
    assert_eq!(shelf.lines().await, ["line"]);
    let letters = read_dead_letters(&store, JobId(7), 10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.reason.as_str()).collect::<Vec<_>>(), ["odd"]);
    let waiting = publications.progress();
    assert_eq!((waiting.waiting.len(), waiting.failure), (1, None));
    assert_eq!(publications.unpublished_bytes(), 6);
}

#[tokio::test]
async fn a_sink_that_holds_something_else_stops_the_job() {
    let store = Store::new(Arc::new(InMemory::new()), Clock::system());
    let shelf = Arc::new(Shelf::new(Arc::new(InMemory::new())));
    let mut publications = published_with(&store, &shelf, Fault::Corrupt).await;
    assert_eq!(publications.drained().await.unwrap_err().fault(), Fault::Corrupt);
}
