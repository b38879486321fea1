use std::pin::pin;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::ending::Ending;
use super::log::EventLog;
use super::progress::{Progress, Unread};
use super::session::Session;
use super::sink::Sink;
use super::status::RelayStatus;
use super::stop::Stop;
use super::trouble::Trouble;
use crate::domain::Revision;
use crate::failpoint::pass;
use crate::wire::presence::{Presence, PresenceStatus};

/// Carries the log to the sink: in order, at least once, from where it stopped.
pub struct Relay<L, S> {
    log: L,
    sink: S,
    status: RelayStatus,
    cursor: Revision,
    keeps_states: bool,
    /// What keeps it from publishing.
    trouble: Trouble,
    /// Whether the last connection did nothing and was lost soon, so that the next one is no news.
    is_lost_at_once: bool,
    /// Whether not even the next event could be read, when there was no connection.
    cannot_read_oldest: bool,
}

/// What became of one connection.
enum Attempt {
    /// It did what there was to do, and the relay is to stop.
    Stopped,
    /// It was made, and failed.
    Failed,
    /// It was not made.
    NobodyThere,
}

/// The first pause after a failure; it doubles from there, with jitter, and starts anew after progress.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, before jitter.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How often the cursor is persisted at most; what was acknowledged in between comes again after a crash.
const SAVE_INTERVAL: Duration = Duration::from_millis(250);
/// How often it is tried again when that fails, however far the cursor moves meanwhile.
const SAVE_RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// A connection that has lived for so long was a good one, also when there was nothing to publish.
const LONG_LIFE: Duration = Duration::from_secs(10);
const NO_CONNECTION: &str = "no connection to the broker";

impl<L: EventLog, S: Sink> Relay<L, S> {
    /// A relay that will go on where the last one stopped.
    ///
    /// # Errors
    /// When the cursor cannot be read.
    pub async fn new(log: L, sink: S, status: RelayStatus) -> Result<Self, L::Error> {
        let cursor = log.relay_cursor().await?;
        Ok(Self {
            log,
            sink,
            status,
            cursor,
            keeps_states: false,
            trouble: Trouble::default(),
            is_lost_at_once: false,
            cannot_read_oldest: false,
        })
    }

    /// The same relay; with `keeps_states` it keeps the current state of every sensor retained as well.
    #[must_use]
    pub fn keeping_states(self, keeps_states: bool) -> Self {
        Self { keeps_states, ..self }
    }

    /// Publishes until `stop` says when it has to be over; then what can be published until then, and the farewell.
    ///
    /// Commits nothing but the cursor. When it returns, the cursor is persisted as far as the log allowed it.
    pub async fn run(mut self, stop: oneshot::Receiver<Instant>) {
        let (reached, to_save) = watch::channel(self.cursor);
        let progress = Progress::new(self.status.clone(), reached);
        let saving = save_cursor(self.log.clone(), to_save);
        let ending = Stop::default();
        let relaying = async {
            tokio::select! {
                () = self.relay(progress, &ending) => {}
                () = ending.follow(stop) => {}
            }
        };
        tokio::join!(relaying, saving);
    }

    /// One connection after the other, with a pause between them.
    async fn relay(&mut self, mut progress: Progress, stop: &Stop) {
        let mut pauses = new_pauses();
        self.tell_oldest_pending(&mut progress).await;
        loop {
            // After the word to stop there is one more attempt, and none at a broker that is not there.
            let is_last = stop.asked.is_cancelled();
            let cursor_before = progress.cursor;
            let is_over = match self.attempt(&mut progress, stop).await {
                Attempt::Stopped => true,
                Attempt::Failed => is_last,
                Attempt::NobodyThere => stop.asked.is_cancelled(),
            };
            if is_over || stop.over.is_cancelled() {
                return;
            }
            if progress.cursor > cursor_before {
                pauses = new_pauses();
            }
            self.tell_oldest_pending(&mut progress).await;
            tokio::select! {
                () = sleep(pauses.next().unwrap_or(MAX_PAUSE)) => {}
                () = stop.asked.cancelled() => {}
            }
        }
    }

    /// One connection, from beginning to end.
    async fn attempt(&mut self, progress: &mut Progress, stop: &Stop) -> Attempt {
        let connection = match self.sink.connect(self.last_will()).await {
            Ok(connection) => connection,
            Err(reason) => {
                self.is_lost_at_once = false;
                self.report(NO_CONNECTION, &reason);
                return Attempt::NobodyThere;
            }
        };
        self.status.connected();
        let cursor_before = progress.cursor;
        if self.is_lost_at_once {
            debug!(cursor = cursor_before.get(), "connected to the broker");
        } else {
            info!(cursor = cursor_before.get(), "connected to the broker");
        }
        let made_at = Instant::now();
        let ending = self.converse(connection, progress, stop).await;
        let has_published = progress.cursor > cursor_before;
        self.is_lost_at_once = !has_published && made_at.elapsed() < LONG_LIFE;
        if has_published {
            self.trouble.is_over();
        }
        match ending {
            Ending::Stopped => {
                self.status.disconnected(None);
                Attempt::Stopped
            }
            Ending::Lost(reason) => self.failed(NO_CONNECTION, &reason),
            Ending::NotNow(reason) => self.failed("the broker takes nothing now", &reason),
        }
    }

    /// The life of a connection.
    async fn converse(&mut self, connection: S::Connection, progress: &mut Progress, stop: &Stop) -> Ending {
        let mut session = Session::new(&self.log, connection, progress);
        if self.keeps_states {
            session = session.keeping_states();
        }
        let mut life = pin!(session.run(stop));
        if let Ok(ending) = timeout(LONG_LIFE, &mut life).await {
            return ending;
        }
        self.trouble.is_over();
        if self.is_lost_at_once {
            info!("the connection to the broker holds");
        }
        life.await
    }

    fn failed(&mut self, what: &str, reason: &str) -> Attempt {
        self.report(what, reason);
        Attempt::Failed
    }

    fn report(&mut self, what: &str, reason: &str) {
        let account = self.trouble.again(reason);
        let (attempts, for_seconds) = (account.attempts, account.for_seconds);
        if account.is_news {
            warn!(reason, attempts, for_seconds, "{what}; events wait in the log");
        } else {
            debug!(reason, attempts, for_seconds, "{what}");
        }
        self.status.disconnected(Some(reason));
    }

    /// While there is no connection nobody else reads the log, and the age of the lag would be unknown.
    async fn tell_oldest_pending(&mut self, progress: &mut Progress) {
        match self.log.events_after(progress.cursor, 1).await {
            Ok(events) => {
                // What a session could not read is more than this.
                if std::mem::take(&mut self.cannot_read_oldest) {
                    progress.can_read();
                }
                let oldest = events.first().map(|event| event.committed_at);
                self.status.update(|state| state.oldest_pending = oldest);
            }
            // Where there is nothing to read, nothing would ever tell that it can be read again.
            Err(_) if progress.cursor >= *self.log.head().borrow() => {}
            Err(cause) => {
                self.cannot_read_oldest = true;
                progress.cannot_read(progress.cursor, &Unread::Events(cause));
            }
        }
    }

    fn last_will(&self) -> Presence {
        Presence {
            status: PresenceStatus::Offline,
            epoch: self.log.epoch().clone(),
            revision: *self.log.head().borrow(),
        }
    }
}

fn new_pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(MIN_PAUSE)
        .with_max_delay(MAX_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

/// Persists the newest cursor until there are no more to come. While one is written the next ones gather.
async fn save_cursor<L: EventLog>(log: L, mut to_save: watch::Receiver<Revision>) {
    let mut is_failing = false;
    while to_save.changed().await.is_ok() {
        let cursor = *to_save.borrow_and_update();
        if let Err(cause) = log.advance_relay(cursor).await {
            if !std::mem::replace(&mut is_failing, true) {
                warn!(%cause, "the relay cannot persist its cursor; after a crash events come again");
            }
            let again_at = Instant::now() + SAVE_RETRY_INTERVAL;
            while let Ok(moved) = timeout_at(again_at, to_save.changed()).await {
                if moved.is_err() {
                    // The relay has stopped: this is the last attempt.
                    let last = *to_save.borrow();
                    let _ = log.advance_relay(last).await;
                    return;
                }
            }
            // Without a further event nobody would ask for it again, and what is published could not be pruned.
            to_save.mark_changed();
            continue;
        }
        is_failing = false;
        pass("relay.after-save");
        sleep(SAVE_INTERVAL).await;
    }
}
