//! The registry over stores that forget, fail and remember, with a compiler that only counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use tokio::runtime::Handle;
use weir_operator::operator::Factory;
use weir_protocol::Fault;
use weir_protocol::description::OperatorDescription;
use weir_protocol::id::Name;

use super::{Compiled, Compiler, Refusal, Registry, RegistryConfig, RegistryError, hash};
use crate::clock::{Clock, Entropy};
use crate::job::Operators;
use crate::store::Store;

/// Admits whatever begins with `ok`; counts how often it compiled.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

#[derive(Debug)]
struct One(Vec<OperatorDescription>);

impl Compiler for Counting {
    fn compile(&self, _hash: &str, bytes: &[u8]) -> Result<Arc<dyn Compiled>, Refusal> {
        self.0.fetch_add(1, Ordering::SeqCst);
        if !bytes.starts_with(b"ok") {
            return Err(Refusal { fault: Fault::Request, message: "not ok".to_owned() });
        }
        Ok(Arc::new(One(vec![OperatorDescription {
            name: "count".to_owned(),
            doc: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            states: Vec::new(),
            config_schema: String::new(),
            properties: Vec::new(),
        }])))
    }
}

impl Compiled for One {
    fn operators(&self) -> Vec<OperatorDescription> {
        self.0.clone()
    }
    fn factory(&self, _operator: &str) -> Option<Arc<dyn Factory>> {
        None
    }
}

struct Setup {
    objects: Arc<InMemory>,
    compiler: Arc<Counting>,
}

impl Setup {
    fn new() -> Self {
        Self { objects: Arc::default(), compiler: Arc::default() }
    }

    /// A registry as a new process would have it.
    fn registry(&self) -> Registry {
        let clock = Clock::starting_at(1_000);
        Registry::new(RegistryConfig {
            store: Store::new(Arc::<InMemory>::clone(&self.objects), clock),
            clock,
            entropy: Entropy::seeded(1),
            compiler: Arc::<Counting>::clone(&self.compiler),
            runtime: Handle::current().into(),
            concurrency: 2,
        })
    }

    fn compiled(&self) -> usize {
        self.compiler.0.load(Ordering::SeqCst)
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

const BYTES: Bytes = Bytes::from_static(b"ok, a component");

#[tokio::test]
async fn a_name_means_what_was_uploaded_for_it_last() {
    let setup = Setup::new();
    let registry = setup.registry();
    let first = registry.upload(BYTES, Some(&name("words"))).await.unwrap();
    let second = registry.upload(Bytes::from_static(b"ok, another"), Some(&name("words"))).await.unwrap();
    assert!(first.created && second.created);
    assert_eq!(registry.find("words").await.unwrap(), second.component);
    assert_eq!(registry.find(&hash(&BYTES)).await.unwrap(), first.component, "by hash it is there still");
    assert_eq!(registry.list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_same_bytes_and_name_again_change_nothing() {
    let setup = Setup::new();
    let registry = setup.registry();
    registry.upload(BYTES, Some(&name("words"))).await.unwrap();
    let again = registry.upload(BYTES, Some(&name("words"))).await.unwrap();
    assert!(!again.created);
    assert!(registry.upload(BYTES, Some(&name("other"))).await.unwrap().created, "a further name is new");
    assert_eq!(setup.compiled(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_process_finds_what_was_uploaded_and_compiles_when_it_is_used() {
    let setup = Setup::new();
    setup.registry().upload(BYTES, Some(&name("words"))).await.unwrap();
    let registry = setup.registry();
    let found = registry.find("words").await.unwrap();
    assert_eq!((found.bytes, found.uploaded_at, found.operators.len()), (15, 1_000, 1));
    assert_eq!(setup.compiled(), 1);
    registry.factory(&found.hash, "count").await.unwrap_err();
    assert_eq!(setup.compiled(), 2);
}

#[tokio::test]
async fn what_is_not_admitted_is_not_kept() {
    let setup = Setup::new();
    let registry = setup.registry();
    let error = registry.upload(Bytes::from_static(b"no"), Some(&name("words"))).await.unwrap_err();
    assert_eq!((error.to_string(), error.fault()), ("not ok".to_owned(), Fault::Request));
    assert_eq!(registry.list().await.unwrap(), []);
    assert!(registry.names().await.unwrap().is_empty());
}

#[tokio::test]
async fn those_who_ask_at_once_share_one_compilation() {
    let setup = Setup::new();
    let registry = setup.registry();
    let uploads = (0..8).map(|_| registry.upload(BYTES, None));
    for uploaded in futures::future::join_all(uploads).await {
        uploaded.unwrap();
    }
    assert_eq!(setup.compiled(), 1);
}

#[tokio::test]
async fn names_written_at_once_all_end_with_a_meaning() {
    let setup = Setup::new();
    let registry = setup.registry();
    let contents = ["ok 1", "ok 2", "ok 3", "ok 4"].map(|text| Bytes::from_static(text.as_bytes()));
    let words = name("words");
    let uploads = contents.map(|bytes| registry.upload(bytes, Some(&words)));
    for uploaded in futures::future::join_all(uploads).await {
        assert!(uploaded.unwrap().created);
    }
    assert_eq!(registry.names().await.unwrap().len(), 1);
    assert_eq!(registry.list().await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_deleted_component_is_gone_with_its_names_and_can_come_back() {
    let setup = Setup::new();
    let registry = setup.registry();
    let hash = registry.upload(BYTES, Some(&name("words"))).await.unwrap().component.hash;
    registry.upload(BYTES, Some(&name("more"))).await.unwrap();
    registry.delete(&hash).await.unwrap();
    assert!(matches!(registry.find("words").await, Err(RegistryError::Unknown(name)) if name == "words"));
    assert!(matches!(registry.find(&hash).await, Err(RegistryError::Unknown(_))));
    assert!(registry.names().await.unwrap().is_empty());
    assert!(registry.upload(BYTES, Some(&name("words"))).await.unwrap().created);
    assert_eq!(registry.find("words").await.unwrap().hash, hash);
}

#[tokio::test]
async fn damaged_bytes_are_never_run() {
    let setup = Setup::new();
    let hash = setup.registry().upload(BYTES, None).await.unwrap().component.hash;
    let path = Path::from(format!("components/{hash}.wasm"));
    setup.objects.put(&path, "ok, something else".into()).await.unwrap();
    let error = setup.registry().factory(&hash, "count").await.unwrap_err();
    assert_eq!(error.fault, Fault::Corrupt);
    assert!(error.message.starts_with(&format!("object `{path}` is damaged: the SHA-256")), "{}", error.message);
}

#[tokio::test]
async fn a_name_that_looks_like_a_hash_is_refused() {
    let setup = Setup::new();
    let error = setup.registry().upload(BYTES, Some(&name(&"a".repeat(64)))).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Request);
    assert!(setup.registry().list().await.unwrap().is_empty());
}
