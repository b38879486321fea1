//! Doors to the parsers of this side that are private otherwise, for tests that bring any bytes to them.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde_json::Value as Json;

use super::batch::BatchForm;
use super::coding::AcceptedCodings;
use super::events::EventsQuery;
use super::extract::{Parameters, SensorPath};
use super::negotiation::require_acceptable;
use super::preference::Preferences;
use super::sensors::history::HistoryQuery;
use super::sensors::list::ListRequest;
use super::{conditional, idempotency};
use crate::domain::{Epoch, Precondition};

/// Reads the conditions of a request to a store of this epoch.
#[must_use]
pub fn preconditions(request: &HttpRequest, epoch: &Epoch) -> Precondition {
    conditional::precondition(request.headers(), epoch, |_| true)
}

/// Reads the query of the log, with its `Last-Event-ID`; `false` when it is refused.
#[must_use]
pub fn events_query(request: &HttpRequest) -> bool {
    let query = Parameters::<EventsQuery>::from_request(request, &mut Payload::None).into_inner();
    query.is_ok_and(|Parameters(query)| query.start(request).is_ok() && query.selection(None).is_ok())
}

/// Reads the query of the list; `false` when it is refused.
#[must_use]
pub fn list_query(request: &HttpRequest) -> bool {
    ListRequest::from_request(request, &mut Payload::None)
        .into_inner()
        .is_ok()
}

/// Reads the query of a history; `false` when it is refused.
#[must_use]
pub fn history_query(request: &HttpRequest) -> bool {
    Parameters::<HistoryQuery>::from_request(request, &mut Payload::None)
        .into_inner()
        .is_ok()
}

/// Reads the body of a batch, and gives how many operations it has; `None` when it is refused.
#[must_use]
pub fn batch(body: Json) -> Option<usize> {
    let (operations, _) = BatchForm::read(body, "http://localhost:8000").ok()?;
    Some(operations.len())
}

/// Reads the `Idempotency-Key`; `None` when it is refused or not there.
#[must_use]
pub fn key(request: &HttpRequest) -> Option<String> {
    let once = idempotency::of(request, "application/json", b"").ok()?;
    once.map(|once| once.key)
}

/// Reads the sensor in the path; `false` when it is none.
#[must_use]
pub fn sensor_path(request: &HttpRequest) -> bool {
    SensorPath::from_request(request, &mut Payload::None)
        .into_inner()
        .is_ok()
}

/// Reads `Accept` and `Accept-Encoding`; `false` when they do not allow JSON.
#[must_use]
pub fn accepts_json(request: &HttpRequest) -> bool {
    let codings = AcceptedCodings::of(request.headers());
    codings.best().is_some() && require_acceptable(request, &mime::APPLICATION_JSON).is_ok()
}

/// Reads `Prefer`; `false` when it says nothing that means something here.
#[must_use]
pub fn prefers(request: &HttpRequest) -> bool {
    Preferences::of(request.headers()) != Preferences::default()
}
