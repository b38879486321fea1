//! `POST /batch`: several writes in one request.

mod operation;

use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, post};
use serde::Serialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{AnyOfBuilder, Schema};

use super::extract::{Body, NoParameters, Parameters, Post, read_body};
use super::preference::{Content, PREFERENCE_APPLIED, Preferences};
use super::problem::{self, Problem, ProblemForm, problem_responses};
use super::sensors::undone;
use super::sensors::write::{Attempt, Plan, written};
use super::{HttpState, beside};
use crate::clock;
use crate::domain::SensorRef;
use crate::store::{BatchOutcome, Decide, Outcome, Tell, WriteError};
use crate::wire::representation::SensorForm;
pub use operation::BatchForm;
use operation::Operation;

/// The most operations in a batch.
pub const MAX_OPERATIONS: usize = 500;
/// How many batches are done at a time. More get 503.
const MAX_AT_A_TIME: usize = 16;
/// The memory that all batches together may take, as a multiple of the largest body. Beyond that they get 503, except one that is alone.
const ROOM_IN_BODIES: usize = 64;
/// The bytes that an object takes once it is parsed: even the smallest has room for eleven members.
const OBJECT_BYTES: usize = 640;
/// The bytes that any other value, or a key, takes.
const VALUE_BYTES: usize = 64;

/// The memory for batches; cheap to clone.
#[derive(Debug, Clone)]
pub struct BatchRoom {
    /// All of it.
    total: usize,
    /// For the bytes of the bodies, as they are once they are parsed.
    bytes: Arc<Semaphore>,
    /// For those whose body is there.
    places: Arc<Semaphore>,
}

impl BatchRoom {
    /// For bodies of at most `batch_bytes`.
    #[must_use]
    pub fn new(batch_bytes: usize) -> Self {
        let total = batch_bytes.saturating_mul(ROOM_IN_BODIES).min(Semaphore::MAX_PERMITS);
        Self {
            total,
            bytes: Arc::new(Semaphore::new(total)),
            places: Arc::new(Semaphore::new(MAX_AT_A_TIME)),
        }
    }

    /// Takes so many bytes of it, until the permit is dropped.
    fn take(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Problem> {
        let taken = u32::try_from(bytes)
            .ok()
            .and_then(|bytes| self.bytes.try_acquire_many(bytes).ok());
        taken.ok_or_else(|| Problem::of_kind(&problem::OVERLOADED))
    }

    /// Takes what one more piece of a body needs, but never more than there is in all.
    fn extend<'a>(&'a self, taken: &mut SemaphorePermit<'a>, piece: &[u8]) -> Result<(), Problem> {
        let left = self.total - taken.num_permits();
        taken.merge(self.take(parsed_bytes(piece).min(left))?);
        Ok(())
    }

    /// Takes one of the places, until the permit is dropped.
    fn enter(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let place = self.places.try_acquire();
        place.map_err(|_| Problem::of_kind(&problem::OVERLOADED))
    }
}

/// What a piece of JSON takes at most once it is parsed, roughly: a few bytes can be an object.
fn parsed_bytes(json: &[u8]) -> usize {
    let bytes = json.iter().map(|byte| match byte {
        b'{' => OBJECT_BYTES,
        b'[' | b',' | b':' => VALUE_BYTES,
        _ => 1,
    });
    bytes.sum()
}

problem_responses!(BatchProblems:
    MALFORMED_JSON, NOT_FOUND, NOT_ACCEPTABLE, NAME_TAKEN, STILL_RUNNING, SENSOR_INACTIVE, PATCH_CONFLICT, PRECONDITION_FAILED,
    BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID, KEY_REUSED, PRECONDITION_REQUIRED, OVERLOADED, OUTCOME_UNKNOWN, UNAVAILABLE,
    STORAGE_FULL);

/// What became of the operations, in their order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchOutcomes)]
struct OutcomesForm {
    /// One for each operation.
    outcomes: Vec<OutcomeForm>,
}

/// The answer that the operation would have had as a request of its own.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchOutcome)]
struct OutcomeForm {
    /// The status.
    #[schema(minimum = 200, maximum = 599, example = 201)]
    status: u16,
    /// The headers, such as `etag` and `location`; their names are in lower case.
    #[schema(value_type = HashMap<String, String>, example = json!({"etag": "\"k3f7q2vt.42\""}))]
    headers: serde_json::Map<String, Json>,
    /// The body, where there is one: a sensor or a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = sensor_or_problem)]
    body: Option<Box<RawValue>>,
}

fn sensor_or_problem() -> Schema {
    AnyOfBuilder::new()
        .item(Ref::from_schema_name(SensorForm::name()))
        .item(Ref::from_schema_name(ProblemForm::name()))
        .description(Some("The body, where there is one: a sensor or a problem."))
        .into()
}

/// Write many sensors at once
///
/// At most 500 operations, each a POST, PUT, PATCH or DELETE with the path, headers and body that it would have as a request
/// of its own, preconditions included. They run in order, with no other write between them, and their revisions are
/// contiguous. Unless `atomic` is `false`, either all are applied or none: the answer is then the problem of the first one
/// that failed, with its `index`. Each change is published as usual; its event names the `batch` that it is part of.
#[utoipa::path(
    operation_id = "batch",
    tag = "sensors",
    params(
        ("Prefer" = String, Header),
        ("Idempotency-Key" = Option<String>, Header,
            description = "A key of the client's choice, in quotes. When the same request comes again with it within 24 hours, it is not carried out again and gets the same answer",
            nullable = false, pattern = r#"^"([ !#-\[\]-~]|\\["\\]){1,255}"$"#, example = json!("\"batch-1\"")),
    ),
    request_body(content = BatchForm, description = "The operations", example = json!({"operations": [
        {"method": "PUT", "path": "/sensors/batch-1", "body": {"kind": "temperature", "unit": "Cel"}},
        {"method": "PUT", "path": "/sensors/batch-1/value", "body": 21.5},
        {"method": "PATCH", "path": "/sensors/batch-1", "headers": {"Content-Type": "application/json-patch+json"},
            "body": [{"op": "test", "path": "/value", "value": 21.5}]},
    ]})),
    responses(
        (status = 200, description = "What became of each operation", body = OutcomesForm, headers(
            ("Preference-Applied" = String),
        )),
        BatchProblems,
    ),
)]
#[post("/batch")]
pub async fn batch(
    _: Parameters<NoParameters>,
    request: HttpRequest,
    payload: Payload,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    // Taken as the bytes arrive: a client that announces much and sends little keeps nobody out.
    let mut room = state.batch_room.take(0)?;
    let make_room = |piece: &[u8]| state.batch_room.extend(&mut room, piece);
    let limit = state.limits.batch_bytes;
    let body: Body<Post> = read_body(&request, payload.into_inner(), limit, make_room).await?;
    let _place = state.batch_room.enter()?;
    // RFC 9110 §13.1.1: nothing is represented here, which `If-None-Match` always finds true.
    if request.headers().contains_key(header::IF_MATCH) {
        let detail = "If-Match: a batch has no state of its own; give its operations preconditions";
        return Err(Problem::new(&problem::PRECONDITION_FAILED, detail));
    }
    let once = body.once(&request)?;
    let _claim = once.as_ref().map(|once| state.running.claim(&once.key)).transpose()?;
    let content = Preferences::of(request.headers()).content;
    let shared = state.clone();
    let (asked, writes, atomic) = beside::make(body.size(), move || read(&body, &shared)).await??;
    let attempts = Arc::new(Attempts {
        asked,
        content,
        state: state.clone(),
    });
    // A stored answer keeps the preference of the first request, so a confirmation could be of another one.
    let applied = content.filter(|_| once.is_none());
    let once = once.map(|once| {
        let attempts = attempts.clone();
        let tell: Tell = Box::new(move |outcomes| attempts.tell(outcomes));
        (once, tell)
    });
    let id = clock::new_batch_id();
    let done = state.store.write_batch(id, writes, atomic, once).await;
    let outcomes = match done.map_err(undone)? {
        BatchOutcome::Kept(outcomes) => outcomes,
        BatchOutcome::Done(outcomes) => attempts.tell(outcomes),
        BatchOutcome::Failed(index, error) => return Err(attempts.failure(index, error)),
        BatchOutcome::KeyReused => return Err(Problem::key_reused()),
    };
    let mut response = HttpResponse::Ok();
    if let Some(content) = applied {
        response.insert_header((PREFERENCE_APPLIED, content.applied()));
    }
    Ok(response.content_type(mime::APPLICATION_JSON).body(outcomes))
}

/// What is needed to answer a batch once the store has run it.
struct Attempts {
    asked: Vec<Asked>,
    /// The preference of the batch, for operations without one of their own.
    content: Option<Content>,
    state: Data<HttpState>,
}

impl Attempts {
    /// The answers to all operations, as JSON.
    fn tell(&self, outcomes: Vec<Result<Outcome, WriteError>>) -> String {
        let outcomes = self.asked.iter().zip(outcomes).map(|(asked, outcome)| {
            outcome_form(match outcome {
                Ok(outcome) => {
                    let content = asked.content.or(self.content);
                    // It is the batch that is encoded.
                    written(outcome, content, &HeaderMap::new(), &self.state)
                }
                Err(error) => {
                    let problem = asked.attempt.problem(error, &self.state);
                    problem.respond(self.state.links(), &asked.path)
                }
            })
        });
        let outcomes = outcomes.collect();
        // Its members are numbers, texts and JSON, which always serialize.
        serde_json::to_string(&OutcomesForm { outcomes }).unwrap_or_default()
    }

    /// The problem of the operation that kept the batch from being done.
    fn failure(&self, index: usize, error: WriteError) -> Problem {
        let problem = self
            .asked
            .get(index)
            .map(|asked| asked.attempt.problem(error, &self.state));
        problem
            .unwrap_or_else(|| Problem::of_kind(&problem::INTERNAL))
            .of_operation(index)
    }
}

/// What the store is to do.
type Write = (SensorRef, Decide);

/// What is needed to answer an operation once the store has run it.
struct Asked {
    path: String,
    /// Its own preference, if any.
    content: Option<Content>,
    attempt: Attempt,
}

/// Reads a batch: for each operation what is needed to answer it and what the store is to do; and whether the batch is atomic.
fn read(body: &Body<Post>, state: &HttpState) -> Result<(Vec<Asked>, Vec<Write>, bool), Problem> {
    let json = body.input().json?;
    let (operations, atomic) =
        BatchForm::read(json, &state.links().url("")).map_err(|faults| Problem::not_run("batch", faults))?;
    let attempts = operations.into_iter().map(|operation| attempt(operation, state));
    let (asked, writes) = attempts.unzip();
    Ok((asked, writes, atomic))
}

/// Splits an operation into what is needed to answer it and what the store is to do.
fn attempt(operation: Operation, state: &HttpState) -> (Asked, Write) {
    let (path, headers) = (operation.path.clone(), operation.headers());
    let content = headers
        .as_ref()
        .ok()
        .and_then(|headers| Preferences::of(headers).content);
    let plan = headers.and_then(|headers| operation.plan(&headers, state));
    let plan = plan.unwrap_or_else(Plan::hopeless);
    let (attempt, write) = plan.into_attempt();
    let asked = Asked { path, content, attempt };
    (asked, write)
}

fn outcome_form(answer: HttpResponse) -> OutcomeForm {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = |headers: &HeaderMap| {
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value).into()))
            .collect()
    };
    let (status, headers) = (answer.status().as_u16(), headers(answer.headers()));
    // Whole by now, and JSON where there is any.
    let body = actix_web::body::MessageBody::try_into_bytes(answer.into_body()).unwrap_or_default();
    OutcomeForm {
        status,
        headers,
        body: serde_json::from_slice(&body).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_takes_what_it_is_once_it_is_parsed_and_all_there_is_when_it_is_alone() {
        let room = BatchRoom::new(1_000);
        let (mut large, mut other) = (room.take(0).unwrap(), room.take(0).unwrap());
        for _ in 0..200 {
            room.extend(&mut large, b"{},").unwrap();
        }
        assert!(room.extend(&mut other, b"{").is_err());
        drop(large);
        room.extend(&mut other, b"{").unwrap();
    }
}
