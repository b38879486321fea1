//! `DELETE /sensors/{sensor}`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete};

use super::{refused, written};
use crate::domain::{self, Refusal, Sensor};
use crate::http::extract::{NoParameters, Parameters, SensorPath};
use crate::http::problem::{Problem, problem_responses};
use crate::http::{HttpState, conditional};

problem_responses!(DeleteProblems:
    NOT_FOUND, PRECONDITION_FAILED, PRECONDITION_REQUIRED, OVERLOADED, OUTCOME_UNKNOWN, UNAVAILABLE, STORAGE_FULL);

/// Delete a sensor
///
/// Publishes a `deleted` event on the MQTT topic `sensors/{id}`. Its name can be used again.
#[utoipa::path(
    operation_id = "deleteSensor",
    tag = "sensors",
    params(
        ("sensor" = String, Path),
        ("If-Match" = String, Header),
    ),
    responses((status = 204, description = "It is gone"), DeleteProblems),
)]
#[delete("/sensors/{sensor}")]
pub async fn remove(
    path: SensorPath,
    _: Parameters<NoParameters>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let SensorPath(target) = path;
    let precondition = conditional::of_write(&request, &state);
    let decide = move |current: Option<&Sensor>, _| {
        let sensor = current.ok_or(Refusal::NotFound)?;
        precondition.check(Some(sensor.revision))?;
        domain::delete(current)
    };
    let outcome = state.store.write(target.clone(), decide).await;
    outcome
        .map(|outcome| written(outcome, &state))
        .map_err(|error| refused(error, &target, &state))
}
