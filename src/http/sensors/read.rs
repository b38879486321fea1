//! `GET /sensors/{sensor}`

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, route};

use super::{of_refusal, represent};
use crate::domain::{Precondition, Refusal, SensorRef};
use crate::http::extract::{NoParameters, Parameters, SensorPath};
use crate::http::negotiation::require_acceptable;
use crate::http::problem::{Problem, problem_responses};
use crate::http::{HttpState, conditional};
use crate::wire::representation::SensorForm;

problem_responses!(ReadProblems: NOT_FOUND, NOT_ACCEPTABLE, PRECONDITION_FAILED, UNAVAILABLE);

/// Read a sensor
///
/// By its id or its name. The tag in `ETag` is for `If-None-Match` (has it changed?) and `If-Match` (change it only if
/// nobody else did).
#[utoipa::path(
    get,
    operation_id = "readSensor",
    tag = "sensors",
    params(
        ("sensor" = String, Path),
        ("If-Match" = String, Header),
        ("If-None-Match" = String, Header),
    ),
    responses(
        (status = 200, description = "The sensor", body = SensorForm, headers(
            ("ETag" = String), ("Content-Location" = String), ("Cache-Control" = String),
        )),
        (status = 304, description = "It is what the client has", headers(
            ("ETag" = String), ("Cache-Control" = String),
        )),
        ReadProblems,
    ),
)]
#[route("/sensors/{sensor}", method = "GET", method = "HEAD")]
pub async fn read(
    path: SensorPath,
    _: Parameters<NoParameters>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let SensorPath(target) = path;
    require_acceptable(&request, &mime::APPLICATION_JSON)?;
    let record = state.store.get(&target).await?;
    let record = record.ok_or_else(|| of_refusal(Refusal::NotFound, None, &target, &state))?;
    let Precondition {
        if_match,
        if_none_match,
        ..
    } = conditional::of_read(&request, &state);
    if if_match.is_some_and(|tags| !tags.contain(record.revision)) {
        let current = Some((record.id, record.revision));
        return Err(of_refusal(Refusal::PreconditionFailed, current, &target, &state));
    }
    let unchanged = if_none_match.is_some_and(|tags| tags.contain(record.revision));
    let canonical = matches!(target, SensorRef::Name(_)).then(|| state.links().sensor_url(&SensorRef::Id(record.id)));
    let mut response = represent(StatusCode::OK, record, &state);
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_TYPE);
        response = response.drop_body().map_into_boxed_body();
    }
    if let Some(canonical) = canonical.and_then(|url| HeaderValue::from_str(&url).ok()) {
        response.headers_mut().insert(header::CONTENT_LOCATION, canonical);
    }
    Ok(response)
}
