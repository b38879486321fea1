//! `GET`, `PUT /sensors/{sensor}/value`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, put, route};

use super::write::{ChangedResponse, MinimalResponse, Plan};
use super::{not_modified, read, represent_as};
use crate::domain::{self, EventForm, MeasuredAt, Moment, Precondition, Properties, Sensor, SensorRef};
use crate::http::extract::{Body, Input, NoParameters, Parameters, Report, SensorPath};
use crate::http::problem::{self, Problem, problem_responses};
use crate::http::variant::{Form, Variant};
use crate::http::{HttpState, conditional};
use crate::store::Record;
use crate::wire::input;
use crate::wire::representation::{self, PlainValueForm, ValueForm};

problem_responses!(ReadValueProblems: NOT_FOUND, NOT_ACCEPTABLE, PRECONDITION_FAILED, OVERLOADED, UNAVAILABLE);
problem_responses!(ReportProblems:
    MALFORMED_JSON, NOT_FOUND, NOT_ACCEPTABLE, SENSOR_INACTIVE, PRECONDITION_FAILED, BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE, INVALID, PRECONDITION_REQUIRED, OVERLOADED, OUTCOME_UNKNOWN, UNAVAILABLE, STORAGE_FULL);

/// Read the value of a sensor
///
/// The value alone, as JSON or as text. The tag is that of the sensor, so `If-None-Match` finds any change of the sensor.
/// 404 when the sensor has no value.
#[utoipa::path(
    get,
    operation_id = "readValue",
    tag = "sensors",
    params(
        ("sensor" = String, Path),
        ("If-Match" = String, Header),
        ("If-None-Match" = String, Header),
        ("If-Modified-Since" = String, Header),
        ("If-Unmodified-Since" = String, Header),
    ),
    responses(
        (status = 200, description = "The value", content(
            (ValueForm = "application/json", example = json!(21.5)),
            (PlainValueForm = "text/plain", example = "21.5"),
        ), headers(
            ("ETag" = String), ("Last-Modified" = String), ("Content-Location" = String), ("Cache-Control" = String),
            ("Vary" = String),
        )),
        (status = 304, description = "The client has the current state", headers(
            ("ETag" = String), ("Content-Location" = String), ("Cache-Control" = String), ("Vary" = String),
        )),
        ReadValueProblems,
    ),
)]
#[route("/sensors/{sensor}/value", method = "GET", method = "HEAD")]
pub async fn read_value(
    path: SensorPath,
    _: Parameters<NoParameters>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let SensorPath(target) = path;
    let form = Form::choose(&request, &Form::OF_VALUE)?;
    let record = read::get(&target, &state).await?;
    let value = shown(&record, form)?;
    // RFC 9110 §13.2.1: a condition on what is not there is none.
    let value = value.ok_or_else(|| Problem::new(&problem::NOT_FOUND, format!("the sensor {target} has no value")))?;
    let variant = Variant::of(request.headers(), form, Some(value.len()));
    let precondition = conditional::of_read(request.headers(), variant, &state);
    let unchanged = read::is_unchanged((record.id, record.version()), &precondition, &target, &state)?;
    let url = |id| format!("{}/value", state.links().sensor_url(&SensorRef::Id(id)));
    let canonical = matches!(target, SensorRef::Name(_)).then(|| url(record.id));
    let response = if unchanged {
        not_modified(variant, record.revision, &state)
    } else {
        represent_as(form, StatusCode::OK, &record, value, &state)
    };
    Ok(read::located(response, canonical))
}

/// The bytes of the value; `None` when there is none.
fn shown(record: &Record, form: Form) -> Result<Option<String>, Problem> {
    let broken = |error: serde_json::Error| {
        tracing::error!(%error, "a representation cannot be read");
        Problem::of_kind(&problem::INTERNAL)
    };
    let value = representation::value(&record.representation).map_err(broken)?;
    value
        .map(|value| match form {
            Form::Text if value.get().starts_with('"') => serde_json::from_str(value.get()).map_err(broken),
            _ => Ok(value.get().to_owned()),
        })
        .transpose()
}

/// Report a value
///
/// Takes a JSON scalar, or plain text, in which a JSON number or boolean is taken as that. When the value changes,
/// `measured_at` becomes now. An inactive sensor takes no value (409, with the link that activates it). Publishes a
/// `modified` event with the `changes` on the MQTT topic `sensors/{id}`, or none when the value is the same.
#[utoipa::path(
    operation_id = "reportValue",
    tag = "sensors",
    params(
        ("sensor" = String, Path),
        ("If-Match" = String, Header),
        ("If-None-Match" = String, Header),
        ("If-Unmodified-Since" = String, Header),
        ("Prefer" = String, Header),
    ),
    request_body(content(
        (ValueForm = "application/json", example = json!(21.7)),
        (PlainValueForm = "text/plain", example = "21.7"),
    ), description = "The value"),
    responses(
        ChangedResponse,
        MinimalResponse,
        ReportProblems,
    ),
)]
#[put("/sensors/{sensor}/value")]
pub async fn report(
    path: SensorPath,
    _: Parameters<NoParameters>,
    request: HttpRequest,
    body: Body<Report>,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let precondition = conditional::of_write(request.headers(), &state);
    plan(path.0, precondition, body.input())
        .run(request.headers(), &state)
        .await
}

/// The write that the body asks for.
pub fn plan(target: SensorRef, precondition: Precondition, input: Input) -> Plan {
    let value = input.json.and_then(|json| input::value(json).map_err(Problem::invalid));
    let make = value.map(|value| {
        move |current: &Sensor, moment: Moment| {
            let properties = Properties {
                value: Some(value),
                ..current.properties.clone()
            };
            domain::revise(current, properties, MeasuredAt::NotGiven, EventForm::Changes, moment)
        }
    });
    Plan::of_existing(target, precondition, make)
}
