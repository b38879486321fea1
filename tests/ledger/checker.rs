use std::collections::HashMap;
use std::fmt;

use sensorcast::mirror::Mirror;
use serde_json::Value;
use serde_json::value::RawValue;

use super::complaint::{Complaints, Rule};
use super::entry::Ledger;
use super::history::{Fact, History, fingerprint};
use super::order::Timeline;
use super::round::Round;
use super::witness::Witness;
use crate::harness::{Event, Http, eventually, link, members_of};

/// Judges one store from its first revision on, round by round.
#[derive(Clone, Default)]
pub struct Checker {
    history: History,
    total: Report,
}

/// What was judged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report {
    pub rounds: usize,
    pub ok: usize,
    pub failed: usize,
    /// Of the unknown ones, those that had happened.
    pub unknown_done: usize,
    pub unknown_absent: usize,
    pub reads: usize,
    pub events: usize,
}

impl Checker {
    /// Judges what the ledger has since the last check. The service has to run and to be at rest, and the clients to have
    /// ended.
    ///
    /// # Errors
    /// All that does not hold.
    pub async fn check(
        &mut self,
        http: &Http,
        ledger: &Ledger,
        witnesses: &mut [Witness],
        mirrors: &[Mirror],
    ) -> Result<Report, Complaints> {
        let mut complaints = Complaints::default();
        let mut report = Report {
            rounds: 1,
            ..Report::default()
        };
        let (head, list) = read_list(http).await;
        for witness in &mut *witnesses {
            witness.catch_up(head).await;
        }
        let mut timelines = self.timelines();
        let facts = self.read_log(http, head, witnesses, &mut complaints).await;
        report.events = facts.len();
        for fact in &facts {
            let timeline = timelines.entry(fact.event.sensor.clone()).or_insert(vec![(0, None)]);
            timeline.push((fact.event.revision, fact.after.clone()));
        }
        let mut round = Round::new(&facts, timelines, &mut complaints, &mut report);
        round.judge(ledger.take());
        for (sensor, state) in round.last_states() {
            self.history.learn(&sensor, state);
        }
        self.judge_list(http, &list, &facts, &mut complaints).await;
        for witness in &mut *witnesses {
            witness.judge(&self.history.prints, &mut complaints);
        }
        for mirror in mirrors {
            judge_mirror(mirror, head, &list, &mut complaints).await;
        }
        if complaints.0.is_empty() {
            self.total.add(&report);
            Ok(report)
        } else {
            Err(complaints)
        }
    }

    /// Reads the list and the whole log once more, after nothing was asked for: they have to say what they said. After a
    /// restart all of it comes from the disk, which may lack what the last process told from memory.
    ///
    /// # Errors
    /// All that does not hold.
    pub async fn check_again(&mut self, http: &Http) -> Result<(), Complaints> {
        let mut complaints = Complaints::default();
        let (head, list) = read_list(http).await;
        let events = read_events(http, None).await.unwrap_or_default();
        let known = self.history.head();
        complaints.unless(head == known, Rule::RevisionsAreDense, || {
            format!("the list is of {head}, and was of {known}")
        });
        let revisions = events.iter().map(|event| Event::read(event.as_bytes()).revision);
        // The first one may be any, because the ones before it may be pruned.
        let end = (!events.is_empty()).then_some(known + 1);
        let revisions: Vec<_> = revisions.chain(end).collect();
        for pair in revisions.windows(2).filter(|pair| pair[1] != pair[0] + 1) {
            let missing = format!("{} is missing before {} in the whole log", pair[0] + 1, pair[1]);
            complaints.add(Rule::RevisionsAreDense, missing);
        }
        let prints: Vec<_> = events.iter().map(|event| fingerprint(event)).collect();
        complaints.unless(self.history.prints.ends_with(&prints), Rule::LogIsKept, || {
            format!("{} events, not the last ones of {known}", prints.len())
        });
        self.judge_list(http, &list, &[], &mut complaints).await;
        if complaints.0.is_empty() {
            Ok(())
        } else {
            Err(complaints)
        }
    }

    /// Everything that was judged so far, and found right.
    pub fn total(&self) -> Report {
        self.total
    }

    fn timelines(&self) -> HashMap<String, Timeline> {
        let sensors = self.history.sensors.iter();
        sensors
            .map(|(id, state)| (id.clone(), vec![(state.revision, Some(state.clone()))]))
            .collect()
    }

    /// The events that are new, up to `head`. What is pruned already is taken from a witness.
    async fn read_log(
        &mut self,
        http: &Http,
        head: i64,
        witnesses: &[Witness],
        complaints: &mut Complaints,
    ) -> Vec<Fact> {
        let known = self.history.head();
        let after = self.history.epoch.as_ref().map(|epoch| format!("{epoch}.{known}"));
        let told = match read_events(http, after).await {
            Some(events) => events,
            None => read_events(http, None).await.unwrap_or_default(),
        };
        let count = i64::try_from(told.len()).expect("few events");
        let pruned = known + 1..=head - count;
        let seen = pruned.filter_map(|revision| witnesses.iter().find_map(|witness| witness.text(revision)));
        let events: Vec<_> = seen.chain(&told).collect();
        let facts: Vec<_> = events
            .into_iter()
            .map_while(|event| self.history.append(event, complaints))
            .collect();
        complaints.unless(self.history.head() == head, Rule::RevisionsAreDense, || {
            format!("the log ends at {}, the list is of {head}", self.history.head())
        });
        facts
    }

    /// The list is the fold, and each sensor that changed is read by itself as well.
    async fn judge_list(&mut self, http: &Http, list: &[String], facts: &[Fact], complaints: &mut Complaints) {
        let mut listed = HashMap::new();
        for text in list {
            let id = json_of(text)["id"].as_str().expect("an id").to_owned();
            complaints.unless(!listed.contains_key(&id), Rule::StateIsFold, || {
                format!("{id} is listed twice")
            });
            listed.insert(id, text);
        }
        for (id, state) in &mut self.history.sensors {
            match listed.remove(id) {
                Some(text) => state.compare(text, "the list", complaints),
                None => complaints.add(
                    Rule::StateIsFold,
                    format!("{id} is not listed, since {}", state.revision),
                ),
            }
        }
        for (id, text) in listed {
            complaints.add(Rule::StateIsFold, format!("{id} is listed and has no event: {text}"));
        }
        let mut changed: Vec<_> = facts.iter().map(|fact| fact.event.sensor.as_str()).collect();
        changed.sort_unstable();
        changed.dedup();
        for id in changed {
            let answer = http.get(&format!("/sensors/{id}")).await;
            match self.history.sensors.get_mut(id) {
                Some(state) if answer.status == 200 => state.compare(answer.text(), "GET", complaints),
                state => complaints.unless(state.is_none() && answer.status == 404, Rule::StateIsFold, || {
                    format!("GET {id}: {}", answer.text())
                }),
            }
        }
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// The revision of the list, and the exact texts of its items.
async fn read_list(http: &Http) -> (i64, Vec<String>) {
    let mut page = http.get("/sensors?limit=500").await.expect(200);
    let revision = page.revision();
    let mut texts = Vec::new();
    loop {
        let members = members_of(page.text());
        let items = members.iter().find(|(name, _)| name == "items").expect("items");
        let items: Vec<Box<RawValue>> = serde_json::from_str(&items.1).expect("an array");
        texts.extend(items.iter().map(|item| item.get().to_owned()));
        let Some(next) = link(&page.json(), "next") else {
            return (revision, texts);
        };
        page = http.follow(&next).await.expect(200);
    }
}

/// The exact texts of all events after a cursor, or from the oldest on; `None` when the log has nothing to say of the cursor.
async fn read_events(http: &Http, after: Option<String>) -> Option<Vec<String>> {
    let after = after.map(|after| format!("after={after}&")).unwrap_or_default();
    let mut page = http.get(&format!("/events?{after}limit=500")).await;
    // Too old, or newer than the newest event.
    if matches!(page.status, 410 | 400) {
        return None;
    }
    let mut events = Vec::new();
    loop {
        assert_eq!(page.status, 200, "{}", page.text());
        events.extend(page.events());
        let Some(next) = link(&page.json(), "next") else {
            return Some(events);
        };
        page = http.follow(&next).await;
    }
}

/// Waits until a mirror is where the store is, and compares.
async fn judge_mirror(mirror: &Mirror, head: i64, list: &[String], complaints: &mut Complaints) {
    let revision = || mirror.revision().map(sensorcast::domain::Revision::get);
    eventually("the mirror is at the head", || async { revision() == Some(head) }).await;
    let shown = mirror.snapshot().expect("a list").sensors;
    let mut shown: Vec<_> = shown.values().map(ToString::to_string).collect();
    let mut listed: Vec<_> = list.iter().map(|text| json_of(text).to_string()).collect();
    shown.sort();
    listed.sort();
    complaints.unless(shown == listed, Rule::MirrorIsRight, || {
        let different = shown.iter().zip(&listed).find(|(shown, listed)| shown != listed);
        format!(
            "{} shown, {} listed, first difference {different:?}",
            shown.len(),
            listed.len()
        )
    });
}

impl Report {
    fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.ok += other.ok;
        self.failed += other.failed;
        self.unknown_done += other.unknown_done;
        self.unknown_absent += other.unknown_absent;
        self.reads += other.reads;
        self.events += other.events;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rounds: {} writes ok, {} failed, {} unknown ({} of them done), {} reads, {} events",
            self.rounds,
            self.ok,
            self.failed,
            self.unknown_done + self.unknown_absent,
            self.unknown_done,
            self.reads,
            self.events
        )
    }
}
