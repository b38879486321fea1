//! The settings that are URLs.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

use super::CorsOrigins;

const PUBLIC_ALLOWED: &str =
    "an http or https URL without user, query or fragment is allowed, e.g. https://sensors.example.com/api";
/// What a broker's URL may be, in words.
pub const BROKER_ALLOWED: &str = "mqtt://user:password@host:1883 or mqtts://user:password@host:8883 is allowed, user and password \
                              percent-encoded, without path, query or fragment";
const PUBLIC_BROKER_ALLOWED: &str = "an mqtt, mqtts, ws or wss URL without user, query or fragment is allowed, \
                                     e.g. mqtts://broker.example.com:8883";
const ORIGINS_ALLOWED: &str = "* alone is allowed, or whole origins with commas between them, e.g. https://dashboard.example.com,http://localhost:3000";
const DATABASE_ALLOWED: &str = "sqlite://relative/path.db or sqlite:///absolute/path.db is allowed";

/// `PUBLIC_URL`, its trailing slashes gone; unset when empty.
pub(super) fn public(text: &str) -> Result<OptionalUrl, String> {
    if text.is_empty() {
        return Ok(OptionalUrl(None));
    }
    let mut url = Url::parse(text).map_err(|error| format!("{error}; {PUBLIC_ALLOWED}"))?;
    if !matches!(url.scheme(), "http" | "https") || !is_bare(&url) {
        return Err(PUBLIC_ALLOWED.to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(OptionalUrl(Some(url)))
}

/// `CORS_ORIGINS`, each in the one spelling that browsers send.
pub(super) fn origins(text: &str) -> Result<CorsOrigins, String> {
    let origin = |text: &str| {
        let url = Url::parse(text).ok()?;
        let is_origin = matches!(url.scheme(), "http" | "https") && is_bare(&url) && url.path() == "/"
            // No browser is anywhere in particular there: a pattern would never match.
            && !url.host_str().is_some_and(|host| host.contains('*'));
        is_origin.then(|| url.origin().ascii_serialization())
    };
    match text.trim() {
        "" => Ok(CorsOrigins::None),
        "*" => Ok(CorsOrigins::Any),
        list => list
            .split(',')
            .map(|item| origin(item.trim()))
            .collect::<Option<_>>()
            .map(CorsOrigins::These)
            .ok_or_else(|| ORIGINS_ALLOWED.to_owned()),
    }
}

/// `MQTT_URL`; unset when empty.
pub(super) fn broker(text: &str) -> Result<OptionalUrl, String> {
    if text.is_empty() {
        return Ok(OptionalUrl(None));
    }
    broker_url(text).map(|url| OptionalUrl(Some(url)))
}

/// Reads the URL of a broker, as [`of_broker`] has it.
///
/// # Errors
/// What is wrong and what is allowed.
pub fn broker_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; {BROKER_ALLOWED}"))?;
    of_broker(url).ok_or_else(|| BROKER_ALLOWED.to_owned())
}

/// The URL of a broker with an explicit port: 1883, or 8883 for mqtts, when it has none. `None` when it names no broker.
#[must_use]
pub fn of_broker(mut url: Url) -> Option<Url> {
    let default_port = match url.scheme() {
        "mqtt" => 1883,
        "mqtts" => 8883,
        _ => return None,
    };
    let port = url.port().unwrap_or(default_port);
    let is_plain = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let credentials_are_text = [url.username(), url.password().unwrap_or_default()].iter().all(|part| {
        percent_decode_str(part)
            .decode_utf8()
            .is_ok_and(|text| !text.contains('\0'))
    });
    if !is_plain || port == 0 || !credentials_are_text || !has_host(&url) || url.set_port(Some(port)).is_err() {
        return None;
    }
    url.set_path("");
    Some(url)
}

/// `MQTT_PUBLIC_URL`; unset when empty.
pub(super) fn public_broker(text: &str) -> Result<OptionalUrl, String> {
    if text.is_empty() {
        return Ok(OptionalUrl(None));
    }
    let url = Url::parse(text).map_err(|error| format!("{error}; {PUBLIC_BROKER_ALLOWED}"))?;
    if !matches!(url.scheme(), "mqtt" | "mqtts" | "ws" | "wss") || !is_bare(&url) {
        return Err(PUBLIC_BROKER_ALLOWED.to_owned());
    }
    Ok(OptionalUrl(Some(url)))
}

/// `DATABASE_URL`, as the path of a file; percent-decoded, as other SQLite tools take it.
pub(super) fn database(text: &str) -> Result<PathBuf, String> {
    let Some(rest) = text.strip_prefix("sqlite:") else {
        return Err(DATABASE_ALLOWED.to_owned());
    };
    let encoded = rest.strip_prefix("//").unwrap_or(rest);
    if encoded.contains('?') {
        return Err(format!("query parameters are not taken; {DATABASE_ALLOWED}"));
    }
    if encoded == ":memory:" {
        return Err(format!(
            "a database in memory would lose what was acknowledged; {DATABASE_ALLOWED}"
        ));
    }
    match percent_decode_str(encoded).decode_utf8() {
        Ok(path) if !path.is_empty() && !path.ends_with('/') && !path.contains('\0') => {
            Ok(PathBuf::from(path.as_ref()))
        }
        _ => Err(DATABASE_ALLOWED.to_owned()),
    }
}

/// A setting that may be unset. Not an `Option` itself, because clap gives that a meaning of its own.
#[derive(Debug, Clone)]
pub(super) struct OptionalUrl(pub(super) Option<Url>);

/// The host of links to what listens at `ip`, where no setting names one: `localhost` leads to 127.0.0.1, and what listens everywhere
/// listens there too.
pub(super) fn host_of(ip: IpAddr) -> String {
    match ip {
        _ if ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The URL without user and password, fit for logs and links.
#[must_use]
pub fn without_credentials(url: &Url) -> Url {
    let mut bare = url.clone();
    // Only a URL without a host refuses these, and that one has no credentials.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare
}

/// Whatever stands before the last `@`, hidden: for a text that may not even be a URL.
pub(crate) fn mask_credentials(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((before, after)) => {
            let scheme = before
                .split_once("://")
                .map(|(scheme, _)| format!("{scheme}://"))
                .unwrap_or_default();
            format!("{scheme}***@{after}")
        }
        None => text.to_owned(),
    }
}

fn is_bare(url: &Url) -> bool {
    let has_user = !url.username().is_empty() || url.password().is_some();
    has_host(url) && !has_user && url.query().is_none() && url.fragment().is_none()
}

fn has_host(url: &Url) -> bool {
    url.host_str().is_some_and(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_loses_its_trailing_slash() {
        assert_eq!(
            public("http://localhost:8000").unwrap().0.unwrap().as_str(),
            "http://localhost:8000/"
        );
        assert_eq!(
            public("https://example.com/api//").unwrap().0.unwrap().as_str(),
            "https://example.com/api"
        );
    }

    #[test]
    fn origins_are_spelled_as_browsers_send_them() {
        assert_eq!(origins("").unwrap(), CorsOrigins::None);
        assert_eq!(origins(" * ").unwrap(), CorsOrigins::Any);
        let two = origins("https://EXAMPLE.com:443, http://localhost:3000/").unwrap();
        let spelled = ["https://example.com", "http://localhost:3000"].map(str::to_owned);
        assert_eq!(two, CorsOrigins::These(spelled.to_vec()));
        for bad in [
            "example.com",
            "null",
            "https://a/b",
            "https://a,",
            "*,https://a",
            "https://u@a",
            "ftp://a",
            "https://*.example.com",
        ] {
            assert!(origins(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_public_url_is_a_plain_http_address() {
        for bad in [
            "localhost:8000",
            "ftp://x",
            "http://",
            "http://u@x",
            "http://x?a=b",
            "http://x#y",
            "http://x:99999",
        ] {
            assert!(public(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_broker_gets_the_port_of_its_scheme() {
        let parsed = |text| broker(text).unwrap().0.map(|url| url.to_string());
        assert_eq!(parsed("mqtt://h").unwrap(), "mqtt://h:1883");
        assert_eq!(parsed("mqtts://h/").unwrap(), "mqtts://h:8883");
        assert_eq!(
            parsed("mqtt://u:p%40@[::1]:18830").unwrap(),
            "mqtt://u:p%40@[::1]:18830"
        );
        assert_eq!(parsed(""), None);
    }

    #[test]
    fn a_broker_is_a_plain_mqtt_address() {
        for bad in [
            "h:1883",
            "http://h",
            "tcp://h:1883",
            "mqtt:h",
            "mqtt://",
            "mqtt://u:p@",
            "mqtt://h:0",
            "mqtt://h:x",
        ] {
            assert!(broker(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "mqtt://h/topic",
            "mqtt://h?a",
            "mqtt://h#a",
            "mqtt://%ff:x@h",
            "mqtt://u:a%00b@h",
        ] {
            assert!(broker(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_public_broker_never_carries_credentials() {
        assert!(public_broker("").unwrap().0.is_none());
        assert!(public_broker("wss://h/mqtt").unwrap().0.is_some());
        for bad in ["mqtt://u:p@h", "http://h", "mqtt://", "h"] {
            assert!(public_broker(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_database_is_a_file() {
        let path = |text| database(text).unwrap();
        assert_eq!(path("sqlite://data/sensorcast.db"), PathBuf::from("data/sensorcast.db"));
        assert_eq!(path("sqlite:///var/lib/s.db"), PathBuf::from("/var/lib/s.db"));
        assert_eq!(path("sqlite:data/s.db"), PathBuf::from("data/s.db"));
        assert_eq!(path("sqlite:/var/s%20t.db"), PathBuf::from("/var/s t.db"));
        for bad in [
            "",
            "data/s.db",
            "postgres://h/db",
            "sqlite:",
            "sqlite://",
            "sqlite://data/",
            "sqlite::memory:",
        ] {
            assert!(database(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "sqlite://:memory:",
            "sqlite://a.db?mode=ro",
            "sqlite://a%00b",
            "sqlite://%ff",
        ] {
            assert!(database(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn credentials_are_hidden_even_in_what_is_no_url() {
        assert_eq!(mask_credentials("mqtt://u:p@ss/w@h:1"), "mqtt://***@h:1");
        assert_eq!(mask_credentials("u:secret@h"), "***@h");
        assert_eq!(mask_credentials("mqtt://h:1"), "mqtt://h:1");
    }

    #[test]
    fn a_bare_url_has_no_credentials() {
        let url = Url::parse("mqtt://u:p@h:1883").unwrap();
        assert_eq!(without_credentials(&url).as_str(), "mqtt://h:1883");
    }
}
