//! Media types: which the client accepts, which it sends.

use actix_web::HttpRequest;
use actix_web::http::header::{self, Accept, Header};
use mime::Mime;

use super::problem::{self, Problem};

/// Checks that the client accepts `offered`, a media type without parameters.
///
/// # Errors
/// 406 when its `Accept` excludes it or cannot be read.
pub fn require_acceptable(request: &HttpRequest, offered: &Mime) -> Result<(), Problem> {
    choose(request, [offered]).map(drop)
}

/// Which of `offered`, media types without parameters, the client likes best: by quality, then by how exactly it names
/// it, then the first one.
///
/// # Errors
/// 406 when its `Accept` excludes all of them or cannot be read.
pub fn choose<'a, const N: usize>(request: &HttpRequest, offered: [&'a Mime; N]) -> Result<&'a Mime, Problem> {
    let refused = |detail: String| Problem::new(&problem::NOT_ACCEPTABLE, detail);
    if !request.headers().contains_key(header::ACCEPT) {
        return Ok(offered[0]);
    }
    let Ok(Accept(ranges)) = Accept::parse(request) else {
        return Err(refused("the Accept header cannot be read".to_owned()));
    };
    let liking = |offered: &Mime| {
        // RFC 9110 §12.5.1: of the ranges that fit, the most specific one decides.
        let fitting = ranges
            .iter()
            .filter_map(|range| specificity(&range.item, offered).map(|rank| (rank, range.quality)));
        let (rank, quality) = fitting.max_by_key(|(rank, _)| *rank)?;
        (quality > header::Quality::ZERO).then_some((quality, rank))
    };
    // The last one of equals is the greatest, hence the reverse.
    let accepted = offered.into_iter().rev().filter_map(|mime| Some((liking(mime)?, mime)));
    let best = accepted.max_by_key(|(liking, _)| *liking);
    best.map(|(_, mime)| mime).ok_or_else(|| {
        let names: Vec<_> = offered.iter().map(|mime| mime.essence_str()).collect();
        refused(format!("this resource is available as {}", names.join(" or ")))
    })
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
pub fn require_media_type(
    request: &HttpRequest,
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
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(refused("a body is taken without a Content-Encoding".to_owned()));
    }
    let wanted = || format!("the Content-Type has to be {}, in UTF-8", taken.join(" or "));
    let mut values = request.headers().get_all(header::CONTENT_TYPE);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused(wanted()));
    };
    let sent: Option<Mime> = value.to_str().ok().and_then(|text| text.parse().ok());
    let is_utf_8 = |sent: &Mime| {
        sent.get_param(mime::CHARSET)
            .is_none_or(|charset| charset == mime::UTF_8)
    };
    let sent = sent.filter(is_utf_8).ok_or_else(|| refused(wanted()))?;
    let same = |taken: &&&str| **taken == sent.essence_str();
    taken.iter().find(same).copied().ok_or_else(|| refused(wanted()))
}
