//! What the parser refuses: it says so in a status line, and here comes the document that says more (RFC 9457).

use std::time::Duration;

use actix_web::http::StatusCode;
use bytes::Bytes;
use memchr::{memchr, memmem, memrchr_iter};

use crate::clock;
use crate::http::metrics::{HttpMetrics, Open};
use crate::http::problem::{self, MEDIA_TYPE, Problem};
use crate::wire::link::LinkBase;

/// Tells what is wrong with what is no request.
#[derive(Debug)]
pub struct Refusals {
    links: LinkBase,
    metrics: HttpMetrics,
}

/// What every refusal of the parser has, and no answer of this service: each of its own that has one of these statuses has a body.
const NO_BODY: &[u8] = b"\r\ncontent-length: 0\r\n";
/// The first line of a refusal when the head came too late.
const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout";
/// The longest refusal of the parser.
const MAX_BYTES: usize = 256;
/// Where the status stands in `HTTP/1.1 400 Bad Request`.
const STATUS: std::ops::Range<usize> = 9..12;

/// Where a refusal of the parser begins in what is to be written; it is always the end of that.
pub(super) fn begins_at(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(MAX_BYTES);
    // Every 304 comes here, and has one of these letters, at its beginning.
    let mut letters = memrchr_iter(b'H', &bytes[from..]).map(|letter| from + letter);
    let begin = letters.find(|letter| bytes[*letter..].starts_with(b"HTTP/1."))?;
    let answer = &bytes[begin..];
    problem_of(status_of(answer)?)?;
    rest_of(answer).starts_with(NO_BODY).then_some(begin)
}

fn status_of(answer: &[u8]) -> Option<StatusCode> {
    StatusCode::from_bytes(answer.get(STATUS)?).ok()
}

/// What comes after the first line, with the end of that.
fn rest_of(answer: &[u8]) -> &[u8] {
    &answer[memchr(b'\r', answer).unwrap_or(answer.len())..]
}

fn problem_of(status: StatusCode) -> Option<Problem> {
    match status {
        StatusCode::BAD_REQUEST => Some(Problem::new(
            &problem::MALFORMED_REQUEST,
            "this is no request of HTTP/1.1, or one in which two readers could see different things (RFC 9112): look at its request \
             line, at its line ends, at Host, Content-Length and Transfer-Encoding, and at the length of its URL",
        )),
        StatusCode::REQUEST_TIMEOUT => Some(Problem::of_kind(&problem::REQUEST_TIMEOUT)),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Some(Problem::of_kind(&problem::HEADERS_TOO_LARGE)),
        _ => None,
    }
}

impl Refusals {
    /// Refusals whose documents have these links, and which are counted there.
    pub fn new(links: LinkBase, metrics: HttpMetrics) -> Self {
        Self { links, metrics }
    }

    /// Counts a connection.
    pub(super) fn open_connection(&self) -> Open {
        Open::count(&self.metrics.open_connections).0
    }

    /// The refusal with its document; as that of what did not come in time, if it `is_late`.
    pub(super) fn with_document(&self, bare: &[u8], is_late: bool) -> Bytes {
        let rest = rest_of(bare);
        let line = if is_late {
            LATE
        } else {
            &bare[..bare.len() - rest.len()]
        };
        let Some(status) = status_of(line) else {
            return Bytes::copy_from_slice(bare);
        };
        let document = problem_of(status).map(|problem| problem.document(&self.links, ""));
        let document = document.unwrap_or_default();
        let request_id = clock::new_request_id();
        tracing::debug!(%request_id, status = status.as_u16(), "what is no request was refused");
        self.metrics.observe("", None, status.as_u16(), Duration::ZERO);
        let others = rest.strip_prefix(NO_BODY).unwrap_or_default();
        // The parser says so of a first request alone.
        let close = match memmem::find(others, b"connection: close\r\n") {
            Some(_) => "",
            None => "connection: close\r\n",
        };
        let headers = format!(
            "\r\ncontent-length: {}\r\ncontent-type: {MEDIA_TYPE}\r\nx-content-type-options: nosniff\r\nx-request-id: {request_id}\r\n{close}",
            document.len()
        );
        [line, headers.as_bytes(), others, &document].concat().into()
    }
}
