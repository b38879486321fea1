//! What goes around every request: limits before it, and after it problem documents, safe headers, the log and the numbers.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use actix_http::{Request, Response};
use actix_service::{ServiceFactory, apply_fn_factory};
use actix_web::body::BoxBody;
use actix_web::dev::{RequestHead, Service, ServiceResponse};
use actix_web::http::Version;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{Error, HttpResponse};
use futures_util::future::Either;
use tokio::time::Instant;
use tracing::{Instrument, Span, info_span};
use uuid::Uuid;

use super::framing::Turn;
use super::problem::{self, Problem};
use super::sensors::read::{self, SensorRead};
use super::{HttpState, compression, cors};
use crate::clock;
use crate::config::HttpLimits;

/// Swagger UI needs styles of its own and pictures in `data:` URLs; nothing comes from another host.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Puts the frame around what routes requests. The outermost service of a connection, so that a plain read of a sensor is
/// answered without a route: that takes half of the time of a read from memory.
///
/// What is logged while a request is answered stands in a span with an id, the method and the path, which is a field of text and so
/// escaped: no line of the log can be forged through it.
pub fn framed<F>(
    routes: F,
    state: Data<HttpState>,
) -> impl ServiceFactory<Request, Config = (), Response = Response<BoxBody>, Error = Error, InitError = ()>
where
    F: ServiceFactory<Request, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>,
{
    apply_fn_factory(routes, move |request: Request, routes: &F::Service| {
        let exchange = Exchange {
            started: Instant::now(),
            id: clock::new_request_id(),
            state: state.clone(),
        };
        // Dropped with the future, when the answer is there.
        let turn = Turn::of(&request);
        if let Some(shortcut) = exchange.shortcut(&request) {
            return Either::Left(async move {
                let _turn = turn;
                let (span, route, response) = match shortcut {
                    // A span costs as much as the rest, and where nobody listens it is of no use.
                    Shortcut::Answer(route, response) => {
                        let is_logged = tracing::enabled!(tracing::Level::DEBUG);
                        let span = if is_logged {
                            exchange.span(&request)
                        } else {
                            Span::none()
                        };
                        (span, route, response)
                    }
                    Shortcut::Read(read) => {
                        let span = exchange.span(&request);
                        let response = read.present(&exchange.state).instrument(span.clone()).await;
                        (span, READ_ROUTE, response.unwrap_or_else(HttpResponse::from_error))
                    }
                };
                let response = span.in_scope(|| exchange.finish(request.head(), route, response));
                Ok(compression::encode(request.head(), response).await.into())
            });
        }
        let span = exchange.span(&request);
        let answer = span.in_scope(|| routes.call(request)).instrument(span.clone());
        Either::Right(async move {
            let _turn = turn;
            let (request, response) = answer.await?.into_parts();
            let route = request.match_pattern().map(Cow::Owned);
            let response = span.in_scope(|| exchange.finish(request.head(), route, response));
            Ok(compression::encode(request.head(), response).await.into())
        })
    })
}

/// A request on its way to its answer.
struct Exchange {
    started: Instant,
    id: Uuid,
    state: Data<HttpState>,
}

/// The pattern that a request's path fits, where one does.
type RoutePattern = Option<Cow<'static, str>>;

const READ_ROUTE: RoutePattern = Some(Cow::Borrowed(read::PATH));

/// What needs no route.
enum Shortcut {
    /// This is the answer.
    Answer(RoutePattern, HttpResponse),
    /// The sensor has to be looked for.
    Read(SensorRead),
}

impl Exchange {
    /// What becomes of a request that breaks a limit, and of a plain read.
    fn shortcut(&self, request: &Request) -> Option<Shortcut> {
        if let Err(problem) = check(request.head(), &self.state.limits) {
            return Some(Shortcut::Answer(None, HttpResponse::from_error(problem)));
        }
        let read = SensorRead::of(request, &self.state)?;
        Some(match read.at_hand(&self.state) {
            Some(response) => Shortcut::Answer(READ_ROUTE, response),
            None => Shortcut::Read(read),
        })
    }

    fn span(&self, request: &Request) -> Span {
        let request_id = self.id.hyphenated();
        info_span!("request", %request_id, method = %request.method(), path = request.path())
    }

    fn finish(&self, request: &RequestHead, route: RoutePattern, response: HttpResponse) -> HttpResponse {
        let is_told_by_store = problem_of(&response).is_some_and(Problem::is_told_by_store);
        let mut response = if response.status().is_client_error() || response.status().is_server_error() {
            as_problem(request, response, &self.state)
        } else {
            response
        };
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
        if is_page(headers) {
            headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
        }
        let mut buffer = Uuid::encode_buffer();
        if let Ok(request_id) = HeaderValue::from_str(self.id.hyphenated().encode_lower(&mut buffer)) {
            headers.insert(REQUEST_ID, request_id);
        }
        cors::allow(&self.state.cors_origins, request, headers);
        let status = response.status();
        self.state
            .metrics
            .observe(request.method.as_str(), route, status.as_u16(), self.started.elapsed());
        // That there is too much to do, or that writing fails, is logged once, by the store, and not for every request; and
        // so is that the service is not ready.
        let is_told = is_told_by_store || is_own_body(response.headers());
        if status.is_server_error() && !is_told {
            tracing::error!(status = status.as_u16(), "request failed");
        } else {
            tracing::debug!(status = status.as_u16(), "request answered");
        }
        response
    }
}

/// What is checked before any route: limits, and rules of HTTP/1.1 that the parser leaves to us.
fn check(request: &RequestHead, limits: &HttpLimits) -> Result<(), Problem> {
    let headers = request.headers();
    let url_bytes = request.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if url_bytes > limits.url_bytes {
        let detail = format!("a URL has at most {} bytes", limits.url_bytes);
        return Err(Problem::new(&problem::URI_TOO_LONG, detail));
    }
    let header_bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if header_bytes > limits.header_bytes {
        let detail = format!("a header section has at most {} bytes", limits.header_bytes);
        return Err(Problem::new(&problem::HEADERS_TOO_LARGE, detail));
    }
    // RFC 9112 §3.2.
    if request.version == Version::HTTP_11 && headers.get_all(header::HOST).count() != 1 {
        return Err(Problem::new(
            &problem::MALFORMED_REQUEST,
            "a request has exactly one Host header",
        ));
    }
    if headers.get(header::HOST).is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(Problem::new(
            &problem::MALFORMED_REQUEST,
            "Host: must be a host, and where needed a port",
        ));
    }
    let expectation = headers.get(header::EXPECT).map(HeaderValue::as_bytes);
    if expectation.is_some_and(|expectation| !expectation.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Problem::of_kind(&problem::EXPECTATION_FAILED));
    }
    Ok(())
}

/// Whether this is a host and, where needed, a port (RFC 9110 §7.2, RFC 3986 §3.2), or nothing, as of a URL that has neither.
fn is_host(field: &[u8]) -> bool {
    let digits = field.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    // No name has a colon: what stands behind one that leads to no port is refused with it.
    match field[..field.len() - digits].strip_suffix(b":") {
        Some(host) => !host.is_empty() && is_name_or_address(host),
        None => is_name_or_address(field),
    }
}

fn is_name_or_address(host: &[u8]) -> bool {
    if let Some(address) = host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
        return str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let is_code = |code: &[u8]| code.len() >= 2 && code[..2].iter().all(u8::is_ascii_hexdigit);
    host.iter().copied().all(is_of_name) && host.split(|byte| *byte == b'%').skip(1).all(is_code)
}

/// What a name or an IPv4 address is made of.
fn is_of_name(byte: u8) -> bool {
    // Common ones first: every request has a host.
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'A'..=b'Z') || b"_~%!$&'()*+,;=".contains(&byte)
}

/// Writes the problem document of an error, also of one that the framework made.
fn as_problem(request: &RequestHead, response: HttpResponse, state: &HttpState) -> HttpResponse {
    if is_own_body(response.headers()) {
        return response;
    }
    let answer = |problem: &Problem| problem.respond(state.links(), request.uri.path());
    match problem_of(&response) {
        Some(problem) => answer(problem),
        None => answer(&Problem::of_status(response.status())),
    }
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
        .map(HeaderValue::as_bytes)
        // A picture can hold scripts, too.
        .is_some_and(|media_type| media_type.starts_with(b"text/html") || media_type.starts_with(b"image/svg+xml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_where_needed_a_port() {
        for host in [
            "",
            "x",
            "localhost:8000",
            "LOCALHOST:",
            "127.0.0.1:1",
            "12345",
            "[::1]",
            "[::ffff:1.2.3.4]:8000",
            "a_b.example.",
            "a%C3%A9!$&'()*+,;=~:80",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            ":8000",
            ":",
            "localhost:x",
            "localhost:80x",
            "localhost:-1",
            "localhost:+1",
            "a:1:2",
            "a::1",
            "::1",
            "u@x",
            "u:1@x",
            "u:p@x:1",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:x",
            "[]",
            "[x]",
            "[::1%25lo]",
            "a[",
            "a]:1",
            "a%",
            "a%4",
            "a%4g",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "ä",
            "a\"",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
