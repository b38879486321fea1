//! `GET /sensors/{sensor}`

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, route};

use super::{of_refusal, represent_as, version};
use crate::domain::{Precondition, Refusal, SensorRef};
use crate::http::extract::{NoParameters, Parameters, SensorPath};
use crate::http::problem::{Problem, problem_responses};
use crate::http::variant::Form;
use crate::http::{HttpState, conditional};
use crate::store::Record;
use crate::wire::hal::HalForm;
use crate::wire::representation::SensorForm;

problem_responses!(ReadProblems: NOT_FOUND, NOT_ACCEPTABLE, PRECONDITION_FAILED, UNAVAILABLE);

/// Read a sensor
///
/// By its id or its name. The tag in `ETag` is for `If-None-Match` (has it changed?) and `If-Match` (change it only if
/// nobody else did). As JSON, HAL or XML, compressed with gzip, br or zstd: each of these has a tag of its own. `If-None-Match`
/// is about the one that the request would get, `If-Match` takes that of any.
#[utoipa::path(
    get,
    operation_id = "readSensor",
    tag = "sensors",
    params(
        ("sensor" = String, Path),
        ("If-Match" = String, Header),
        ("If-None-Match" = String, Header),
        ("If-Modified-Since" = String, Header),
        ("If-Unmodified-Since" = String, Header),
    ),
    responses(
        (status = 200, description = "The sensor", content(
            (SensorForm = "application/json"),
            (HalForm = "application/hal+json"),
            (String = "application/xml", example = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><sensor><id>01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90</id><name>boiler-temp</name><value type=\"number\">21.5</value><status>active</status><revision type=\"number\">42</revision><link rel=\"self\" href=\"http://localhost:8000/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90\"/></sensor>"),
        ), headers(
            ("ETag" = String), ("Last-Modified" = String), ("Content-Location" = String), ("Cache-Control" = String), ("Vary" = String),
            ("Content-Encoding" = String),
        )),
        (status = 304, description = "It is what the client has", headers(
            ("ETag" = String), ("Cache-Control" = String), ("Vary" = String),
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
    let form = Form::choose(&request, &Form::OF_SENSOR)?;
    let precondition = conditional::of_read(request.headers(), form, &state);
    let (record, unchanged) = find(&target, &precondition, &state).await?;
    let canonical = matches!(target, SensorRef::Name(_)).then(|| state.links().sensor_url(&SensorRef::Id(record.id)));
    let body = form.of_sensor(record.representation.clone())?;
    let response = represent_as(form, StatusCode::OK, &record, body, &state);
    Ok(located(
        if unchanged { not_modified(response) } else { response },
        canonical,
    ))
}

/// The sensor, and whether the client has it already.
pub(super) async fn find(
    target: &SensorRef,
    precondition: &Precondition,
    state: &HttpState,
) -> Result<(Record, bool), Problem> {
    let record = state.store.get(target).await?;
    let record = record.ok_or_else(|| of_refusal(Refusal::NotFound, None, target, state))?;
    match precondition.check_read(version(&record)) {
        Ok(unchanged) => Ok((record, unchanged)),
        Err(refusal) => Err(of_refusal(refusal, Some((record.id, record.revision)), target, state)),
    }
}

/// The answer to a client that has what it asks for (RFC 9110 §15.4.5).
pub(super) fn not_modified(mut response: HttpResponse) -> HttpResponse {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    for about_the_body in [header::CONTENT_TYPE, header::LAST_MODIFIED] {
        response.headers_mut().remove(about_the_body);
    }
    response.drop_body().map_into_boxed_body()
}

/// The answer, with the URL that the resource has whatever its sensor is called.
pub(super) fn located(mut response: HttpResponse, canonical: Option<String>) -> HttpResponse {
    if let Some(canonical) = canonical.and_then(|url| HeaderValue::from_str(&url).ok()) {
        response.headers_mut().insert(header::CONTENT_LOCATION, canonical);
    }
    response
}
