//! Conditional requests (RFC 9110 §13): entity tags to and from revisions.

use actix_web::HttpRequest;
use actix_web::http::header::{self, EntityTag, HeaderName, HeaderValue};

use super::HttpState;
use crate::domain::{Cursor, Epoch, Precondition, Revision, Tags};

/// The strong tag of a revision: `"{epoch}.{revision}"`.
#[must_use]
pub fn etag(epoch: &Epoch, revision: Revision) -> HeaderValue {
    // Base-32 characters, digits and a dot are always valid in a header.
    HeaderValue::from_str(&format!("\"{epoch}.{revision}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The precondition of a request that writes.
#[must_use]
pub fn of_write(request: &HttpRequest, state: &HttpState) -> Precondition {
    Precondition {
        if_match_required: state.require_if_match,
        ..of_read(request, state)
    }
}

/// The precondition of a request that reads.
#[must_use]
pub fn of_read(request: &HttpRequest, state: &HttpState) -> Precondition {
    let epoch = state.store.epoch();
    Precondition {
        // RFC 9110 §13.1.1: strong comparison, so that a weak tag never matches; §13.1.2: weak comparison.
        if_match: tags(request, &header::IF_MATCH, epoch, |tag| !tag.weak),
        if_none_match: tags(request, &header::IF_NONE_MATCH, epoch, |_| true),
        if_match_required: false,
    }
}

/// Reads a list of tags. What is not one of our tags matches nothing, so it is passed over.
fn tags(request: &HttpRequest, name: &HeaderName, epoch: &Epoch, comparable: fn(&EntityTag) -> bool) -> Option<Tags> {
    let mut values = request.headers().get_all(name).peekable();
    values.peek()?;
    let fields: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    if fields.iter().any(|field| field.trim() == "*") {
        // Together with other tags it is malformed (RFC 9110 §13.1.1).
        return Some(if fields.len() == 1 {
            Tags::Any
        } else {
            Tags::Revisions(Vec::new())
        });
    }
    let revision = |item: &str| {
        let tag: EntityTag = item.trim().parse().ok()?;
        let cursor: Cursor = tag.tag().parse().ok()?;
        (comparable(&tag) && cursor.epoch == *epoch).then_some(cursor.revision)
    };
    let items = fields.iter().flat_map(|field| field.split(','));
    Some(Tags::Revisions(items.filter_map(revision).collect()))
}
