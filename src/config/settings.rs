//! Every setting once: its flag, its variable, its default and its line of help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches};
use url::Url;

use super::urls::{self, OptionalUrl, without_credentials};
use super::{
    Config, CorsOrigins, HttpConfig, HttpLimits, LogConfig, LogFormat, MqttConfig, StoreConfig, StreamLimits,
    UnsetUrls, values,
};

const DEFAULT_HTTP_PORT: u16 = 8000;

// The settings as clap reads them: a flag wins over the environment, and that over the default. `.env` counts as
// environment, because `load_dotenv` fills in what is unset there. (Not a doc comment: clap would print it as help.)
#[expect(
    clippy::doc_markdown,
    reason = "clap prints these comments as help, where marks are noise"
)]
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Where to listen for HTTP; port 0 lets the system choose
    #[arg(long, env, global = true, default_value = "127.0.0.1:8000", value_parser = values::bind_address)]
    #[arg(help_heading = "HTTP")]
    http_bind: SocketAddr,

    /// Base of every link; by default where HTTP_BIND listens, http://localhost:8000
    #[arg(long, env, global = true, default_value = "", value_parser = urls::public)]
    #[arg(help_heading = "HTTP", hide_default_value = true)]
    public_url: OptionalUrl,

    /// Refuse to change an existing sensor without If-Match (428)
    #[arg(long, env, global = true, default_value = "false", value_parser = values::boolean)]
    #[arg(help_heading = "HTTP", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    require_if_match: bool,

    /// The web sites whose scripts may use the service: * or origins with commas between them; none by default
    #[arg(long, env, global = true, default_value = "", value_parser = urls::origins)]
    #[arg(help_heading = "HTTP", hide_default_value = true)]
    cors_origins: CorsOrigins,

    /// The largest body, in bytes (413)
    #[arg(long, env, global = true, default_value = "65536", value_parser = values::positive)]
    #[arg(help_heading = "HTTP", allow_negative_numbers = true)]
    http_max_body_bytes: usize,

    /// The largest body of a batch, in bytes (413)
    #[arg(long, env, global = true, default_value = "4194304", value_parser = values::positive)]
    #[arg(help_heading = "HTTP", allow_negative_numbers = true)]
    http_max_batch_bytes: usize,

    /// The longest URL, in bytes (414)
    #[arg(long, env, global = true, default_value = "8192", value_parser = values::positive)]
    #[arg(help_heading = "HTTP", allow_negative_numbers = true)]
    http_max_url_bytes: usize,

    /// The largest header section, in bytes (431)
    #[arg(long, env, global = true, default_value = "32768", value_parser = values::positive)]
    #[arg(help_heading = "HTTP", allow_negative_numbers = true)]
    http_max_header_bytes: usize,

    /// How long the head of a request may take to arrive, in milliseconds (408)
    #[arg(long, env, global = true, default_value = "5000", value_parser = values::milliseconds)]
    #[arg(help_heading = "HTTP", allow_negative_numbers = true)]
    http_head_timeout_ms: Duration,

    /// How long the body of a request may take to arrive, in milliseconds (408)
    #[arg(long, env, global = true, default_value = "10000", value_parser = values::milliseconds)]
    #[arg(help_heading = "HTTP", allow_negative_numbers = true)]
    http_body_timeout_ms: Duration,

    /// The most connections at a time; more wait until one is closed
    #[arg(long, env, global = true, default_value = "10000", value_parser = values::positive)]
    #[arg(help_heading = "HTTP", allow_negative_numbers = true)]
    http_max_connections: usize,

    /// The SQLite file, sqlite://relative/path or sqlite:///absolute/path; created when missing
    #[arg(long, env, global = true, default_value = "sqlite://data/sensorcast.db", value_parser = urls::database)]
    #[arg(help_heading = "Store")]
    database_url: PathBuf,

    /// Keep every event for at least this many hours
    #[arg(long, env, global = true, default_value = "24", value_parser = values::retention_hours)]
    #[arg(help_heading = "Store", allow_negative_numbers = true)]
    event_retention_hours: u32,

    /// Keep at least this many events
    #[arg(long, env, global = true, default_value = "1000000", value_parser = values::retention_min)]
    #[arg(help_heading = "Store", allow_negative_numbers = true)]
    event_retention_min: u64,

    /// The most writes that may wait; more get 503. Once more than 256 have been under way for 10 ms, the limit is 64 until that is over
    #[arg(long, env, global = true, default_value = "1024", value_parser = values::positive)]
    #[arg(help_heading = "Store", allow_negative_numbers = true)]
    write_queue_max: usize,

    /// The broker to publish to, mqtt://user:password@host:1883 or mqtts://; by default a built-in one runs
    #[arg(long, env, global = true, default_value = "", value_parser = urls::broker)]
    #[arg(help_heading = "MQTT", hide_env_values = true, hide_default_value = true)]
    mqtt_url: OptionalUrl,

    /// The broker in links; by default MQTT_URL without its password, or where the built-in broker listens
    #[arg(long, env, global = true, default_value = "", value_parser = urls::public_broker)]
    #[arg(help_heading = "MQTT", hide_default_value = true)]
    mqtt_public_url: OptionalUrl,

    /// Where the built-in broker listens; port 0 lets the system choose
    #[arg(long, env, global = true, default_value = "127.0.0.1:1883", value_parser = values::bind_address)]
    #[arg(help_heading = "MQTT")]
    mqtt_bind: SocketAddr,

    /// A prefix of every topic, e.g. plant7/; empty by default
    #[arg(long, env, global = true, default_value = "", value_parser = values::topic_prefix)]
    #[arg(help_heading = "MQTT", hide_default_value = true)]
    mqtt_topic_prefix: String,

    /// Quality of service of the events: 0, 1 or 2
    #[arg(long, env, global = true, default_value = "1", value_parser = values::quality_of_service)]
    #[arg(help_heading = "MQTT", allow_negative_numbers = true)]
    mqtt_qos: u8,

    /// Retain the current representation of every sensor on sensors/{id}/state
    #[arg(long, env, global = true, default_value = "false", value_parser = values::boolean)]
    #[arg(help_heading = "MQTT", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    mqtt_retain_state: bool,

    /// text for people, json for machines
    #[arg(long, env, global = true, default_value = "text", value_parser = values::log_format)]
    #[arg(help_heading = "Logs")]
    log_format: LogFormat,

    /// A level (off, error, warn, info, debug, trace) or directives such as info,sensorcast::events=debug
    #[arg(long, env, global = true, default_value = "info", value_parser = values::log_filter)]
    #[arg(help_heading = "Logs")]
    rust_log: String,
}

impl Default for Settings {
    #[expect(clippy::expect_used, reason = "every setting has a default, as the tests see")]
    fn default() -> Self {
        Self::from_flags([]).expect("a default for every setting")
    }
}

impl Settings {
    /// From these flags, each with its value behind an equals sign. Every other setting is at its default, whatever the environment
    /// holds.
    pub(crate) fn from_flags(flags: impl IntoIterator<Item = String>) -> Result<Self, clap::Error> {
        let command = Self::augment_args(Command::new("sensorcast").no_binary_name(true));
        let command = command.mut_args(|argument| argument.env(None));
        Self::from_arg_matches(&command.try_get_matches_from(flags)?)
    }

    /// What is wrong with settings that are right on their own.
    pub(crate) fn contradiction(&self) -> Option<String> {
        let has_broker = self.mqtt_url.0.is_none();
        (has_broker && self.http_bind == self.mqtt_bind && self.http_bind.port() != 0).then(|| {
            let address = self.http_bind;
            format!("HTTP_BIND and MQTT_BIND are the same, {address}; choose another port for one of them")
        })
    }

    /// The settings by the part that needs them. Cannot fail: each was parsed on its own.
    pub(crate) fn into_config(self) -> Config {
        let public_url = self.resolved_public_url();
        let unset = UnsetUrls {
            http: self.public_url.0.is_none(),
            mqtt: self.mqtt_public_url.0.is_none() && self.mqtt_url.0.is_none(),
        };
        let mqtt = MqttConfig {
            public_url: self.resolved_mqtt_public_url(&public_url),
            url: self.mqtt_url.0,
            bind: self.mqtt_bind,
            topic_prefix: self.mqtt_topic_prefix,
            qos: self.mqtt_qos,
            retain_state: self.mqtt_retain_state,
        };
        Config {
            http: HttpConfig {
                bind: self.http_bind,
                public_url,
                require_if_match: self.require_if_match,
                cors_origins: self.cors_origins,
                limits: HttpLimits {
                    body_bytes: self.http_max_body_bytes,
                    batch_bytes: self.http_max_batch_bytes,
                    url_bytes: self.http_max_url_bytes,
                    header_bytes: self.http_max_header_bytes,
                    head_timeout: self.http_head_timeout_ms,
                    body_timeout: self.http_body_timeout_ms,
                    connections: self.http_max_connections,
                },
                streams: StreamLimits::among(self.http_max_connections),
            },
            store: StoreConfig {
                path: self.database_url,
                event_retention_hours: self.event_retention_hours,
                event_retention_min: self.event_retention_min,
                write_queue_max: self.write_queue_max,
            },
            mqtt,
            log: LogConfig {
                format: self.log_format,
                filter: self.rust_log,
            },
            unset,
        }
    }

    #[expect(clippy::expect_used, reason = "a host that is well-formed, and a number")]
    fn resolved_public_url(&self) -> Url {
        let port = match self.http_bind.port() {
            // Only the running service knows which one the system chose (`Config::http_listens_at`).
            0 => DEFAULT_HTTP_PORT,
            port => port,
        };
        let host = urls::host_of(self.http_bind.ip());
        let default = || Url::parse(&format!("http://{host}:{port}")).expect("a URL");
        self.public_url.0.clone().unwrap_or_else(default)
    }

    fn resolved_mqtt_public_url(&self, public_url: &Url) -> Url {
        if let Some(url) = &self.mqtt_public_url.0 {
            return url.clone();
        }
        if let Some(url) = &self.mqtt_url.0 {
            return without_credentials(url);
        }
        let host = match self.mqtt_bind.ip() {
            ip if self.public_url.0.is_none() && !ip.is_unspecified() => urls::host_of(ip),
            _ => public_url.host_str().unwrap_or_default().to_owned(),
        };
        // As above (`Config::broker_listens_at`).
        let port = match self.mqtt_bind.port() {
            0 => String::new(),
            port => format!(":{port}"),
        };
        Url::parse(&format!("mqtt://{host}{port}"))
            // The host of a valid http URL is valid under any scheme, so that this is never seen.
            .unwrap_or_else(|_| public_url.clone())
    }
}
