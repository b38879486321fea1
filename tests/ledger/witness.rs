use std::collections::BTreeMap;
use std::time::Duration;

use super::complaint::{Complaints, Rule};
use super::history::fingerprint;
use crate::harness::{Event, Message, Subscriber};

/// A subscriber to every change, and what it saw, over as many connections as there are.
///
/// Its messages have to be 1, 2, 3, …, where it may go back and repeat any number of them, from there on in order:
/// 1 2 3 2 3 4 is right, 1 3 2 is not.
pub struct Witness {
    name: &'static str,
    subscriber: Option<Subscriber>,
    /// Of the last message.
    last: i64,
    /// The newest.
    newest: i64,
    seen: BTreeMap<i64, u64>,
    /// What the last checks have not needed yet.
    texts: BTreeMap<i64, String>,
    jumps: bool,
    misses: bool,
    /// The events that were compared with the log.
    judged: usize,
    pub messages: usize,
    pub repeats: usize,
    complaints: Complaints,
}

/// No message for this long, and none will come.
const SILENCE: Duration = Duration::from_secs(10);

impl Witness {
    /// A witness that is fed by hand, with [`Witness::take`].
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            subscriber: None,
            last: 0,
            newest: 0,
            seen: BTreeMap::new(),
            texts: BTreeMap::new(),
            jumps: false,
            misses: false,
            judged: 0,
            messages: 0,
            repeats: 0,
            complaints: Complaints::default(),
        }
    }

    /// A witness that reads from `subscriber`, subscribed to `sensors/+` before the first change.
    pub fn of(name: &'static str, subscriber: Subscriber) -> Self {
        let mut witness = Self::new(name);
        witness.subscriber = Some(subscriber);
        witness
    }

    /// The same witness on a new connection. What is still in the old one is read first.
    pub async fn reconnect(&mut self, subscriber: Subscriber) {
        while self.take_next(Duration::ZERO).await {}
        self.subscriber = Some(subscriber);
    }

    /// From now on it may have missed events: its broker dies and forgets. What it sees has to be right all the same.
    #[must_use]
    pub fn that_misses(self) -> Self {
        Self { misses: true, ..self }
    }

    /// It may get later events before earlier ones: its broker refuses one of many that are on their way. All of them
    /// have to come all the same.
    #[must_use]
    pub fn that_sees_jumps(self) -> Self {
        Self { jumps: true, ..self }
    }

    /// The newest revision that it saw.
    pub fn revision(&self) -> i64 {
        self.newest
    }

    /// Takes the next message of a connection.
    pub fn take(&mut self, message: &Message) {
        let event = message.event();
        let topic = format!("sensors/{}", event.sensor);
        let name = self.name;
        self.complaints
            .unless(message.topic == topic, Rule::WitnessIsRight, || {
                format!("{name}: {} came on {}", event.revision, message.topic)
            });
        self.take_event(&event, std::str::from_utf8(&message.payload).expect("UTF-8"));
    }

    /// Takes the next event of a stream.
    pub fn take_text(&mut self, text: &str) {
        self.take_event(&Event::read(text.as_bytes()), text);
    }

    fn take_event(&mut self, event: &Event, text: &str) {
        let (revision, last, name) = (event.revision, self.last, self.name);
        let follows = revision <= last + 1 || self.jumps || (self.misses && revision > self.newest);
        self.complaints.unless(follows, Rule::WitnessIsRight, || {
            format!("{name}: {revision} came after {last}")
        });
        self.messages += 1;
        self.last = revision;
        self.newest = self.newest.max(revision);
        let print = fingerprint(text);
        if let Some(first) = self.seen.insert(revision, print) {
            self.repeats += 1;
            self.complaints.unless(first == print, Rule::WitnessIsRight, || {
                format!("{name}: {revision} came again with other bytes: {text}")
            });
        }
        self.texts.insert(revision, text.to_owned());
    }

    /// Reads until the event `head` is there, or nothing comes any more.
    pub async fn catch_up(&mut self, head: i64) {
        let all = usize::try_from(head).expect("no negative revision");
        let has_all = |witness: &Self| witness.newest >= head && (!witness.jumps || witness.seen.len() >= all);
        while !has_all(self) && self.take_next(SILENCE).await {}
        while self.take_next(Duration::ZERO).await {}
    }

    async fn take_next(&mut self, limit: Duration) -> bool {
        let Some(subscriber) = &mut self.subscriber else {
            return false;
        };
        let Some(message) = subscriber.next_within(limit).await else {
            return false;
        };
        self.take(&message);
        true
    }

    /// The text of an event that the last check has not needed.
    pub(super) fn text(&self, revision: i64) -> Option<&String> {
        self.texts.get(&revision)
    }

    /// Compares with the fingerprints of all events from 1 on.
    pub(super) fn judge(&mut self, log: &[u64], complaints: &mut Complaints) {
        let name = self.name;
        complaints.0.append(&mut self.complaints.0);
        for (revision, print) in (1..).zip(log).skip(self.judged) {
            match self.seen.get(&revision) {
                Some(seen) => complaints.unless(seen == print, Rule::WitnessIsRight, || {
                    format!("{name}: {revision} is not what the log says")
                }),
                None => complaints.unless(self.misses, Rule::WitnessIsRight, || {
                    format!("{name}: {revision} never came")
                }),
            }
        }
        let head = i64::try_from(log.len()).expect("few events");
        complaints.unless(self.newest <= head, Rule::WitnessIsRight, || {
            format!("{name}: {} came, which is not in the log", self.newest)
        });
        self.judged = log.len();
        self.texts = self.texts.split_off(&(head + 1));
    }
}
