use thiserror::Error;
use tokio::sync::watch;

use crate::domain::{Cursor, Epoch, Revision};
use crate::store::{Piece, Room, Selection, Store, StoreError, StoredEvent};

/// The log for everybody who reads it by cursor: pages, long polls and streams.
///
/// A reader reads from its cursor to the head and then waits for the head to move. Nothing reaches it that is not in the
/// log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed {
    store: Store,
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event that is kept.
    Oldest,
    /// With the next event that happens.
    Now,
    /// With the event after this one.
    After(Cursor),
}

/// Why there is nothing to read.
#[derive(Debug, Error)]
pub enum FeedError {
    /// The events after the cursor are no longer kept, or it belongs to another life of the store.
    #[error("the events after the cursor are no longer kept")]
    Gone {
        /// The oldest event that is kept; the next one to come when the log is empty.
        oldest: Revision,
    },
    /// The cursor is after the newest event.
    #[error("the cursor is newer than the newest event, {head}")]
    Future {
        /// That event.
        head: Revision,
    },
    /// The store is closed or fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A position in the log that moves forward as it is read.
#[derive(Debug)]
pub struct Reader {
    feed: Feed,
    selection: Selection,
    position: Revision,
    /// Whether the first event is wherever the log begins, which pruning moves.
    floats: bool,
    head: watch::Receiver<Revision>,
}

/// Reads of the log for one page, so that a filter that nothing passes does not keep a request busy.
const MAX_READS: usize = 10;

impl Feed {
    /// The log of `store`.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// A reader of the events of `selection`.
    ///
    /// # Errors
    /// When `start` is a cursor that cannot be gone on from.
    pub async fn read_from(&self, start: Start, selection: Selection) -> Result<Reader, FeedError> {
        let head = self.store.head();
        let newest = *head.borrow();
        let floats = start == Start::Oldest;
        let position = match start {
            Start::Oldest => self.store.pruned_to().await?,
            Start::Now => newest,
            Start::After(cursor) => self.check(&cursor, newest).await?,
        };
        Ok(Reader {
            feed: self.clone(),
            selection,
            position,
            floats,
            head,
        })
    }

    /// Where a cursor is in the log, of which `newest` is the last event.
    async fn check(&self, cursor: &Cursor, newest: Revision) -> Result<Revision, FeedError> {
        let pruned_to = self.store.pruned_to().await?;
        if cursor.epoch != *self.store.epoch() || cursor.revision < pruned_to {
            return Err(gone(pruned_to));
        }
        if cursor.revision > newest {
            return Err(FeedError::Future { head: newest });
        }
        Ok(cursor.revision)
    }

    /// Whether all that came after a cursor is still there.
    ///
    /// # Errors
    /// When it is not, or the cursor is none of this log.
    pub async fn keeps_after(&self, cursor: &Cursor) -> Result<(), FeedError> {
        let newest = *self.store.head().borrow();
        self.check(cursor, newest).await.map(drop)
    }

    async fn read(&self, selection: &Selection, after: Revision, room: Room) -> Result<Piece, FeedError> {
        if let Some(piece) = self.store.newest_of_log(selection, after, room) {
            return Ok(piece);
        }
        let piece = self.store.read_log(selection, after, room).await?;
        // Looked at after the read: what is there now was there then.
        let pruned_to = self.store.pruned_to().await?;
        if pruned_to > after {
            return Err(gone(pruned_to));
        }
        Ok(piece)
    }
}

impl Reader {
    /// What comes next, as much as there is room for. Empty when there is nothing new; and sometimes before that, when many
    /// events were passed over: the position tells.
    ///
    /// # Errors
    /// When the log was pruned beyond the position, or cannot be read.
    pub async fn page(&mut self, mut room: Room) -> Result<Vec<StoredEvent>, FeedError> {
        let mut events = Vec::new();
        for _ in 0..MAX_READS {
            let piece = self.read_on(room).await?;
            events.extend(piece.events);
            room = piece.left;
            if room.is_full() || self.is_at_head() {
                break;
            }
        }
        Ok(events)
    }

    /// What comes next, one event at least and as much as there is room for, as soon as there is one. The future may be dropped.
    ///
    /// # Errors
    /// When the log was pruned beyond the position, or cannot be read.
    pub async fn next(&mut self, room: Room) -> Result<Vec<StoredEvent>, FeedError> {
        loop {
            let events = self.read_on(room).await?.events;
            if !events.is_empty() {
                return Ok(events);
            }
            if self.is_at_head() && self.head.changed().await.is_err() {
                return Err(StoreError::Stopped.into());
            }
        }
    }

    /// Everything up to here was given out or passed over.
    #[must_use]
    pub fn position(&self) -> Revision {
        self.position
    }

    /// The newest event.
    #[must_use]
    pub fn head(&self) -> Revision {
        *self.head.borrow()
    }

    /// The life of the store.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        self.feed.store.epoch()
    }

    fn is_at_head(&self) -> bool {
        self.position >= self.head()
    }

    /// One read, which moves the position over all that was looked at.
    async fn read_on(&mut self, room: Room) -> Result<Piece, FeedError> {
        // The head is marked as seen before the read: what is committed after this wakes `next`.
        let head = *self.head.borrow_and_update();
        if self.position >= head {
            return Ok(Piece::empty(self.position, room));
        }
        let mut read = self.feed.read(&self.selection, self.position, room).await;
        if let (true, Err(FeedError::Gone { oldest })) = (self.floats, &read) {
            self.position = Revision::new(oldest.get() - 1);
            read = self.feed.read(&self.selection, self.position, room).await;
        }
        let piece = read?;
        self.floats = false;
        self.position = piece.reached;
        Ok(piece)
    }
}

fn gone(pruned_to: Revision) -> FeedError {
    FeedError::Gone {
        oldest: pruned_to.next(),
    }
}
