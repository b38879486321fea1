//! The command line: subcommands, settings, and the one line that a wrong setting gets.

mod health;
mod message;
mod output;
mod watch;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, value_parser};
use url::Url;

use crate::config::{Config, Settings, broker_url, load_dotenv};

pub use health::check as check_health;
pub use output::{complain, print};
pub use watch::watch;

/// What a process exits with when a setting is wrong.
pub const EXIT_WRONG_SETTING: u8 = 2;

/// What a process exits with when it cannot start, or fails later.
pub const EXIT_FAILED: u8 = 1;

/// What to do, with valid settings.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// What was asked for; `serve` when nothing was.
    pub command: Command,
    /// The settings, from flags, environment, `.env` and defaults.
    pub config: Config,
}

/// What the process is to do.
#[expect(
    clippy::doc_markdown,
    reason = "clap prints these comments as help, where backticks are noise"
)]
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run the service: REST, MQTT relay, and a broker of its own when MQTT_URL is unset (the default)
    Serve,
    /// Create the database or bring it up to date, then exit
    Migrate,
    /// Write a copy of the database into a new file; the service may run meanwhile
    Backup {
        /// The file, which must not exist
        file: PathBuf,
    },
    /// Replace the database with a backup; the service must not run, and every cursor and ETag becomes invalid
    Restore {
        /// A file that `sensorcast backup` wrote
        file: PathBuf,
    },
    /// Print the OpenAPI document as YAML
    Openapi {
        /// Print JSON instead
        #[arg(long)]
        json: bool,
    },
    /// Print the AsyncAPI document, which describes the events, as YAML
    Asyncapi {
        /// Print JSON instead
        #[arg(long)]
        json: bool,
    },
    /// Ask a running service at HTTP_BIND whether it is ready: exit code 0 when it is, 1 when not
    Health,
    /// Keep an exact mirror of a running service and show it: a table in a terminal, otherwise lines of JSON
    Watch {
        /// The entry point of the service [default: PUBLIC_URL]
        #[arg(long, value_parser = service_url)]
        url: Option<Url>,
        /// The broker, mqtt://user:password@host:1883 [default: the one that the service names]
        #[arg(long, id = "WATCH_MQTT", env, hide_env_values = true, value_parser = broker_url)]
        mqtt: Option<Url>,
        /// Print lines of JSON in a terminal, too
        #[arg(long)]
        json: bool,
    },
}

/// What ends the process before it has begun.
#[derive(Debug)]
pub enum Stop {
    /// `--help` and `--version`: the text that was asked for.
    Asked(String),
    /// A wrong setting or argument: one line, without a line feed, that holds no password.
    Wrong(String),
}

#[derive(Parser)]
#[command(name = "sensorcast", version, about, long_about = None)]
#[command(
    after_help = "Every setting is a flag, an environment variable and a line of the file .env; the first one found wins."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

/// The settings that these subcommands use. Their help tells of no others, and no others are judged, though each takes them all, as it
/// does from `.env`. `serve` uses all.
const USED: &[(&str, &[&str])] = &[
    ("migrate", OF_STORE),
    ("backup", OF_STORE),
    ("restore", OF_STORE),
    ("openapi", OF_DOCUMENTS),
    ("asyncapi", OF_DOCUMENTS),
    ("health", &["http_bind"]),
    ("watch", &["http_bind", "public_url", "log_format", "rust_log"]),
];
const OF_STORE: &[&str] = &["database_url", "log_format", "rust_log"];
const OF_DOCUMENTS: &[&str] = &[
    "http_bind",
    "public_url",
    "require_if_match",
    "mqtt_url",
    "mqtt_public_url",
    "mqtt_bind",
    "mqtt_topic_prefix",
    "mqtt_qos",
    "mqtt_retain_state",
];

fn uses(subcommand: &str, setting: &Arg) -> bool {
    let used = USED.iter().find(|(name, _)| *name == subcommand);
    used.is_none_or(|(_, used)| used.contains(&setting.get_id().as_str()))
}

/// With settings that are just texts: which of them are judged depends on the subcommand.
fn command_line() -> clap::Command {
    let command =
        Settings::augment_args(Cli::command()).mut_args(|setting| setting.value_parser(value_parser!(OsString)));
    let settings: Vec<_> = command.get_arguments().cloned().collect();
    USED.iter().fold(command, |command, (name, _)| {
        // What a subcommand has itself, clap does not pass on to it.
        let unused = settings.iter().filter(|setting| !uses(name, setting));
        let unused = unused.map(|setting| setting.clone().hide(true));
        command.mut_subcommand(name, |subcommand| {
            subcommand.args(unused).after_help("All settings: sensorcast --help")
        })
    })
}

/// The settings that the subcommand uses, as they were given; the others are at their defaults.
fn settings(subcommand: &str, given: &ArgMatches) -> Result<Settings, Stop> {
    let command = command_line();
    let mut flags = Vec::new();
    for setting in command.get_arguments().filter(|setting| uses(subcommand, setting)) {
        if let (Some(flag), Some(value)) = (setting.get_long(), given.get_one::<OsString>(setting.get_id().as_str())) {
            let value = value
                .to_str()
                .ok_or_else(|| Stop::Wrong(message::not_text(setting, value)))?;
            flags.push(format!("--{flag}={value}"));
        }
    }
    Settings::from_flags(flags).map_err(|error| Stop::Wrong(message::one_line(&error, &command)))
}

/// Reads `.env` of the current folder, the environment and the arguments. Call it before the process has a second
/// thread, because `.env` goes into the environment.
///
/// # Errors
///
/// [`Stop`], when the process is to end at once.
pub fn parse() -> Result<Invocation, Stop> {
    load_dotenv(Path::new(".env")).map_err(|error| Stop::Wrong(error.to_string()))?;
    let parsed = command_line()
        .try_get_matches()
        .and_then(|given| Ok((Cli::from_arg_matches(&given)?.command, given)));
    let (command, given) = match parsed {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() => return Err(Stop::Wrong(message::one_line(&error, &command_line()))),
        Err(error) => return Err(Stop::Asked(error.render().to_string())),
    };
    let settings = settings(given.subcommand_name().unwrap_or("serve"), &given)?;
    let command = command.unwrap_or(Command::Serve);
    if let (Command::Serve, Some(contradiction)) = (&command, settings.contradiction()) {
        return Err(Stop::Wrong(contradiction));
    }
    Ok(Invocation {
        command,
        config: settings.into_config(),
    })
}

fn service_url(text: &str) -> Result<Url, String> {
    const ALLOWED: &str = "http:// or https:// with a host is allowed";
    let url = Url::parse(text).map_err(|error| format!("{error}; {ALLOWED}"))?;
    let is_allowed = matches!(url.scheme(), "http" | "https") && url.has_host();
    is_allowed.then_some(url).ok_or_else(|| ALLOWED.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command_line().debug_assert();
    }

    #[test]
    fn the_settings_that_subcommands_use_are_settings() {
        let command = command_line();
        let is_setting = |id: &&str| command.get_arguments().any(|argument| argument.get_id() == *id);
        let (names, used): (Vec<_>, Vec<_>) = USED.iter().copied().unzip();
        assert!(used.concat().iter().all(is_setting));
        let others = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .filter(|name| !names.contains(name));
        assert_eq!(others.collect::<Vec<_>>(), ["serve"]);
    }

    #[test]
    fn every_setting_is_a_flag_and_a_variable_of_one_name() {
        for argument in command_line()
            .get_arguments()
            .filter(|argument| argument.get_env().is_some())
        {
            let variable = argument.get_env().unwrap().to_str().unwrap();
            assert_eq!(argument.get_long().unwrap().replace('-', "_").to_uppercase(), variable);
            assert_eq!(argument.get_value_names().unwrap()[0].as_str(), variable);
            assert!(argument.get_help().is_some(), "{variable} has no help");
        }
    }
}
