//! The settings, each parsed once and valid from then on. One source of truth for flags, environment and `.env`.

use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

/// All settings of the service.
#[derive(Debug, Clone)]
pub struct Config {
    pub http: HttpConfig,
    pub store: StoreConfig,
    pub mqtt: MqttConfig,
    pub log: LogConfig,
}

/// What the HTTP side needs.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where it listens; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// The base of every link, without a trailing slash.
    pub public_url: Url,
    /// Whether PUT on an existing sensor, PATCH and DELETE need `If-Match`.
    pub require_if_match: bool,
}

/// What the store needs.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The SQLite file.
    pub path: PathBuf,
    pub event_retention_hours: u32,
    pub event_retention_min: u64,
}

/// What the MQTT side needs.
#[derive(Debug, Clone)]
pub struct MqttConfig {
    /// The broker to publish to; the built-in one when unset.
    pub url: Option<Url>,
    /// Where the built-in broker listens.
    pub bind: SocketAddr,
    /// Before every topic, e.g. `plant7/`.
    pub topic_prefix: String,
    /// Quality of service of the events: 0, 1 or 2.
    pub qos: u8,
    pub retain_state: bool,
}

/// How to log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    pub format: LogFormat,
    /// Directives as `RUST_LOG` takes them.
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
