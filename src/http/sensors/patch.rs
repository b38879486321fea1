//! `PATCH /sensors/{sensor}`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, patch};
use serde_json::Value as Json;

use super::write::{ChangedResponse, MinimalResponse, Plan};
use crate::domain::{self, EventForm, Moment, Precondition, Refusal, Sensor, SensorRef};
use crate::http::extract::{Body, Input, JSON_PATCH, NoParameters, Parameters, Patch, SensorPath};
use crate::http::problem::{Problem, problem_responses};
use crate::http::{HttpState, conditional};
use crate::wire::input::MergePatch;
use crate::wire::json_patch::JsonPatch;
use crate::wire::link::LinkBase;

problem_responses!(PatchProblems:
    MALFORMED_JSON, NOT_FOUND, NOT_ACCEPTABLE, NAME_TAKEN, STILL_RUNNING, SENSOR_INACTIVE, PATCH_CONFLICT, PRECONDITION_FAILED, BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE, INVALID, KEY_REUSED, PRECONDITION_REQUIRED, OVERLOADED, OUTCOME_UNKNOWN, UNAVAILABLE, STORAGE_FULL);

/// Change a sensor
///
/// Takes a merge patch (RFC 7396), in which `null` unsets a member and members that are not mentioned stay as they are; or a
/// JSON Patch (RFC 6902) of the representation that a GET shows, of which either all operations are applied or none; 409 when a
/// `test` fails or a place does not exist. Publishes a `modified` event with the `changes` on the MQTT topic `sensors/{id}`, or
/// none when nothing changes.
#[utoipa::path(
    operation_id = "patchSensor",
    tag = "sensors",
    params(
        ("sensor" = String, Path),
        ("If-Match" = String, Header),
        ("If-None-Match" = String, Header),
        ("If-Unmodified-Since" = String, Header),
        ("Prefer" = String, Header),
        ("Idempotency-Key" = Option<String>, Header,
            description = "A key of the client's choice, in quotes. When the same request comes again with it within 24 hours, it is not carried out again and gets the same answer",
            nullable = false, pattern = r#"^"([ !#-\[\]-~]|\\["\\]){1,255}"$"#, example = json!("\"patch-boiler-temp\"")),
    ),
    request_body(content(
        (MergePatch = "application/merge-patch+json", examples(
            ("report" = (summary = "Report a value",
                value = json!({"value": 21.7, "measured_at": "2026-11-22T11:00:00.000Z"}))),
            ("unset" = (summary = "Unset a member", value = json!({"unit": null}))),
            ("activate" = (summary = "Activate it and report a value",
                value = json!({"status": "active", "value": 21.7}))),
        )),
        (JsonPatch = "application/json-patch+json", examples(
            ("test" = (summary = "Report a value if it is still what was read",
                value = json!([{"op": "test", "path": "/value", "value": 21.7}, {"op": "replace", "path": "/value", "value": 21.9}]))),
            ("metadata" = (summary = "Change one member of the metadata",
                value = json!([{"op": "add", "path": "/metadata", "value": {}}, {"op": "add", "path": "/metadata/room", "value": "cellar"}]))),
        )),
        (MergePatch = "application/json", examples(
            ("report" = (summary = "Report a value",
                value = json!({"value": 21.7, "measured_at": "2026-11-22T11:00:00.000Z"}))),
        )),
    ), description = "The members to change"),
    responses(
        ChangedResponse,
        MinimalResponse,
        PatchProblems,
    ),
)]
#[patch("/sensors/{sensor}")]
pub async fn patch(
    path: SensorPath,
    _: Parameters<NoParameters>,
    request: HttpRequest,
    body: Body<Patch>,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let precondition = conditional::of_write(request.headers(), &state);
    let once = body.once(&request)?;
    let plan = plan(path.0, precondition, body.input(), &state).once(once);
    plan.run(request.headers(), &state).await
}

/// The write that the body asks for.
pub fn plan(target: SensorRef, precondition: Precondition, input: Input, state: &HttpState) -> Plan {
    let parse = |json| Instructions::parse(input.media_type, json, state.links());
    let instructions = input.json.and_then(parse);
    let make = instructions.map(|instructions| {
        move |current: &Sensor, moment: Moment| {
            let draft = match instructions {
                Instructions::Merge(merge) => merge.apply(current).map_err(Refusal::Invalid),
                Instructions::Operations(operations, links) => operations.apply(current, &links),
            }?;
            domain::revise(current, draft.properties, draft.measured_at, EventForm::Changes, moment)
        }
    });
    Plan::of_existing(target, precondition, make)
}

/// What the body says, by its media type.
enum Instructions {
    Merge(MergePatch),
    /// With the links that they see, which are of the sensor as it will be found.
    Operations(JsonPatch, LinkBase),
}

impl Instructions {
    fn parse(media_type: &str, body: Json, links: &LinkBase) -> Result<Self, Problem> {
        match media_type {
            JSON_PATCH => JsonPatch::parse(body)
                .map(|operations| Self::Operations(operations, links.clone()))
                .map_err(|faults| Problem::not_run("JSON Patch", faults)),
            _ => MergePatch::parse(body).map(Self::Merge).map_err(Problem::invalid),
        }
    }
}
