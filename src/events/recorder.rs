//! A sink that does as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;
use tokio::time::sleep;

use super::memory_log::{fails, id_of, number_of};
use super::sink::{Acknowledgement, Answer, Connection, Refusal, Sink, Verdict};
use crate::domain::{Cursor, SensorId};
use crate::store::{SensorState, StoredEvent};
use crate::wire::presence::{Presence, PresenceStatus};

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
    /// Takes it, and says so after this time.
    AcceptAfter(Duration),
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
    connect_time: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// For each message in question what happens the next times it comes.
    script: Vec<(Message, VecDeque<Deed>)>,
    /// For each connection what came, whatever became of it.
    connections: Vec<Vec<Message>>,
    memory: Memory,
    /// How many times the mark was written.
    marks: usize,
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

    /// An attempt to connect takes so long.
    pub(super) fn connecting_in(self, connect_time: Duration) -> Self {
        Self { connect_time, ..self }
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

    /// How many times the mark was written.
    pub(super) fn marks(&self) -> usize {
        self.state.lock().unwrap().marks
    }

    pub(super) fn presences(&self) -> Vec<(PresenceStatus, i64)> {
        self.state.lock().unwrap().presences.clone()
    }
}

impl Sink for Recorder {
    type Connection = Line;

    async fn connect(&mut self, _: Presence) -> Result<Line, String> {
        sleep(self.connect_time).await;
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
            Some(Deed::AcceptAfter(time)) => sleep(time).map(|()| Answer::Accepted).boxed(),
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
        let mut state = self.state.lock().unwrap();
        state.memory.mark = Some(cursor.clone());
        state.marks += 1;
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
