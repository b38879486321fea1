//! Media types: which the client accepts, which it sends.

use std::str::FromStr;

use actix_web::HttpMessage;
use actix_web::http::header::{self, HeaderMap, HeaderValue, QualityItem};
use mime::Mime;

use super::coding::AcceptedCodings;
use super::problem::{self, Problem};

/// What an answer depends on that has several forms, beside the URL: `Vary`.
pub const BY_FORM_AND_CODING: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding");

/// The elements of a field that is a list (RFC 9110 §5.6.1): a comma in a quoted string separates none.
pub fn elements(field: &str) -> impl Iterator<Item = &str> {
    parts(field, ',')
}

/// Reads a media type or a range. Spaces before a semicolon, and a semicolon with nothing after it, are allowed (RFC 9110 §5.6.6) but
/// refused by the parsers of `mime` and actix, so they are removed first.
fn read<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok().or_else(|| {
        let parts = parts(text, ';').map(str::trim).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(";").parse().ok()
    })
}

/// The parts of a text; a separator in a quoted string separates none.
fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |character| {
        let separates = character == separator && !is_quoted;
        is_quoted ^= character == '"' && !is_escaped;
        is_escaped = character == '\\' && is_quoted && !is_escaped;
        separates
    })
}

/// Checks that the client accepts `offered`, a media type without parameters.
///
/// # Errors
/// As [`choose`].
pub fn require_acceptable(request: &impl HttpMessage, offered: &Mime) -> Result<(), Problem> {
    choose(request, &[offered.essence_str()]).map(drop)
}

/// Which of `offered`, media types without parameters, the client likes best: by quality, then by how exactly it names
/// it, then the first one. A client that would rather have HTML shows it to a person, and gets the first one as well.
///
/// # Errors
/// 406 when its `Accept` excludes all of them or cannot be read, or its `Accept-Encoding` excludes every coding.
pub fn choose<'a>(request: &impl HttpMessage, offered: &[&'a str]) -> Result<&'a str, Problem> {
    let headers = request.headers();
    let refused =
        |detail: String| Problem::new(&problem::NOT_ACCEPTABLE, detail).with_header(header::VARY, BY_FORM_AND_CODING);
    if headers.contains_key(header::ACCEPT_ENCODING) && AcceptedCodings::of(headers).best().is_none() {
        return Err(refused(
            "this resource is available as it is or compressed with gzip, br or zstd".to_owned(),
        ));
    }
    let first = offered.first().copied().unwrap_or_default();
    // One that says nothing is as none.
    if headers.get_all(header::ACCEPT).all(HeaderValue::is_empty) {
        return Ok(first);
    }
    let fields = headers.get_all(header::ACCEPT).filter_map(|field| field.to_str().ok());
    // What cannot be read is no range.
    let ranges: Vec<QualityItem<Mime>> = fields
        .flat_map(elements)
        .filter_map(|range| read(range.trim()))
        .collect();
    let liking = |offered: &Mime| {
        // RFC 9110 §12.5.1: of the ranges that fit, the most specific one decides.
        let fitting = ranges
            .iter()
            .filter_map(|range| specificity(&range.item, offered).map(|rank| (rank, range.quality)));
        let (rank, quality) = fitting.max_by_key(|(rank, _)| *rank)?;
        (quality > header::Quality::ZERO).then_some((quality, rank))
    };
    // The last one of equals is the greatest, hence the reverse.
    let accepted = offered
        .iter()
        .rev()
        .filter_map(|name| Some((liking(&name.parse().ok()?)?, *name)));
    let best = accepted.clone().max_by_key(|(liking, _)| *liking);
    let (best_liking, best) =
        best.ok_or_else(|| refused(format!("this resource is available as {}", one_of(offered))))?;
    let takes_first = accepted.clone().any(|(_, name)| name == first);
    let rather_html = liking(&mime::TEXT_HTML).is_some_and(|html| html > best_liking);
    Ok(if rather_html && takes_first { first } else { best })
}

/// In words: `a`, `a or b`, `a, b or c`.
fn one_of(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}

fn specificity(range: &Mime, offered: &Mime) -> Option<u8> {
    let suffix = |mime: &Mime| mime.suffix().map(|name| name.as_str().to_owned());
    if range.type_() == mime::STAR && range.subtype() == mime::STAR {
        Some(0)
    } else if range.type_() != offered.type_() {
        None
    } else if range.subtype() == mime::STAR {
        Some(1)
    } else {
        (range.subtype() == offered.subtype() && suffix(range) == suffix(offered)).then_some(2)
    }
}

/// Which of the media types `taken` the body has, in UTF-8 and not compressed.
///
/// # Errors
/// 415, with `taken` in the header `advertise` (`Accept-Post`, `Accept-Patch`, or `Accept`).
pub fn media_type_of(
    headers: &HeaderMap,
    taken: &'static [&'static str],
    advertise: &'static str,
) -> Result<&'static str, Problem> {
    let refused = |detail: String| {
        Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, detail).with_header(
            header::HeaderName::from_static(advertise),
            header::HeaderValue::from_str(&taken.join(", "))
                .unwrap_or_else(|_| header::HeaderValue::from_static("*/*")),
        )
    };
    let is_identity = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).all(is_identity) {
        // RFC 9110 §12.5.3: which codings would be taken.
        return Err(refused("a body is taken without a Content-Encoding".to_owned())
            .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    let wanted = || format!("the Content-Type has to be {}, in UTF-8", one_of(taken));
    let mut values = headers.get_all(header::CONTENT_TYPE);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused(wanted()));
    };
    let sent: Option<Mime> = value.to_str().ok().and_then(read);
    // US-ASCII is UTF-8.
    let is_utf_8 = |sent: &Mime| {
        let mut charsets = sent.params().filter(|(name, _)| *name == mime::CHARSET);
        charsets.all(|(_, charset)| charset == mime::UTF_8 || charset == "us-ascii")
    };
    let sent = sent.filter(is_utf_8).ok_or_else(|| refused(wanted()))?;
    let same = |taken: &&&str| **taken == sent.essence_str();
    taken.iter().find(same).copied().ok_or_else(|| refused(wanted()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_most_specific_range_decides_and_of_equals_the_first_offer_is_taken() {
        const JSON: &str = "application/json";
        const XML: &str = "application/xml";
        for (accept, expected) in [
            ("", JSON),
            ("*/*", JSON),
            ("application/xml, application/json", JSON),
            (
                "application/json;q=0.1, application/*;q=0.5, application/xml;q=0.2",
                XML,
            ),
            (
                "application/*;q=0.1, */*;q=0.5, text/html;q=0, application/xml;q=0.2",
                XML,
            ),
            ("text/html, application/xml;q=0.9, */*;q=0.8", JSON),
            ("text/html, application/xml, */*;q=0.8", XML),
            ("text/html, application/xml;q=0.9", XML),
        ] {
            let request = TestRequest::default().insert_header((header::ACCEPT, accept));
            let chosen = choose(&request.to_http_request(), &[JSON, XML]);
            assert_eq!(chosen.ok(), Some(expected), "{accept}");
        }
    }

    #[test]
    fn what_there_is_is_told_in_words() {
        assert_eq!(one_of(&["a"]), "a");
        assert_eq!(one_of(&["a", "b"]), "a or b");
        assert_eq!(one_of(&["a", "b", "c"]), "a, b or c");
    }
}
