//! Conditional requests (RFC 9110 §13): entity tags to and from revisions.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::{self, EntityTag, HeaderMap, HeaderName, HeaderValue, HttpDate};

use super::HttpState;
use crate::domain::{Cursor, Epoch, Precondition, Revision, Tags, Timestamp};

/// The strong tag of a revision: `"{epoch}.{revision}"`.
#[must_use]
pub fn etag(epoch: &Epoch, revision: Revision) -> HeaderValue {
    etag_of_form(epoch, revision, Form::Json)
}

/// The form in which a state is shown: tags of one state differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// JSON.
    Json,
    /// Plain text.
    Text,
}

impl Form {
    const ALL: [Self; 2] = [Self::Json, Self::Text];

    /// What stands in a tag after the cursor.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Json => "",
            Self::Text => "-text",
        }
    }
}

/// The strong tag of a revision in this form: `"{epoch}.{revision}"` and a suffix.
#[must_use]
pub fn etag_of_form(epoch: &Epoch, revision: Revision, form: Form) -> HeaderValue {
    let tag = format!("\"{epoch}.{revision}{}\"", form.suffix());
    HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The precondition of a request that writes.
#[must_use]
pub fn of_write(headers: &HeaderMap, state: &HttpState) -> Precondition {
    Precondition {
        if_match_required: state.require_if_match,
        ..of_read(headers, Form::Json, state)
    }
}

/// The precondition of a request that reads.
#[must_use]
pub fn of_read(headers: &HeaderMap, form: Form, state: &HttpState) -> Precondition {
    let epoch = state.store.epoch();
    Precondition {
        // RFC 9110 §13.1.1: strong comparison, so that a weak tag never matches. Whoever has seen the state in any form has
        // seen it.
        if_match: tags(headers, &header::IF_MATCH, epoch, |tag, _| !tag.weak),
        // §13.1.2: weak comparison. What is to be sent is of one form.
        if_none_match: tags(headers, &header::IF_NONE_MATCH, epoch, |_, of| of == form),
        if_modified_since: instant(headers, &header::IF_MODIFIED_SINCE),
        if_unmodified_since: instant(headers, &header::IF_UNMODIFIED_SINCE),
        if_match_required: false,
    }
}

/// An instant as HTTP writes it, in seconds; none before 1970.
#[must_use]
pub fn http_date(instant: Timestamp) -> HeaderValue {
    let unix_ms = u64::try_from(instant.unix_ms()).unwrap_or(0);
    let date = HttpDate::from(UNIX_EPOCH + Duration::from_millis(unix_ms)).to_string();
    HeaderValue::from_str(&date).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Reads an instant. What is none says nothing (RFC 9110 §13.1.3, §13.1.4).
fn instant(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    let mut values = headers.get_all(name);
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let date: HttpDate = value.to_str().ok()?.parse().ok()?;
    let since_1970 = SystemTime::from(date).duration_since(UNIX_EPOCH).ok()?;
    Timestamp::from_unix_ms(i64::try_from(since_1970.as_millis()).ok()?)
}

/// Reads a list of tags. What is not one of our tags matches nothing, so it is passed over.
fn tags(
    headers: &HeaderMap,
    name: &HeaderName,
    epoch: &Epoch,
    is_comparable: impl Fn(&EntityTag, Form) -> bool,
) -> Option<Tags> {
    let mut values = headers.get_all(name).peekable();
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
        let (cursor, suffix) = tag.tag().split_at(tag.tag().find('-').unwrap_or(tag.tag().len()));
        let form = Form::ALL.into_iter().find(|form| form.suffix() == suffix)?;
        let cursor: Cursor = cursor.parse().ok()?;
        (is_comparable(&tag, form) && cursor.epoch == *epoch).then_some(cursor.revision)
    };
    let items = fields.iter().flat_map(|field| field.split(','));
    Some(Tags::Revisions(items.filter_map(revision).collect()))
}
