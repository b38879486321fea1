use std::fmt;
#[cfg(feature = "broker")]
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use percent_encoding::percent_decode_str;
use url::Url;

use crate::config::{self, BROKER_ALLOWED};

/// A broker: where it is, and who we are to it. Its `Debug` and `Display` never tell the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host and port; an IPv6 address in brackets.
    pub(super) authority: String,
    pub(super) tls: bool,
    pub(super) credentials: Option<Credentials>,
    /// Whether it runs in this process.
    pub(super) is_own: bool,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// A URL that does not name a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{BROKER_ALLOWED}")]
pub struct EndpointError;

impl Endpoint {
    /// The broker that a URL names: `mqtt://user:password@host:1883`, or `mqtts://` (port 8883) for TLS with the
    /// certificate authorities of the system.
    ///
    /// # Errors
    /// When the URL names none.
    pub fn from_url(url: &Url) -> Result<Self, EndpointError> {
        let url = config::of_broker(url.clone()).ok_or(EndpointError)?;
        let (host, port) = (url.host_str(), url.port());
        let (host, port) = host.zip(port).ok_or(EndpointError)?;
        Ok(Self {
            authority: format!("{host}:{port}"),
            tls: url.scheme() == "mqtts",
            credentials: credentials(&url),
            is_own: false,
        })
    }

    /// A broker in the same process; one that listens on every address is reached on the loopback one.
    #[cfg(feature = "broker")]
    pub(super) fn local(mut address: SocketAddr, credentials: Credentials) -> Self {
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        Self {
            authority: address.to_string(),
            tls: false,
            credentials: Some(credentials),
            is_own: true,
        }
    }

    /// The address in Paho's form.
    pub(super) fn server_uri(&self) -> String {
        let scheme = if self.tls { "ssl" } else { "tcp" };
        format!("{scheme}://{}", self.authority)
    }
}

/// Of the URL of a broker, where both are UTF-8.
fn credentials(url: &Url) -> Option<Credentials> {
    let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let has_any = !url.username().is_empty() || url.password().is_some();
    has_any.then(|| Credentials {
        user: decode(url.username()),
        password: decode(url.password().unwrap_or_default()),
    })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.server_uri())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::from_url(&url.parse().unwrap())
    }

    #[test]
    fn user_and_password_are_decoded_and_never_shown() {
        let endpoint = endpoint("mqtts://us%40er:p%3Aw+%2F@[::1]").unwrap();
        assert_eq!(endpoint.server_uri(), "ssl://[::1]:8883");
        let credentials = endpoint.credentials.as_ref().unwrap();
        assert_eq!((&*credentials.user, &*credentials.password), ("us@er", "p:w+/"));
        let shown = format!("{endpoint} {endpoint:?}");
        assert!(!shown.contains("p:w") && !shown.contains("us@er"), "{shown}");
    }

    #[test]
    fn a_url_that_names_no_broker_is_refused() {
        for url in ["http://host", "mqtt:///", "mqtt://host/topic", "mqtt://%ff:x@host"] {
            assert_eq!(endpoint(url), Err(EndpointError), "{url}");
        }
        assert_eq!(endpoint("mqtt://host").unwrap().to_string(), "host:1883");
    }
}
