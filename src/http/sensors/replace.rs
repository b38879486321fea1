//! `PUT /sensors/{sensor}`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, put};

use super::write::{ChangedResponse, CreatedResponse, MinimalResponse, Plan};
use crate::clock;
use crate::domain::{self, Change, EventForm, Moment, Precondition, Refusal, Sensor, SensorRef};
use crate::http::extract::{Body, Input, NoParameters, Parameters, Put, SensorPath};
use crate::http::problem::{Problem, problem_responses};
use crate::http::{HttpState, conditional};
use crate::wire::input::{self, Replacement};

problem_responses!(ReplaceProblems:
    MALFORMED_JSON, NOT_FOUND, NOT_ACCEPTABLE, NAME_TAKEN, SENSOR_INACTIVE, PRECONDITION_FAILED, BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE, INVALID, PRECONDITION_REQUIRED, OVERLOADED, OUTCOME_UNKNOWN, UNAVAILABLE, STORAGE_FULL);

/// Replace or create a sensor
///
/// Replaces every member that clients can write; members that the body leaves out are unset. Creates the sensor if it does
/// not exist: at a UUID with that id, at a name with that name. The body of a GET can be sent back: members that only the
/// server writes are ignored. Publishes a `modified` or `created` event with the state on the MQTT topic `sensors/{id}`, or
/// none when nothing changes.
#[utoipa::path(
    operation_id = "replaceSensor",
    tag = "sensors",
    params(
        ("sensor" = String, Path),
        ("If-Match" = String, Header),
        ("If-None-Match" = String, Header),
        ("If-Unmodified-Since" = String, Header),
        ("Prefer" = String, Header),
    ),
    request_body(content = Replacement, description = "The new state of the sensor; in a PUT by name, `name` can be left out",
        example = json!({"name": "boiler-temp", "kind": "temperature", "unit": "Cel", "value": 22})),
    responses(
        CreatedResponse,
        ChangedResponse,
        MinimalResponse,
        ReplaceProblems,
    ),
)]
#[put("/sensors/{sensor}")]
pub async fn replace(
    path: SensorPath,
    _: Parameters<NoParameters>,
    request: HttpRequest,
    body: Body<Put>,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let precondition = conditional::of_write(request.headers(), &state);
    plan(path.0, precondition, body.input())
        .run(request.headers(), &state)
        .await
}

/// The write that the body asks for.
pub fn plan(target: SensorRef, precondition: Precondition, input: Input) -> Plan {
    let replacement = input
        .json
        .and_then(|json| input::replacement(json, &target).map_err(Problem::invalid));
    let own = target.clone();
    let make = replacement.map(|replacement| {
        move |current: Option<&Sensor>, moment: Moment| replace_or_create(current, own, replacement, moment)
    });
    Plan::new(target, precondition, make)
}

fn replace_or_create(
    current: Option<&Sensor>,
    target: SensorRef,
    replacement: Replacement,
    moment: Moment,
) -> Result<Change, Refusal> {
    let Replacement { draft, id } = replacement;
    let invalid = |fault| Err(Refusal::Invalid(vec![fault]));
    match (current, target) {
        (Some(sensor), _) if id.is_some_and(|id| id != sensor.id) => invalid(input::not_own_id(sensor.id)),
        (Some(sensor), _) => domain::revise(sensor, draft.properties, draft.measured_at, EventForm::State, moment),
        (None, SensorRef::Id(id)) => Ok(domain::create(id, draft.properties, draft.measured_at, moment)),
        (None, SensorRef::Name(name)) if draft.properties.name != name => invalid(input::not_own_name(&name)),
        (None, SensorRef::Name(_)) if id.is_some() => invalid(input::no_id_yet()),
        (None, SensorRef::Name(_)) => Ok(domain::create(
            clock::new_sensor_id(),
            draft.properties,
            draft.measured_at,
            moment,
        )),
    }
}
