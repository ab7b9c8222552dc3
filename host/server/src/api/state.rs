//! `/api/v1/jobs/{job}/state` and `/api/v1/jobs/{job}/checkpoints`: what is in a job's checkpoints.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::{Deserialize, Serialize};
use weir_engine::checkpoint::inspect::{
    Ask, Checkpoint, InspectError, Inspector, Mark, Verification, Which, from_base64,
};
use weir_engine::job::JobStatus;
use weir_protocol::description::TtlDescription;
use weir_protocol::id::{CheckpointId, JobId, Uid};
use weir_protocol::job_spec::JobSpec;

use crate::api::Problem;
use crate::api::shape::{HeldCheckpoint, StatePage, Verified};
use crate::node::Node;

/// Items that are given where the request does not say how many.
const ITEMS: usize = 100;

/// What is asked of an operator's state.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Asked {
    /// Of a savepoint: where it is.
    pub(super) location: Option<String>,
    state: Option<String>,
    key: Option<String>,
    key_base64: Option<String>,
    checkpoint: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

/// A page of what an operator holds; with a key, what it holds under that.
pub(super) async fn page(
    State(node): State<Node>,
    Path((job, operator)): Path<(String, String)>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<StatePage>, Problem> {
    let (Query(asked), job) = (asked?, node.job(&job)?);
    if asked.location.is_some() {
        return Err(Problem::no_location());
    }
    let inspector = node.engine().inspector(job.id)?;
    let of = Subject { job: job.id, spec: &job.spec, inspector };
    look(&node, of, operator, asked, |error| Problem::of_look(error, &job)).await
}

/// Whose state is looked at.
pub(super) struct Subject<'a> {
    pub(super) job: JobId,
    pub(super) spec: &'a JobSpec,
    pub(super) inspector: Inspector,
}

/// The same of a job or a savepoint.
pub(super) async fn look(
    node: &Node,
    of: Subject<'_>,
    operator: String,
    asked: Asked,
    explained: impl FnOnce(InspectError) -> Problem,
) -> Result<Json<StatePage>, Problem> {
    let key = match (asked.key, asked.key_base64) {
        (Some(_), Some(_)) => return Err(Problem::two_keys()),
        (Some(text), None) => Some(text.into_bytes()),
        (None, Some(base64)) => Some(from_base64(&base64)?),
        (None, None) => None,
    };
    let after = asked.after.as_deref().map(Mark::decode).transpose()?;
    let is_first = after.is_none();
    let uid: Uid = operator.parse()?;
    let lives = lives(node, of.spec, &uid).await;
    let (state, limit) = (asked.state, asked.limit.unwrap_or(ITEMS));
    let ask = Ask { operator: uid, state, key, limit, after, lives };
    let which = asked.checkpoint.as_deref().map_or(Ok(Which::Newest), which)?;
    let (checkpoint, page) = of.inspector.look(which, &ask).await.map_err(explained)?;
    if let Some(key) = ask.key.filter(|_| is_first && page.items.is_empty() && page.next.is_none()) {
        return Err(Problem::unknown_key(&ask.operator, &key, checkpoint.id()));
    }
    Ok(Json(StatePage {
        job: of.job.to_string(),
        name: of.spec.name.to_string(),
        operator,
        checkpoint: shown(&checkpoint),
        items: page.items,
        next: page.next.map(|next| next.encode()),
    }))
}

/// How long what an operator's states hold lives. Without its component, which may be deleted once a job has ended,
/// nobody knows.
async fn lives(node: &Node, spec: &JobSpec, uid: &Uid) -> BTreeMap<String, TtlDescription> {
    let Some(spec) = spec.operators.iter().find(|operator| operator.uid == *uid) else { return BTreeMap::new() };
    let Ok(component) = node.registry().find(&spec.component).await else { return BTreeMap::new() };
    let described = component.operators.into_iter().find(|operator| operator.name == spec.operator);
    let states = described.map(|operator| operator.states).unwrap_or_default();
    states.into_iter().filter_map(|state| Some((state.name, state.ttl?))).collect()
}

/// The checkpoints that can be restored or looked into, the newest first.
pub(super) async fn checkpoints(
    State(node): State<Node>,
    Path(job): Path<String>,
) -> Result<Json<Vec<HeldCheckpoint>>, Problem> {
    let retained = node.engine().inspector(node.job(&job)?.id)?.retained().await?;
    Ok(Json(retained.iter().map(shown).collect()))
}

/// The checkpoint that a request names: its number, or `newest`.
fn which(named: &str) -> Result<Which, Problem> {
    match named {
        "newest" => Ok(Which::Newest),
        number => match number.parse() {
            Ok(number) => Ok(Which::Retained(CheckpointId(number))),
            Err(_) => Err(Problem::no_checkpoint_number(number)),
        },
    }
}

pub(super) fn shown(checkpoint: &Checkpoint) -> HeldCheckpoint {
    let Checkpoint { entry, manifest } = checkpoint;
    HeldCheckpoint {
        id: manifest.checkpoint.0,
        at: manifest.taken_at,
        entry: entry.0,
        bytes: manifest.bytes(),
        operators: manifest.operators.keys().map(ToString::to_string).collect(),
    }
}

/// Reads everything that a checkpoint names: a line of JSON for each object as soon as it is known, and one at the end
/// with how many there were. Without that line the answer is not whole.
pub(super) async fn verify(
    State(node): State<Node>,
    Path((job, checkpoint)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let which = which(&checkpoint)?;
    let job: JobStatus = node.job(&job)?;
    let inspector: Inspector = node.engine().inspector(job.id)?;
    let verification = inspector.verify(which).await.map_err(|error| Problem::of_look(error, &job))?;
    Ok(verified(verification))
}

/// The lines of an answer, each as soon as it is known.
pub(super) fn verified(verification: Verification) -> Response {
    let verifying = Verifying { verification, objects: 0, damaged: 0, is_done: false };
    let lines = stream::unfold(verifying, |mut verifying| async {
        let line = verifying.line().await?;
        Some((Ok::<_, std::convert::Infallible>(line), verifying))
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// An answer on its way.
struct Verifying {
    verification: Verification,
    objects: u64,
    damaged: u64,
    is_done: bool,
}

impl Verifying {
    async fn line(&mut self) -> Option<Bytes> {
        if self.is_done {
            return None;
        }
        match self.verification.next().await {
            Ok(Some(verdict)) => {
                self.objects += 1;
                self.damaged += u64::from(verdict.damage.is_some());
                Some(line(&verdict))
            }
            Ok(None) => {
                self.is_done = true;
                let checkpoint = self.verification.checkpoint().0;
                Some(line(&Verified { checkpoint, objects: self.objects, damaged: self.damaged }))
            }
            Err(error) => {
                self.is_done = true;
                Some(line(&Problem::from(error)))
            }
        }
    }
}

fn line<T: Serialize>(value: &T) -> Bytes {
    let mut line = serde_json::to_vec(value).expect("what is sent is plain data");
    line.push(b'\n');
    line.into()
}
