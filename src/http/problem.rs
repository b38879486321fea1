//! Errors as problem documents (RFC 9457): how each kind of problem is told.

use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;
use utoipa::openapi::header::Header;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use uuid::{Uuid, uuid};

pub use super::problem_kinds::*;
use crate::domain::{Epoch, Fault, Revision, SensorId, SensorRef};
use crate::wire::link::{Link, LinkBase};

/// The media type of the document.
pub const MEDIA_TYPE: &str = "application/problem+json";
const EXAMPLE_SENSOR: Uuid = uuid!("01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90");

/// What any request can be answered with, whatever it asks for.
const OF_EVERY_OPERATION: [&Kind; 6] = [
    &MALFORMED_REQUEST,
    &REQUEST_TIMEOUT,
    &URI_TOO_LONG,
    &EXPECTATION_FAILED,
    &HEADERS_TOO_LARGE,
    &INTERNAL,
];

/// The problems that an operation answers with beside those of every operation, for its `responses(…)`.
macro_rules! problem_responses {
    ($name:ident: $($kind:ident),* $(,)?) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::http::problem::responses(&[$(&$crate::http::problem::$kind),*])
            }
        }
    };
}
pub(crate) use problem_responses;

/// The responses of a document for these kinds and those of every operation, those of one status together.
#[must_use]
pub fn responses(kinds: &[&Kind]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, Vec<&Kind>> = BTreeMap::new();
    for kind in kinds.iter().chain(&OF_EVERY_OPERATION) {
        by_status.entry(kind.status.as_str().to_owned()).or_default().push(kind);
    }
    by_status
        .into_iter()
        .map(|(status, kinds)| (status, RefOr::T(response(&kinds))))
        .collect()
}

fn response(kinds: &[&Kind]) -> Response {
    let titles: Vec<String> = kinds
        .iter()
        .map(|kind| format!("{} (`/problems/{}`)", kind.title, kind.slug))
        .collect();
    let examples = kinds.iter().map(|kind| {
        (
            kind.slug,
            RefOr::Ref(Ref::new(format!("#/components/examples/{}", kind.slug))),
        )
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .examples_from_iter(examples)
        .build();
    let response = ResponseBuilder::new()
        .description(titles.join("; "))
        .content(MEDIA_TYPE, content);
    let headers = [
        ("ETag", kinds.iter().any(|kind| TELL_THE_TAG.contains(kind))),
        ("Retry-After", kinds.iter().any(|kind| retry_after_s(kind).is_some())),
    ];
    let named = headers.into_iter().filter(|(_, is_there)| *is_there);
    named
        .fold(response, |response, (name, _)| response.header(name, Header::default()))
        .build()
}

/// The kinds whose answers tell the tag of the present state.
const TELL_THE_TAG: [&Kind; 3] = [&PRECONDITION_FAILED, &PRECONDITION_REQUIRED, &PATCH_CONFLICT];

/// After how many seconds a request may do better, where it may.
fn retry_after_s(kind: &Kind) -> Option<u16> {
    let soon = [&STILL_RUNNING, &OVERLOADED, &OUTCOME_UNKNOWN, &UNAVAILABLE];
    if *kind == TOO_MANY_STREAMS {
        Some(10)
    } else {
        soon.contains(&kind).then_some(1)
    }
}

/// An answer of this kind, for the document and for the page behind the `type` URL.
#[must_use]
pub fn example(kind: &Kind, links: &LinkBase) -> Json {
    let Example {
        request,
        detail,
        fault,
        way_out,
    } = &kind.example;
    let faults: Vec<Fault> = fault
        .iter()
        .map(|(pointer, detail)| Fault::new(*pointer, *detail))
        .collect();
    let sensor = SensorId::new(EXAMPLE_SENSOR);
    let leads = match way_out {
        WayOut::None => Vec::new(),
        WayOut::Sensor(relation) => vec![Link::new(relation, links.sensor_url(&SensorRef::Id(sensor)))],
        WayOut::Activate => vec![links.activate(sensor)],
        WayOut::Log => vec![
            Link::new("collection", links.url("/sensors")),
            Link::new("first", links.url("/events")),
        ],
    };
    let log = (*way_out == WayOut::Log).then_some(("k3f7q2vt", 31, 45));
    let url = request.split_once(' ').map_or(*request, |(_, url)| url);
    let path = url.split('?').next().unwrap_or(url);
    let document = ProblemForm {
        epoch: log.map(|(epoch, ..)| epoch),
        oldest: log.map(|(_, oldest, _)| oldest),
        head: log.map(|(.., head)| head),
        ..ProblemForm::new(kind, detail, path, &faults, &leads, links)
    };
    // Its members are texts and numbers, which always serialize.
    serde_json::to_value(document).unwrap_or_default()
}

/// A problem, on its way to the client.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: &'static Kind,
    detail: String,
    errors: Vec<Fault>,
    index: Option<u16>,
    links: Vec<Link>,
    // Boxed, because few problems have them.
    log_bounds: Option<Box<LogBounds>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    is_told_by_store: bool,
}

/// Which events there are.
#[derive(Debug, Clone)]
struct LogBounds {
    epoch: Epoch,
    oldest: Revision,
    head: Revision,
}

/// An error (RFC 9457), with the media type `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemForm<'a> {
    /// A page of this service that explains the problem.
    #[serde(rename = "type")]
    #[schema(format = "uri", example = "http://localhost:8000/problems/invalid-sensor")]
    type_url: String,
    /// What kind of problem it is.
    #[schema(example = "The body breaks a rule")]
    title: &'a str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    status: u16,
    /// What is wrong with this request, and what to do.
    #[schema(example = "1 member breaks a rule; see errors")]
    detail: &'a str,
    /// The path that was requested; absent when there was no valid request.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(format = "uri-reference", required = false, example = "/sensors")]
    instance: &'a str,
    /// Every member that is wrong; on 422.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FaultForm<'a>>,
    /// The operation of a batch that failed, the first being 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 499, nullable = false, example = 0)]
    index: Option<u16>,
    /// The life of the store that `oldest` and `head` belong to; on 410.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z2-7]{8}$", nullable = false, example = "k3f7q2vt")]
    epoch: Option<&'a str>,
    /// The oldest event that is kept; on 410.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, nullable = false, example = 31)]
    oldest: Option<i64>,
    /// The newest event; on 410.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, nullable = false, example = 45)]
    head: Option<i64>,
    /// Where to go from here.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false, value_type = Vec<Link>)]
    links: &'a [Link],
}

/// A member that is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fault)]
pub struct FaultForm<'a> {
    /// A JSON Pointer (RFC 6901) into the body; empty for the whole body.
    #[schema(example = "/value")]
    pointer: &'a str,
    /// What is wrong and what is allowed.
    #[schema(example = "must be a number, a boolean or text")]
    detail: &'a str,
}

impl Problem {
    /// A problem of a kind; `detail` says what is wrong this time and what to do.
    pub fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            index: None,
            links: Vec::new(),
            log_bounds: None,
            headers: Vec::new(),
            is_told_by_store: *kind == OVERLOADED,
        }
    }

    /// A problem whose detail is the text of its kind.
    #[must_use]
    pub fn of_kind(kind: &'static Kind) -> Self {
        Self::new(kind, format!("{} {}", kind.happened, kind.fix))
    }

    /// The same problem, of which the store logs only the beginning and the end.
    #[must_use]
    pub fn told_by_store(self) -> Self {
        Self {
            is_told_by_store: true,
            ..self
        }
    }

    /// Whether the store logs its beginning and its end.
    #[must_use]
    pub const fn is_told_by_store(&self) -> bool {
        self.is_told_by_store
    }

    /// The members of a sensor that are wrong.
    #[must_use]
    pub fn invalid(mut errors: Vec<Fault>) -> Self {
        let detail = match errors.len() {
            1 => "1 member breaks a rule; see errors".to_owned(),
            count if count > Fault::MAX_COUNT => {
                format!(
                    "many members break a rule; see errors for the first {}",
                    Fault::MAX_COUNT
                )
            }
            count => format!("{count} members break a rule; see errors"),
        };
        errors.truncate(Fault::MAX_COUNT);
        Self {
            errors,
            ..Self::new(&INVALID, detail)
        }
    }

    /// What is wrong with operations, so that none of them was tried.
    #[must_use]
    pub fn not_run(operations: &str, errors: Vec<Fault>) -> Self {
        Self {
            detail: format!("the {operations} cannot be run as it stands, and nothing of it was done; see errors"),
            ..Self::invalid(errors)
        }
    }

    /// The body does not go with the key that it was sent with.
    #[must_use]
    pub fn key_reused() -> Self {
        Self {
            errors: vec![Fault::new("", "is not what was sent with this Idempotency-Key before")],
            ..Self::of_kind(&KEY_REUSED)
        }
    }

    /// The same problem as that of an operation of a batch: pointers lead into the batch, and all headers but the `ETag` are left out.
    #[must_use]
    pub fn of_operation(mut self, index: usize) -> Self {
        self.headers.retain(|(name, _)| name == header::ETAG);
        self.index = u16::try_from(index).ok();
        for fault in &mut self.errors {
            fault.pointer = format!("/operations/{index}/body{}", fault.pointer);
        }
        self
    }

    /// Adds why it is so.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Self {
        self.detail = format!("{}; {reason}", self.detail);
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn with_link(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }

    /// Tells which events there are.
    #[must_use]
    pub fn with_log_bounds(mut self, epoch: Epoch, oldest: Revision, head: Revision) -> Self {
        self.log_bounds = Some(Box::new(LogBounds { epoch, oldest, head }));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The problem for an error of the framework: by its status, in our words.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        let kind = KINDS.iter().find(|kind| kind.status == status);
        let fallback = if status.is_client_error() {
            &MALFORMED_REQUEST
        } else {
            &INTERNAL
        };
        let kind = kind.copied().unwrap_or(fallback);
        Self::of_kind(kind)
    }

    /// The document. `instance` is the path that was requested; empty where there was none.
    #[must_use]
    pub fn document(&self, links: &LinkBase, instance: &str) -> Vec<u8> {
        let bounds = self.log_bounds.as_deref();
        let document = ProblemForm {
            index: self.index,
            epoch: bounds.map(|bounds| bounds.epoch.as_str()),
            oldest: bounds.map(|bounds| bounds.oldest.get()),
            head: bounds.map(|bounds| bounds.head.get()),
            ..ProblemForm::new(self.kind, &self.detail, instance, &self.errors, &self.links, links)
        };
        // Its members are texts and numbers, which always serialize.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// The answer. `instance` is the path that was requested.
    #[must_use]
    pub fn respond(&self, links: &LinkBase, instance: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.kind.status);
        for header in &self.headers {
            response.append_header(header.clone());
        }
        if let Some(seconds) = retry_after_s(self.kind) {
            response.append_header((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        response.content_type(MEDIA_TYPE).body(self.document(links, instance))
    }
}

impl<'a> ProblemForm<'a> {
    fn new(
        kind: &Kind,
        detail: &'a str,
        instance: &'a str,
        errors: &'a [Fault],
        links: &'a [Link],
        base: &LinkBase,
    ) -> Self {
        Self {
            type_url: base.url(&format!("/problems/{}", kind.slug)),
            title: kind.title,
            status: kind.status.as_u16(),
            detail,
            instance,
            errors: errors.iter().map(FaultForm::from).collect(),
            index: None,
            epoch: None,
            oldest: None,
            head: None,
            links,
        }
    }
}

impl<'a> From<&'a Fault> for FaultForm<'a> {
    fn from(fault: &'a Fault) -> Self {
        Self {
            pointer: &fault.pointer,
            detail: &fault.detail,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.title, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status
    }

    /// Only the status: [`super::frame`] writes the document, because that needs the request.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.kind.status)
    }
}
