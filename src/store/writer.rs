//! The one thread that writes: it takes all commands that wait, runs them in one transaction, and answers after COMMIT.
//!
//! So the cost of a sync of the disk is shared by everybody who waits for it, and nobody waits for more than is there:
//! a lone command is committed at once. A thread of its own, because a statement takes less time than handing it to one.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, BatchOutcome};
use super::once::{self, Known, Once};
use super::scribe::{self, Scribe, execute};
use super::{Record, Retention, StoreError, StoreMetrics, WriteError};
use crate::clock::Clock;
use crate::domain::{Change, Moment, Refusal, Revision, Sensor, SensorId, SensorRef, Timestamp};
use crate::failpoint::{is_planted, pass, reach};

/// The most commands that share a transaction, which bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 256;
/// How often the log is looked through for events that may go.
const PRUNE_INTERVAL: Duration = Duration::from_secs(1);
/// How soon again when there were as many as one step removes: faster than events are written, and with room for writes.
const NEXT_PRUNE_DELAY: Duration = Duration::from_millis(50);
/// The most events that one step of pruning removes, so that no write waits long behind it.
const MAX_PRUNED_AT_ONCE: usize = 2_000;

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
pub type Decide = Box<dyn FnOnce(Option<&Sensor>, Moment) -> Result<Change, Refusal> + Send>;

/// A change of one sensor, and who waits for it.
pub(super) struct Write {
    pub target: SensorRef,
    /// Taken when it is run.
    pub decide: Option<Decide>,
    /// What the answer is kept under, for when the request comes again.
    pub once: Option<Once>,
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
    Batch(Batch),
    Note(Note, oneshot::Sender<Result<(), StoreError>>),
    /// Remove some of the events that may go. The answer is how many they were.
    Prune(oneshot::Sender<usize>),
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
            Self::Batch(Batch {
                result: Some(result),
                reply,
                ..
            }) => drop(reply.send(Ok(result))),
            Self::Note(_, reply) => drop(reply.send(Ok(()))),
            Self::Write(_) | Self::Batch(_) | Self::Prune(_) | Self::Stop(_) => {}
        }
    }

    /// The bug of an answer before COMMIT.
    fn answer_early(&mut self) {
        if let Self::Write(write) = self
            && let Some(result) = write.result.take()
        {
            let reply = std::mem::replace(&mut write.reply, oneshot::channel().0);
            let _ = reply.send(result);
        }
    }

    fn fail(self, error: &StoreError) {
        match self {
            Self::Write(write) => drop(write.reply.send(Err(error.clone().into()))),
            Self::Batch(batch) => drop(batch.reply.send(Err(error.clone()))),
            Self::Note(_, reply) => drop(reply.send(Err(error.clone()))),
            Self::Prune(_) | Self::Stop(_) => {}
        }
    }
}

/// Why a group was not committed.
enum GroupError {
    /// It is rolled back.
    NotCommitted(StoreError),
    /// COMMIT failed. The rows may be there all the same: an error of the disk's sync does not take back what was written.
    OutcomeUnknown(StoreError),
}

impl<E: Into<StoreError>> From<E> for GroupError {
    fn from(error: E) -> Self {
        Self::NotCommitted(error.into())
    }
}

pub(super) struct Writer {
    pub connection: Connection,
    pub queue: mpsc::Receiver<Command>,
    pub announce: watch::Sender<Revision>,
    pub scribe: Scribe,
    pub clock: Clock,
    pub retention: Retention,
    pub metrics: StoreMetrics,
    pub failed: CancellationToken,
}

/// What comes after a command.
enum Next {
    Go,
    Stop(Option<oneshot::Sender<()>>),
    /// The outcome is unknown, after which nothing may be written.
    Fail,
}

impl Writer {
    /// Works until it is told to stop, nobody is left to send commands, or the outcome of a COMMIT is unknown.
    pub(super) fn run(mut self) {
        // A panic ends the process, too: without a writer nothing works.
        let failed = self.failed.clone().drop_guard();
        let mut commands = Vec::with_capacity(MAX_GROUP);
        let stop = loop {
            if self.queue.blocking_recv_many(&mut commands, MAX_GROUP) == 0 {
                break None;
            }
            self.metrics
                .queue_depth
                .set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
            match self.work(commands.drain(..)) {
                Next::Go => {}
                Next::Stop(reply) => break reply,
                Next::Fail => return,
            }
        };
        failed.disarm();
        pass("store.before-close");
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "closing the database failed; the next start recovers it");
        }
        pass("store.after-close");
        if let Some(stop) = stop {
            // Nobody waiting is fine.
            let _ = stop.send(());
        }
    }

    /// Runs what has come in together: the writes and notes as a group, then what stands alone.
    fn work(&mut self, commands: impl Iterator<Item = Command>) -> Next {
        let mut group = Vec::new();
        let mut next = Next::Go;
        let mut prune = None;
        for command in commands {
            match command {
                Command::Stop(reply) => next = Next::Stop(Some(reply)),
                Command::Prune(reply) => prune = Some(reply),
                late if matches!(next, Next::Stop(_)) => late.fail(&StoreError::Stopped),
                command => group.push(command),
            }
        }
        if !self.run_group(group) {
            return Next::Fail;
        }
        match prune.map(|reply| (reply, self.prune())) {
            Some((_, None)) => Next::Fail,
            Some((reply, Some(pruned))) => {
                // Nobody waiting is fine.
                let _ = reply.send(pruned);
                next
            }
            None => next,
        }
    }

    /// Runs a group and answers it. `false` when the outcome is unknown, after which nothing may be written.
    fn run_group(&mut self, mut group: Vec<Command>) -> bool {
        if group.is_empty() {
            return true;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_GROUP")]
        self.metrics.group_size.observe(group.len() as f64);
        match self.commit(&mut group) {
            Ok(head) => {
                // Both before the answers, so that whoever has one never sees what was before.
                self.scribe.changes.settle();
                self.announce
                    .send_if_modified(|announced| std::mem::replace(announced, head) != head);
                if reach("store.before-answer").is_err() {
                    return false;
                }
                group.into_iter().for_each(Command::answer);
            }
            Err(GroupError::NotCommitted(error)) => {
                tracing::error!(%error, commands = group.len(), "a group of writes was rolled back");
                self.roll_back();
                self.scribe.forget();
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
    fn commit(&mut self, group: &mut [Command]) -> Result<Revision, GroupError> {
        let before = *self.announce.borrow();
        let mut head = before;
        let now = self.clock.now();
        reach("store.before-begin")?;
        execute(&self.connection, "BEGIN IMMEDIATE", [])?;
        reach("store.after-begin")?;
        for command in &mut *group {
            match command {
                Command::Write(write) => self.run_write(write, &mut head, now)?,
                Command::Batch(batch) => self.run_batch(batch, &mut head, now)?,
                Command::Note(note, _) => scribe::note(&self.connection, *note)?,
                Command::Prune(_) | Command::Stop(_) => {}
            }
        }
        if is_planted("bug.answer-before-commit") {
            group.iter_mut().for_each(Command::answer_early);
        }
        if head != before {
            reach("store.before-head")?;
            scribe::set_head(&self.connection, head)?;
        }
        if group.len() == MAX_GROUP && is_planted("bug.event-lost-at-full-group") {
            execute(&self.connection, "DELETE FROM events WHERE revision = ?", [head.get()])?;
        }
        reach("store.before-commit")?;
        let started = Instant::now();
        let committed = execute(&self.connection, "COMMIT", [])
            .map_err(StoreError::from)
            .and_then(|_| Ok(reach("store.after-commit")?));
        self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        match committed {
            Ok(()) => Ok(head),
            // Without room, not even the frame that commits was written.
            Err(StoreError::Full) => Err(StoreError::Full.into()),
            Err(error) if is_planted("bug.unknown-told-as-failed") => Err(error.into()),
            Err(error) => Err(GroupError::OutcomeUnknown(error)),
        }
    }

    fn run_write(&mut self, write: &mut Write, head: &mut Revision, now: Timestamp) -> Result<(), GroupError> {
        let Some(decide) = write.decide.take() else {
            return Ok(());
        };
        let known = match &write.once {
            Some(once) => once::find(&self.connection, once, now)?,
            None => Known::Nothing,
        };
        write.result = Some(match known {
            Known::Answer(outcome) => Ok(outcome),
            Known::OtherRequest => Err(WriteError::KeyReused),
            Known::Nothing => {
                let result = self.change(&write.target, decide, head, now)?;
                self.scribe.write_events(&self.connection, None)?;
                if let (Some(once), Ok(outcome)) = (&write.once, &result) {
                    once::keep(&self.connection, once, outcome, now)?;
                }
                result
            }
        });
        Ok(())
    }

    /// Runs the changes of a batch, in a savepoint: all that is undone when one of an atomic batch cannot be made.
    fn run_batch(&mut self, batch: &mut Batch, head: &mut Revision, now: Timestamp) -> Result<(), GroupError> {
        let before = *head;
        let writes = std::mem::take(&mut batch.writes);
        let mut outcomes = Vec::with_capacity(writes.len());
        let mut failure = None;
        execute(&self.connection, "SAVEPOINT batch", [])?;
        for (index, (target, decide)) in writes.into_iter().enumerate() {
            match self.change(&target, decide, head, now)? {
                Err(error) if batch.atomic => {
                    failure = Some((index, target, error));
                    break;
                }
                outcome => outcomes.push(outcome),
            }
        }
        batch.result = Some(match failure {
            None => {
                self.scribe.write_events(&self.connection, Some(&batch.id))?;
                BatchOutcome::Done(outcomes)
            }
            Some((index, target, error)) => {
                execute(&self.connection, "ROLLBACK TO batch", [])?;
                *head = before;
                self.scribe.take_back();
                BatchOutcome::Failed(index, self.scribe.as_it_is(&self.connection, &target, error)?)
            }
        });
        execute(&self.connection, "RELEASE batch", [])?;
        Ok(())
    }

    /// Makes one change, and counts it.
    fn change(
        &mut self,
        target: &SensorRef,
        decide: Decide,
        head: &mut Revision,
        now: Timestamp,
    ) -> Result<Result<Outcome, WriteError>, StoreError> {
        let moment = Moment {
            revision: head.next(),
            now,
        };
        let result = self.scribe.write(&self.connection, target, decide, moment)?;
        if matches!(
            result,
            Ok(Outcome::Created(_) | Outcome::Modified(_) | Outcome::Deleted(..))
        ) {
            *head = moment.revision;
        }
        Ok(result)
    }

    fn roll_back(&self) {
        // SQLite may have rolled back on its own (a full disk, an I/O error); then it says so here, and that is fine.
        if let Err(error) = execute(&self.connection, "ROLLBACK", []) {
            tracing::debug!(%error, "there was nothing to roll back");
        }
    }

    /// Removes a bounded number of events and answers that may go, and gives how many. `None` when the disk failed, after which nothing
    /// may be written.
    fn prune(&self) -> Option<usize> {
        let keep_ms = i64::from(self.retention.hours) * 3_600_000;
        let now = self.clock.now();
        let committed_before_ms = now.unix_ms().saturating_sub(keep_ms);
        let head = *self.announce.borrow();
        let min_events = i64::try_from(self.retention.min_events).unwrap_or(i64::MAX);
        let last = Revision::new(head.get().saturating_sub(min_events));
        if is_planted("bug.prune-unpublished") {
            let _ = execute(&self.connection, "DELETE FROM events WHERE revision <= ?", [last.get()]);
        }
        match self.prune_up_to(last, committed_before_ms, now) {
            Ok((events, answers, oldest)) => {
                self.metrics.events_pruned.inc_by(events.try_into().unwrap_or(u64::MAX));
                self.metrics
                    .events_kept
                    .set(oldest.map_or(0, |oldest| head.get() - oldest.get() + 1));
                Some(events.max(answers))
            }
            Err(error @ StoreError::Full) => {
                tracing::warn!(%error, "pruning the event log failed; it is tried again");
                self.roll_back();
                Some(0)
            }
            Err(error) => {
                tracing::error!(%error, "pruning the event log failed: stopping, so that the next start recovers");
                None
            }
        }
    }

    /// How many events were removed, how many answers, and the oldest event that is left.
    fn prune_up_to(
        &self,
        last: Revision,
        committed_before_ms: i64,
        now: Timestamp,
    ) -> Result<(usize, usize, Option<Revision>), StoreError> {
        reach("store.before-prune")?;
        execute(&self.connection, "BEGIN IMMEDIATE", [])?;
        let pruned = scribe::prune(&self.connection, last, committed_before_ms, MAX_PRUNED_AT_ONCE)?;
        let answers = once::forget_old(&self.connection, now, MAX_PRUNED_AT_ONCE)?;
        let oldest = scribe::oldest_event(&self.connection)?;
        reach("store.during-prune")?;
        // Before anybody can see that the log no longer has them.
        self.scribe.changes.pruned(oldest);
        execute(&self.connection, "COMMIT", [])?;
        reach("store.after-prune")?;
        Ok((pruned, answers, oldest))
    }
}

/// Has the log looked through from time to time, as long as there is a store.
pub(super) async fn keep_pruning(commands: mpsc::WeakSender<Command>) {
    let mut pause = PRUNE_INTERVAL;
    loop {
        sleep(pause).await;
        let (reply, answer) = oneshot::channel();
        let Some(commands) = commands.upgrade() else { return };
        if commands.send(Command::Prune(reply)).await.is_err() {
            return;
        }
        drop(commands);
        pause = match answer.await {
            Ok(pruned) if pruned >= MAX_PRUNED_AT_ONCE => NEXT_PRUNE_DELAY,
            Ok(_) => PRUNE_INTERVAL,
            Err(_) => return,
        };
    }
}
