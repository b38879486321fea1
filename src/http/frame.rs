//! What goes around every request: limits before it, and after it problem documents, safe headers, the log and the numbers.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Version;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpResponse};
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use super::problem::{self, Problem};
use super::{HttpState, coding, cors};
use crate::clock;

/// Swagger UI needs styles of its own and pictures in `data:` URLs; nothing comes from another host.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The middleware around the whole service.
///
/// Every log line of a request stands in a span with an id, the method and the path, which is a field of text and so
/// escaped: no line of the log can be forged through it.
///
/// # Errors
/// Those that the framework keeps to itself; what a handler returns is a response by now.
pub async fn frame(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let mut buffer = Uuid::encode_buffer();
    let request_id: &str = clock::new_request_id().hyphenated().encode_lower(&mut buffer);
    let span = tracing::info_span!("request", request_id, method = %request.method(), path = request.path());
    let answer = async {
        match check(&request) {
            Ok(()) => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
            Err(problem) => Ok(request.error_response(problem)),
        }
    };
    let response = answer.instrument(span.clone()).await?;
    let response = span.in_scope(|| finish(response, request_id, started));
    Ok(coding::encode(response).await)
}

/// What is checked before any route: limits, and rules of HTTP/1.1 that the parser leaves to us.
fn check(request: &ServiceRequest) -> Result<(), Problem> {
    let headers = request.headers();
    if let Some(state) = request.app_data::<Data<HttpState>>() {
        let url_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if url_bytes > state.limits.url_bytes {
            let detail = format!("a URL has at most {} bytes", state.limits.url_bytes);
            return Err(Problem::new(&problem::URI_TOO_LONG, detail));
        }
        let header_bytes: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if header_bytes > state.limits.header_bytes {
            let detail = format!("a header section has at most {} bytes", state.limits.header_bytes);
            return Err(Problem::new(&problem::HEADERS_TOO_LARGE, detail));
        }
    }
    // RFC 9112 §3.2.
    if request.version() == Version::HTTP_11 && headers.get_all(header::HOST).count() != 1 {
        return Err(Problem::new(
            &problem::MALFORMED_REQUEST,
            "a request has exactly one Host header",
        ));
    }
    let expectation = headers.get(header::EXPECT).map(HeaderValue::as_bytes);
    if expectation.is_some_and(|expectation| !expectation.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Problem::of_kind(&problem::EXPECTATION_FAILED));
    }
    Ok(())
}

fn finish(response: ServiceResponse<BoxBody>, request_id: &str, started: Instant) -> ServiceResponse<BoxBody> {
    let is_overload = problem_of(response.response()).is_some_and(Problem::is_overload);
    let mut response = if response.status().is_client_error() || response.status().is_server_error() {
        as_problem(response)
    } else {
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    if is_page(headers) {
        headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    }
    if let Ok(request_id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, request_id);
    }
    allow_origin(&mut response);
    let (request, status) = (response.request(), response.status());
    if let Some(state) = request.app_data::<Data<HttpState>>() {
        let route = request.match_pattern();
        state
            .metrics
            .observe(request.method().as_str(), route, status.as_u16(), started.elapsed());
    }
    // That there is too much to do is logged once, by the store, and not for every request.
    if status.is_server_error() && !is_overload {
        tracing::error!(status = status.as_u16(), "request failed");
    } else {
        tracing::debug!(status = status.as_u16(), "request answered");
    }
    response
}

fn allow_origin(response: &mut ServiceResponse<BoxBody>) {
    let request = response.request().clone();
    if let Some(state) = request.app_data::<Data<HttpState>>() {
        cors::allow(&state.cors_origins, &request, response.headers_mut());
    }
}

/// Writes the problem document of an error, also of one that the framework made.
fn as_problem(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let Some(state) = response.request().app_data::<Data<HttpState>>().cloned() else {
        return response;
    };
    if is_own_body(response.headers()) {
        return response;
    }
    let (request, response) = response.into_parts();
    let answer = |problem: &Problem| problem.respond(state.links(), request.path());
    let answer = match problem_of(&response) {
        Some(problem) => answer(problem),
        None => answer(&Problem::of_status(response.status())),
    };
    ServiceResponse::new(request, answer)
}

/// The problem that a handler gave for its answer.
fn problem_of<B>(response: &HttpResponse<B>) -> Option<&Problem> {
    response.error()?.as_error()
}

/// `/health/ready` answers 503 with a document of its own.
fn is_own_body(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|media_type| media_type == "application/json")
}

fn is_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/html"))
}
