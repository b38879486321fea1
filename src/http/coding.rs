//! Content codings: which one a client likes best (RFC 9110 §12.5.3), and how an answer is given it.

use std::io::{self, Write};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::RequestHead;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{beside, conditional};

/// What is shorter stays as it is: it fits into one packet with its head, and would hardly become less.
const SHORTEST_BYTES: usize = 256;
// Measured with pages of 500 sensors, 230 KB: zstd 9 KB in 0.1 ms, gzip 14 KB in 1 ms, Brotli 13 KB in 3 ms. Higher levels
// took up to 19 times as long for a tenth less.
const ZSTD_LEVEL: i32 = 1;
const GZIP_LEVEL: u32 = 4;
const BROTLI_QUALITY: u32 = 1;
/// As a power of two: 256 KiB.
const BROTLI_WINDOW: u32 = 18;
const BUFFER_BYTES: usize = 16 * 1024;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coding {
    /// None.
    #[default]
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// All there are, the cheaper the later.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Brotli, Self::Gzip, Self::Zstd];

    /// What tells the tag of a compressed representation from that of the same one uncompressed.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => "-gzip",
            Self::Brotli => "-br",
            Self::Zstd => "-zstd",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    fn is_called(self, name: &str) -> bool {
        // RFC 9110 §8.4.1.3.
        let other = (self == Self::Gzip).then_some("x-gzip");
        other
            .into_iter()
            .chain([self.name()])
            .any(|own| own.eq_ignore_ascii_case(name))
    }

    fn compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let room = Vec::with_capacity(bytes.len() / 4);
        match self {
            Self::Identity => Ok(bytes.to_vec()),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(room, Compression::new(GZIP_LEVEL));
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Brotli => {
                let mut encoder = CompressorWriter::new(room, BUFFER_BYTES, BROTLI_QUALITY, BROTLI_WINDOW);
                encoder.write_all(bytes)?;
                // Writes the end as well.
                Ok(encoder.into_inner())
            }
            Self::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
        }
    }
}

/// What a client says of codings.
#[derive(Debug)]
pub struct AcceptedCodings<'a> {
    /// Names with their quality in thousandths.
    ranges: Vec<(&'a str, u16)>,
}

impl<'a> AcceptedCodings<'a> {
    /// Reads `Accept-Encoding`. What in it cannot be read is passed over.
    #[must_use]
    pub fn of(headers: &'a HeaderMap) -> Self {
        let fields = headers.get_all(header::ACCEPT_ENCODING);
        let items = fields
            .filter_map(|field| field.to_str().ok())
            .flat_map(|field| field.split(','));
        Self {
            ranges: items.filter_map(range).collect(),
        }
    }

    /// The coding that the client likes best, of equals the cheapest; `None` when it takes none that there is.
    #[must_use]
    pub fn best(&self) -> Option<Coding> {
        let accepted = Coding::ALL.into_iter().filter(|coding| self.quality(*coding) > Some(0));
        // The last one of equals is the greatest.
        accepted.max_by_key(|coding| self.quality(*coding))
    }

    /// The coding for a body of so many bytes.
    #[must_use]
    pub fn best_for(&self, bytes: usize) -> Coding {
        if bytes < SHORTEST_BYTES && self.quality(Coding::Identity) > Some(0) {
            Coding::Identity
        } else {
            self.best().unwrap_or_default()
        }
    }

    fn quality(&self, coding: Coding) -> Option<u16> {
        let own = self.ranges.iter().find(|(name, _)| coding.is_called(name));
        match own.or_else(|| self.ranges.iter().find(|(name, _)| *name == "*")) {
            Some((_, quality)) => Some(*quality),
            // Taken unless it is excluded; but what is asked for comes first.
            None => (coding == Coding::Identity).then_some(1),
        }
    }
}

/// A coding with its quality in thousandths: `gzip;q=0.5`.
fn range(item: &str) -> Option<(&str, u16)> {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let Some(weight) = parts.next() else {
        return Some((name, 1000));
    };
    let number = weight.strip_prefix("q=").or_else(|| weight.strip_prefix("Q="))?;
    let quality: f32 = number.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    Some((name, (quality * 1000.0).round() as u16))
}

/// Gives an answer the coding that its client likes best, with a tag of its own; 304 when that is what the client has.
///
/// Only what is complete is compressed: a stream of events goes out as it comes.
pub async fn encode(request: &RequestHead, mut response: HttpResponse) -> HttpResponse {
    let is_complete = matches!(response.body().size(), BodySize::Sized(1..));
    if !is_complete || !is_text(response.headers()) {
        return response;
    }
    add_vary(response.headers_mut());
    let asks = |name| request.headers().contains_key(name);
    if !asks(header::ACCEPT_ENCODING) && !asks(header::IF_NONE_MATCH) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(body) => return head.set_body(body),
    };
    let coding = AcceptedCodings::of(request.headers()).best_for(bytes.len());
    let tag = head.headers().get(header::ETAG);
    if let Some(tag) = tag.and_then(|tag| conditional::encoded(tag, coding)) {
        let is_read = [Method::GET, Method::HEAD].contains(&request.method) && head.status() == StatusCode::OK;
        let is_known = is_read && conditional::is_known(request.headers(), &tag);
        head.headers_mut().insert(header::ETAG, tag);
        if is_known {
            *head.status_mut() = StatusCode::NOT_MODIFIED;
            head.headers_mut().remove(header::CONTENT_TYPE);
            return head.map_into_boxed_body();
        }
    }
    let bytes = compress(coding, bytes, head.headers_mut()).await;
    head.set_body(BoxBody::new(bytes))
}

async fn compress(coding: Coding, bytes: Bytes, headers: &mut HeaderMap) -> Bytes {
    if coding == Coding::Identity {
        return bytes;
    }
    let original = bytes.clone();
    let compressed = beside::make(bytes.len(), move || coding.compress(&original)).await;
    match compressed.map_err(io::Error::other).flatten() {
        Ok(compressed) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
            compressed.into()
        }
        Err(error) => {
            tracing::error!(%error, "an answer cannot be compressed, and goes out as it is");
            bytes
        }
    }
}

/// Tells caches that the answer depends on `Accept-Encoding`.
fn add_vary(headers: &mut HeaderMap) {
    let names = |value: &HeaderValue| value.to_str().is_ok_and(|names| names.contains("Accept-Encoding"));
    if !headers.get_all(header::VARY).any(names) {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// Pictures but SVG are compressed already.
fn is_text(headers: &HeaderMap) -> bool {
    const TEXTS: [&str; 3] = ["text/", "application/", "image/svg+xml"];
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media_type.is_some_and(|media_type| TEXTS.iter().any(|text| media_type.starts_with(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn the_best_coding_is_that_of_the_highest_quality_and_of_equals_the_cheapest() {
        for (value, expected) in [
            ("", Some(Coding::Identity)),
            ("gzip", Some(Coding::Gzip)),
            ("X-GZIP", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip, deflate, br", Some(Coding::Gzip)),
            ("br;q=1.0, gzip;q=0.8", Some(Coding::Brotli)),
            ("gzip;q=0.5, identity", Some(Coding::Identity)),
            ("gzip;q=0.001", Some(Coding::Gzip)),
            ("gzip;q=0", Some(Coding::Identity)),
            ("zstd;q=0, *", Some(Coding::Gzip)),
            ("identity;q=0, br", Some(Coding::Brotli)),
            ("deflate", Some(Coding::Identity)),
            ("identity;q=0", None),
            ("*;q=0", None),
            ("*;q=0, identity;q=0.1", Some(Coding::Identity)),
            ("gzip;q=2, gzip;level=9, ;;, br;q=-1", Some(Coding::Identity)),
        ] {
            assert_eq!(AcceptedCodings::of(&accepted(value)).best(), expected, "{value}");
        }
    }

    #[test]
    fn what_is_short_stays_as_it_is_unless_the_client_refuses_that() {
        let long = SHORTEST_BYTES;
        for (value, bytes, expected) in [
            ("gzip", long, Coding::Gzip),
            ("gzip", long - 1, Coding::Identity),
            ("gzip, identity;q=0", long - 1, Coding::Gzip),
        ] {
            let headers = accepted(value);
            assert_eq!(
                AcceptedCodings::of(&headers).best_for(bytes),
                expected,
                "{value}, {bytes}"
            );
        }
    }
}
