//! Turns what clap says in a paragraph into one line that names the variable, the value and what is allowed.

use std::error::Error as _;
use std::ffi::OsStr;

use clap::Arg;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::config::mask_credentials;

/// Longer values are cut, so that the line stays one that can be read.
const MAX_SHOWN_CHARS: usize = 200;

/// One line for a wrong setting or argument.
pub(super) fn one_line(error: &clap::Error, command: &clap::Command) -> String {
    let argument = context(error, ContextKind::InvalidArg);
    let variable = argument.as_deref().and_then(variable_of);
    match (error.kind(), variable) {
        (ErrorKind::ValueValidation, Some(variable)) => {
            let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
            let allowed = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{variable}: {} is wrong: {allowed}", shown(&value))
        }
        // clap does not say which one; of a setting it would be said.
        (ErrorKind::InvalidUtf8, _) => "an argument is not UTF-8 text".to_owned(),
        _ => missing_equals_sign(error, command)
            .unwrap_or_else(|| format!("{} (see {} --help)", first_line(error), command_of(error))),
    }
}

/// `--require-if-match true`: the flag stands alone or has its value behind an equals sign, so that a command may follow it.
fn missing_equals_sign(error: &clap::Error, command: &clap::Command) -> Option<String> {
    let word = context(error, ContextKind::InvalidSubcommand).or_else(|| context(error, ContextKind::InvalidArg))?;
    let is_boolean = ["true", "false", "1", "0"].contains(&word.as_str());
    let given: Vec<_> = std::env::args_os().collect();
    let (flag, _) = given
        .iter()
        .zip(given.iter().skip(1))
        .find(|(_, next)| is_boolean && **next == *word)?;
    let flag = flag.to_str()?;
    let takes_equals_sign =
        |argument: &Arg| argument.is_require_equals_set() && argument.get_long() == flag.strip_prefix("--");
    let is_known = command.get_arguments().any(takes_equals_sign);
    is_known.then(|| format!("{flag} {word}: an equals sign is missing: {flag}={word} (see sensorcast --help)"))
}

/// `sensorcast backup`, from what clap says of its usage.
fn command_of(error: &clap::Error) -> String {
    let text = error.to_string();
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: "));
    let words = usage.unwrap_or_default().split(' ');
    let is_name = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    let names: Vec<_> = words.take_while(is_name).collect();
    if names.is_empty() {
        "sensorcast".to_owned()
    } else {
        names.join(" ")
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

/// `HTTP_BIND` of `--http-bind <HTTP_BIND>`.
fn variable_of(argument: &str) -> Option<&str> {
    argument.split_once('<')?.1.split_once('>').map(|(name, _)| name)
}

/// The line for the value of a setting that is not UTF-8.
pub(super) fn not_text(setting: &Arg, value: &OsStr) -> String {
    let variable = setting.get_id().as_str().to_uppercase();
    format!(
        "{variable}: {} is wrong: UTF-8 text is allowed",
        shown(&value.to_string_lossy())
    )
}

fn shown(value: &str) -> String {
    let masked = mask_credentials(value);
    let cut: String = masked.chars().take(MAX_SHOWN_CHARS).collect();
    let ellipsis = if cut.len() < masked.len() { "…" } else { "" };
    format!("{cut:?}{ellipsis}")
}

/// What clap says first, without its prefix `error: `, and with the arguments that are missing, which it has on lines of
/// their own.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut line = text.lines().next().unwrap_or_default().to_owned();
    if let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        line = format!("{line} {}", missing.join(" "));
    }
    mask_credentials(line.strip_prefix("error: ").unwrap_or(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_read_from_the_argument() {
        assert_eq!(variable_of("--http-bind <HTTP_BIND>"), Some("HTTP_BIND"));
        assert_eq!(
            variable_of("--require-if-match[=<REQUIRE_IF_MATCH>]"),
            Some("REQUIRE_IF_MATCH")
        );
        assert_eq!(variable_of("--json"), None);
    }

    #[test]
    fn a_value_is_shown_on_one_line_cut_and_without_its_password() {
        assert_eq!(shown("a\nb"), r#""a\nb""#);
        assert_eq!(shown("mqtt://u:p@h"), r#""mqtt://***@h""#);
        assert!(shown(&"x".repeat(1000)).len() < 210);
    }
}
