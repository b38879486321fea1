//! Errors as problem documents (RFC 9457): the one table of what can go wrong, and how each is told.

use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::domain::Fault;
use crate::wire::link::{Link, LinkBase};

/// A kind of problem: a row of [`KINDS`].
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The last segment of the `type` URL, `/problems/{slug}`.
    pub slug: &'static str,
    /// The status of the answer.
    pub status: StatusCode,
    /// The same short words every time.
    pub title: &'static str,
    /// What happened and how to mend it, for the page behind the `type` URL.
    pub explanation: &'static str,
}

macro_rules! kinds {
    ($($name:ident, $status:ident, $slug:literal, $title:literal, $explanation:literal;)+) => {
        $(
            #[doc = $title]
            pub const $name: Kind = Kind {
                slug: $slug,
                status: StatusCode::$status,
                title: $title,
                explanation: $explanation,
            };
        )+
        /// Every kind of problem that this service answers with.
        pub const KINDS: &[&Kind] = &[$(&$name),+];
    };
}

kinds! {
    MALFORMED_REQUEST, BAD_REQUEST, "malformed-request", "The request is malformed",
        "The request is not HTTP as RFC 9110 and 9112 have it, or a query parameter is unknown, repeated or out of its range. The detail names what is wrong.";
    MALFORMED_JSON, BAD_REQUEST, "malformed-json", "The body is not valid JSON",
        "The body has to be one JSON text in UTF-8 (RFC 8259): no duplicate members, no NaN or Infinity, no number that a double cannot hold, nothing after the end, at most 32 levels deep. The detail tells line and column.";
    NOT_FOUND, NOT_FOUND, "not-found", "There is no such resource",
        "Nothing lives at this URL. A sensor is found at /sensors/{id} or /sensors/{name}; GET / links to everything there is.";
    METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED, "method-not-allowed", "The resource does not have this method",
        "The Allow header lists the methods that this resource has.";
    NOT_ACCEPTABLE, NOT_ACCEPTABLE, "not-acceptable", "There is no representation that the request accepts",
        "The Accept header excludes every media type that this resource has: application/json. Send no Accept header, or one that allows it.";
    REQUEST_TIMEOUT, REQUEST_TIMEOUT, "request-timeout", "The request took too long to arrive",
        "A request has 5 seconds for its head and 10 seconds for its body. Send it again.";
    NAME_TAKEN, CONFLICT, "name-taken", "Another sensor has this name",
        "Names are unique. Take another name, or change the sensor that has it: the `related` link leads there.";
    SENSOR_INACTIVE, CONFLICT, "sensor-inactive", "The sensor is inactive",
        "While a sensor stays inactive, its value does not change. Activate it first, or in the same request: {\"status\": \"active\", \"value\": …}. The `activate` link leads there.";
    PRECONDITION_FAILED, PRECONDITION_FAILED, "precondition-failed", "The sensor is not in the state that the request demands",
        "If-Match or If-None-Match does not hold: somebody else changed, created or deleted the sensor. The ETag header has its present tag. Read it again, decide anew, and send the request with that tag.";
    PRECONDITION_REQUIRED, PRECONDITION_REQUIRED, "precondition-required", "The request has to say which state it changes",
        "This service runs with REQUIRE_IF_MATCH: send the ETag that you read in If-Match, so that no change of somebody else is lost.";
    BODY_TOO_LARGE, PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large",
        "A body has at most 64 KiB.";
    URI_TOO_LONG, URI_TOO_LONG, "uri-too-long", "The URL is too long",
        "A URL has at most 8 KiB.";
    UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has a media type that is not taken here",
        "POST and PUT take application/json, PATCH takes application/merge-patch+json; in UTF-8 and without a Content-Encoding. Accept-Post and Accept-Patch say so, too.";
    HEADERS_TOO_LARGE, REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large", "The header section is too large",
        "All headers together have at most 32 KiB, or what the operator set in HTTP_MAX_HEADER_BYTES.";
    EXPECTATION_FAILED, EXPECTATION_FAILED, "expectation-failed", "The expectation cannot be met",
        "The only expectation that can be met is 100-continue.";
    INVALID, UNPROCESSABLE_ENTITY, "invalid-sensor", "The sensor would break a rule",
        "The body is valid JSON, but not a valid sensor. Each entry of `errors` points at a member and says what is allowed.";
    OVERLOADED, SERVICE_UNAVAILABLE, "overloaded", "Too many writes wait",
        "Nothing was changed. Send the request again after the seconds in Retry-After.";
    OUTCOME_UNKNOWN, SERVICE_UNAVAILABLE, "outcome-unknown", "It is unknown whether the change was made",
        "The disk failed while the change was being committed. The service restarts and finds out: read the sensor after that.";
    UNAVAILABLE, SERVICE_UNAVAILABLE, "unavailable", "The service is stopping",
        "Nothing was changed. Send the request again after the seconds in Retry-After.";
    STORAGE_FULL, INSUFFICIENT_STORAGE, "storage-full", "The disk is full",
        "Nothing was changed. Reading works; writing works again as soon as the operator has made room.";
    INTERNAL, INTERNAL_SERVER_ERROR, "internal-error", "The service failed",
        "This is a fault of the service, not of the request. Its log has the cause under the request id in X-Request-Id.";
}

/// The problems that an operation answers with, for its `responses(…)`.
macro_rules! problem_responses {
    ($name:ident: $($kind:ident),+ $(,)?) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::http::problem::responses(&[$(&$crate::http::problem::$kind),+])
            }
        }
    };
}
pub(crate) use problem_responses;

/// The responses of a document for these kinds, those of one status together.
#[must_use]
pub fn responses(kinds: &[&Kind]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, Vec<&Kind>> = BTreeMap::new();
    for kind in kinds {
        by_status.entry(kind.status.as_str().to_owned()).or_default().push(kind);
    }
    by_status
        .into_iter()
        .map(|(status, kinds)| (status, RefOr::T(response(&kinds))))
        .collect()
}

fn response(kinds: &[&Kind]) -> Response {
    let header = |description: &str| HeaderBuilder::new().description(Some(description)).build();
    let titles: Vec<String> = kinds
        .iter()
        .map(|kind| format!("{} (`/problems/{}`)", kind.title, kind.slug))
        .collect();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let mut response = ResponseBuilder::new()
        .description(titles.join("; "))
        .content("application/problem+json", content);
    for kind in kinds {
        response = match kind.status {
            StatusCode::PRECONDITION_FAILED => {
                response.header("ETag", header("The present tag, where there is a sensor"))
            }
            StatusCode::SERVICE_UNAVAILABLE => response.header("Retry-After", header("Seconds to wait")),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => response
                .header("Accept-Patch", header("On PATCH: what is taken"))
                .header("Accept-Post", header("On POST: what is taken")),
            _ => response,
        };
    }
    response.build()
}

/// A problem, on its way to the client.
#[derive(Debug)]
pub struct Problem {
    kind: &'static Kind,
    detail: String,
    errors: Vec<Fault>,
    links: Vec<Link>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// An error as RFC 9457 has it: media type `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemForm<'a> {
    /// A page of this service that explains the problem.
    #[serde(rename = "type")]
    #[schema(format = "uri", example = "http://localhost:8000/problems/invalid-sensor")]
    type_url: String,
    /// What kind of problem it is.
    #[schema(example = "The sensor would break a rule")]
    title: &'a str,
    /// The status of the answer.
    #[schema(example = 422)]
    status: u16,
    /// What is wrong with this request, and what to do.
    #[schema(example = "1 member breaks a rule; see errors")]
    detail: &'a str,
    /// The path that was requested.
    #[schema(format = "uri-reference", example = "/sensors")]
    instance: &'a str,
    /// Every member that is wrong; on 422.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FaultForm<'a>>,
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
            links: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// A problem that the words of its kind say all about.
    #[must_use]
    pub fn of_kind(kind: &'static Kind) -> Self {
        Self::new(kind, kind.explanation)
    }

    /// The members of a sensor that are wrong.
    #[must_use]
    pub fn invalid(errors: Vec<Fault>) -> Self {
        let detail = match errors.len() {
            1 => "1 member breaks a rule; see errors".to_owned(),
            count => format!("{count} members break a rule; see errors"),
        };
        Self {
            errors,
            ..Self::new(&INVALID, detail)
        }
    }

    /// Adds a way out.
    #[must_use]
    pub fn with_link(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What an error of the framework is to the client: its status, in our words.
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

    /// The answer. `instance` is the path that was requested.
    #[must_use]
    pub fn respond(&self, links: &LinkBase, instance: &str) -> HttpResponse {
        let document = ProblemForm {
            type_url: links.url(&format!("/problems/{}", self.kind.slug)),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: &self.detail,
            instance,
            errors: self.errors.iter().map(FaultForm::from).collect(),
            links: &self.links,
        };
        let mut response = HttpResponse::build(self.kind.status);
        for header in &self.headers {
            response.append_header(header.clone());
        }
        // Its members are texts and numbers, which always serialize.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        response.content_type("application/problem+json").body(body)
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
