use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::warn;

use super::announcer::Announcer;
use super::log::EventLog;
use super::progress::{Progress, Sent};
use super::relay::Stop;
use super::sink::{Acknowledgement, Answer, Connection, Refusal, Verdict};
use crate::domain::Revision;
use crate::store::StoredEvent;
use crate::wire::presence::PresenceStatus;

/// One connection's life: it starts at the first unacknowledged event and ends at the first failure.
pub(super) struct Session<'a, L, C> {
    log: &'a L,
    connection: C,
    progress: &'a mut Progress,
    head: watch::Receiver<Revision>,
    announcer: Announcer,
    /// Read from the log and not sent, oldest first.
    unsent: VecDeque<StoredEvent>,
    /// Sent and not acknowledged, oldest first, with their answers to come in the same order.
    unacknowledged: VecDeque<Sent>,
    answers: FuturesOrdered<Acknowledgement>,
    /// Since when the oldest of them is waited for.
    waiting_since: Instant,
    /// Whether the log may hold events after the last one that was read.
    may_have_more: bool,
}

/// Why a connection's life ended.
pub(super) enum Ending {
    /// The relay was told to stop, and said farewell to the subscribers.
    Stopped,
    /// The connection was lost, which the first unacknowledged event may have caused.
    Lost(String),
    /// The broker is there and does not do its work now.
    NotNow(String),
}

/// Events that are read from the log at once.
const BATCH: usize = 512;
/// How long the broker may take to answer the oldest message.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How often to look into the log when nothing wakes the relay: a fallback for a wake-up that got lost.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long the broker may take to answer the last message.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

impl<'a, L: EventLog, C: Connection> Session<'a, L, C> {
    pub(super) fn new(log: &'a L, connection: C, progress: &'a mut Progress) -> Self {
        let head = log.head();
        let announcer = Announcer::start(&connection, log.epoch().clone(), *head.borrow());
        Self {
            log,
            connection,
            progress,
            head,
            announcer,
            unsent: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            answers: FuturesOrdered::new(),
            waiting_since: Instant::now(),
            may_have_more: true,
        }
    }

    /// Publishes until the connection fails or the relay is told to stop.
    pub(super) async fn run(mut self, stop: &Stop) -> Ending {
        let ending = match self.greet().await {
            Ok(()) => self.publish(stop).await,
            Err(ending) => ending,
        };
        match &ending {
            Ending::Stopped => self.say_farewell().await,
            Ending::Lost(reason) => self.blame_oldest(reason),
            Ending::NotNow(_) => {}
        }
        ending
    }

    /// Waits for the answer to the first presence. A broker that has answered once on this connection was alive before
    /// the first event: without this, a broker that dies at every start would make an innocent event look like poison.
    async fn greet(&mut self) -> Result<(), Ending> {
        tokio::select! {
            biased;
            reason = self.connection.lost() => Err(Ending::Lost(reason)),
            answer = self.announcer.answered() => Self::judge_presence(answer),
            () = sleep(ANSWER_LIMIT) => Err(Ending::NotNow("no answer to the presence".to_owned())),
        }
    }

    async fn publish(&mut self, stop: &Stop) -> Ending {
        loop {
            self.read_ahead().await;
            self.fill_window();
            if stop.over.is_cancelled() || (stop.asked.is_cancelled() && self.is_drained()) {
                return Ending::Stopped;
            }
            if let Err(ending) = self.step(stop).await {
                return ending;
            }
        }
    }

    /// Waits for the next thing to happen, and deals with it.
    async fn step(&mut self, stop: &Stop) -> Result<(), Ending> {
        let head = *self.head.borrow();
        let (announce_at, give_up_at) = (self.announcer.due_at(head), self.give_up_at());
        let is_idle = self.unsent.is_empty() && self.answers.is_empty();
        tokio::select! {
            biased;
            reason = self.connection.lost() => Err(Ending::Lost(reason)),
            Some(answer) = self.answers.next() => self.settle(answer),
            answer = self.announcer.answered() => Self::judge_presence(answer),
            () = at(announce_at) => {
                self.announcer.announce(&self.connection, PresenceStatus::Online, head);
                Ok(())
            }
            () = at(give_up_at) => {
                Err(Ending::NotNow(format!("no answer for {} s", ANSWER_LIMIT.as_secs())))
            }
            Ok(()) = self.head.changed() => {
                self.may_have_more = true;
                Ok(())
            }
            () = sleep(POLL_INTERVAL), if is_idle => {
                self.may_have_more = true;
                Ok(())
            }
            () = stop.asked.cancelled(), if !stop.asked.is_cancelled() => Ok(()),
            () = stop.over.cancelled() => Ok(()),
        }
    }

    /// Reads the next batch when the last one is sent.
    async fn read_ahead(&mut self) {
        if !self.unsent.is_empty() || !self.may_have_more {
            return;
        }
        let last_read = self
            .unacknowledged
            .back()
            .map_or(self.progress.cursor, |sent| sent.revision);
        match self.log.events_after(last_read, BATCH).await {
            Ok(events) => {
                self.may_have_more = events.len() == BATCH;
                self.unsent = events.into();
            }
            Err(cause) => {
                // The poll tries again.
                warn!(%cause, "the relay cannot read the event log");
                self.may_have_more = false;
            }
        }
        self.tell_oldest();
    }

    fn fill_window(&mut self) {
        let first = self.progress.cursor.next();
        let window = if self.progress.suspect.travels_alone(first) {
            1
        } else {
            self.connection.window()
        };
        while self.unacknowledged.len() < window
            && let Some(event) = self.unsent.pop_front()
        {
            if self.unacknowledged.is_empty() {
                self.waiting_since = Instant::now();
            }
            self.unacknowledged.push_back(Sent::from(&event));
            self.answers.push_back(self.connection.publish(&event));
        }
    }

    /// Takes the answer to the oldest unacknowledged event.
    fn settle(&mut self, answer: Answer) -> Result<(), Ending> {
        let Some(&oldest) = self.unacknowledged.front() else {
            return Ok(());
        };
        match answer {
            Answer::Accepted => self.progress.acknowledge(oldest),
            Answer::Refused(Refusal { verdict, reason }) => match verdict {
                Verdict::Never => self.progress.set_aside(oldest, &reason),
                Verdict::NotNow => return Err(Ending::NotNow(reason)),
                Verdict::Unclear => return Err(Ending::Lost(reason)),
            },
            Answer::Lost(reason) => return Err(Ending::Lost(reason)),
        }
        self.unacknowledged.pop_front();
        self.waiting_since = Instant::now();
        self.tell_oldest();
        Ok(())
    }

    /// A presence that the broker refuses is a pity and no reason to withhold the events.
    fn judge_presence(answer: Answer) -> Result<(), Ending> {
        match answer {
            Answer::Accepted => Ok(()),
            Answer::Refused(refusal) => {
                warn!(reason = refusal.reason, "the broker refuses the presence");
                Ok(())
            }
            Answer::Lost(reason) => Err(Ending::Lost(reason)),
        }
    }

    fn blame_oldest(&mut self, reason: &str) {
        if let Some(&oldest) = self.unacknowledged.front()
            && self.progress.suspect.convict(oldest.revision)
        {
            self.progress.set_aside(oldest, reason);
        }
    }

    /// Tells the subscribers that nothing more comes, and hangs up.
    async fn say_farewell(mut self) {
        let head = *self.head.borrow();
        self.announcer.announce(&self.connection, PresenceStatus::Offline, head);
        if timeout(FAREWELL_LIMIT, self.announcer.answered()).await.is_err() {
            warn!("the broker did not acknowledge the farewell");
        }
        self.connection.close().await;
    }

    fn is_drained(&self) -> bool {
        self.progress.cursor >= *self.head.borrow()
    }

    fn give_up_at(&self) -> Option<Instant> {
        let oldest_event = (!self.answers.is_empty()).then_some(self.waiting_since);
        let oldest = oldest_event.into_iter().chain(self.announcer.waiting_since()).min()?;
        Some(oldest + ANSWER_LIMIT)
    }

    fn tell_oldest(&self) {
        let unsent = self.unsent.front().map(|event| event.committed_at);
        let sent = self.unacknowledged.front().map(|sent| sent.committed_at);
        self.progress
            .status
            .update(|state| state.oldest_pending = sent.or(unsent));
    }
}

/// Resolves at this instant, or never.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}
