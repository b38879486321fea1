//! Conditional requests (RFC 9110 §13): entity tags to and from revisions.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue, HttpDate};

use super::HttpState;
use super::coding::Coding;
use super::variant::Variant;
use crate::domain::{Epoch, Precondition, Revision, Tags, Timestamp};

/// The list that any tag is on. Among tags, `*` is malformed as a tag is (RFC 9110 §13.1.1).
const ANY: [&str; 1] = ["*"];

/// The strong tag of a revision: `"{epoch}.{revision}"`.
#[must_use]
pub fn etag(epoch: &Epoch, revision: Revision) -> HeaderValue {
    etag_of(epoch, revision, Variant::default())
}

/// The strong tag of a representation of a revision: `"{epoch}.{revision}"` and a suffix.
#[must_use]
pub fn etag_of(epoch: &Epoch, revision: Revision, variant: Variant) -> HeaderValue {
    // Longer than any, so that it is made in one piece.
    let mut tag = String::with_capacity(64);
    let _ = write!(tag, "\"{epoch}.{revision}{variant}\"");
    HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The tag of what `tag` is of, compressed.
#[must_use]
pub fn encoded(tag: &HeaderValue, coding: Coding) -> Option<HeaderValue> {
    let opaque = tag.to_str().ok()?.strip_suffix('"')?;
    HeaderValue::try_from(format!("{opaque}{}\"", coding.suffix())).ok()
}

/// Whether `If-None-Match` lists `tag`, a strong one, or any.
#[must_use]
pub fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let is_it = |item: &&str| item.trim_start_matches("W/").as_bytes() == tag.as_bytes();
    let items = items(headers, &header::IF_NONE_MATCH);
    items == ANY || items.iter().any(is_it)
}

/// The precondition of a request that writes.
#[must_use]
pub fn of_write(headers: &HeaderMap, state: &HttpState) -> Precondition {
    Precondition {
        if_match_required: state.terms.require_if_match,
        ..precondition(headers, state.store.epoch(), |_| true)
    }
}

/// The precondition of a request that would get this representation.
#[must_use]
pub fn of_read(headers: &HeaderMap, wanted: Variant, state: &HttpState) -> Precondition {
    precondition(headers, state.store.epoch(), |variant| variant == wanted)
}

/// The precondition of a request to a store of this epoch, for what is meant.
pub(super) fn precondition(headers: &HeaderMap, epoch: &Epoch, is_meant: impl Fn(Variant) -> bool) -> Precondition {
    Precondition {
        // RFC 9110 §13.1.1: strong comparison, so that a weak tag never matches. Whoever has seen the state in any form has
        // seen it.
        if_match: tags(headers, &header::IF_MATCH, epoch, |is_weak, _| !is_weak),
        // §13.1.2: weak comparison. What is to be sent is of one form and coding; what is to be changed is of any.
        if_none_match: tags(headers, &header::IF_NONE_MATCH, epoch, |_, variant| is_meant(variant)),
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
    HeaderValue::try_from(date).unwrap_or_else(|_| HeaderValue::from_static(""))
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
    is_comparable: impl Fn(bool, Variant) -> bool,
) -> Option<Tags> {
    if !headers.contains_key(name) {
        return None;
    }
    let items = items(headers, name);
    if items == ANY {
        return Some(Tags::Any);
    }
    let revision = |item: &str| {
        let strong = item.strip_prefix("W/").unwrap_or(item);
        let opaque = strong.strip_prefix('"')?.strip_suffix('"')?;
        let rest = opaque.strip_prefix(epoch.as_str())?.strip_prefix('.')?;
        let (revision, suffix) = rest.split_at(rest.find('-').unwrap_or(rest.len()));
        let variant = Variant::of_suffix(suffix)?;
        is_comparable(strong != item, variant).then_some(revision.parse().ok()?)
    };
    Some(Tags::Revisions(items.into_iter().filter_map(revision).collect()))
}

/// What the lines of a header list together.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let lines = headers.get_all(name).filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).collect()
}
