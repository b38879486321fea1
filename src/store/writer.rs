//! The one task that writes: it takes all commands that wait, runs them in one transaction, and answers after COMMIT.
//!
//! So the cost of a sync of the disk is shared by everybody who waits for it, and nobody waits for more than is there:
//! a lone command is committed at once.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::scribe::{self, Scribe};
use super::{Record, Retention, StoreError, StoreMetrics, WriteError};
use crate::clock::Clock;
use crate::domain::{Change, Moment, Refusal, Revision, Sensor, SensorId, SensorRef, Timestamp};

/// The most commands that share a transaction, which bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 256;
/// How often the log is looked through for events that may go.
const PRUNE_INTERVAL: Duration = Duration::from_secs(1);
/// How soon again when there were as many as one step removes: faster than events are written, and with room for writes.
const NEXT_PRUNE_DELAY: Duration = Duration::from_millis(50);
/// The most events that one step of pruning removes, so that no write waits long behind it.
const MAX_PRUNED_AT_ONCE: u32 = 2_000;

/// What a write did, once it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the sensor is what it was. No revision was made.
    Unchanged(Record),
    /// There is a new sensor.
    Created(Record),
    /// The sensor is now this.
    Modified(Record),
    /// The sensor of this id is gone, since this revision.
    Deleted(SensorId, Revision),
}

/// What looks at a sensor, inside the transaction, and says what to do.
pub(super) type Decide = Box<dyn FnOnce(Option<&Sensor>, Moment) -> Result<Change, Refusal> + Send>;

/// A change of one sensor, and who waits for it.
pub(super) struct Write {
    pub target: SensorRef,
    /// Taken when it is run.
    pub decide: Option<Decide>,
    /// Held back until it is committed.
    pub result: Option<Result<Outcome, WriteError>>,
    pub reply: oneshot::Sender<Result<Outcome, WriteError>>,
}

/// What the store has to note about itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Note {
    /// The broker has acknowledged every event up to this one.
    Relayed(Revision),
    /// Nothing, but in a transaction that writes: to see whether it can.
    Probe,
}

/// What the writer is asked to do.
pub(super) enum Command {
    Write(Write),
    Note(Note, oneshot::Sender<Result<(), StoreError>>),
    Stop(oneshot::Sender<()>),
}

impl Command {
    // Whoever no longer waits for an answer has gone away, which takes nothing back: a failed send is no error.

    fn answer(self) {
        match self {
            Self::Write(Write {
                result: Some(result),
                reply,
                ..
            }) => drop(reply.send(result)),
            Self::Note(_, reply) => drop(reply.send(Ok(()))),
            Self::Write(_) | Self::Stop(_) => {}
        }
    }

    fn fail(self, error: &StoreError) {
        match self {
            Self::Write(write) => drop(write.reply.send(Err(error.clone().into()))),
            Self::Note(_, reply) => drop(reply.send(Err(error.clone()))),
            Self::Stop(_) => {}
        }
    }
}

/// Why a group was not committed.
enum GroupError {
    /// It is rolled back.
    NotCommitted(StoreError),
    /// COMMIT failed. The rows may be there all the same: an error of the disk's sync does not take back what was written.
    OutcomeUnknown(sqlx::Error),
}

impl<E: Into<StoreError>> From<E> for GroupError {
    fn from(error: E) -> Self {
        Self::NotCommitted(error.into())
    }
}

pub(super) struct Writer {
    pub connection: SqliteConnection,
    pub queue: mpsc::Receiver<Command>,
    pub announce: watch::Sender<Revision>,
    pub scribe: Scribe,
    pub clock: Clock,
    pub retention: Retention,
    pub metrics: StoreMetrics,
    pub failed: CancellationToken,
}

impl Writer {
    /// Works until it is told to stop, nobody is left to send commands, or the outcome of a COMMIT is unknown.
    pub(super) async fn run(mut self) {
        let mut prune_tick = tokio::time::interval(PRUNE_INTERVAL);
        prune_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A panic ends the process, too: without a writer nothing works.
        let failed = self.failed.clone().drop_guard();
        let mut stop = None;
        while stop.is_none() {
            let first = tokio::select! {
                first = self.queue.recv() => first,
                _ = prune_tick.tick() => {
                    match self.prune().await {
                        None => return,
                        Some(pruned) if pruned >= u64::from(MAX_PRUNED_AT_ONCE) => {
                            prune_tick.reset_after(NEXT_PRUNE_DELAY);
                        }
                        Some(_) => {}
                    }
                    continue;
                }
            };
            let Some(first) = first else { break };
            let group = self.gather(first, &mut stop);
            if !self.run_group(group).await {
                return;
            }
        }
        failed.disarm();
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "closing the database failed; the next start recovers it");
        }
        if let Some(stop) = stop {
            // Nobody waiting is fine.
            let _ = stop.send(());
        }
    }

    /// Takes what waits behind `first`, up to a bound; a command to stop ends the group and is kept apart.
    fn gather(&mut self, first: Command, stop: &mut Option<oneshot::Sender<()>>) -> Vec<Command> {
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(command) = next {
            if let Command::Stop(reply) = command {
                *stop = Some(reply);
                break;
            }
            group.push(command);
            next = if group.len() < MAX_GROUP {
                self.queue.try_recv().ok()
            } else {
                None
            };
        }
        self.metrics
            .queue_depth
            .set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
        group
    }

    /// Runs a group and answers it. `false` when the outcome is unknown, after which nothing may be written.
    async fn run_group(&mut self, mut group: Vec<Command>) -> bool {
        if group.is_empty() {
            return true;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_GROUP")]
        self.metrics.group_size.observe(group.len() as f64);
        match self.commit(&mut group).await {
            Ok(head) => {
                // First, so that whoever has an answer never sees an older head.
                self.announce
                    .send_if_modified(|announced| std::mem::replace(announced, head) != head);
                group.into_iter().for_each(Command::answer);
            }
            Err(GroupError::NotCommitted(error)) => {
                tracing::error!(%error, commands = group.len(), "a group of writes was rolled back");
                self.roll_back().await;
                for command in group {
                    command.fail(&error);
                }
            }
            Err(GroupError::OutcomeUnknown(error)) => {
                tracing::error!(%error, "COMMIT failed, its outcome is unknown: stopping, so that the next start recovers");
                return false;
            }
        }
        true
    }

    /// Runs the group in one transaction and commits it.
    async fn commit(&mut self, group: &mut [Command]) -> Result<Revision, GroupError> {
        let before = *self.announce.borrow();
        let mut head = before;
        let now = self.clock.now();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.connection).await?;
        for command in group {
            match command {
                Command::Write(write) => self.run_write(write, &mut head, now).await?,
                Command::Note(note, _) => scribe::note(&mut self.connection, *note).await?,
                Command::Stop(_) => {}
            }
        }
        if head != before {
            scribe::set_head(&mut self.connection, head).await?;
        }
        let started = Instant::now();
        let committed = sqlx::query("COMMIT").execute(&mut self.connection).await;
        self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        match committed.map_err(|error| (StoreError::is_full(&error), error)) {
            Ok(_) => Ok(head),
            // Without room, not even the frame that commits was written.
            Err((true, error)) => Err(error.into()),
            Err((false, error)) => Err(GroupError::OutcomeUnknown(error)),
        }
    }

    async fn run_write(&mut self, write: &mut Write, head: &mut Revision, now: Timestamp) -> Result<(), GroupError> {
        let Some(decide) = write.decide.take() else {
            return Ok(());
        };
        let moment = Moment {
            revision: head.next(),
            now,
        };
        let result = self
            .scribe
            .write(&mut self.connection, &write.target, decide, moment)
            .await?;
        if matches!(
            result,
            Ok(Outcome::Created(_) | Outcome::Modified(_) | Outcome::Deleted(..))
        ) {
            *head = moment.revision;
        }
        write.result = Some(result);
        Ok(())
    }

    async fn roll_back(&mut self) {
        // SQLite may have rolled back on its own (a full disk, an I/O error); then it says so here, and that is fine.
        if let Err(error) = sqlx::query("ROLLBACK").execute(&mut self.connection).await {
            tracing::debug!(%error, "there was nothing to roll back");
        }
    }

    /// Removes a bounded number of events that may go, and gives how many. `None` when the disk failed, after which nothing
    /// may be written.
    async fn prune(&mut self) -> Option<u64> {
        let keep_ms = i64::from(self.retention.hours) * 3_600_000;
        let committed_before_ms = self.clock.now().unix_ms().saturating_sub(keep_ms);
        let head = *self.announce.borrow();
        let min_events = i64::try_from(self.retention.min_events).unwrap_or(i64::MAX);
        let last = Revision::new(head.get().saturating_sub(min_events));
        let limit = MAX_PRUNED_AT_ONCE.into();
        let pruned = match scribe::prune(&mut self.connection, last, committed_before_ms, limit).await {
            Ok(pruned) => pruned,
            Err(error) if StoreError::is_full(&error) => {
                tracing::warn!(%error, "pruning the event log failed; it is tried again");
                0
            }
            Err(error) => {
                tracing::error!(%error, "pruning the event log failed: stopping, so that the next start recovers");
                return None;
            }
        };
        self.metrics.events_pruned.inc_by(pruned);
        if let Ok(oldest) = scribe::oldest_event(&mut self.connection).await {
            self.metrics
                .events_kept
                .set(oldest.map_or(0, |oldest| head.get() - oldest.get() + 1));
        }
        Some(pruned)
    }
}
