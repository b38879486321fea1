//! One function a setting that is not a URL: from the text to a valid value, or to what is wrong and what is allowed.

use std::net::SocketAddr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::LogFormat;

/// 100 years: far more than any log is kept, and small enough that no arithmetic with it overflows.
const MAX_RETENTION_HOURS: u32 = 876_000;

const MAX_BOUND: usize = 1_000_000_000;

/// One hour.
const MAX_TIMEOUT_MS: u64 = 3_600_000;

/// Leaves room for `sensors/{id}/state` in the topic lengths that brokers accept (some stop at 1 KiB); and Paho C encodes the length of
/// a topic modulo 65,536 without a check.
const MAX_TOPIC_PREFIX_BYTES: usize = 256;

pub(super) fn bind_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "an IP address and a port are allowed, e.g. 127.0.0.1:8000 or [::1]:8000; port 0 lets the system choose"
            .to_owned()
    })
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("true, false, 1 or 0 is allowed".to_owned()),
    }
}

pub(super) fn quality_of_service(text: &str) -> Result<u8, String> {
    match text {
        "0" => Ok(0),
        "1" => Ok(1),
        "2" => Ok(2),
        _ => Err("0, 1 or 2 is allowed".to_owned()),
    }
}

/// `MQTT_TOPIC_PREFIX`: empty, or whole topic levels (MQTT 5 §4.7) with a slash after them.
///
/// # Errors
/// What is wrong and what is allowed.
pub fn topic_prefix(text: &str) -> Result<String, String> {
    let levels = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() {
        return Ok(String::new());
    }
    // `>=`, because a slash follows.
    let complaint = if levels.len() >= MAX_TOPIC_PREFIX_BYTES {
        "it is too long"
    } else if text.starts_with('$') {
        "topics that start with $ belong to the broker"
    } else if levels.split('/').any(str::is_empty) {
        "it has an empty topic level"
    } else if levels.contains(['+', '#']) {
        "+ and # are wildcards"
    } else if levels.contains(char::is_control) {
        "it has a control character"
    } else {
        return Ok(format!("{levels}/"));
    };
    Err(format!(
        "{complaint}; topic levels joined by / are allowed, e.g. plant7/, at most {MAX_TOPIC_PREFIX_BYTES} bytes"
    ))
}

pub(super) fn retention_hours(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(hours) if hours <= MAX_RETENTION_HOURS => Ok(hours),
        _ => Err(format!(
            "a whole number of hours from 0 to {MAX_RETENTION_HOURS} is allowed"
        )),
    }
}

pub(super) fn retention_min(text: &str) -> Result<u64, String> {
    // Counts are compared with SQLite integers, which are signed.
    match text.parse::<u64>() {
        Ok(events) if i64::try_from(events).is_ok() => Ok(events),
        _ => Err(format!("a whole number of events from 0 to {} is allowed", i64::MAX)),
    }
}

/// A bound on something: at least 1, and small enough that no arithmetic with it overflows.
pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=MAX_BOUND).contains(&number) => Ok(number),
        _ => Err(format!("a whole number from 1 to {MAX_BOUND} is allowed")),
    }
}

pub(super) fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(milliseconds) if (1..=MAX_TIMEOUT_MS).contains(&milliseconds) => Ok(Duration::from_millis(milliseconds)),
        _ => Err(format!(
            "a whole number of milliseconds from 1 to {MAX_TIMEOUT_MS} is allowed"
        )),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json is allowed".to_owned()),
    }
}

/// An empty filter would silence everything but errors; whoever clears the variable means the default.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok("info".to_owned());
    }
    // A single word that is no level would be taken for a target, and `RUST_LOG=warning` would silence all others.
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let mut words_alone = text.split(',').map(str::trim).filter(|word| !word.contains(['=', '[']));
    let is_mistyped = words_alone.any(|word| !word.is_empty() && !is_level(word));
    match EnvFilter::builder().parse(text) {
        Ok(_) if !is_mistyped => Ok(text.to_owned()),
        _ => Err(
            "a level (off, error, warn, info, debug, trace) or directives are allowed, \
                       e.g. info,sensorcast::events=debug"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_and_a_port() {
        for good in ["127.0.0.1:8000", "0.0.0.0:0", "[::1]:1883"] {
            assert_eq!(bind_address(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "8000",
            "127.0.0.1",
            "localhost:8000",
            "127.0.0.1:65536",
            "127.0.0.1:-1",
            " 127.0.0.1:1",
        ] {
            assert!(bind_address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_boolean_is_one_of_four_words() {
        assert_eq!(
            ["true", "1", "false", "0"].map(boolean),
            [Ok(true), Ok(true), Ok(false), Ok(false)]
        );
        for bad in ["", "yes", "TRUE", "2", "on"] {
            assert!(boolean(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn quality_of_service_is_0_1_or_2() {
        assert_eq!(["0", "1", "2"].map(quality_of_service), [Ok(0), Ok(1), Ok(2)]);
        for bad in ["", "3", "-1", "01", "1.0"] {
            assert!(quality_of_service(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_topic_prefix_ends_with_a_slash() {
        assert_eq!(topic_prefix("").unwrap(), "");
        assert_eq!(topic_prefix("plant7").unwrap(), "plant7/");
        assert_eq!(topic_prefix("plant7/").unwrap(), "plant7/");
        assert_eq!(topic_prefix("it/plant 7/").unwrap(), "it/plant 7/");
    }

    #[test]
    fn a_topic_prefix_is_made_of_whole_plain_levels() {
        let longest = "x".repeat(MAX_TOPIC_PREFIX_BYTES - 1);
        assert_eq!(topic_prefix(&longest).unwrap().len(), MAX_TOPIC_PREFIX_BYTES);
        let long = "x".repeat(MAX_TOPIC_PREFIX_BYTES);
        for bad in [
            "/", "//", "/a", "a//b", "a//", "+/", "a/#", "a+", "$SYS/", "a\0b", "a\nb", &long,
        ] {
            assert!(topic_prefix(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn retention_is_bounded() {
        assert_eq!(retention_hours("24"), Ok(24));
        assert_eq!(retention_hours("0"), Ok(0));
        assert!(retention_hours("876001").is_err());
        assert_eq!(retention_min("1000000"), Ok(1_000_000));
        assert!(retention_min("9223372036854775807").is_ok());
        assert!(retention_min("9223372036854775808").is_err());
        for bad in ["", "-1", "1e6", "1_000", "many"] {
            assert!(retention_hours(bad).is_err() && retention_min(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_log_format_is_text_or_json() {
        assert_eq!(log_format("text"), Ok(LogFormat::Text));
        assert_eq!(log_format("json"), Ok(LogFormat::Json));
        assert!(log_format("JSON").is_err() && log_format("").is_err());
    }

    #[test]
    fn a_log_filter_is_what_rust_log_takes() {
        assert_eq!(log_filter("").unwrap(), "info");
        for good in ["info", "warn,sensorcast::store=trace", "off"] {
            assert_eq!(log_filter(good).unwrap(), good);
        }
        for bad in ["sensorcast=loud", "a=b=c", "info,=x=y", "warning", "info, verbose"] {
            assert!(log_filter(bad).is_err(), "{bad:?}");
        }
    }
}
