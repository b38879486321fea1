//! `sensorcast watch`: keeps a mirror of a service and shows it, as a table in a terminal or as lines of JSON.

mod lines;
mod table;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::domain::Timestamp;
use crate::mirror::{Mirror, MirrorOptions, Snapshot, Status};
use lines::Lines;
use table::Screen;

/// How often something new is shown at most.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// How often it is shown at least, because the size of the terminal may have changed.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// What there is to show at one moment.
struct View {
    status: Status,
    lag: i64,
    snapshot: Option<Snapshot>,
}

/// Where views are shown.
trait Show {
    /// The text that shows a view.
    fn text(&mut self, view: &View) -> String;
    /// The text that ends it all.
    fn farewell(&self) -> &'static str;
}

/// Shows a mirror until SIGINT, SIGTERM or the end of who reads it. A service that is away is shown as that. `now` tells
/// which day today is.
///
/// # Errors
/// When a URL is wrong or standard output cannot be written.
pub async fn watch(options: MirrorOptions, json: bool, now: fn() -> Timestamp) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut show: Box<dyn Show> = if json || !io::stdout().is_terminal() {
        Box::new(Lines::default())
    } else {
        Box::new(Screen::new(options.url.as_str(), now))
    };
    let mirror = Mirror::start(options)?;
    let outcome = tokio::select! {
        outcome = show_until_closed(mirror, show.as_mut()) => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    let farewell = write(show.farewell());
    match outcome.and(farewell) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("standard output cannot be written"),
        _ => Ok(()),
    }
}

async fn show_until_closed(mut mirror: Mirror, show: &mut dyn Show) -> io::Result<()> {
    loop {
        // The status first: what is shown under it may be newer, never older.
        let view = View {
            status: mirror.status(),
            lag: mirror.lag(),
            snapshot: mirror.snapshot(),
        };
        write(&show.text(&view))?;
        sleep(MIN_INTERVAL).await;
        let _ = timeout(MAX_INTERVAL, mirror.changed()).await;
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
