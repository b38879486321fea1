use std::collections::{HashMap, HashSet, VecDeque};
use std::future::pending;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::log::EventLog;
use super::parcel::Parcel;
use super::sink::Connection;
use crate::domain::{Cursor, Epoch, Revision, SensorId};
use crate::store::{SensorState, StoredEvent};

/// Keeps the current state of every sensor retained, on one connection.
///
/// Every event is preceded by the state of its sensor, so that what changes from now on is kept. Whether the broker still
/// has what was sent before, it says itself: with the states it retains a mark, the cursor up to which it was given all.
/// A broker that lost its memory has lost the mark with it, and one that went back to an older memory has an older mark.
/// So on every connection the mark is read, and what is missing since then is sent again, between the events: the sweep.
/// The mark is written when nothing is missing, and not before: with a state that is left out, because the broker does not take it,
/// it stays where it is, so that the next connection tries again.
pub(super) struct Keeper {
    epoch: Epoch,
    /// The relay's cursor when the connection was made: what comes after it is sent on this connection, states included.
    from: Revision,
    stage: Stage,
    /// What the mark says, as far as this connection knows.
    marked: Option<Revision>,
    /// What it must not go beyond, where a state was left out.
    mark_limit: Option<Revision>,
    marked_at: Instant,
    started_at: Instant,
    /// The states that the sweep has read.
    swept: usize,
}

enum Stage {
    /// States are not kept.
    Off,
    /// The broker is asked for its mark.
    ReadingMark(BoxFuture<'static, Option<Cursor>>),
    /// It is asked for all that it retains.
    Listing(BoxFuture<'static, Vec<SensorId>>),
    /// States are read and sent.
    Sweeping(Sweep),
    /// The last of them are on their way.
    Arriving,
    /// The broker has every state up to the relay's cursor.
    Complete,
}

/// Which states the broker misses.
enum Sweep {
    /// Those of the sensors that changed after a revision, up to another.
    Changed {
        after: Revision,
        until: Revision,
        seen: HashSet<SensorId>,
    },
    /// All; and it retains these, of which some may be of sensors that are gone.
    All {
        retained: Vec<SensorId>,
        after: Option<SensorId>,
    },
}

/// What the broker said.
pub(super) enum News {
    Mark(Option<Cursor>),
    Kept(Vec<SensorId>),
}

/// Events that a sweep reads at once, and ids of which it asks for the states.
const BATCH: usize = 512;
/// States that a sweep puts between two batches of events: an event waits no longer than these take.
const PAGE: u32 = 128;
/// The mark follows the cursor, at most this often.
const MARK_INTERVAL: Duration = Duration::from_secs(1);
/// A sweep tells how far it is every so many states.
const TOLD_EVERY: usize = 10_000;

impl Keeper {
    /// A keeper that keeps nothing, and costs nothing.
    pub(super) fn off(epoch: Epoch, from: Revision) -> Self {
        Self {
            epoch,
            from,
            stage: Stage::Off,
            marked: None,
            mark_limit: None,
            marked_at: Instant::now(),
            started_at: Instant::now(),
            swept: 0,
        }
    }

    /// A keeper that begins by reading the mark.
    pub(super) fn start(connection: &impl Connection, epoch: Epoch, from: Revision) -> Self {
        Self {
            stage: Stage::ReadingMark(connection.read_mark()),
            ..Self::off(epoch, from)
        }
    }

    /// Whether events are accompanied by states.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self.stage, Stage::Off)
    }

    /// What the broker says to a question that is out. The future may be dropped.
    pub(super) async fn news(&mut self) -> News {
        match &mut self.stage {
            Stage::ReadingMark(mark) => News::Mark(mark.await),
            Stage::Listing(kept) => News::Kept(kept.await),
            Stage::Off | Stage::Sweeping(_) | Stage::Arriving | Stage::Complete => pending().await,
        }
    }

    /// Draws the conclusion from it.
    pub(super) fn take(&mut self, news: News, connection: &impl Connection, head: Revision) {
        self.stage = match news {
            News::Mark(Some(mark)) if mark.epoch == self.epoch && mark.revision <= head => {
                self.marked = Some(mark.revision);
                if mark.revision >= self.from {
                    Stage::Complete
                } else {
                    info!(since = %mark, "sending the retained states that changed since the broker's mark");
                    Stage::Sweeping(Sweep::Changed {
                        after: mark.revision,
                        until: self.from,
                        seen: HashSet::new(),
                    })
                }
            }
            News::Mark(_) => Stage::Listing(connection.kept()),
            News::Kept(retained) => {
                let found = retained.len();
                if connection.is_to_own_broker() {
                    debug!("the built-in broker begins without retained states: sending all");
                } else {
                    info!(
                        found,
                        "the broker does not have the retained states, or does not let this user read them: sending all"
                    );
                }
                Stage::Sweeping(Sweep::All { retained, after: None })
            }
        };
    }

    /// The next states of the sweep; nothing when there is none.
    pub(super) async fn sweep<L: EventLog>(
        &mut self,
        log: &L,
        connection: &impl Connection,
    ) -> Result<Vec<Parcel>, L::Error> {
        let Stage::Sweeping(sweep) = &mut self.stage else {
            return Ok(Vec::new());
        };
        let Some(Step { states, is_last }) = sweep.step(log).await? else {
            info!("the log does not reach back to the broker's mark");
            self.stage = Stage::Listing(connection.kept());
            return Ok(Vec::new());
        };
        let told = self.swept / TOLD_EVERY;
        self.swept += states.len();
        if self.swept / TOLD_EVERY > told {
            info!(states = self.swept, "sending retained states");
        }
        let mut parcels: Vec<_> = states.into_iter().map(Parcel::State).collect();
        if is_last {
            parcels.push(Parcel::SweepEnd);
            self.stage = Stage::Arriving;
        }
        Ok(parcels)
    }

    /// Every state of the sweep is answered.
    pub(super) fn swept(&mut self) {
        // 64 bits: a longer number is a text in lines of JSON.
        let elapsed_ms = u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.mark_limit.is_none() {
            info!(states = self.swept, elapsed_ms, "the retained states are complete");
        } else {
            warn!(
                states = self.swept,
                elapsed_ms, "the retained states are complete but for those that were left out"
            );
        }
        self.marked = None;
        self.stage = Stage::Complete;
    }

    /// A state will not be kept. At this cursor, that is: it is of an event after it, or else of the sweep.
    pub(super) fn left_out(&mut self, cursor: Revision) {
        let limit = match self.stage {
            Stage::Complete => cursor,
            _ => Revision::ZERO,
        };
        self.mark_limit = Some(self.mark_limit.map_or(limit, |before| before.min(limit)));
    }

    /// When to write the mark at this cursor.
    pub(super) fn due_at(&self, cursor: Revision) -> Option<Instant> {
        let is_due = matches!(self.stage, Stage::Complete) && self.next_mark(cursor).is_some();
        let interval = self.marked.map_or(Duration::ZERO, |_| MARK_INTERVAL);
        is_due.then(|| self.marked_at + interval)
    }

    /// What the mark has to say at this cursor, where it does not say so yet.
    fn next_mark(&self, cursor: Revision) -> Option<Revision> {
        let next = self.mark_limit.map_or(cursor, |limit| limit.min(cursor));
        let is_allowed = self.mark_limit != Some(Revision::ZERO);
        (is_allowed && self.marked != Some(next)).then_some(next)
    }

    /// Writes the mark. The answer is not waited for: without a mark the next connection does more than it has to.
    pub(super) fn mark(&mut self, connection: &impl Connection, cursor: Revision) {
        let Some(revision) = self.next_mark(cursor) else {
            return;
        };
        self.marked = Some(revision);
        self.marked_at = Instant::now();
        drop(connection.mark(&Cursor {
            epoch: self.epoch.clone(),
            revision,
        }));
    }
}

/// These events, the first of each sensor preceded by its state. That state is newer than the later ones or equal to
/// them, because it is read after them.
pub(super) async fn accompany<L: EventLog>(log: &L, events: Vec<StoredEvent>) -> Result<VecDeque<Parcel>, L::Error> {
    let sensors: HashSet<_> = events.iter().map(|event| event.sensor).collect();
    let states = read_states(log, sensors.into_iter().collect()).await?;
    let mut states: HashMap<_, _> = states.into_iter().map(|state| (state.sensor, state)).collect();
    let mut parcels = VecDeque::with_capacity(events.len() + states.len());
    for event in events {
        parcels.extend(states.remove(&event.sensor).map(Parcel::State));
        parcels.push_back(Parcel::Event(event));
    }
    Ok(parcels)
}

/// A part of a sweep.
struct Step {
    states: Vec<SensorState>,
    is_last: bool,
}

impl Sweep {
    /// Reads the next part; `None` when the log has been pruned and cannot tell.
    async fn step<L: EventLog>(&mut self, log: &L) -> Result<Option<Step>, L::Error> {
        match self {
            Self::Changed { after, until, seen } => {
                let events = log.events_after(*after, BATCH).await?;
                let (Some(first), Some(last)) = (events.first(), events.last()) else {
                    return Ok(None);
                };
                if first.revision != after.next() {
                    return Ok(None);
                }
                let changed = events.iter().filter(|event| event.revision <= *until);
                let changed: HashSet<_> = changed.map(|event| event.sensor).collect();
                let unseen: Vec<_> = changed.difference(seen).copied().collect();
                let states = read_states(log, unseen).await?;
                seen.extend(changed);
                *after = last.revision;
                let is_last = *after >= *until;
                Ok(Some(Step { states, is_last }))
            }
            Self::All { retained, after } if retained.is_empty() => {
                let states = log.states_after(*after, PAGE).await?;
                // Fewer than were asked for may be all that fit into a page, and not all that there are.
                let is_last = states.is_empty();
                *after = states.last().map(|state| state.sensor);
                Ok(Some(Step { states, is_last }))
            }
            Self::All { retained, .. } => {
                let rest = retained.len().saturating_sub(BATCH);
                let mut states = log.states(&retained[rest..]).await?;
                retained.truncate(rest);
                // Those that are there come with all.
                states.retain(|state| state.representation.is_none());
                let is_last = false;
                Ok(Some(Step { states, is_last }))
            }
        }
    }
}

async fn read_states<L: EventLog>(log: &L, sensors: Vec<SensorId>) -> Result<Vec<SensorState>, L::Error> {
    if sensors.is_empty() {
        return Ok(Vec::new());
    }
    log.states(&sensors).await
}
