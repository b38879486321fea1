//! Logs: one line an event on standard error, for people or for machines, with UTC times.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogConfig, LogFormat};

/// Libraries that tell at `info` what is of interest only to those who debug them; a filter that names one is obeyed.
/// Paho tells more than it should: at `debug` it logs the password of the broker, at `warn` each lost connection, as the relay does.
/// The built-in broker's library has a line for each message that is refused, of which our own are bounded. What actix's dispatcher calls an
/// error is a client that sent no request, which `http::framing` tells at `debug`. No body fails on its way, which it would tell, too: streams
/// cannot by their type, and log why they end (`http::events::push`); all others are whole before their heads go out.
const QUIET: &str = "mqtt5=warn,mqtt5::broker::client_handler::publish=error,mqtt5_protocol=warn,actix_server=warn,\
    actix_http=warn,actix_http::h1::dispatcher=off,paho_mqtt=error,paho_mqtt_c=warn";

/// The library of the built-in broker, whose warnings clients can cause as often as they like.
const BROKER: &str = "mqtt5";
/// What accepts connections: while no file is left to open it says so twice a second.
const ACCEPT: &str = "actix_server::accept";
const INTERVAL: Duration = Duration::from_mins(1);

/// Starts logging for the whole process. `read` is given each warning of the built-in broker's library that the filter lets
/// through, also those that make no line because there was one of the same kind a moment ago.
///
/// # Errors
///
/// When the filter is invalid, which parsing the settings has excluded, or when the process already logs.
pub fn start(config: &LogConfig, read: fn(&Event<'_>)) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .parse(directives(&config.filter))
        .context("the log filter is invalid")?;
    // `SystemTime` prints RFC 3339 in UTC.
    let format = config.format;
    let has_colours = format == LogFormat::Text && io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Lines { format, has_colours })
        // Where a line cannot be written, a complaint about that cannot either, and would end the process.
        .log_internal_errors(false)
        .with_timer(SystemTime);
    let bounded = Bounded {
        read,
        told: Mutex::default(),
    };
    let started = match format {
        LogFormat::Text => lines.with_ansi(has_colours).finish().with(bounded).try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .finish()
            .with(bounded)
            .try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}

/// Lets each kind of warning that clients can cause as often as they like through once a minute.
struct Bounded {
    read: fn(&Event<'_>),
    told: Mutex<HashMap<Identifier, Instant>>,
}

impl<S: Subscriber> Layer<S> for Bounded {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_of = |library| metadata.target().starts_with(library);
        if *metadata.level() > Level::WARN || !(is_of(BROKER) || is_of(ACCEPT)) {
            return true;
        }
        if is_of(BROKER) {
            (self.read)(event);
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let last = told.get(&metadata.callsite());
        let is_due = last.is_none_or(|last| now - *last >= INTERVAL);
        if is_due {
            told.insert(metadata.callsite(), now);
        }
        is_due
    }
}

/// Standard error, one event a line: what clients send (a topic, an id) makes no line of its own and moves no cursor.
struct Lines {
    format: LogFormat,
    has_colours: bool,
}

impl Write for Lines {
    /// Takes a whole event with its line feed, as the formatter gives it.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        if self.format == LogFormat::Json {
            // JSON has no raw line feed, and another way to escape.
            return io::stderr().write_all(event).map(|()| event.len());
        }
        let text = event.strip_suffix(b"\n").unwrap_or(event);
        let mut line = escape_controls(&String::from_utf8_lossy(text), self.has_colours).into_owned();
        line.push('\n');
        io::stderr().write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn escape_controls(text: &str, has_colours: bool) -> Cow<'_, str> {
    let is_escaped = |c: char| c.is_control() && c != '\t' && !(has_colours && c == '\u{1b}');
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            // Writing to a text cannot fail.
            let _ = write!(escaped, "{}", c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

fn directives(filter: &str) -> String {
    match filter {
        // Quieter already.
        "off" | "error" => filter.to_owned(),
        filter => format!("{QUIET},{filter}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_makes_no_line_of_its_own() {
        let text = "topic: sensors/x\n2026-11-29 ERROR\r\u{1b}[2J\u{9b}1m\tä";
        let escaped = escape_controls(text, false);
        assert_eq!(escaped, "topic: sensors/x\\n2026-11-29 ERROR\\r\\u{1b}[2J\\u{9b}1m\tä");
        assert!(escape_controls(text, true).contains("\\r\u{1b}[2J"));
    }
}
