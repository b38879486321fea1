//! `POST /sensors`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};

use super::write::{CreatedResponse, Plan};
use crate::clock;
use crate::domain::{self, Moment, Precondition};
use crate::http::extract::{Body, Input, NoParameters, Parameters, Post};
use crate::http::problem::{Problem, problem_responses};
use crate::http::{HttpState, conditional};
use crate::wire::input::{self, Draft};

problem_responses!(CreateProblems:
    MALFORMED_JSON, NOT_ACCEPTABLE, NAME_TAKEN, STILL_RUNNING, PRECONDITION_FAILED, BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID,
    KEY_REUSED, OVERLOADED, OUTCOME_UNKNOWN, UNAVAILABLE, STORAGE_FULL);

/// Create a sensor
///
/// The server chooses the id; to choose it yourself, PUT to `/sensors/{uuid}`. Publishes a `created` event with the state on
/// the MQTT topic `sensors/{id}`.
#[utoipa::path(
    operation_id = "createSensor",
    tag = "sensors",
    params(
        ("If-Match" = String, Header),
        ("If-None-Match" = String, Header),
        ("Prefer" = String, Header),
        ("Idempotency-Key" = Option<String>, Header,
            description = "A key of the client's choice, in quotes. When the same request comes again with it within 24 hours, it is not carried out again and gets the same answer",
            nullable = false, pattern = r#"^"([ !#-\[\]-~]|\\["\\]){1,255}"$"#, example = json!("\"create-boiler-temp\"")),
    ),
    request_body(content = Draft, description = "The new sensor; only `name` is required",
        example = json!({"name": "boiler-temp", "kind": "temperature", "unit": "Cel", "value": 21.5})),
    responses(
        CreatedResponse,
        CreateProblems,
    ),
)]
#[post("/sensors")]
pub async fn create(
    _: Parameters<NoParameters>,
    request: HttpRequest,
    body: Body<Post>,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let once = body.once(&request)?;
    let precondition = conditional::of_write(request.headers(), &state);
    plan(precondition, body.input())
        .once(once)
        .run(request.headers(), &state)
        .await
}

/// The write that the body asks for.
pub fn plan(precondition: Precondition, input: Input) -> Plan {
    let id = clock::new_sensor_id();
    let draft = input
        .json
        .and_then(|json| input::creation(json).map_err(Problem::invalid));
    let make = draft.map(|draft| move |moment: Moment| domain::create(id, draft.properties, draft.measured_at, moment));
    Plan::of_list(id, precondition, make)
}
