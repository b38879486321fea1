//! `DELETE /sensors/{sensor}`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete};

use super::write::Plan;
use crate::domain::{self, Precondition, Sensor, SensorRef};
use crate::http::extract::{NoParameters, Parameters, SensorPath, UnusedBody};
use crate::http::problem::{Problem, problem_responses};
use crate::http::{HttpState, conditional};

problem_responses!(DeleteProblems:
    NOT_FOUND, PRECONDITION_FAILED, BODY_TOO_LARGE, PRECONDITION_REQUIRED, OVERLOADED, OUTCOME_UNKNOWN, UNAVAILABLE, STORAGE_FULL);

/// Delete a sensor
///
/// Publishes a `deleted` event on the MQTT topic `sensors/{id}`. Its name can be used again.
#[utoipa::path(
    operation_id = "deleteSensor",
    tag = "sensors",
    params(
        // The example is of the batch, so that who sends every request in turn has the sensor of the others until the end.
        ("sensor" = String, Path, description = "The id or the name of the sensor",
            pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", example = json!("batch-1")),
        ("If-Match" = String, Header),
        ("If-None-Match" = String, Header),
        ("If-Unmodified-Since" = String, Header),
    ),
    responses((status = 204, description = "It is gone"), DeleteProblems),
)]
#[delete("/sensors/{sensor}")]
pub async fn remove(
    path: SensorPath,
    _: Parameters<NoParameters>,
    _: UnusedBody,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let precondition = conditional::of_write(request.headers(), &state);
    plan(path.0, precondition).run(request.headers(), &state).await
}

/// The write that the request asks for.
pub fn plan(target: SensorRef, precondition: Precondition) -> Plan {
    Plan::of_existing(
        target,
        precondition,
        Ok(|sensor: &Sensor, _| domain::delete(Some(sensor))),
    )
}
