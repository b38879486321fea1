//! The event log over HTTP: one log, one cursor, and four forms in which it is given out.

mod page;
mod push;
mod query;
mod sse;
mod websocket;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, route};

use super::HttpState;
use super::extract::{Parameters, SensorPath};
use super::negotiation;
use super::preference::{self, Preferences};
use super::problem::{self, Problem, problem_responses};
use crate::domain::{Revision, SensorId, SensorRef};
use crate::events::{FeedError, Reader};
use crate::wire::link::Link;
use crate::wire::page::EventPageForm;
pub(super) use query::EventsQuery;

problem_responses!(EventsProblems: ORIGIN_NOT_ALLOWED, NOT_ACCEPTABLE, CURSOR_EXPIRED, OVERLOADED, TOO_MANY_STREAMS, UNAVAILABLE);
problem_responses!(SensorEventsProblems: NOT_FOUND, ORIGIN_NOT_ALLOWED, NOT_ACCEPTABLE, CURSOR_EXPIRED, OVERLOADED, TOO_MANY_STREAMS, UNAVAILABLE);

/// What the path and the query ask for.
struct Asked {
    /// The path of the log: `/events`, or that of a sensor.
    path: String,
    query: EventsQuery,
    /// Seconds that a page may wait for an event.
    wait_s: Option<u32>,
    reader: Reader,
}

/// The changes of all sensors
///
/// The log that feeds the MQTT topics. It comes in four forms, with the same events and the same bytes: a page; with `wait`,
/// a long poll; with `Accept: text/event-stream`, Server-Sent Events (`id` is the cursor, `event` is created, modified or
/// deleted, and a comment every 15 s has the cursor of the head); and after an upgrade to WebSocket, one event per text
/// message.
///
/// To keep an exact copy of the list, read it and follow the link `events` of its first page. After 410 start over.
///
/// A stream with filters says now and then how far it has come, by an `id` without an event. A reader that takes nothing for
/// 10 to 20 seconds is disconnected. A WebSocket is closed with the last cursor as the reason and the code 1001 when the
/// service stops, 1013 when the reader is too slow, 4410 when the reader has fallen behind what is kept, 1011 when the log
/// cannot be read; and without a cursor 1003 when the client sends a message, 1009 when that is too large.
#[utoipa::path(
    get,
    operation_id = "listEvents",
    tag = "events",
    params(
        EventsQuery,
        ("Last-Event-ID" = String, Header),
        ("Prefer" = String, Header),
    ),
    responses(
        (status = 101, description = "A WebSocket: every text message is an event"),
        (status = 200, description = "The events after the cursor", content(
            (EventPageForm = "application/json"),
            (String = "text/event-stream", example = "id: k3f7q2vt.45\nevent: deleted\ndata: {\"event\":\"deleted\",\"sensor\":\"01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90\",\"epoch\":\"k3f7q2vt\",\"revision\":45,\"previous\":44}\n\n"),
        ), headers(("Cache-Control" = String), ("Vary" = String), ("Preference-Applied" = String))),
        EventsProblems,
    ),
)]
#[route("/events", method = "GET", method = "HEAD")]
pub async fn all(
    query: Parameters<EventsQuery>,
    request: HttpRequest,
    payload: Payload,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let form = Form::of(&request)?;
    answer("/events".to_owned(), None, query.0, form, request, payload, state).await
}

/// The changes of one sensor
///
/// Like the changes of all sensors, in the same four forms. A deleted sensor is found by its id as long as an event of it is
/// kept.
#[utoipa::path(
    get,
    operation_id = "listSensorEvents",
    tag = "sensors",
    params(
        ("sensor" = String, Path),
        EventsQuery,
        ("Last-Event-ID" = String, Header),
        ("Prefer" = String, Header),
    ),
    responses(
        (status = 101, description = "A WebSocket: every text message is an event"),
        (status = 200, description = "The events after the cursor", content(
            (EventPageForm = "application/json"),
            (String = "text/event-stream", example = "id: k3f7q2vt.45\nevent: deleted\ndata: {\"event\":\"deleted\",\"sensor\":\"01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90\",\"epoch\":\"k3f7q2vt\",\"revision\":45,\"previous\":44}\n\n"),
        ), headers(("Cache-Control" = String), ("Vary" = String), ("Preference-Applied" = String))),
        SensorEventsProblems,
    ),
)]
#[route("/sensors/{sensor}/events", method = "GET", method = "HEAD")]
pub async fn of_sensor(
    path: SensorPath,
    query: Parameters<EventsQuery>,
    request: HttpRequest,
    payload: Payload,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let form = Form::of(&request)?;
    let sensor = find(&path.0, &state).await?;
    let path = format!("/sensors/{sensor}/events");
    answer(path, Some(sensor), query.0, form, request, payload, state).await
}

/// The form in which the log is given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Page,
    EventStream,
    WebSocket,
}

impl Form {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        if *request.method() == Method::GET && websocket::is_asked_for(request) {
            return Ok(Self::WebSocket);
        }
        Ok(
            match negotiation::choose(request, &["application/json", "text/event-stream"])? {
                "text/event-stream" => Self::EventStream,
                _ => Self::Page,
            },
        )
    }
}

async fn answer(
    path: String,
    sensor: Option<SensorId>,
    query: EventsQuery,
    form: Form,
    request: HttpRequest,
    payload: Payload,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    let ((start, parameter), selection) = (query.start(&request)?, query.selection(sensor)?);
    let reader = state.feed.read_from(start, selection).await;
    let reader = reader.map_err(|error| unreadable(error, parameter, &path, &state))?;
    // The parameter is an order, the header a wish.
    let preferred_wait_s = Preferences::of(request.headers()).wait_s;
    let preferred_wait_s = preferred_wait_s.filter(|_| form == Form::Page && query.wait().is_none());
    let wait_s = query.wait().or(preferred_wait_s);
    let mut response = match form {
        Form::Page => {
            page::answer(
                Asked {
                    path,
                    query,
                    wait_s,
                    reader,
                },
                &state,
            )
            .await?
        }
        Form::EventStream => sse::answer(&request, reader, &state)?,
        Form::WebSocket => return websocket::answer(&request, payload, reader, &state),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Last-Event-ID"));
    if let Some(applied) = preferred_wait_s.and_then(|wait_s| HeaderValue::from_str(&format!("wait={wait_s}")).ok()) {
        headers.insert(preference::PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

/// The id of the sensor. One that is gone has a log still, which its id leads to.
///
/// # Errors
/// 404 when there is neither.
pub async fn find(sensor: &SensorRef, state: &HttpState) -> Result<SensorId, Problem> {
    if let Some(record) = state.store.get(sensor).await? {
        return Ok(record.id);
    }
    match sensor {
        SensorRef::Id(id) if state.store.before_newest(*id, 0).await? > Revision::ZERO => Ok(*id),
        SensorRef::Id(id) => Err(Problem::new(
            &problem::NOT_FOUND,
            format!("there is no sensor {id}, and no event of it"),
        )),
        SensorRef::Name(name) => Err(Problem::new(
            &problem::NOT_FOUND,
            format!("there is no sensor {name}; the events of one that is gone are found by its id"),
        )),
    }
}

/// What a cursor that cannot be gone on from is to the client: `parameter` has it, and `first` is the path of the page to begin with.
pub(super) fn unreadable(error: FeedError, parameter: &str, first: &str, state: &HttpState) -> Problem {
    match error {
        FeedError::Gone { oldest } => {
            let (epoch, head) = (state.store.epoch(), *state.store.head().borrow());
            Problem::of_kind(&problem::CURSOR_EXPIRED)
                .with_log_bounds(epoch.clone(), oldest, head)
                .with_link(Link::new("collection", state.links().url("/sensors")))
                .with_link(Link::new("first", state.links().url(first)))
        }
        FeedError::Future { head } => Problem::new(
            &problem::MALFORMED_REQUEST,
            format!("{parameter}: the cursor is newer than the newest event, which is {head}"),
        ),
        FeedError::Store(error) => error.into(),
    }
}
