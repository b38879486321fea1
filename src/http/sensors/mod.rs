//! The operations on sensors, one file each.

pub mod create;
pub mod delete;
pub mod history;
pub mod list;
pub mod patch;
pub mod read;
pub mod replace;
pub mod value;
pub mod write;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;

use super::negotiation::BY_FORM_AND_CODING;
use super::problem::{self, Problem};
use super::variant::{Form, Variant};
use super::{HttpState, conditional};
use crate::clock::system_now;
use crate::domain::{Refusal, Revision, SensorId, SensorRef, Unmet, Version};
use crate::store::{Record, StoreError, WriteError};
use crate::wire::link::Link;

/// To be asked for again, with its tag, before use.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// A sensor with its tag.
fn represent(status: StatusCode, record: &Record, state: &HttpState) -> HttpResponse {
    represent_as(Form::Json, status, record, record.representation.clone(), state)
}

/// What `body` tells of a sensor in this form.
fn represent_as(
    form: Form,
    status: StatusCode,
    record: &Record,
    body: impl Into<Bytes>,
    state: &HttpState,
) -> HttpResponse {
    let mut response = respond(form, status, record.revision, body, state);
    let headers = response.headers_mut();
    headers.insert(header::LAST_MODIFIED, conditional::http_date(record.updated_at));
    // The framework's Date is up to a second old, and no date of a change may be later (RFC 9110 §8.8.2.1).
    let now = system_now();
    if (0..2_000).contains(&(now.unix_ms() - record.updated_at.unix_ms())) {
        headers.insert(header::DATE, conditional::http_date(now));
    }
    response
}

/// What is true at `revision`, in a form.
fn respond(
    form: Form,
    status: StatusCode,
    revision: Revision,
    body: impl Into<Bytes>,
    state: &HttpState,
) -> HttpResponse {
    // Told apart by its coding once it is compressed.
    tagged(form.into(), status, revision, state)
        .content_type(form.content_type())
        .body(body.into())
}

/// The answer to a client that has what is true at `revision` (RFC 9110 §15.4.5).
fn not_modified(variant: Variant, revision: Revision, state: &HttpState) -> HttpResponse {
    tagged(variant, StatusCode::NOT_MODIFIED, revision, state).finish()
}

fn tagged(variant: Variant, status: StatusCode, revision: Revision, state: &HttpState) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((
            header::ETAG,
            conditional::etag_of(state.store.epoch(), revision, variant),
        ))
        .insert_header((header::CACHE_CONTROL, NO_CACHE))
        .insert_header((header::VARY, BY_FORM_AND_CODING));
    response
}

/// What a write that did not happen is to the client.
fn refused(error: WriteError, target: &SensorRef, state: &HttpState) -> Problem {
    match error {
        WriteError::Refused { refusal, current, .. } => of_refusal(refusal, current, target, state),
        WriteError::NameTaken { holder: Some(holder) } => {
            let holder = state.links().sensor_url(&SensorRef::Id(holder));
            Problem::new(
                &problem::NAME_TAKEN,
                "another sensor has this name; see the related link",
            )
            .with_link(Link::new("related", holder))
        }
        WriteError::NameTaken { holder: None } => {
            Problem::new(&problem::NAME_TAKEN, "a sensor that the same batch makes has this name")
        }
        other => undone(other),
    }
}

/// What a write that the store could not do is to the client.
pub fn undone(error: WriteError) -> Problem {
    match error {
        WriteError::Overloaded => Problem::of_kind(&problem::OVERLOADED),
        WriteError::OutcomeUnknown => Problem::of_kind(&problem::OUTCOME_UNKNOWN),
        WriteError::KeyReused => Problem::key_reused(),
        WriteError::RolledBack(error) => {
            tracing::debug!(%error, "the write was rolled back");
            of_failure(&error).told_by_store()
        }
        WriteError::Store(error) => error.into(),
        // These are about a sensor, and told by those who know which.
        WriteError::Refused { .. } | WriteError::NameTaken { .. } => Problem::of_kind(&problem::INTERNAL),
    }
}

/// What a refusal is to the client. A failed precondition comes with the tag of the present state and a link to it.
fn of_refusal(
    refusal: Refusal,
    current: Option<(SensorId, Version)>,
    target: &SensorRef,
    state: &HttpState,
) -> Problem {
    let url = |id| state.links().sensor_url(&SensorRef::Id(id));
    let present = |mut problem: Problem| {
        if let Some((id, version)) = current {
            problem = problem
                .with_header(header::ETAG, conditional::etag(state.store.epoch(), version.revision))
                .with_link(Link::new("latest-version", url(id)));
        }
        problem
    };
    match refusal {
        Refusal::NotFound => Problem::new(&problem::NOT_FOUND, format!("there is no sensor {target}")),
        Refusal::PreconditionFailed(unmet) => {
            let detail = match unmet {
                Unmet::Missing => format!("If-Match: there is no sensor {target}"),
                unmet => unmet_by(unmet, "sensor"),
            };
            present(Problem::new(&problem::PRECONDITION_FAILED, detail))
        }
        Refusal::ListPreconditionFailed(unmet, head) => list_precondition_failed(unmet, head, Form::Json, state),
        Refusal::PreconditionRequired => present(Problem::of_kind(&problem::PRECONDITION_REQUIRED)),
        Refusal::Conflict(detail) => present(Problem::new(&problem::PATCH_CONFLICT, detail)),
        Refusal::Inactive => {
            let problem = Problem::of_kind(&problem::SENSOR_INACTIVE);
            current
                .map(|(id, _)| state.links().activate(id))
                .into_iter()
                .fold(problem, Problem::with_link)
        }
        Refusal::Invalid(faults) => Problem::invalid(faults),
        // Told by whoever knows what is wrong with the request.
        Refusal::Unusable => Problem::of_kind(&problem::INTERNAL),
    }
}

/// A condition on the list that does not hold; `head` is the newest revision, which the list is of.
fn list_precondition_failed(unmet: Unmet, head: Revision, form: Form, state: &HttpState) -> Problem {
    Problem::new(&problem::PRECONDITION_FAILED, unmet_by(unmet, "list"))
        .with_header(
            header::ETAG,
            conditional::etag_of(state.store.epoch(), head, form.into()),
        )
        .with_link(Link::new("latest-version", state.links().url("/sensors")))
}

/// Which condition what is there does not meet.
fn unmet_by(unmet: Unmet, what: &str) -> String {
    let (condition, fact) = match unmet {
        Unmet::Missing => ("If-Match", "is not there"),
        Unmet::OtherState => ("If-Match", "has another state, whose tag is in the header ETag"),
        Unmet::Present => ("If-None-Match", "is there already"),
        Unmet::Excluded => ("If-None-Match", "has a state with one of these tags"),
        Unmet::ModifiedSince => ("If-Unmodified-Since", "has changed since then"),
    };
    format!("{condition}: the {what} {fact}")
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => tracing::warn!(%error, "a read was given up"),
            StoreError::Damaged(_) | StoreError::Database(_) => tracing::error!(%error, "the store failed"),
            StoreError::Full | StoreError::Stopped | StoreError::Misplaced { .. } | StoreError::Locked => {}
        }
        of_failure(&error)
    }
}

/// What a failure of the store is to the client, who is not told its cause.
fn of_failure(error: &StoreError) -> Problem {
    Problem::of_kind(match error {
        StoreError::Full => &problem::STORAGE_FULL,
        StoreError::Busy => &problem::OVERLOADED,
        StoreError::Stopped | StoreError::Misplaced { .. } | StoreError::Locked => &problem::UNAVAILABLE,
        StoreError::Damaged(_) | StoreError::Database(_) => &problem::INTERNAL,
    })
}
