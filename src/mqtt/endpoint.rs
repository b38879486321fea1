use std::fmt;
#[cfg(feature = "broker")]
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use percent_encoding::percent_decode_str;
use url::Url;

/// A broker: where it is, and who we are to it. Its `Debug` and `Display` never tell the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host and port; an IPv6 address in brackets.
    pub(super) authority: String,
    pub(super) tls: bool,
    pub(super) credentials: Option<Credentials>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// Why a URL does not name a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Another scheme.
    #[error("the scheme is mqtt or mqtts")]
    Scheme,
    /// No host.
    #[error("there has to be a host")]
    Host,
    /// User or password are not UTF-8, or hold a NUL.
    #[error("user and password are percent-encoded UTF-8 without NUL")]
    Credentials,
    /// A path, query or fragment, which would mean nothing.
    #[error("nothing may come after host and port")]
    Trailing,
}

impl Endpoint {
    /// The broker that a URL names: `mqtt://user:password@host:1883`, or `mqtts://` (port 8883) for TLS with the
    /// certificate authorities of the system.
    ///
    /// # Errors
    /// When the URL names none.
    pub fn from_url(url: &Url) -> Result<Self, EndpointError> {
        let (tls, default_port) = match url.scheme() {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return Err(EndpointError::Scheme),
        };
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or(EndpointError::Host)?;
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if !is_bare {
            return Err(EndpointError::Trailing);
        }
        Ok(Self {
            authority: format!("{host}:{}", url.port().unwrap_or(default_port)),
            tls,
            credentials: credentials(url)?,
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
        }
    }

    /// The address in Paho's form.
    pub(super) fn server_uri(&self) -> String {
        let scheme = if self.tls { "ssl" } else { "tcp" };
        format!("{scheme}://{}", self.authority)
    }
}

fn credentials(url: &Url) -> Result<Option<Credentials>, EndpointError> {
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .ok()
            .filter(|text| !text.contains('\0'))
            .map(String::from)
            .ok_or(EndpointError::Credentials)
    };
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    Ok(Some(Credentials {
        user: decode(url.username())?,
        password: decode(url.password().unwrap_or_default())?,
    }))
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
        assert_eq!(endpoint("http://host"), Err(EndpointError::Scheme));
        assert_eq!(endpoint("mqtt:///"), Err(EndpointError::Host));
        assert_eq!(endpoint("mqtt://host/topic"), Err(EndpointError::Trailing));
        assert_eq!(endpoint("mqtt://%ff:x@host"), Err(EndpointError::Credentials));
        assert_eq!(endpoint("mqtt://host").unwrap().to_string(), "host:1883");
    }
}
