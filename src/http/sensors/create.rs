//! `POST /sensors`

use actix_web::web::Data;
use actix_web::{HttpResponse, post};

use super::{refused, written};
use crate::clock;
use crate::domain::{self, SensorRef};
use crate::http::HttpState;
use crate::http::extract::{Body, NoParameters, Parameters, Post};
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
    request_body(content = Draft, description = "The new sensor; only `name` is required",
        example = json!({"name": "boiler-temp", "kind": "temperature", "unit": "Cel", "value": 21.5})),
    responses(
        (status = 201, description = "The new sensor", body = SensorForm, headers(
            ("Location" = String), ("ETag" = String), ("Cache-Control" = String),
        )),
        CreateProblems,
    ),
)]
#[post("/sensors")]
pub async fn create(
    _: Parameters<NoParameters>,
    body: Body<Post>,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let draft = input::creation(body.parse()?).map_err(Problem::invalid)?;
    let id = clock::new_sensor_id();
    let target = SensorRef::Id(id);
    let decide = move |_: Option<&_>, moment| Ok(domain::create(id, draft.properties, draft.measured_at, moment));
    let outcome = state.store.write(target.clone(), decide).await;
    outcome
        .map(|outcome| written(outcome, &state))
        .map_err(|error| refused(error, &target, &state))
}
