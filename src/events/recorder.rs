//! A log in memory and a sink that does as it is told: what the relay is tested with.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::ready;
use tokio::sync::watch;

use super::log::EventLog;
use super::sink::{Acknowledgement, Answer, Connection, Refusal, Sink, Verdict};
use crate::domain::{ChangeKind, Epoch, Revision, SensorId, Timestamp};
use crate::store::StoredEvent;
use crate::wire::presence::{Presence, PresenceStatus};

/// A log of which every event is the creation of the same sensor.
#[derive(Clone)]
pub(super) struct MemoryLog {
    epoch: Epoch,
    head: watch::Sender<Revision>,
    cursor: watch::Sender<Revision>,
}

impl MemoryLog {
    pub(super) fn with_events(count: i64) -> Self {
        Self {
            epoch: Epoch::from_random(0),
            head: watch::Sender::new(Revision::new(count)),
            cursor: watch::Sender::new(Revision::ZERO),
        }
    }

    pub(super) fn append(&self, count: i64) {
        self.head.send_modify(|head| *head = Revision::new(head.get() + count));
    }

    /// What would be there after a crash.
    pub(super) fn saved_cursor(&self) -> i64 {
        self.cursor.borrow().get()
    }
}

impl EventLog for MemoryLog {
    type Error = Infallible;

    fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    async fn events_after(&self, after: Revision, limit: usize) -> Result<Vec<StoredEvent>, Infallible> {
        let head = self.head.borrow().get();
        let revisions = (after.get() + 1..=head).take(limit).map(Revision::new);
        let event = |revision: Revision| StoredEvent {
            revision,
            sensor: SensorId::new(uuid::Uuid::nil()),
            kind: ChangeKind::Created,
            committed_at: Timestamp::from_unix_ms(revision.get()).unwrap(),
            payload: format!("{revision}").into(),
        };
        Ok(revisions.map(event).collect())
    }

    async fn relay_cursor(&self) -> Result<Revision, Infallible> {
        Ok(*self.cursor.borrow())
    }

    async fn advance_relay(&self, to: Revision) -> Result<(), Infallible> {
        self.cursor.send_replace(to);
        Ok(())
    }
}

/// What the broker does with one event, once.
#[derive(Clone, Copy)]
pub(super) enum Deed {
    /// Refuses it with this verdict.
    Refuse(Verdict),
    /// Hangs up instead of an answer.
    HangUp,
    /// Does not answer.
    Ignore,
}

/// A sink that accepts everything but what its script says.
#[derive(Clone, Default)]
pub(super) struct Recorder {
    pub(super) window: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// For each event in question what happens the next times it comes.
    script: Vec<(i64, VecDeque<Deed>)>,
    /// For each connection the revisions that came, whatever became of them.
    connections: Vec<Vec<i64>>,
    presences: Vec<(PresenceStatus, i64)>,
    refused_connects: u32,
}

impl Recorder {
    pub(super) fn with_window(window: usize) -> Self {
        Self {
            window,
            ..Self::default()
        }
    }

    /// Event `revision` meets these deeds, one each time that it comes, and is accepted after that.
    pub(super) fn script(self, revision: i64, deeds: &[Deed]) -> Self {
        let deeds = deeds.iter().copied().collect();
        self.state.lock().unwrap().script.push((revision, deeds));
        self
    }

    pub(super) fn refuse_connects(self, count: u32) -> Self {
        self.state.lock().unwrap().refused_connects = count;
        self
    }

    pub(super) fn connections(&self) -> Vec<Vec<i64>> {
        self.state.lock().unwrap().connections.clone()
    }

    pub(super) fn presences(&self) -> Vec<(PresenceStatus, i64)> {
        self.state.lock().unwrap().presences.clone()
    }
}

impl Sink for Recorder {
    type Connection = Line;

    async fn connect(&mut self, _: Presence) -> Result<Line, String> {
        let mut state = self.state.lock().unwrap();
        if let Some(left) = state.refused_connects.checked_sub(1) {
            state.refused_connects = left;
            return Err("nobody there".to_owned());
        }
        state.connections.push(Vec::new());
        Ok(Line {
            window: self.window,
            state: Arc::clone(&self.state),
            lost: watch::Sender::new(false),
        })
    }
}

/// A connection to the recorder.
pub(super) struct Line {
    window: usize,
    state: Arc<Mutex<State>>,
    lost: watch::Sender<bool>,
}

impl Connection for Line {
    fn window(&self) -> usize {
        self.window
    }

    fn publish(&self, event: &StoredEvent) -> Acknowledgement {
        let revision = event.revision.get();
        let mut state = self.state.lock().unwrap();
        state.connections.last_mut().unwrap().push(revision);
        let deeds = state.script.iter_mut().find(|(of, _)| *of == revision);
        match deeds.and_then(|(_, deeds)| deeds.pop_front()) {
            None if *self.lost.borrow() => pending().boxed(),
            None => ready(Answer::Accepted).boxed(),
            Some(Deed::Refuse(verdict)) => {
                let reason = "as scripted".to_owned();
                ready(Answer::Refused(Refusal { verdict, reason })).boxed()
            }
            Some(Deed::HangUp) => {
                self.lost.send_replace(true);
                pending().boxed()
            }
            Some(Deed::Ignore) => pending().boxed(),
        }
    }

    fn announce(&self, presence: &Presence) -> Acknowledgement {
        let mut state = self.state.lock().unwrap();
        state.presences.push((presence.status, presence.revision.get()));
        ready(Answer::Accepted).boxed()
    }

    async fn lost(&self) -> String {
        // Later than the answers that are there, as with a real socket.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let _ = self.lost.subscribe().wait_for(|is_lost| *is_lost).await;
        "hung up".to_owned()
    }

    async fn close(self) {}
}
