//! What a client would like of the answer (RFC 7240). What is not known, or is no preference at all, is passed over.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::negotiation::elements;

/// The header that tells which preference was obeyed.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The longest wait that is obeyed, in seconds: the same as that of the parameter.
const MAX_WAIT_S: u32 = 60;

/// The preferences of a request that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Preferences {
    /// What the answer to a write is to contain.
    pub content: Option<Content>,
    /// How many seconds the client would wait for an answer.
    pub wait_s: Option<u32>,
}

/// The preference `return`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// As little as possible: no body.
    Minimal,
    /// The sensor as it is now, as without a preference.
    Representation,
}

impl Content {
    /// What the header [`PREFERENCE_APPLIED`] says of it.
    #[must_use]
    pub fn applied(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Minimal => "return=minimal",
            Self::Representation => "return=representation",
        })
    }
}

impl Preferences {
    /// Reads the header of a request. The first of several equal preferences counts (§2).
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let fields = headers.get_all(PREFER).filter_map(|field| field.to_str().ok());
        let mut preferences = Self::default();
        for preference in fields.flat_map(elements) {
            // What follows a semicolon are parameters, and none of these preferences has any.
            let (preference, _) = preference.split_once(';').unwrap_or((preference, ""));
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            match (name.trim().to_ascii_lowercase().as_str(), value) {
                ("return", "minimal") => preferences.content = preferences.content.or(Some(Content::Minimal)),
                ("return", "representation") => {
                    preferences.content = preferences.content.or(Some(Content::Representation));
                }
                ("wait", seconds) => {
                    let seconds = seconds.parse().ok().map(|seconds: u32| seconds.min(MAX_WAIT_S));
                    preferences.wait_s = preferences.wait_s.or(seconds.filter(|seconds| *seconds > 0));
                }
                _ => {}
            }
        }
        preferences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[&'static str]) -> Preferences {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(PREFER, HeaderValue::from_static(field));
        }
        Preferences::of(&headers)
    }

    #[test]
    fn known_preferences_are_found_among_others() {
        let found = of(&["respond-async, Return = \"minimal\"; foo=1", "wait=5"]);
        assert_eq!((found.content, found.wait_s), (Some(Content::Minimal), Some(5)));
        assert_eq!(
            of(&["return=representation, return=minimal"]).content,
            Some(Content::Representation)
        );
        assert_eq!(of(&[r#"foo="a,\\", return=minimal"#]).content, Some(Content::Minimal));
        assert_eq!(of(&["return=minimal; foo=1; bar"]).content, Some(Content::Minimal));
        assert_eq!(of(&["wait=4000000"]).wait_s, Some(MAX_WAIT_S));
        assert_eq!(of(&["wait=1"]).wait_s, Some(1));
    }

    #[test]
    fn what_is_no_preference_is_passed_over() {
        for field in [
            "",
            "return",
            "return=",
            "return=MINIMAL,wait=0",
            "wait=-1",
            "wait=x",
            ",;=,",
            "foo=\"a, return=minimal\"",
            r#"foo="\", return=minimal""#,
        ] {
            assert_eq!(of(&[field]), Preferences::default(), "{field}");
        }
    }
}
