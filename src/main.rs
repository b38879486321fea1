//! The binary: command line, settings, logs, then what was asked for. The rest is the library.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use sensorcast::cli::{self, Command, EXIT_FAILED, EXIT_WRONG_SETTING, Invocation, Stop};
use sensorcast::mirror::MirrorOptions;
use sensorcast::store::Schema;
use sensorcast::{app, clock, http, mqtt, open_files, store, telemetry};
use tokio::signal::unix::{SignalKind, signal};

/// For what is written in Rust. SQLite and Paho keep the allocator of the system, which stops the process at a double free.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match cli::parse() {
        Ok(invocation) => run(invocation),
        Err(Stop::Asked(text)) => cli::print(&text),
        Err(Stop::Wrong(line)) => {
            cli::complain(&line);
            return ExitCode::from(EXIT_WRONG_SETTING);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // All causes on one line, outermost first.
            cli::complain(&format!("{error:#}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn run(Invocation { command, config }: Invocation) -> anyhow::Result<()> {
    let path = config.store.path.clone();
    if !matches!(
        command,
        Command::Openapi { .. } | Command::Asyncapi { .. } | Command::Health
    ) {
        telemetry::start(&config.log, mqtt::broker::read_log)?;
    }
    match command {
        Command::Serve => {
            open_files::raise(config.http.limits.connections, http::workers())?;
            block_on(app::run(config))
        }
        Command::Migrate => block_on(async {
            let schema = store::migrate(&path).await.context("the database cannot be migrated")?;
            let path = path.canonicalize().unwrap_or(path);
            let path = path.display();
            cli::print(&match schema {
                Schema::New => format!("made {path}"),
                Schema::Older { from, to } => format!("brought {path} up to date, from schema version {from} to {to}"),
                Schema::Current(version) => format!("{path} was up to date, at schema version {version}"),
            })
        }),
        Command::Backup { file } => block_on(async {
            let head = unless_interrupted(store::backup(&path, &file))
                .await
                .context("no backup was made")?;
            let [path, file] = [path, file].map(|path| path.canonicalize().unwrap_or(path));
            cli::print(&format!(
                "wrote {}, a copy of {} at revision {head}",
                file.display(),
                path.display()
            ))
        }),
        Command::Restore { file } => block_on(async {
            let restored = unless_interrupted(store::restore(&path, &file))
                .await
                .context("nothing was restored")?;
            cli::print(&restored.to_string())
        }),
        Command::Openapi { json } => {
            let write = if json { http::openapi_json } else { http::openapi_yaml };
            cli::print(&write(&app::links(&config), app::terms(&config))?)
        }
        Command::Asyncapi { json } => {
            let write = if json { http::asyncapi_json } else { http::asyncapi_yaml };
            cli::print(&write(&app::links(&config), app::terms(&config))?)
        }
        Command::Health => cli::check_health(config.http.bind),
        Command::Watch { url, mqtt, json } => {
            let mut options = MirrorOptions::new(url.unwrap_or(config.http.public_url));
            options.mqtt = mqtt;
            block_on(cli::watch(options, json, clock::system_now))
        }
    }
}

fn block_on(task: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot be started")?;
    let outcome = runtime.block_on(task);
    // What is left has no end of its own: a name is looked up for as long as its servers do not answer.
    runtime.shutdown_background();
    outcome
}

/// Gives the task up at SIGINT and SIGTERM, so that it leaves no files behind.
async fn unless_interrupted<T, E>(task: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
where
    anyhow::Error: From<E>,
{
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        outcome = task => Ok(outcome?),
        _ = interrupt.recv() => Err(anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow!("interrupted")),
    }
}
