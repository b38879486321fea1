use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::ready;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, warn};

use super::announcer::Announcer;
use super::answers::Answers;
use super::ending::Ending;
use super::keeper::{Keeper, accompany};
use super::log::EventLog;
use super::parcel::{Parcel, Sent};
use super::progress::{Gap, Progress, Unread};
use super::sink::{Answer, Connection, Verdict};
use super::stop::Stop;
use super::trouble::Account;
use crate::domain::Revision;
use crate::failpoint::{is_planted, pass, reach};
use crate::store::StoredEvent;
use crate::wire::presence::PresenceStatus;

/// One connection's life: it starts at the first unacknowledged event and ends at the first failure.
pub(super) struct Session<'a, L: EventLog, C: Connection> {
    log: &'a L,
    connection: C,
    progress: &'a mut Progress,
    head: watch::Receiver<Revision>,
    announcer: Announcer,
    keeper: Keeper,
    /// Read and not sent, in the order in which it was read. States are never overtaken by later ones, because nothing
    /// is sent but through this queue.
    unsent: VecDeque<Parcel>,
    /// The messages of the first events in it, made while the broker has enough to do: one that is ready does not wait for them.
    made: VecDeque<C::Message>,
    /// The last event that was sent, or what the cursor was before the first.
    last_sent: Revision,
    /// The last event that was read from the log.
    last_read: Revision,
    /// What comes after it, read while what was read before is sent: a broker that is ready does not wait for the disk.
    ahead: Option<JoinHandle<Result<Vec<StoredEvent>, L::Error>>>,
    /// Sent and not acknowledged, oldest first, with their answers to come in the same order.
    unacknowledged: VecDeque<Sent>,
    answers: Answers,
    /// Since when the oldest of them is waited for.
    waiting_since: Instant,
    /// Whether the broker refused the last presence.
    presence_refused: bool,
    /// Whether it has taken anything else on this connection.
    takes_any: bool,
    /// Refused as the presence was, before it took anything, and all that was answered behind the first of them: judged in this order
    /// as soon as it takes something, for then the refusals are about these.
    held: Vec<(Sent, String)>,
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
            keeper: Keeper::off(log.epoch().clone(), progress.cursor),
            last_read: progress.cursor,
            last_sent: progress.cursor,
            log,
            connection,
            progress,
            head,
            announcer,
            ahead: None,
            unsent: VecDeque::new(),
            made: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            answers: Answers::default(),
            waiting_since: Instant::now(),
            presence_refused: false,
            takes_any: false,
            held: Vec::new(),
        }
    }

    /// The same session, keeping the states of the sensors retained.
    pub(super) fn keeping_states(self) -> Self {
        Self {
            keeper: Keeper::start(&self.connection, self.log.epoch().clone(), self.progress.cursor),
            ..self
        }
    }

    /// Publishes until the connection fails or the relay is told to stop.
    pub(super) async fn run(mut self, stop: &Stop) -> Ending {
        let mut ending = match self.greet().await {
            Ok(()) => self.publish(stop).await,
            Err(ending) => ending,
        };
        // A message that got no answer may be noticed before what the broker said when it hung up.
        if matches!(ending, Ending::Lost(_))
            && let Some(loss) = self.connection.lost().now_or_never()
        {
            ending = loss.into();
        }
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
            loss = self.connection.lost() => Err(loss.into()),
            answer = self.announcer.answered() => self.judge_presence(answer),
            () = sleep(ANSWER_LIMIT) => Err(Ending::NotNow("no answer to the presence".to_owned())),
        }
    }

    async fn publish(&mut self, stop: &Stop) -> Ending {
        loop {
            self.read_ahead().await;
            if let Err(ending) = self.settle_all() {
                return ending;
            }
            if self.give_up_at().is_some_and(|at| at <= Instant::now()) {
                return Ending::NotNow(format!("no answer for {} s", ANSWER_LIMIT.as_secs()));
            }
            self.fill_window();
            self.make_next();
            if let Some(ending) = self.judge_refusals() {
                return ending;
            }
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
        let mark_at = self.keeper.due_at(self.progress.cursor);
        let is_idle = self.unsent.is_empty() && self.answers.is_empty();
        tokio::select! {
            biased;
            loss = self.connection.lost() => Err(loss.into()),
            () = self.answers.half() => Ok(()),
            answer = self.announcer.answered() => self.judge_presence(answer),
            () = at(announce_at) => {
                self.announcer.announce(&self.connection, PresenceStatus::Online, head);
                Ok(())
            }
            () = at(mark_at) => {
                self.keeper.mark(&self.connection, self.progress.cursor);
                Ok(())
            }
            news = self.keeper.news() => {
                self.keeper.take(news, &self.connection, head);
                Ok(())
            }
            () = at(give_up_at) => Ok(()),
            Ok(()) = self.head.changed() => Ok(()),
            () = sleep(POLL_INTERVAL), if is_idle => Ok(()),
            () = stop.asked.cancelled(), if !stop.asked.is_cancelled() => Ok(()),
            () = stop.over.cancelled() => Ok(()),
        }
    }

    /// Reads what comes next when all that was read is sent: a batch of events, then some states of the sweep.
    async fn read_ahead(&mut self) {
        if !self.unsent.is_empty() {
            return;
        }
        if self.last_read < *self.head.borrow() {
            match self.read_events().await {
                Ok(()) => self.progress.can_read(),
                // The poll tries again.
                Err(unread) => self.progress.cannot_read(self.last_read, &unread),
            }
        }
        match self.keeper.sweep(self.log, &self.connection).await {
            Ok(states) => {
                if !states.is_empty() {
                    self.progress.states_trouble.is_over();
                }
                self.unsent.extend(states);
            }
            Err(cause) => self.progress.cannot_read_states(&cause),
        }
    }

    async fn read_events(&mut self) -> Result<(), Unread<L::Error>> {
        let ahead = match self.ahead.take() {
            Some(ahead) => ahead.await.ok(),
            None => None,
        };
        let events = match ahead {
            Some(events) => events,
            None => self.log.events_after(self.last_read, BATCH).await,
        };
        let events = events.map_err(Unread::Events)?;
        let last = events.last().map(|event| event.revision);
        self.unsent = if self.keeper.is_on() {
            accompany(self.log, events).await.map_err(Unread::States)?
        } else {
            events.into_iter().map(Parcel::Event).collect()
        };
        // Only here, behind all that can fail: what was read and not kept would be passed over.
        self.last_read = last.unwrap_or(self.last_read);
        // A few are not read ahead: more come until it is their turn.
        let waiting = self.head.borrow().get() - self.last_read.get();
        if usize::try_from(waiting).is_ok_and(|waiting| waiting >= BATCH) {
            let (log, after) = (self.log.clone(), self.last_read);
            self.ahead = Some(tokio::spawn(async move { log.events_after(after, BATCH).await }));
        }
        Ok(())
    }

    fn fill_window(&mut self) {
        while let Some(next) = self.unsent.front().map(|parcel| parcel.to_sent(self.last_sent))
            && self.may_send(next)
            && let Some(parcel) = self.unsent.pop_front()
        {
            if matches!(next, Sent::State(sensor) if self.progress.shuns(sensor)) {
                self.keeper.left_out(self.progress.cursor);
                continue;
            }
            if self.unacknowledged.is_empty() {
                self.waiting_since = Instant::now();
            }
            self.last_sent = next.event().map_or(self.last_sent, |event| event.revision);
            self.unacknowledged.push_back(next);
            self.answers.push(match &parcel {
                Parcel::Event(event) => {
                    let made = self.made.pop_front();
                    let message = made.unwrap_or_else(|| self.connection.message(event));
                    self.connection.publish(message)
                }
                Parcel::State(state) => self.connection.keep(state),
                Parcel::SweepEnd => ready(Answer::Accepted).boxed(),
            });
        }
    }

    /// Makes the messages that fill the window next.
    fn make_next(&mut self) {
        let next = self.unsent.iter().take(self.connection.window());
        let unmade = next.filter_map(Parcel::event).skip(self.made.len());
        let messages = unmade.map(|event| self.connection.message(event));
        self.made.extend(messages);
    }

    /// Whether there is room; what has to travel alone shares it with nothing.
    fn may_send(&self, next: Sent) -> bool {
        let Some(first) = self.unacknowledged.front() else {
            return true;
        };
        let travels_alone = |sent: &Sent| {
            let culprit = sent.culprit();
            culprit.is_some_and(|culprit| self.progress.suspect.travels_alone(culprit))
        };
        self.unacknowledged.len() < self.connection.window() && !travels_alone(first) && !travels_alone(&next)
    }

    /// Takes the answers that are there to the oldest unacknowledged messages.
    fn settle_all(&mut self) -> Result<(), Ending> {
        self.answers.look();
        while let Some(answer) = self.answers.next_there() {
            self.settle(answer)?;
        }
        self.tell_oldest();
        Ok(())
    }

    /// Takes the answer to the oldest unacknowledged message.
    fn settle(&mut self, answer: Answer) -> Result<(), Ending> {
        let Some(&oldest) = self.unacknowledged.front() else {
            return Ok(());
        };
        if let Sent::Event(event) = oldest
            && is_planted("bug.cursor-before-puback")
        {
            self.progress.acknowledge(event)?;
        }
        reach("relay.after-puback").map_err(|error| Ending::Lost(error.to_string()))?;
        let refused = match answer {
            Answer::Accepted => {
                if let Some(taken) = oldest.culprit() {
                    self.progress.suspect.acquit(taken);
                    self.takes_any = true;
                    self.progress.look_no_further();
                    for (sent, reason) in std::mem::take(&mut self.held) {
                        self.refuse(sent, &reason)?;
                    }
                }
                None
            }
            Answer::Refused(refusal) => match refusal.verdict {
                Verdict::Never => Some(refusal.reason),
                Verdict::NotNow if is_planted("bug.forward-after-nack") => None,
                Verdict::NotNow | Verdict::Unclear => {
                    if let Some(refused) = oldest.culprit() {
                        self.progress.suspect.comes_again(refused);
                    }
                    return Err(self.go_back(refusal.into()));
                }
            },
            Answer::Lost(reason) => return Err(self.go_back(Ending::Lost(reason))),
        };
        match (oldest, refused) {
            (Sent::Event(event), None) => self.progress.acknowledge(event)?,
            (Sent::State(_), None) => {}
            // What comes behind one that is held waits, too: it may not be over before that.
            (sent, refused) if self.holds_back(refused.is_some()) => {
                self.held.push((sent, refused.unwrap_or_default()));
            }
            (sent, refused) => self.refuse(sent, &refused.unwrap_or_default())?,
        }
        self.unacknowledged.pop_front();
        self.waiting_since = Instant::now();
        reach("relay.after-cursor").map_err(|error| Ending::Lost(error.to_string()))
    }

    /// Whether it is open if what was refused is refused for its own sake.
    fn holds_back(&self, is_refused: bool) -> bool {
        !self.takes_any && (!self.held.is_empty() || (is_refused && self.presence_refused))
    }

    /// The broker takes the others, and not this. The end of the sweep is refused by nobody: it comes after those that were.
    fn refuse(&mut self, sent: Sent, reason: &str) -> Result<(), Gap> {
        match sent {
            Sent::Event(event) => self.progress.set_aside(event, reason)?,
            Sent::State(sensor) => {
                warn!(%sensor, reason, "the broker refuses to retain the state of a sensor");
                self.keeper.left_out(self.progress.cursor);
            }
            Sent::SweepEnd => self.keeper.swept(),
        }
        Ok(())
    }

    /// When the broker has refused all that there is, or very much, that is about the connection and not about the messages: they come
    /// again on the next one. There more are tried, in case that one sensor is refused for so long, and the next one is not.
    fn judge_refusals(&mut self) -> Option<Ending> {
        let (_, reason) = self.held.first()?;
        let is_all = self.answers.is_empty() && self.unsent.is_empty();
        let is_very_much = self.held.len() >= self.progress.patience;
        if is_very_much {
            self.progress.look_further();
        }
        (is_all || is_very_much).then(|| Ending::NotNow(format!("the broker refuses all that it is given: {reason}")))
    }

    /// Gives up the oldest message, and with it what was answered to those behind it: nobody may take that for an answer to
    /// this one.
    fn go_back(&mut self, ending: Ending) -> Ending {
        self.answers.clear();
        ending
    }

    /// A presence that the broker refuses is a pity and no reason to withhold the events, unless it refuses those, too.
    fn judge_presence(&mut self, answer: Answer) -> Result<(), Ending> {
        match answer {
            Answer::Accepted => {
                self.presence_refused = false;
                self.progress.presence_trouble.is_over();
                Ok(())
            }
            Answer::Refused(refusal) => {
                self.tell_refused_presence(&refusal.reason);
                self.presence_refused = true;
                Ok(())
            }
            Answer::Lost(reason) => Err(Ending::Lost(reason)),
        }
    }

    fn tell_refused_presence(&mut self, reason: &str) {
        let topic = self.connection.presence_topic();
        let Account {
            attempts,
            for_seconds,
            is_news,
        } = self.progress.presence_trouble.again(reason);
        if is_news {
            warn!(
                topic,
                reason,
                attempts,
                for_seconds,
                "the broker refuses the presence: its access rules have to let this user write there"
            );
        } else {
            debug!(topic, reason, "the broker refuses the presence");
        }
    }

    fn blame_oldest(&mut self, reason: &str) {
        // What was answered before the end is not to blame.
        self.answers.look();
        while let Some(Answer::Accepted) = self.answers.next_there()
            && self.settle(Answer::Accepted).is_ok()
        {}
        let Some(&oldest) = self.unacknowledged.front().filter(|_| self.held.is_empty()) else {
            return;
        };
        let culprit = oldest.culprit();
        if !culprit.is_some_and(|culprit| self.progress.suspect.convict(culprit)) {
            return;
        }
        match oldest {
            // It is the oldest that is sent, so nothing can be passed over.
            Sent::Event(event) => drop(self.progress.set_aside(event, reason)),
            Sent::State(sensor) => self.progress.shun(sensor, reason),
            Sent::SweepEnd => {}
        }
    }

    /// Tells the subscribers that nothing more comes, and hangs up.
    async fn say_farewell(mut self) {
        pass("relay.before-farewell");
        let head = *self.head.borrow();
        if self.keeper.due_at(self.progress.cursor).is_some() {
            self.keeper.mark(&self.connection, self.progress.cursor);
        }
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
        let mut sent = self.unacknowledged.iter().filter_map(Sent::event);
        let mut unsent = self.unsent.iter().filter_map(Parcel::event);
        let oldest = sent.next().map(|event| event.committed_at);
        let oldest = oldest.or_else(|| unsent.next().map(|event| event.committed_at));
        // What is to come was not read, or cannot be: its age may be known from before.
        if oldest.is_none() && !self.is_drained() {
            return;
        }
        self.progress.status.update(|state| state.oldest_pending = oldest);
    }
}

/// Resolves at this instant, or never.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}
