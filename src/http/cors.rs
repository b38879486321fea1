//! Cross-origin requests (the Fetch standard, §3.3): what scripts of other sites may do here, where the operator allows them.
//!
//! Not actix-cors, which answers preflights on its own: without `Allow`, with one list of methods for all paths, and with errors
//! that are no problem documents. Here a preflight is what OPTIONS answers anyway, and its `Allow` is what a script may do.

use actix_web::dev::RequestHead;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use url::Url;

use crate::config::CorsOrigins;

/// What a script may see of an answer, beside what every answer shows.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, Link, Location, Content-Location, Allow, Accept, Accept-Patch, Accept-Post, Retry-After, Preference-Applied, X-Request-Id",
);
/// What a script may send, beside what every script may.
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "Content-Type, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, Prefer, Idempotency-Key, Last-Event-ID",
);
/// Seconds for which a browser remembers what it may do.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("600");

/// Whether a script may open a WebSocket. Browsers open them for any page and let it read the messages, so the check is up to the server
/// (RFC 6455 §10.2). A request without `Origin` is not from a browser.
pub fn may_listen(origins: &CorsOrigins, request: &RequestHead, own: &str) -> bool {
    let Some(origin) = request.headers().get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let is_of = |base: &str| Url::parse(base).is_ok_and(|base| origin == base.origin().ascii_serialization());
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let is_here = |host| is_of(&format!("http://{host}")) || is_of(&format!("https://{host}"));
    is_allowed(origins, origin) || is_of(own) || host.is_some_and(is_here)
}

fn is_allowed(origins: &CorsOrigins, origin: &str) -> bool {
    match origins {
        CorsOrigins::None => false,
        CorsOrigins::Any => true,
        CorsOrigins::These(allowed) => allowed.iter().any(|allowed| origin == allowed),
    }
}

/// Adds the headers by which the browser lets a script read the answer.
pub fn allow(origins: &CorsOrigins, request: &RequestHead, headers: &mut HeaderMap) {
    let origin = match origins {
        CorsOrigins::None => return,
        CorsOrigins::Any => Some(HeaderValue::from_static("*")),
        CorsOrigins::These(_) => {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
            let origin = request.headers().get(header::ORIGIN);
            let is_allowed = |origin: &&HeaderValue| origin.to_str().is_ok_and(|origin| is_allowed(origins, origin));
            origin.filter(is_allowed).cloned()
        }
    };
    let Some(origin) = origin.filter(|_| request.headers().contains_key(header::ORIGIN)) else {
        return;
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let is_preflight =
        request.method == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if let Some(methods) = headers.get(header::ALLOW).cloned().filter(|_| is_preflight) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    } else {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
