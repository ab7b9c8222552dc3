//! A node, and how to ask it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use object_store::memory::InMemory;
use serde_json::Value;
use tokio::runtime::Handle;
use tower::ServiceExt;
use weir_engine::clock::{Clock, Entropy};
use weir_engine::component::{Compiled, Compiler, Refusal};
use weir_engine::store::Everywhere;
use weir_operator::abilities::{Abilities, NewRecords};
use weir_operator::batch::Batch;
use weir_operator::native::{NativeError, NativeFactory, NativeOperator};
use weir_operator::operator::{Factory, OpenContext};
use weir_operator::turn::Origin;
use weir_protocol::Fault;
use weir_protocol::description::{Columns, InputDescription, InputKind, OperatorDescription};

use crate::api;
use crate::journal::Journal;
use crate::node::{Node, NodeConfig};

/// Admits whatever begins with `ok`, and finds the operator `echo` in it.
#[derive(Debug)]
struct Echoes;

#[derive(Debug)]
struct Echo;

impl Compiler for Echoes {
    fn compile(&self, _hash: &str, bytes: &[u8]) -> Result<Arc<dyn Compiled>, Refusal> {
        if bytes.starts_with(b"ok") {
            return Ok(Arc::new(Echo));
        }
        Err(Refusal { fault: Fault::Request, message: "this is not ok; begin with `ok`".to_owned() })
    }
}

impl Compiled for Echo {
    fn operators(&self) -> Vec<OperatorDescription> {
        let columns = Columns { keys: false, values: true, timestamps: false };
        vec![OperatorDescription {
            name: "echo".to_owned(),
            doc: "Says it again.".to_owned(),
            inputs: vec![InputDescription { name: "in".to_owned(), kind: InputKind::Unkeyed, columns }],
            outputs: vec!["out".to_owned()],
            states: Vec::new(),
            config_schema: String::new(),
            properties: Vec::new(),
        }]
    }

    fn factory(&self, operator: &str) -> Option<Arc<dyn Factory>> {
        let description = self.operators().into_iter().find(|description| description.name == operator)?;
        Some(Arc::new(NativeFactory::new(description, || Echo)))
    }
}

impl NativeOperator for Echo {
    fn open(&mut self, _context: &OpenContext, _abilities: &mut Abilities) -> Result<(), NativeError> {
        Ok(())
    }

    fn process(&mut self, _input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        abilities.emit(0, NewRecords::new(Origin::EachRow, batch.values.clone()))?;
        Ok(())
    }
}

/// A component that is admitted.
pub(super) const COMPONENT: &str = "ok, a component";

/// A job without end.
pub(super) const JOB: &str = r#"
name = "numbers"
[checkpoint]
interval = "20ms"
[[source]]
uid = "generator"
type = "generator"
rate = 1000
[[operator]]
uid = "echo"
component = "echo"
inputs = [{ from = "generator" }]
[[sink]]
uid = "nowhere"
type = "blackhole"
from = "echo"
"#;

/// A node that is asked.
pub(super) struct Asked {
    pub(super) node: Node,
    router: axum::Router,
}

/// What it answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
}

impl Answer {
    /// The body, which must be JSON.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Asked {
    pub(super) async fn new() -> Self {
        let clock = Clock::system();
        let config = NodeConfig {
            objects: Arc::new(InMemory::new()),
            clock,
            entropy: Entropy::seeded(7),
            compiler: Arc::new(Echoes),
            journal: Journal::new(clock),
            control: Handle::current().into(),
            disk_threads: Handle::current().into(),
            data: Handle::current(),
            places: Arc::new(Everywhere),
            disk: None,
            savepoints: None,
        };
        let node = Node::start(config).await.unwrap();
        Self { router: api::router(node.clone()), node }
    }

    /// A node that has the component `echo`.
    pub(super) async fn with_component() -> Self {
        let asked = Self::new().await;
        asked.post("/api/v1/components?name=echo", "application/wasm", COMPONENT).await;
        asked
    }

    pub(super) async fn ask(&self, method: Method, path: &str) -> Answer {
        self.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).await
    }

    pub(super) async fn post(&self, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(Method::POST).uri(path).header("content-type", content_type);
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(super) async fn put(&self, path: &str, content_type: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(Method::PUT).uri(path).header("content-type", content_type);
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        Answer { status, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Looks at a path until what it answers is as wanted. The bound is only there so that a failure ends.
    pub(super) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..3_000 {
            let answer = self.get(path).await.json();
            if wanted(&answer) {
                return answer;
            }
            self.node.clock().sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} never came to be as wanted: {}", self.get(path).await.body);
    }
}
