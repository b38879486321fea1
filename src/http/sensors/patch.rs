//! `PATCH /sensors/{sensor}`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, patch};

use super::{bad_body, refused, written};
use crate::domain::{self, Change, EventForm, Moment, Precondition, Refusal, Sensor};
use crate::http::extract::{Body, NoParameters, Parameters, Patch, SensorPath};
use crate::http::problem::{Problem, problem_responses};
use crate::http::{HttpState, conditional};
use crate::wire::input::MergePatch;
use crate::wire::representation::SensorForm;

problem_responses!(PatchProblems:
    MALFORMED_JSON, NOT_FOUND, NOT_ACCEPTABLE, NAME_TAKEN, SENSOR_INACTIVE, PRECONDITION_FAILED, BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE, INVALID, PRECONDITION_REQUIRED, OVERLOADED, OUTCOME_UNKNOWN, UNAVAILABLE, STORAGE_FULL);

/// Change a sensor
///
/// A merge patch (RFC 7396): members are set, `null` unsets one, what is not mentioned stays. Publishes a `modified` event with
/// the `changes` on the MQTT topic `sensors/{id}`, or none when nothing changes.
#[utoipa::path(
    operation_id = "patchSensor",
    tag = "sensors",
    params(
        ("sensor" = String, Path),
        ("If-Match" = String, Header),
    ),
    request_body(content(
        (MergePatch = "application/merge-patch+json", examples(
            ("report" = (summary = "Report a value",
                value = json!({"value": 21.7, "measured_at": "2026-11-22T11:00:00.000Z"}))),
            ("unset" = (summary = "Unset a member", value = json!({"unit": null}))),
            ("activate" = (summary = "Activate it and report a value",
                value = json!({"status": "active", "value": 21.7}))),
        )),
        (MergePatch = "application/json", examples(
            ("report" = (summary = "Report a value",
                value = json!({"value": 21.7, "measured_at": "2026-11-22T11:00:00.000Z"}))),
        )),
    ), description = "The members to change"),
    responses(
        (status = 200, description = "The sensor as it is now", body = SensorForm, headers(
            ("ETag" = String), ("Cache-Control" = String),
        )),
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
    let SensorPath(target) = path;
    let precondition = conditional::of_write(&request, &state);
    let parsed = body
        .parse()
        .and_then(|json| MergePatch::parse(json).map_err(Problem::invalid));
    let merge_patch = match parsed {
        Ok(merge_patch) => merge_patch,
        Err(problem) => return Err(bad_body(problem, &target, &precondition, true, &state).await),
    };
    let outcome = state
        .store
        .write(target.clone(), decide(precondition, merge_patch))
        .await;
    outcome
        .map(|outcome| written(outcome, &state))
        .map_err(|error| refused(error, &target, &state))
}

fn decide(
    precondition: Precondition,
    merge_patch: MergePatch,
) -> impl FnOnce(Option<&Sensor>, Moment) -> Result<Change, Refusal> {
    move |current, moment| {
        let current = current.ok_or(Refusal::NotFound)?;
        precondition.check(Some(current.revision))?;
        let draft = merge_patch.apply(current).map_err(Refusal::Invalid)?;
        domain::revise(current, draft.properties, draft.measured_at, EventForm::Changes, moment)
    }
}
