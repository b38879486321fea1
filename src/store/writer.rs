//! The one thread that writes: it takes all commands that wait, runs them in one transaction, and answers after COMMIT.
//!
//! So the cost of a sync of the disk is shared by everybody who waits for it, and nobody waits for more than is there:
//! a lone command is committed at once. A thread of its own, because a statement takes less time than handing it to one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::command::{Batch, BatchOutcome, Command, Decide, Outcome, Write};
use super::file::{Lock, OpenedFile};
use super::once::{self, Known};
use super::overload::{MAX_GROUP, Overload};
use super::post::Post;
use super::row::execute;
use super::scribe::{self, Scribe};
use super::trouble::Trouble;
use super::{Retention, StoreError, StoreMetrics, WriteError};
use crate::clock::Clock;
use crate::domain::{Moment, Revision, SensorRef, Timestamp};
use crate::failpoint::{is_planted, pass, reach};

/// How long the statements of a group may always take.
const MIN_GROUP_LIMIT: Duration = Duration::from_millis(5);
/// How often the log is looked through for events that may go.
const PRUNE_INTERVAL: Duration = Duration::from_secs(1);
/// How soon the next step follows one that removed as many as it may: fast enough to keep up with the writes, with time left for them.
const NEXT_PRUNE_DELAY: Duration = Duration::from_millis(50);
/// The most events that one step of pruning removes, so that no write waits long behind it.
const MAX_PRUNED_AT_ONCE: usize = 2_000;
/// The pages in the write-ahead log from which on they are written back into the file: SQLite's own number.
const CHECKPOINT_PAGES: i64 = 1_000;

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
    /// The database and its write-ahead log.
    pub files: [OpenedFile; 2],
    pub queue: mpsc::UnboundedReceiver<Command>,
    /// What was taken from the queue and has to wait for the end of a group.
    pub held: Option<Command>,
    pub overload: Overload,
    pub last_commit: Duration,
    pub checkpoint_fails: bool,
    pub announce: watch::Sender<Revision>,
    pub scribe: Scribe,
    pub clock: Clock,
    pub retention: Retention,
    pub metrics: StoreMetrics,
    pub trouble: Trouble,
    pub failed: CancellationToken,
    /// The last field, because it has to be dropped after the connection.
    pub lock: Arc<Lock>,
}

impl Writer {
    /// Works until it is told to stop, nobody is left to send commands, or the outcome of a COMMIT is unknown.
    pub(super) fn run(mut self) {
        // A panic ends the process, too: without a writer nothing works.
        let failed = self.failed.clone().drop_guard();
        let stop = loop {
            let goes_on = match self.next() {
                None => break None,
                Some(Command::Stop(reply)) => break Some(reply),
                // Nobody waiting is fine.
                Some(Command::Prune(reply)) => self.prune().map(|pruned| reply.send(pruned)).is_some(),
                Some(command) => self.run_group(command),
            };
            if !goes_on {
                return;
            }
            self.checkpoint();
        };
        self.queue.close();
        while let Ok(late) = self.queue.try_recv() {
            late.fail(&StoreError::Stopped);
        }
        failed.disarm();
        pass("store.before-close");
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "closing the database failed; the next start recovers it");
        }
        pass("store.after-close");
        // Before anybody is told that the store is closed, because they may open it again at once.
        drop(self.lock);
        if let Some(stop) = stop {
            // Nobody waiting is fine.
            let _ = stop.send(());
        }
    }

    /// The next command, which is waited for; `None` when nobody is left to send one.
    fn next(&mut self) -> Option<Command> {
        if let Some(held) = self.held.take() {
            return Some(held);
        }
        if let Ok(command) = self.queue.try_recv() {
            return Some(command);
        }
        self.overload.idle();
        let command = self.queue.blocking_recv();
        self.overload.busy();
        command
    }

    /// Runs a group that begins with this command, and answers it. `false` when the outcome is unknown, after which nothing may
    /// be written.
    fn run_group(&mut self, first: Command) -> bool {
        let mut group = vec![first];
        let committed = self.commit(&mut group);
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_GROUP")]
        self.metrics.group_size.observe(group.len() as f64);
        match committed {
            Ok(head) => {
                self.trouble.committed(head > *self.announce.borrow());
                // Before the answers, so that whoever has one never sees what was before.
                self.scribe.changes.settle(|| {
                    self.announce
                        .send_if_modified(|announced| std::mem::replace(announced, head) != head);
                });
                if reach("store.before-answer").is_err() {
                    return false;
                }
                let mut post = Post::default();
                for command in group {
                    command.answer(&mut post);
                }
                post.send();
            }
            Err(GroupError::NotCommitted(error)) => {
                self.trouble.begin(&error);
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

    /// Runs the group, and with it what waits, in one transaction and commits it.
    fn commit(&mut self, group: &mut Vec<Command>) -> Result<Revision, GroupError> {
        let before = *self.announce.borrow();
        let mut head = before;
        let started = Instant::now();
        let now = self.clock.now();
        reach("store.before-begin")?;
        self.check_files()?;
        execute(&self.connection, "BEGIN IMMEDIATE", [])?;
        reach("store.after-begin")?;
        self.overload.group_begins();
        let mut waiting = self.queue.len();
        let mut is_full = false;
        while let Some(command) = group.last_mut() {
            match command {
                Command::Write(write) => self.run_write(write, &mut head, now)?,
                Command::Batch(batch) => self.run_batch(batch, &mut head, now)?,
                Command::Note(note, _) => scribe::note(&self.connection, *note)?,
                Command::Prune(_) | Command::Stop(_) => {}
            }
            is_full = waiting > 0 && (group.len() == MAX_GROUP || started.elapsed() > self.group_limit());
            let next = if is_full { None } else { self.join(&mut waiting) };
            match next {
                Some(command) => group.push(command),
                None => break,
            }
        }
        if is_planted("bug.answer-before-commit") {
            group.iter_mut().for_each(Command::answer_early);
        }
        if head != before {
            reach("store.before-head")?;
            scribe::set_head(&self.connection, head)?;
        }
        if is_full && is_planted("bug.event-lost-at-full-group") {
            execute(&self.connection, "DELETE FROM events WHERE revision = ?", [head.get()])?;
        }
        reach("store.before-commit")?;
        let commit_started = Instant::now();
        let committed = execute(&self.connection, "COMMIT", [])
            .map_err(StoreError::from)
            .and_then(|_| Ok(reach("store.after-commit")?));
        self.last_commit = commit_started.elapsed();
        self.metrics.commit_seconds.observe(self.last_commit.as_secs_f64());
        judge_commit(committed).map(|()| head)
    }

    /// Whether what is written now will be found by the next start.
    fn check_files(&self) -> Result<(), StoreError> {
        self.files.iter().try_for_each(OpenedFile::check)?;
        self.trouble.in_place();
        Ok(())
    }

    /// The next command for a group, of those that waited when it began and are left to take.
    fn join(&mut self, waiting: &mut usize) -> Option<Command> {
        *waiting = waiting.checked_sub(1)?;
        match self.queue.try_recv().ok()? {
            // In its turn, and not in a group.
            command @ (Command::Prune(_) | Command::Stop(_)) => {
                self.held = Some(command);
                None
            }
            command => Some(command),
        }
    }

    /// How long the statements of a group may take: half as long as a COMMIT at least, so that a third of the time is work.
    fn group_limit(&self) -> Duration {
        (self.last_commit / 2).max(MIN_GROUP_LIMIT)
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

    fn run_batch(&mut self, batch: &mut Batch, head: &mut Revision, now: Timestamp) -> Result<(), GroupError> {
        let once = batch.once.take();
        let known = match &once {
            Some((once, _)) => once::find_batch(&self.connection, once, now)?,
            None => Known::Nothing,
        };
        batch.result = Some(match known {
            Known::Answer(outcomes) => BatchOutcome::Kept(outcomes),
            Known::OtherRequest => BatchOutcome::KeyReused,
            Known::Nothing => match (self.change_all(batch, head, now)?, once) {
                (BatchOutcome::Done(outcomes), Some((once, tell))) => {
                    let outcomes = tell(outcomes);
                    once::keep_batch(&self.connection, &once, &outcomes, now)?;
                    BatchOutcome::Kept(outcomes)
                }
                (outcome, _) => outcome,
            },
        });
        Ok(())
    }

    /// Makes the changes of a batch, in a savepoint: all that is undone when one of an atomic batch cannot be made.
    fn change_all(
        &mut self,
        batch: &mut Batch,
        head: &mut Revision,
        now: Timestamp,
    ) -> Result<BatchOutcome, GroupError> {
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
        let outcome = match failure {
            None => {
                self.scribe.write_events(&self.connection, Some(&batch.id))?;
                BatchOutcome::Done(outcomes)
            }
            Some((index, target, error)) => {
                execute(&self.connection, "ROLLBACK TO batch", [])?;
                let undone_any = std::mem::replace(head, before) != before;
                self.scribe.take_back();
                let error = scribe::as_it_is(&self.connection, &target, undone_any, before, error)?;
                BatchOutcome::Failed(index, error)
            }
        };
        execute(&self.connection, "RELEASE batch", [])?;
        Ok(outcome)
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

    /// Writes the write-ahead log back into the file when it is long. SQLite would do so in the COMMIT that made it long, so that
    /// what everybody can read is announced and answered only after that.
    fn checkpoint(&mut self) {
        let pages = |sql| {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_row([], |row| row.get::<_, i64>("log"))
        };
        let done = pages("PRAGMA wal_checkpoint(NOOP)").and_then(|length| match length {
            CHECKPOINT_PAGES.. => pages("PRAGMA wal_checkpoint(PASSIVE)").map(drop),
            _ => Ok(()),
        });
        let has_failed = done.is_err();
        if let Err(error) = done
            && !self.checkpoint_fails
        {
            tracing::warn!(%error, "the write-ahead log cannot be written back and grows; it is tried again after each commit");
        }
        self.checkpoint_fails = has_failed;
    }

    fn roll_back(&self) {
        // SQLite may have rolled back on its own (a full disk, an I/O error); then it says so here, and that is fine.
        if let Err(error) = execute(&self.connection, "ROLLBACK", []) {
            tracing::debug!(%error, "there was nothing to roll back");
        }
    }

    /// Removes a bounded number of events and answers that may go, and gives how many. `None` when COMMIT failed, after which nothing
    /// may be written.
    fn prune(&self) -> Option<usize> {
        // Both once a second, so that they are logged even when nobody writes.
        self.overload.tell_end();
        if let Err(error) = self.check_files() {
            self.trouble.begin(&error);
            return Some(0);
        }
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
                self.trouble.committed(false);
                self.trouble.pruned();
                self.metrics.events_pruned.inc_by(events.try_into().unwrap_or(u64::MAX));
                self.metrics
                    .events_kept
                    .set(oldest.map_or(0, |oldest| head.get() - oldest.get() + 1));
                Some(events.max(answers))
            }
            Err(GroupError::NotCommitted(error)) => {
                self.trouble.pruning_failed(&error);
                self.roll_back();
                Some(0)
            }
            Err(GroupError::OutcomeUnknown(error)) => {
                tracing::error!(%error, "pruning the event log failed at COMMIT: stopping, so that the next start recovers");
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
    ) -> Result<(usize, usize, Option<Revision>), GroupError> {
        reach("store.before-prune")?;
        execute(&self.connection, "BEGIN IMMEDIATE", [])?;
        let pruned = scribe::prune(&self.connection, last, committed_before_ms, MAX_PRUNED_AT_ONCE)?;
        let answers = once::forget_old(&self.connection, now, MAX_PRUNED_AT_ONCE)?;
        let oldest = scribe::oldest_event(&self.connection)?;
        reach("store.during-prune")?;
        // Before anybody can see that the log no longer has them.
        self.scribe.changes.pruned(oldest);
        let committed = execute(&self.connection, "COMMIT", []);
        judge_commit(
            committed
                .map_err(StoreError::from)
                .and_then(|_| Ok(reach("store.after-prune")?)),
        )?;
        Ok((pruned, answers, oldest))
    }
}

/// What is known after a COMMIT.
fn judge_commit(committed: Result<(), StoreError>) -> Result<(), GroupError> {
    match committed {
        Ok(()) => Ok(()),
        // Without room, not even the frame that commits was written.
        Err(StoreError::Full) => Err(StoreError::Full.into()),
        Err(error) if is_planted("bug.unknown-told-as-failed") => Err(error.into()),
        Err(error) => Err(GroupError::OutcomeUnknown(error)),
    }
}

/// Has the log looked through from time to time, as long as there is a store.
pub(super) async fn keep_pruning(commands: mpsc::WeakUnboundedSender<Command>) {
    let mut pause = PRUNE_INTERVAL;
    loop {
        sleep(pause).await;
        let (reply, answer) = oneshot::channel();
        let Some(commands) = commands.upgrade() else { return };
        if commands.send(Command::Prune(reply)).is_err() {
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
