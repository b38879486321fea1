//! Logs: one line an event on standard error, for people or for machines, with UTC times.

use std::io::{self, IsTerminal};

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::config::{LogConfig, LogFormat};

/// Libraries that tell at `info` what is of interest only to those who debug them; a filter that names one is obeyed.
/// Paho tells more than it should: at `debug` it logs the password of the broker.
const QUIET: &str = "mqtt5=warn,mqtt5_protocol=warn,actix_server=warn,actix_http=warn,paho_mqtt=warn,paho_mqtt_c=warn";

/// Starts logging for the whole process.
///
/// # Errors
///
/// When the filter is invalid, which parsing the settings has excluded, or when the process already logs.
pub fn start(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .parse(directives(&config.filter))
        .context("the log filter is invalid")?;
    // `SystemTime` prints RFC 3339 in UTC.
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_timer(SystemTime);
    let started = match config.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}

fn directives(filter: &str) -> String {
    match filter {
        // Quieter already.
        "off" | "error" => filter.to_owned(),
        filter => format!("{QUIET},{filter}"),
    }
}
