//! The settings, each parsed once and valid from then on. One source of truth for flags, environment and `.env`:
//! the fields of `Settings`.

mod dotenv;
mod settings;
mod urls;
mod values;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

pub use dotenv::{DotenvError, load_dotenv};
pub(crate) use settings::Settings;
pub(crate) use urls::mask_credentials;
pub use urls::{BROKER_ALLOWED, broker_url, of_broker, without_credentials};
pub use values::topic_prefix;

/// All settings of the service.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the HTTP side needs.
    pub http: HttpConfig,
    /// What the store needs.
    pub store: StoreConfig,
    /// What the MQTT side needs.
    pub mqtt: MqttConfig,
    /// How to log.
    pub log: LogConfig,
    /// Which public URLs nobody set.
    pub unset: UnsetUrls,
}

/// Which public URLs are not set. With port 0, those follow the port that the system chooses.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnsetUrls {
    /// `PUBLIC_URL`.
    pub http: bool,
    /// `MQTT_PUBLIC_URL` and `MQTT_URL`, from which it would be derived.
    pub mqtt: bool,
}

impl Default for Config {
    /// What [`crate::cli::parse`] gives where nothing is set.
    fn default() -> Self {
        Settings::default().into_config()
    }
}

impl Config {
    /// The service listens at `address`: links without another base lead to its port.
    pub fn http_listens_at(&mut self, address: SocketAddr) {
        self.http.bind = address;
        if self.unset.http {
            // Only a URL without a host takes no port.
            let _ = self.http.public_url.set_port(Some(address.port()));
        }
    }

    /// The built-in broker listens at `address`: links without another base lead to its port.
    pub fn broker_listens_at(&mut self, address: SocketAddr) {
        self.mqtt.bind = address;
        if self.unset.mqtt {
            let _ = self.mqtt.public_url.set_port(Some(address.port()));
        }
    }
}

/// What the HTTP side needs.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where it listens; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// The base of every link: http or https, no user, query or fragment. A path has no trailing slash, but the empty
    /// path of a [`Url`] reads `/`: build links from [`HttpConfig::public_base`].
    pub public_url: Url,
    /// Whether PUT on an existing sensor, PATCH and DELETE need `If-Match`.
    pub require_if_match: bool,
    /// Whose scripts may use the service from a browser.
    pub cors_origins: CorsOrigins,
    /// What a client may ask of the server.
    pub limits: HttpLimits,
    /// The bounds of event streams.
    pub streams: StreamLimits,
}

/// Whose scripts may use the service from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Nobody's: browsers keep to the same origin.
    None,
    /// Everybody's.
    Any,
    /// Those of these origins, as browsers write them, e.g. `https://dashboard.example.com`.
    These(Vec<String>),
}

/// The limits for clients, each with what happens beyond it.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// The largest body: 413.
    pub body_bytes: usize,
    /// The largest body of a batch: 413.
    pub batch_bytes: usize,
    /// The longest URL: 414.
    pub url_bytes: usize,
    /// The largest header section: 431. Above 128 KiB the parser has a limit of its own.
    pub header_bytes: usize,
    /// How long a head may take to arrive: 408.
    pub head_timeout: Duration,
    /// How long a body may take to arrive: 408.
    pub body_timeout: Duration,
    /// Connections at a time; more wait until one is closed.
    pub connections: usize,
}

/// The bounds of event streams. They are no settings, but `max_open` follows from the limit of connections.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    /// The most that are open at once.
    pub max_open: i64,
    /// How often a stream sends a sign of life.
    pub keep_alive: Duration,
    /// A reader that takes nothing for this long, while there is something to take, is closed; at twice this the system
    /// hangs up on it.
    pub stall: Duration,
}

impl StreamLimits {
    /// The bounds for a service with this many connections: a tenth of them stays free for other requests, such as health checks.
    #[must_use]
    pub fn among(connections: usize) -> Self {
        let streams = (connections - connections.div_ceil(10)).max(1);
        Self {
            max_open: streams.try_into().unwrap_or(i64::MAX),
            keep_alive: Duration::from_secs(15),
            stall: Duration::from_secs(10),
        }
    }
}

impl HttpConfig {
    /// The base of every link as text, never with a trailing slash.
    #[must_use]
    pub fn public_base(&self) -> &str {
        self.public_url.as_str().trim_end_matches('/')
    }
}

/// What the store needs.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The SQLite file; relative to the current folder unless absolute.
    pub path: PathBuf,
    /// How many hours an event is kept at least, up to 100 years.
    pub event_retention_hours: u32,
    /// How many events are kept at least, up to `i64::MAX`.
    pub event_retention_min: u64,
    /// The most writes that may wait; more get 503.
    pub write_queue_max: usize,
}

/// What the MQTT side needs.
#[derive(Clone)]
pub struct MqttConfig {
    /// The broker to publish to; the built-in one when unset. `mqtt` or `mqtts`, always with a host and an explicit
    /// port. It holds the credentials: never print it, use [`without_credentials`].
    pub url: Option<Url>,
    /// The broker as clients are told of it, without credentials: the base of the MQTT link in representations.
    pub public_url: Url,
    /// Where the built-in broker listens; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// Before every topic: empty, or whole topic levels with a trailing slash, e.g. `plant7/`.
    pub topic_prefix: String,
    /// Quality of service of the events: 0, 1 or 2.
    pub qos: u8,
    /// Whether the current representation is kept retained on `sensors/{id}/state`.
    pub retain_state: bool,
}

impl fmt::Debug for MqttConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttConfig")
            .field(
                "url",
                &self.url.as_ref().map(|url| without_credentials(url).to_string()),
            )
            .field("public_url", &self.public_url.as_str())
            .field("bind", &self.bind)
            .field("topic_prefix", &self.topic_prefix)
            .field("qos", &self.qos)
            .field("retain_state", &self.retain_state)
            .finish()
    }
}

/// How to log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// The form of the lines.
    pub format: LogFormat,
    /// Directives as `RUST_LOG` takes them, already found to be valid.
    pub filter: String,
}

/// The form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}
