//! A log in memory and a sink that does as it is told: what the relay is tested with.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;
use tokio::time::sleep;

use super::log::EventLog;
use super::sink::{Acknowledgement, Answer, Connection, Refusal, Sink, Verdict};
use crate::domain::{ChangeKind, Cursor, Epoch, Revision, SensorId, Timestamp};
use crate::store::{SensorState, StoredEvent};
use crate::wire::presence::{Presence, PresenceStatus};

/// A log of the changes of a few sensors, one after the other: event 1 is of sensor 1, and after the last sensor it is the
/// first one's turn again. Every event is a creation, or a deletion.
#[derive(Clone)]
pub(super) struct MemoryLog {
    epoch: Epoch,
    sensors: i64,
    head: watch::Sender<Revision>,
    cursor: watch::Sender<Revision>,
    state: Arc<Mutex<LogState>>,
}

#[derive(Default)]
struct LogState {
    deletions: HashSet<i64>,
    pruned: i64,
    state_reads: usize,
    /// How many reads of states will fail.
    failing_state_reads: usize,
    /// How many times the cursor cannot be saved.
    failing_saves: usize,
    /// How many times it was to be saved.
    saves: usize,
}

impl LogState {
    fn read_states(&mut self) -> Result<(), &'static str> {
        self.state_reads += 1;
        fails(&mut self.failing_state_reads)
    }
}

fn fails(count: &mut usize) -> Result<(), &'static str> {
    match count.checked_sub(1) {
        Some(left) => {
            *count = left;
            Err("the disk does not answer")
        }
        None => Ok(()),
    }
}

impl MemoryLog {
    /// With a single sensor.
    pub(super) fn with_events(count: i64) -> Self {
        Self::with_sensors(1, count)
    }

    pub(super) fn with_sensors(sensors: i64, count: i64) -> Self {
        Self {
            epoch: Epoch::from_random(0),
            sensors,
            head: watch::Sender::new(Revision::new(count)),
            cursor: watch::Sender::new(Revision::ZERO),
            state: Arc::default(),
        }
    }

    pub(super) fn append(&self, count: i64) {
        self.head.send_modify(|head| *head = Revision::new(head.get() + count));
    }

    /// The event after the head is a deletion.
    pub(super) fn delete_next(&self) {
        self.state
            .lock()
            .unwrap()
            .deletions
            .insert(self.head.borrow().get() + 1);
        self.append(1);
    }

    /// Forgets the events up to this one.
    pub(super) fn prune(&self, until: i64) {
        self.state.lock().unwrap().pruned = until;
    }

    /// What would be there after a crash.
    pub(super) fn saved_cursor(&self) -> i64 {
        self.cursor.borrow().get()
    }

    /// The next reads of states fail.
    pub(super) fn fail_state_reads(&self, count: usize) {
        self.state.lock().unwrap().failing_state_reads = count;
    }

    /// The cursor cannot be saved the next times.
    pub(super) fn fail_saves(&self, count: usize) {
        self.state.lock().unwrap().failing_saves = count;
    }

    /// How many times the cursor was to be saved.
    pub(super) fn saves(&self) -> usize {
        self.state.lock().unwrap().saves
    }

    /// How many times states were asked for.
    pub(super) fn state_reads(&self) -> usize {
        self.state.lock().unwrap().state_reads
    }

    /// Each sensor that there is, with its revision.
    pub(super) fn revisions(&self) -> BTreeMap<i64, i64> {
        (1..=self.sensors)
            .filter_map(|sensor| Some((sensor, self.revision_of(sensor)?)))
            .collect()
    }

    fn revision_of(&self, sensor: i64) -> Option<i64> {
        let head = self.head.borrow().get();
        let newest = head - (head - sensor).rem_euclid(self.sensors);
        let is_deleted = self.state.lock().unwrap().deletions.contains(&newest);
        (newest > 0 && sensor <= self.sensors && !is_deleted).then_some(newest)
    }

    fn sensor_state(&self, sensor: i64) -> SensorState {
        let revision = self.revision_of(sensor);
        SensorState {
            sensor: id_of(sensor),
            representation: revision.map(|revision| revision.to_string().into()),
        }
    }
}

/// So many states are a page, as if they were large.
const MOST_STATES: usize = 100;
/// What happens between a read and the sending of what was read.
const READ_TIME: Duration = Duration::from_millis(1);

fn id_of(sensor: i64) -> SensorId {
    SensorId::new(uuid::Uuid::from_u128(u128::try_from(sensor).unwrap()))
}

fn number_of(sensor: SensorId) -> i64 {
    i64::from_str_radix(&sensor.to_string().replace('-', ""), 16).unwrap()
}

impl EventLog for MemoryLog {
    type Error = &'static str;

    fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    async fn events_after(&self, after: Revision, limit: usize) -> Result<Vec<StoredEvent>, &'static str> {
        let head = self.head.borrow().get();
        let state = self.state.lock().unwrap();
        let revisions = (after.get().max(state.pruned) + 1..=head).take(limit);
        let event = |revision: i64| StoredEvent {
            revision: Revision::new(revision),
            sensor: id_of((revision - 1) % self.sensors + 1),
            name: "s1".into(),
            former_name: None,
            kind: if state.deletions.contains(&revision) {
                ChangeKind::Deleted
            } else {
                ChangeKind::Created
            },
            committed_at: Timestamp::from_unix_ms(revision).unwrap(),
            payload: format!("{revision}").into(),
        };
        Ok(revisions.map(event).collect())
    }

    async fn states(&self, sensors: &[SensorId]) -> Result<Vec<SensorState>, &'static str> {
        self.state.lock().unwrap().read_states()?;
        let states = sensors.iter().map(|id| self.sensor_state(number_of(*id))).collect();
        sleep(READ_TIME).await;
        Ok(states)
    }

    async fn states_after(&self, after: Option<SensorId>, limit: u32) -> Result<Vec<SensorState>, &'static str> {
        self.state.lock().unwrap().read_states()?;
        let after = after.map_or(0, number_of);
        let states = ((after + 1)..=self.sensors)
            .map(|sensor| self.sensor_state(sensor))
            .filter(|state| state.representation.is_some())
            .take((limit as usize).min(MOST_STATES))
            .collect();
        sleep(READ_TIME).await;
        Ok(states)
    }

    async fn relay_cursor(&self) -> Result<Revision, &'static str> {
        Ok(*self.cursor.borrow())
    }

    async fn advance_relay(&self, to: Revision) -> Result<(), &'static str> {
        self.state.lock().unwrap().saves += 1;
        fails(&mut self.state.lock().unwrap().failing_saves)?;
        self.cursor.send_replace(to);
        Ok(())
    }
}

/// A message in question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Message {
    /// The event of this revision.
    Event(i64),
    /// The state of this sensor.
    State(i64),
}

/// What the broker does with one message, once.
#[derive(Clone, Copy)]
pub(super) enum Deed {
    /// Refuses it with this verdict.
    Refuse(Verdict),
    /// Refuses it for good, for this reason and after this time.
    RefuseFor(&'static str, Duration),
    /// Hangs up instead of an answer.
    HangUp,
    /// Hangs up, and says that it has reasons of its own.
    HangUpForNow,
    /// Does not answer.
    Ignore,
}

/// A sink that accepts everything but what its script says.
#[derive(Clone, Default)]
pub(super) struct Recorder {
    pub(super) window: usize,
    is_abrupt: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// For each message in question what happens the next times it comes.
    script: Vec<(Message, VecDeque<Deed>)>,
    /// For each connection what came, whatever became of it.
    connections: Vec<Vec<Message>>,
    memory: Memory,
    questions: usize,
    presences: Vec<(PresenceStatus, i64)>,
    refused_connects: u32,
    /// How many presences are refused for good, as messages are.
    refused_presences: usize,
}

/// What the broker retains.
#[derive(Clone, Default, Debug, PartialEq)]
pub(super) struct Memory {
    /// For each sensor the revision of its state.
    pub(super) states: BTreeMap<i64, i64>,
    pub(super) mark: Option<Cursor>,
}

impl Recorder {
    pub(super) fn with_window(window: usize) -> Self {
        Self {
            window,
            ..Self::default()
        }
    }

    /// The end of a connection is noticed before the answers that came on it.
    pub(super) fn abrupt(self) -> Self {
        Self {
            is_abrupt: true,
            ..self
        }
    }

    /// The presence is refused for good, as a message is.
    pub(super) fn refusing_the_presence(self) -> Self {
        self.refusing_presences(usize::MAX)
    }

    /// The first presences are.
    pub(super) fn refusing_presences(self, count: usize) -> Self {
        self.state.lock().unwrap().refused_presences = count;
        self
    }

    /// Event `revision` meets these deeds, one each time that it comes, and is accepted after that.
    pub(super) fn script(self, revision: i64, deeds: &[Deed]) -> Self {
        self.expect(Message::Event(revision), deeds);
        self
    }

    /// The same for any message.
    pub(super) fn expect(&self, message: Message, deeds: &[Deed]) {
        let deeds = deeds.iter().copied().collect();
        self.state.lock().unwrap().script.push((message, deeds));
    }

    pub(super) fn refuse_connects(self, count: u32) -> Self {
        self.state.lock().unwrap().refused_connects = count;
        self
    }

    /// For each connection the events that came.
    pub(super) fn connections(&self) -> Vec<Vec<i64>> {
        let events = |messages: &Vec<Message>| {
            let revision = |message: &Message| match message {
                Message::Event(revision) => Some(*revision),
                Message::State(_) => None,
            };
            messages.iter().filter_map(revision).collect()
        };
        self.state.lock().unwrap().connections.iter().map(events).collect()
    }

    /// What came on the last connection.
    pub(super) fn messages(&self) -> Vec<Message> {
        self.state.lock().unwrap().connections.last().unwrap().clone()
    }

    pub(super) fn memory(&self) -> Memory {
        self.state.lock().unwrap().memory.clone()
    }

    pub(super) fn set_memory(&self, memory: Memory) {
        self.state.lock().unwrap().memory = memory;
    }

    /// How many times it was asked what it retains.
    pub(super) fn questions(&self) -> usize {
        self.state.lock().unwrap().questions
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
            is_abrupt: self.is_abrupt,
            state: Arc::clone(&self.state),
            lost: watch::Sender::new(None),
        })
    }
}

/// Why messages and the presence are refused, where the script says nothing else.
pub(super) const REASON: &str = "as scripted";

fn refusal(verdict: Verdict) -> Refusal {
    let reason = REASON.to_owned();
    Refusal { verdict, reason }
}

/// A connection to the recorder.
pub(super) struct Line {
    window: usize,
    is_abrupt: bool,
    state: Arc<Mutex<State>>,
    lost: watch::Sender<Option<Verdict>>,
}

/// How long the broker takes to say what it retains.
const ANSWER_TIME: Duration = Duration::from_millis(100);

impl Line {
    /// Deals with a message as the script says; what is accepted does its deed to the memory.
    fn take(&self, message: Message, remember: impl FnOnce(&mut Memory)) -> Acknowledgement {
        let mut state = self.state.lock().unwrap();
        state.connections.last_mut().unwrap().push(message);
        let deeds = state.script.iter_mut().find(|(of, _)| *of == message);
        match deeds.and_then(|(_, deeds)| deeds.pop_front()) {
            None if self.lost.borrow().is_some() => pending().boxed(),
            None => {
                remember(&mut state.memory);
                ready(Answer::Accepted).boxed()
            }
            Some(Deed::Refuse(verdict)) => ready(Answer::Refused(refusal(verdict))).boxed(),
            Some(Deed::RefuseFor(reason, after)) => {
                let (verdict, reason) = (Verdict::Never, reason.to_owned());
                let refused = Answer::Refused(Refusal { verdict, reason });
                sleep(after).map(|()| refused).boxed()
            }
            Some(Deed::HangUp) => {
                self.lost.send_replace(Some(Verdict::Unclear));
                pending().boxed()
            }
            Some(Deed::HangUpForNow) => {
                self.lost.send_replace(Some(Verdict::NotNow));
                pending().boxed()
            }
            Some(Deed::Ignore) => pending().boxed(),
        }
    }
}

impl Connection for Line {
    type Message = Message;

    fn window(&self) -> usize {
        self.window
    }

    fn message(&self, event: &StoredEvent) -> Message {
        Message::Event(event.revision.get())
    }

    fn publish(&self, message: Message) -> Acknowledgement {
        self.take(message, |_| ())
    }

    fn keep(&self, state: &SensorState) -> Acknowledgement {
        let sensor = number_of(state.sensor);
        let text = state.representation.as_ref();
        let revision = text.map(|text| std::str::from_utf8(text).unwrap().parse().unwrap());
        self.take(Message::State(sensor), |memory| match revision {
            Some(revision) => {
                let before = memory.states.insert(sensor, revision);
                assert!(before <= Some(revision), "the state of {sensor} goes back");
            }
            None => {
                memory.states.remove(&sensor);
            }
        })
    }

    fn mark(&self, cursor: &Cursor) -> Acknowledgement {
        self.state.lock().unwrap().memory.mark = Some(cursor.clone());
        ready(Answer::Accepted).boxed()
    }

    fn read_mark(&self) -> BoxFuture<'static, Option<Cursor>> {
        let mut state = self.state.lock().unwrap();
        state.questions += 1;
        let mark = state.memory.mark.clone();
        sleep(ANSWER_TIME).map(|()| mark).boxed()
    }

    fn kept(&self) -> BoxFuture<'static, Vec<SensorId>> {
        let mut state = self.state.lock().unwrap();
        state.questions += 1;
        let kept = state.memory.states.keys().copied().map(id_of).collect();
        sleep(ANSWER_TIME).map(|()| kept).boxed()
    }

    fn announce(&self, presence: &Presence) -> Acknowledgement {
        let mut state = self.state.lock().unwrap();
        state.presences.push((presence.status, presence.revision.get()));
        let answer = match fails(&mut state.refused_presences) {
            Ok(()) => Answer::Accepted,
            Err(_) => Answer::Refused(refusal(Verdict::Never)),
        };
        ready(answer).boxed()
    }

    fn presence_topic(&self) -> &'static str {
        "sensors"
    }

    async fn lost(&self) -> Refusal {
        // Later than the answers that are there, as with most real sockets.
        if !self.is_abrupt {
            sleep(Duration::from_millis(1)).await;
        }
        let mut lost = self.lost.subscribe();
        let verdict = *lost.wait_for(Option::is_some).await.unwrap();
        Refusal {
            verdict: verdict.unwrap(),
            reason: "hung up".to_owned(),
        }
    }

    async fn close(self) {}
}
