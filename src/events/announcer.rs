use std::future::pending;
use std::time::Duration;

use tokio::time::Instant;

use super::sink::{Acknowledgement, Answer, Connection};
use crate::domain::{Epoch, Revision};
use crate::wire::presence::{Presence, PresenceStatus};

/// Keeps the retained presence fresh on one connection.
pub(super) struct Announcer {
    epoch: Epoch,
    /// What the broker was told last.
    announced: Revision,
    announced_at: Instant,
    answer: Option<Acknowledgement>,
}

/// After a change the head is announced again, at most this often. The contract allows 5 s.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Without a change too, so that neither a foreign hand on the retained message lasts, nor the ignorance of a subscriber whose
/// queue was full when the last head came.
const MAX_INTERVAL: Duration = Duration::from_secs(5);

impl Announcer {
    /// Announces the presence for the first time.
    pub(super) fn start(connection: &impl Connection, epoch: Epoch, head: Revision) -> Self {
        let mut announcer = Self {
            epoch,
            announced: head,
            announced_at: Instant::now(),
            answer: None,
        };
        announcer.announce(connection, PresenceStatus::Online, head);
        announcer
    }

    /// Tells the broker. An earlier answer that is still out is no longer waited for.
    pub(super) fn announce(&mut self, connection: &impl Connection, status: PresenceStatus, revision: Revision) {
        self.announced = revision;
        self.announced_at = Instant::now();
        self.answer = Some(connection.announce(&Presence {
            status,
            epoch: self.epoch.clone(),
            revision,
        }));
    }

    /// When to announce this head; not while an answer is out.
    pub(super) fn due_at(&self, head: Revision) -> Option<Instant> {
        let interval = if head == self.announced {
            MAX_INTERVAL
        } else {
            MIN_INTERVAL
        };
        self.answer.is_none().then(|| self.announced_at + interval)
    }

    /// The answer that is out. The future may be dropped.
    pub(super) async fn answered(&mut self) -> Answer {
        let Some(answer) = &mut self.answer else {
            return pending().await;
        };
        let answer = answer.await;
        self.answer = None;
        answer
    }

    /// Since when an answer is out.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.answer.as_ref().map(|_| self.announced_at)
    }
}
