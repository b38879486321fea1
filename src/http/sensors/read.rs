//! `GET /sensors/{sensor}`

use actix_http::Request;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, route};
use serde::Deserialize;
use utoipa::IntoParams;
use validator::Validate;

use super::{not_modified, of_refusal, represent_as};
use crate::domain::{Precondition, Refusal, Revision, SensorId, SensorRef, Version};
use crate::http::events;
use crate::http::extract::{Parameters, SensorPath, digits};
use crate::http::problem::{self, Problem, problem_responses};
use crate::http::variant::{Form, Variant};
use crate::http::{HttpState, conditional};
use crate::store::{Past, Record, StoreError};
use crate::wire::hal::HalForm;
use crate::wire::link::Link;
use crate::wire::representation::SensorForm;

/// Where [`read`] is.
pub const PATH: &str = "/sensors/{sensor}";

problem_responses!(ReadProblems: NOT_FOUND, NOT_ACCEPTABLE, REVISION_EXPIRED, PRECONDITION_FAILED, OVERLOADED, UNAVAILABLE);

/// The parameter of a sensor.
#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadQuery {
    /// Show the sensor as it was at this revision, one of its own: take it from its history or its events.
    #[serde(default, deserialize_with = "digits")]
    #[validate(range(min = 1, message = "must be 1 or more"))]
    // The example is what the sensor of the examples is created with where the example of a batch was sent before.
    #[param(value_type = Option<i64>, minimum = 1, nullable = false, example = 3)]
    revision: Option<i64>,
}

/// Read a sensor
///
/// By its id or its name. Use the `ETag` in `If-None-Match` (has it changed?) and `If-Match` (change it only if nobody else
/// did). Each format (JSON, HAL, XML) and each coding (gzip, br, zstd) has a tag of its own. `If-None-Match` compares with
/// the representation that the request would get; `If-Match` takes the tag of any.
///
/// With `revision`, the sensor as it was then, as long as the log tells all of it. A deleted sensor is found by its id. 404: it
/// is not a revision of this sensor; 410: the log no longer tells all of it.
#[utoipa::path(
    get,
    operation_id = "readSensor",
    tag = "sensors",
    params(
        ("sensor" = String, Path),
        ReadQuery,
        ("If-Match" = String, Header),
        ("If-None-Match" = String, Header),
        ("If-Modified-Since" = String, Header),
        ("If-Unmodified-Since" = String, Header),
    ),
    responses(
        (status = 200, description = "The sensor", content(
            (SensorForm = "application/json"),
            (HalForm = "application/hal+json"),
            (String = "application/xml"),
        ), headers(
            ("ETag" = String), ("Last-Modified" = String), ("Content-Location" = String), ("Cache-Control" = String), ("Vary" = String),
        )),
        (status = 304, description = "The client has the current state", headers(
            ("ETag" = String), ("Content-Location" = String), ("Cache-Control" = String), ("Vary" = String),
        )),
        ReadProblems,
    ),
)]
#[route("/sensors/{sensor}", method = "GET", method = "HEAD")]
pub async fn read(
    path: SensorPath,
    query: Parameters<ReadQuery>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let SensorPath(target) = path;
    let form = Form::choose(&request, &Form::OF_SENSOR)?;
    let read = SensorRead::in_form(form, target, request.headers(), &state);
    match query.0.revision {
        None => read.present(&state).await,
        Some(revision) => {
            let record = past(&read.target, revision, &state).await?;
            read.answer_with(record, &format!("?revision={revision}"), &state)
        }
    }
}

/// A GET of a sensor, understood.
pub struct SensorRead {
    target: SensorRef,
    variant: Variant,
    precondition: Precondition,
}

impl SensorRead {
    fn in_form(form: Form, target: SensorRef, headers: &HeaderMap, state: &HttpState) -> Self {
        // Its links alone are long enough to be compressed.
        let variant = Variant::of(headers, form, None);
        Self {
            target,
            variant,
            precondition: conditional::of_read(headers, variant, state),
        }
    }

    /// Of a sensor as it is, without what only a route finds; `None` leaves the request to [`read`].
    pub fn of(request: &Request, state: &HttpState) -> Option<Self> {
        if *request.method() != Method::GET || request.uri().query().is_some() {
            return None;
        }
        // What is encoded in some way is neither an id nor a name.
        let target = request.path().strip_prefix("/sensors/")?.parse().ok()?;
        let form = Form::choose(request, &Form::OF_SENSOR).ok()?;
        Some(Self::in_form(form, target, request.head().headers(), state))
    }

    /// The answer, where the sensor is in memory and nothing is wrong with it.
    pub fn at_hand(&self, state: &HttpState) -> Option<HttpResponse> {
        let at_hand = state.store.at_hand(&self.target)?;
        let answer = self.answer((at_hand.id, at_hand.version()), || at_hand.record(), "", state);
        answer.ok()
    }

    /// The answer, wherever the sensor is.
    pub async fn present(&self, state: &HttpState) -> Result<HttpResponse, Problem> {
        self.answer_with(get(&self.target, state).await?, "", state)
    }

    /// The answer with the sensor that was found by this query.
    fn answer_with(&self, record: Record, query: &str, state: &HttpState) -> Result<HttpResponse, Problem> {
        self.answer((record.id, record.version()), || Ok(record), query, state)
    }

    /// The answer about a state of a sensor, which is looked at only where it has to be sent.
    fn answer(
        &self,
        found: (SensorId, Version),
        record: impl FnOnce() -> Result<Record, StoreError>,
        query: &str,
        state: &HttpState,
    ) -> Result<HttpResponse, Problem> {
        let Self {
            target,
            variant,
            precondition,
        } = self;
        let (id, version) = found;
        let response = if is_unchanged(found, precondition, target, state)? {
            not_modified(*variant, version.revision, state)
        } else {
            let record = record()?;
            let body = variant.form.of_sensor(record.representation.clone())?;
            represent_as(variant.form, StatusCode::OK, &record, body, state)
        };
        Ok(located(response, canonical(target, query, id, state)))
    }
}

/// The URL of what was found, unless that is what was asked for.
fn canonical(target: &SensorRef, query: &str, id: SensorId, state: &HttpState) -> Option<String> {
    matches!(target, SensorRef::Name(_)).then(|| format!("{}{query}", state.links().sensor_url(&SensorRef::Id(id))))
}

/// The sensor.
pub(super) async fn get(target: &SensorRef, state: &HttpState) -> Result<Record, Problem> {
    let record = state.store.get(target).await?;
    record.ok_or_else(|| of_refusal(Refusal::NotFound, None, target, state))
}

/// Whether the client has this state of a sensor already, when it is one that the client demands.
pub(super) fn is_unchanged(
    found: (SensorId, Version),
    precondition: &Precondition,
    target: &SensorRef,
    state: &HttpState,
) -> Result<bool, Problem> {
    let checked = precondition.check_read(found.1);
    checked.map_err(|refusal| of_refusal(refusal, Some(found), target, state))
}

/// The sensor as `revision` left it.
async fn past(target: &SensorRef, revision: i64, state: &HttpState) -> Result<Record, Problem> {
    let sensor = events::find(target, state).await?;
    match state.store.at(sensor, Revision::new(revision)).await? {
        Past::Was(record) => Ok(record),
        Past::Never => Err(Problem::new(
            &problem::NOT_FOUND,
            format!("revision {revision} is none of the sensor {target}"),
        )),
        Past::Gone => Err(Problem::new(
            &problem::NOT_FOUND,
            format!("revision {revision} deleted the sensor {target}"),
        )),
        Past::Pruned => {
            let url = state.links().sensor_url(&SensorRef::Id(sensor));
            Err(Problem::of_kind(&problem::REVISION_EXPIRED).with_link(Link::new("latest-version", url)))
        }
    }
}

/// The answer, with the URL that the resource has whatever its sensor is called.
pub(super) fn located(mut response: HttpResponse, canonical: Option<String>) -> HttpResponse {
    if let Some(canonical) = canonical.and_then(|url| HeaderValue::from_str(&url).ok()) {
        response.headers_mut().insert(header::CONTENT_LOCATION, canonical);
    }
    response
}
