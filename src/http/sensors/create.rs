//! `POST /sensors`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};

use super::write::Plan;
use crate::clock;
use crate::domain::{self, Moment, Precondition, Sensor, SensorRef};
use crate::http::HttpState;
use crate::http::extract::{Body, Input, NoParameters, Parameters, Post};
use crate::http::problem::{Problem, problem_responses};
use crate::wire::input::{self, Draft};
use crate::wire::representation::SensorForm;

problem_responses!(CreateProblems:
    MALFORMED_JSON, NOT_ACCEPTABLE, NAME_TAKEN, BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID, OVERLOADED,
    OUTCOME_UNKNOWN, UNAVAILABLE, STORAGE_FULL);

/// Create a sensor
///
/// The server makes the id; to choose it, PUT to `/sensors/{uuid}`. Publishes a `created` event with the state on the MQTT
/// topic `sensors/{id}`.
#[utoipa::path(
    operation_id = "createSensor",
    tag = "sensors",
    params(("Prefer" = String, Header)),
    request_body(content = Draft, description = "The new sensor; only `name` is required",
        example = json!({"name": "boiler-temp", "kind": "temperature", "unit": "Cel", "value": 21.5})),
    responses(
        (status = 201, description = "The new sensor", body = SensorForm, headers(
            ("Location" = String), ("ETag" = String), ("Last-Modified" = String), ("Cache-Control" = String),
            ("Preference-Applied" = String),
        )),
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
    plan(body.input()).run(request.headers(), &state).await
}

/// The write that the body asks for.
pub(super) fn plan(input: Input) -> Plan {
    let id = clock::new_sensor_id();
    let draft = input
        .json
        .and_then(|json| input::creation(json).map_err(Problem::invalid));
    let make = draft.map(|draft| {
        move |_: Option<&Sensor>, moment: Moment| Ok(domain::create(id, draft.properties, draft.measured_at, moment))
    });
    Plan::new(SensorRef::Id(id), Precondition::default(), make)
}
