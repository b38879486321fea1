//! Everything that knows SQL. A write is one transaction that changes the sensor and appends its event; appending is
//! private to this module, so that nobody can change a sensor and forget the event.
//!
//! One thread, the writer, owns the only connection that writes (`writer`); another one looks for single sensors
//! (`lookup`); other reads have connections of their own (`reads`), and sensors that are read often and the newest events
//! cost none (`cache`, `tail`). What is committed shows in [`Store::head`].

mod backup;
mod cache;
mod chain;
mod command;
mod error;
mod file;
mod history;
mod list;
mod log;
mod lookup;
mod metrics;
mod once;
mod open;
mod overload;
mod packed;
#[cfg(test)]
mod plan_tests;
mod post;
mod reads;
mod row;
mod scribe;
mod select;
mod snapshot;
mod tail;
mod trouble;
mod whole;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use sqlx::SqlitePool;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use backup::{BackupError, Former, Restored, backup, restore};
pub use command::{BatchOutcome, Decide, Outcome, Tell};
pub use error::{StoreError, WriteError};
pub use history::{History, Past};
pub use list::Page;
pub use log::{Piece, Room, Selection};
pub use metrics::StoreMetrics;
pub use once::Once;
pub use open::{OpenError, Schema, migrate};
pub use reads::AtHand;

use crate::clock::Clock;
use crate::domain::{ChangeKind, Epoch, Revision, SensorId, SensorName, SensorRef, Timestamp, Version};
use crate::failpoint::reach;
use crate::wire::link::LinkBase;
use cache::SensorCache;
use command::{Batch, Command, Note, Write};
use file::Lock;
use lookup::Question;
use overload::{Overload, Place};
use post::{PostBox, post_box};
use tail::Tail;
use trouble::Trouble;

/// What the store is opened with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The SQLite file; created with its folder when missing.
    pub path: PathBuf,
    /// What the links of representations start with.
    pub links: LinkBase,
    /// Where instants come from.
    pub clock: Clock,
    /// Which events may be pruned.
    pub retention: Retention,
    /// The most writes that wait for their answer; one more is refused with [`WriteError::Overloaded`].
    pub write_queue_max: usize,
}

/// How long events are kept: at least this long, *and* at least this many of them, *and* until the relay has published them.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// The age below which no event is removed, in hours.
    pub hours: u32,
    /// The number of newest events that are never removed.
    pub min_events: u64,
}

/// A handle to the store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
    post_box: Option<PostBox>,
}

#[derive(Debug)]
struct Inner {
    commands: mpsc::UnboundedSender<Command>,
    overload: Overload,
    reads: SqlitePool,
    lookup: mpsc::UnboundedSender<Question>,
    cache: SensorCache,
    tail: Tail,
    epoch: Epoch,
    head: watch::Receiver<Revision>,
    links: LinkBase,
    metrics: StoreMetrics,
    trouble: Trouble,
    /// Held by the probe that is on its way.
    probing: Mutex<()>,
    failed: CancellationToken,
    // Held while the store is open: a second process on the same file is refused.
    _lock: Arc<Lock>,
}

/// A sensor as it is at one revision, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its identity.
    pub id: SensorId,
    /// Its name at that revision.
    pub name: SensorName,
    /// The revision.
    pub revision: Revision,
    /// When it became what it is.
    pub updated_at: Timestamp,
    /// Its JSON, links included.
    pub representation: Bytes,
}

impl Record {
    /// What tells this state from others.
    #[must_use]
    pub const fn version(&self) -> Version {
        Version {
            revision: self.revision,
            updated_at: self.updated_at,
        }
    }
}

/// The present state of a sensor, which may not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorState {
    /// The sensor.
    pub sensor: SensorId,
    /// Its JSON, links included; `None` when there is no such sensor.
    pub representation: Option<Bytes>,
}

/// A change as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The revision that the change made; the number of the event.
    pub revision: Revision,
    /// The sensor that changed.
    pub sensor: SensorId,
    /// Its name after the change; of a deleted sensor its last name. Empty in events from before this column, where neither they nor the
    /// sensor told a name to the migration.
    pub name: Box<str>,
    /// Its name before the change, if the change renamed it.
    pub former_name: Option<Box<str>>,
    /// What happened to it.
    pub kind: ChangeKind,
    /// When the change was committed.
    pub committed_at: Timestamp,
    /// The message, byte for byte.
    pub payload: Bytes,
}

impl Store {
    /// The same store for a thread with a runtime of its own, and the task that has to run there: the answers of each commit come to the
    /// thread together, and wake those who wait from there.
    pub fn for_thread(&self) -> (Self, impl Future<Output = ()> + 'static) {
        let (post_box, delivery) = post_box();
        let store = Self {
            post_box: Some(post_box),
            ..self.clone()
        };
        (store, delivery)
    }

    /// Changes one sensor.
    ///
    /// `decide` sees the sensor as it is (`None` when there is none) inside the transaction that will hold the change, and
    /// says what to do. With `once`, a request that was carried out before is not carried out again, and gets the answer of then. The
    /// answer comes after COMMIT. Dropping the future does not take the write back.
    ///
    /// # Errors
    /// [`WriteError::Refused`], [`WriteError::NameTaken`] and [`WriteError::KeyReused`] when nothing was changed because of the
    /// request itself; the others when the store could not do it, [`WriteError::OutcomeUnknown`] when it cannot say whether it did.
    pub async fn write_once(
        &self,
        target: SensorRef,
        decide: Decide,
        once: Option<Once>,
    ) -> Result<Outcome, WriteError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Write(Write {
            target,
            decide: Some(decide),
            once,
            result: None,
            reply,
            post_box: self.post_box.clone(),
            place: self.place().await?,
        }))?;
        answer.await.unwrap_or(Err(WriteError::OutcomeUnknown))
    }

    /// Makes several changes in order, with no other change between them; if `atomic`, all or none. Their events share `id`. With
    /// `once`, a request that was carried out before is not carried out again, and gets the answer of then.
    ///
    /// # Errors
    /// When the store could not do it. The refusal of a single change is in the outcome instead.
    pub async fn write_batch(
        &self,
        id: String,
        writes: Vec<(SensorRef, Decide)>,
        atomic: bool,
        once: Option<(Once, Tell)>,
    ) -> Result<BatchOutcome, WriteError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Batch(Batch {
            id,
            atomic,
            writes,
            once,
            result: None,
            reply,
            place: self.place().await?,
        }))?;
        match answer.await {
            Ok(result) => result.map_err(WriteError::RolledBack),
            Err(_) => Err(WriteError::OutcomeUnknown),
        }
    }

    async fn place(&self) -> Result<Place, WriteError> {
        self.inner.overload.enter().await.ok_or(WriteError::Overloaded)
    }

    fn send(&self, command: Command) -> Result<(), StoreError> {
        self.inner.commands.send(command).map_err(|_| StoreError::Stopped)
    }

    /// Records that the broker has acknowledged every event up to and including `revision`.
    ///
    /// # Errors
    /// When the writer has stopped or cannot write.
    pub async fn advance_relay(&self, revision: Revision) -> Result<(), StoreError> {
        reach("store.before-note")?;
        self.ask(|reply| Command::Note(Note::Relayed(revision), reply)).await?
    }

    /// Whether the store can be written: a command makes its way through the writer and a transaction.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn probe(&self) -> Result<(), StoreError> {
        // One after the other: those who ask more often than there are answers fill no queue.
        let _turn = self.inner.probing.lock().await;
        self.ask(|reply| Command::Note(Note::Probe, reply)).await??;
        // A probe may find room where no write does.
        self.inner.trouble.recent().map_or(Ok(()), Err)
    }

    /// Finishes what is queued, writes the log of SQLite back into the file, and closes it. Writes that come later get
    /// [`StoreError::Stopped`].
    pub async fn close(&self) {
        // The writer last: only the last connection that closes writes the log back into the file.
        self.inner.reads.close().await;
        // An error means that a thread is gone already, which is what was asked for.
        let (reply, stopped) = oneshot::channel();
        let _ = self.inner.lookup.send(Question::Stop(reply));
        let _ = stopped.await;
        let _ = self.ask(Command::Stop).await;
    }

    /// Resolves when the writer has given up, because the outcome of a COMMIT is unknown, or a thread has panicked; the process has to
    /// end, so that the next start finds out.
    pub async fn failed(&self) {
        self.inner.failed.cancelled().await;
    }

    /// The epoch: the life of the store that its revisions belong to. A restore begins a new one.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.inner.epoch
    }

    /// The newest committed revision; it changes after every COMMIT that made one.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Revision> {
        self.inner.head.clone()
    }

    /// What the links of representations start with.
    #[must_use]
    pub fn links(&self) -> &LinkBase {
        &self.inner.links
    }

    /// The numbers that the store keeps about itself.
    #[must_use]
    pub fn metrics(&self) -> &StoreMetrics {
        &self.inner.metrics
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply))?;
        answer.await.map_err(|_| StoreError::Stopped)
    }
}
