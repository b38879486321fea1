//! The command line: subcommands, settings, and the one line that a wrong setting gets.

mod health;
mod message;
mod output;
mod watch;

use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser, Subcommand};
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
    #[command(flatten)]
    settings: Settings,
}

/// Reads `.env` of the current folder, the environment and the arguments. Call it before the process has a second
/// thread, because `.env` goes into the environment.
///
/// # Errors
///
/// [`Stop`], when the process is to end at once.
pub fn parse() -> Result<Invocation, Stop> {
    load_dotenv(Path::new(".env")).map_err(|error| Stop::Wrong(error.to_string()))?;
    match Cli::try_parse() {
        Ok(cli) => match cli.settings.contradiction() {
            Some(contradiction) => Err(Stop::Wrong(contradiction)),
            None => Ok(Invocation {
                command: cli.command.unwrap_or(Command::Serve),
                config: cli.settings.into_config(),
            }),
        },
        Err(error) if error.use_stderr() => Err(Stop::Wrong(message::one_line(&error, &Cli::command()))),
        Err(error) => Err(Stop::Asked(error.render().to_string())),
    }
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
        Cli::command().debug_assert();
    }

    #[test]
    fn every_setting_is_a_flag_and_a_variable_of_one_name() {
        for argument in Cli::command()
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
