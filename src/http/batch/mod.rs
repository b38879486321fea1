//! `POST /batch`: several writes in one request.

mod operation;

use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, post};
use serde::Serialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::HttpState;
use super::extract::{Body, NoParameters, Parameters, Post, read_body};
use super::idempotency::IDEMPOTENCY_KEY;
use super::preference::{PREFERENCE_APPLIED, Preferences};
use super::problem::{self, Problem, problem_responses};
use super::sensors::write::{Attempt, Plan, written};
use super::sensors::{retry_later, undone};
use crate::clock;
use crate::domain::SensorRef;
use crate::store::{BatchOutcome, Decide};
use operation::{BatchForm, Operation};

/// The most operations in a batch.
pub const MAX_OPERATIONS: usize = 500;
/// The most batches at a time, which bounds the memory for them; more get 503.
const MAX_AT_A_TIME: usize = 16;

static PLACES: Semaphore = Semaphore::const_new(MAX_AT_A_TIME);

problem_responses!(BatchProblems:
    MALFORMED_JSON, NOT_FOUND, NOT_ACCEPTABLE, NAME_TAKEN, SENSOR_INACTIVE, PATCH_CONFLICT, PRECONDITION_FAILED,
    BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID, PRECONDITION_REQUIRED, OVERLOADED, OUTCOME_UNKNOWN, UNAVAILABLE,
    STORAGE_FULL);

/// What became of the operations, in their order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchOutcomes)]
struct OutcomesForm {
    /// One for each operation.
    outcomes: Vec<OutcomeForm>,
}

/// What an operation would have been answered with by itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchOutcome)]
struct OutcomeForm {
    /// The status.
    #[schema(minimum = 200, maximum = 599, example = 201)]
    status: u16,
    /// The headers, such as `etag` and `location`; their names are in lower case.
    #[schema(value_type = Object, example = json!({"etag": "\"k3f7q2vt.42\""}))]
    headers: serde_json::Map<String, Json>,
    /// The body, where there is one: a sensor or a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, nullable = false)]
    body: Option<Box<RawValue>>,
}

/// Write many sensors at once
///
/// At most 500 operations, each a POST, PUT, PATCH or DELETE with the path, headers and body that it would have by itself, its
/// preconditions included. They are run in their order with no other write between them, and their revisions are contiguous.
/// `atomic` ones, which is what they are unless it is `false`, are done all or none: the answer is then the problem of the first
/// one that cannot be done, with its `index`. Each change is published as usual, its event with the `batch` that it is part of.
#[utoipa::path(
    operation_id = "batch",
    tag = "sensors",
    params(("Prefer" = String, Header)),
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
    // Before the body is read: it may be large.
    let _place = PLACES
        .try_acquire()
        .map_err(|_| retry_later(Problem::of_kind(&problem::OVERLOADED)))?;
    let limit = state.limits.batch_bytes;
    let body: Body<Post> = read_body(&request, payload.into_inner(), limit).await?;
    if request.headers().contains_key(IDEMPOTENCY_KEY) {
        let detail = "Idempotency-Key: a batch takes none; give its operations preconditions";
        return Err(Problem::new(&problem::MALFORMED_REQUEST, detail));
    }
    let form = body
        .input()
        .json
        .and_then(|json| BatchForm::read(json).map_err(Problem::invalid))?;
    let atomic = form.atomic;
    let (attempts, writes): (Vec<_>, Vec<_>) = form
        .operations
        .into_iter()
        .map(|operation| attempt(operation, &state))
        .unzip();
    let done = state.store.write_batch(clock::new_batch_id(), writes, atomic).await;
    let mut attempts = attempts.into_iter();
    match done.map_err(undone)? {
        BatchOutcome::Failed(index, error) => {
            let problem = attempts.nth(index).map(|(_, attempt)| attempt.problem(error, &state));
            Err(problem
                .unwrap_or_else(|| Problem::of_kind(&problem::INTERNAL))
                .of_operation(index))
        }
        BatchOutcome::Done(outcomes) => {
            let preferences = Preferences::of(request.headers());
            let outcomes = attempts.zip(outcomes).map(|((path, attempt), outcome)| {
                let answer = match outcome {
                    Ok(outcome) => written(outcome, preferences.content, &state),
                    Err(error) => attempt.problem(error, &state).respond(state.links(), &path),
                };
                outcome_form(answer)
            });
            let mut response = HttpResponse::Ok().json(OutcomesForm {
                outcomes: outcomes.collect(),
            });
            if let Some(content) = preferences.content {
                response.headers_mut().insert(PREFERENCE_APPLIED, content.applied());
            }
            Ok(response)
        }
    }
}

/// What an operation asks for: for the answer its path and what it would do, for the store the same.
fn attempt(operation: Operation, state: &HttpState) -> ((String, Attempt), (SensorRef, Decide)) {
    let path = operation.path.clone();
    let plan = operation.plan(state).unwrap_or_else(Plan::hopeless);
    let (attempt, write) = plan.into_attempt();
    ((path, attempt), write)
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
