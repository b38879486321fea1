//! Content codings, and which one a client likes best (RFC 9110 §12.5.3).

use actix_web::http::header::{self, HeaderMap};

/// What is shorter stays as it is: it fits into one packet with its head, and would hardly become less.
const SHORTEST_BYTES: usize = 256;

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

    /// As `Content-Encoding` names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
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
        let any = || self.ranges.iter().find(|(name, _)| *name == "*");
        // Who takes any need not know all of them: gzip is what everybody knows, and the others come last.
        let is_known_to_all = matches!(coding, Coding::Identity | Coding::Gzip);
        let of_any = || any().map(|(_, quality)| if is_known_to_all { *quality } else { 1.min(*quality) });
        match own.map(|(_, quality)| *quality).or_else(of_any) {
            Some(quality) => Some(quality),
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

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

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
            ("br, gzip;q=1.0", Some(Coding::Gzip)),
            ("br;q=1.0, gzip", Some(Coding::Gzip)),
            ("zstd;q=1.0, gzip", Some(Coding::Zstd)),
            ("br;Q=0.5, gzip;q=0.4", Some(Coding::Brotli)),
            ("gzip;q=0.5, identity", Some(Coding::Identity)),
            ("gzip;q=0.001", Some(Coding::Gzip)),
            ("gzip;q=0", Some(Coding::Identity)),
            ("*", Some(Coding::Gzip)),
            ("zstd;q=0, *", Some(Coding::Gzip)),
            ("br, *;q=0.5", Some(Coding::Brotli)),
            ("gzip;q=0, *", Some(Coding::Identity)),
            ("gzip;q=0, identity;q=0, *", Some(Coding::Zstd)),
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
