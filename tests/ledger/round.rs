use std::collections::HashMap;

use serde_json::{Value, json};

use super::checker::Report;
use super::complaint::{Complaints, Rule};
use super::entry::{Entry, Outcome, Request};
use super::history::{Fact, State};
use super::order::{Made, Timeline, judge_reads, judge_writes};
use crate::harness::{Answer, merge};

/// One round, while it is judged.
pub struct Round<'a> {
    facts: &'a [Fact],
    timelines: HashMap<String, Timeline>,
    /// For each sensor, when answers have told which revision of it.
    told: HashMap<String, Vec<(u64, i64)>>,
    made: Vec<Made>,
    complaints: &'a mut Complaints,
    report: &'a mut Report,
}

impl<'a> Round<'a> {
    /// A round that made these `facts`.
    pub fn new(
        facts: &'a [Fact],
        timelines: HashMap<String, Timeline>,
        complaints: &'a mut Complaints,
        report: &'a mut Report,
    ) -> Self {
        Self {
            facts,
            timelines,
            told: HashMap::new(),
            made: Vec::new(),
            complaints,
            report,
        }
    }

    /// The states in which the sensors are left, with their exact texts where answers have told them.
    pub fn last_states(self) -> impl Iterator<Item = (String, State)> {
        let timelines = self.timelines.into_iter();
        timelines.filter_map(|(sensor, mut timeline)| Some((sensor, timeline.pop()?.1?)))
    }

    pub fn judge(&mut self, entries: Vec<Entry>) {
        let (reads, writes): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.request.method == "GET");
        let (deletes, changes): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|entry| entry.request.method == "DELETE");
        self.judge_changes(&changes);
        self.judge_deletes(deletes);
        for read in &reads {
            if let Outcome::Ok(answer) = &read.outcome {
                self.note(answer.id(), read.ended, answer.revision());
            }
        }
        self.report.reads += reads.len();
        judge_writes(&self.made, self.complaints);
        judge_reads(&reads, &mut self.timelines, &self.told, self.complaints);
    }

    fn note(&mut self, sensor: String, ended: u64, revision: i64) {
        self.told.entry(sensor).or_default().push((ended, revision));
    }

    /// Requests with a body: each change is known by its mark.
    fn judge_changes(&mut self, entries: &[Entry]) {
        let facts = self.facts;
        let mut facts: HashMap<_, _> = facts
            .iter()
            .filter_map(|fact| Some((fact.after.as_ref()?.json["unit"].as_str().unwrap_or_default(), fact)))
            .collect();
        let (marked, distinct) = (
            facts.len(),
            self.facts.iter().filter(|fact| fact.after.is_some()).count(),
        );
        self.complaints.unless(marked == distinct, Rule::EventIsAskedFor, || {
            format!("{distinct} changes have {marked} marks: one request made two of them")
        });
        for entry in entries {
            let fact = entry.mark.as_ref().and_then(|mark| facts.remove(mark.as_str()));
            self.judge_change(entry, fact);
        }
        for fact in facts.into_values() {
            self.complaints
                .add(Rule::EventIsAskedFor, format!("nobody asked for {:?}", fact.event));
        }
    }

    fn judge_change(&mut self, entry: &Entry, fact: Option<&Fact>) {
        let asked = format!("{} {}", entry.request.method, entry.request.path);
        match (&entry.outcome, fact) {
            (Outcome::Ok(answer), Some(fact)) => {
                self.report.ok += 1;
                self.judge_success(entry, answer, fact);
            }
            (Outcome::Ok(answer), None) if entry.mark.is_none() => {
                self.report.ok += 1;
                self.judge_answer(answer, answer.revision(), "an unchanged answer");
            }
            (Outcome::Ok(answer), None) => self.complaints.add(
                Rule::OkIsPresent,
                format!("{asked} was answered and is lost: {}", answer.text()),
            ),
            (Outcome::Failed(answer), None) => {
                self.report.failed += 1;
                self.judge_refusal(&entry.request, answer);
            }
            (Outcome::Failed(answer), Some(fact)) => self.complaints.add(
                Rule::FailedIsAbsent,
                format!("{asked} got {} and happened: {:?}", answer.status, fact.event),
            ),
            (Outcome::Unknown, None) => self.report.unknown_absent += 1,
            (Outcome::Unknown, Some(fact)) => {
                self.report.unknown_done += 1;
                self.judge_whole(&entry.request, fact);
            }
        }
    }

    fn judge_success(&mut self, entry: &Entry, answer: &Answer, fact: &Fact) {
        let revision = fact.event.revision;
        self.judge_whole(&entry.request, fact);
        self.judge_answer(answer, revision, "the answer");
        let creates = fact.event.kind == "created";
        self.complaints
            .unless((answer.status == 201) == creates, Rule::OkIsPresent, || {
                format!("{} was answered with {}", fact.event.kind, answer.status)
            });
        self.made.push(Made {
            started: entry.started,
            ended: entry.ended,
            revision,
        });
        self.note(fact.event.sensor.clone(), entry.ended, revision);
    }

    /// An answer with a representation tells the state of its revision.
    fn judge_answer(&mut self, answer: &Answer, revision: i64, what: &str) {
        let told = (answer.id(), answer.revision(), answer.etag());
        let fits = told.1 == revision && told.2.ends_with(&format!(".{revision}\""));
        self.complaints.unless(fits, Rule::OkIsPresent, || {
            format!("{what} tells {} and {}, it is {revision}", told.1, told.2)
        });
        let timeline = self.timelines.get_mut(&told.0);
        let states = timeline.into_iter().flatten();
        match states.into_iter().find(|(from, _)| *from == revision) {
            Some((_, Some(state))) => state.compare(answer.text(), what, self.complaints),
            _ => self.complaints.add(
                Rule::ReadIsFresh,
                format!("{what} tells a state that the log does not have: {}", answer.text()),
            ),
        }
    }

    /// The change is what the request asked for.
    fn judge_whole(&mut self, request: &Request, fact: &Fact) {
        let (Some(after), Some(body)) = (&fact.after, &request.body) else {
            return;
        };
        let wanted = wanted(request, body, fact.before.as_ref().map(|state| &*state.json));
        let found = writable(&after.json, body);
        self.complaints.unless(found == wanted, Rule::ChangeIsWhole, || {
            format!("{}\n  is    {found}\n  asked {wanted}", fact.event.revision)
        });
        self.judge_precondition(request, fact);
    }

    fn judge_precondition(&mut self, request: &Request, fact: &Fact) {
        let Fact { event, .. } = fact;
        let named = request.if_match.as_deref().map(revision_of);
        self.complaints.unless(
            named.is_none_or(|named| event.previous == Some(named)),
            Rule::PreconditionHolds,
            || {
                format!(
                    "{} changed {:?} and was to change {named:?}",
                    event.revision, event.previous
                )
            },
        );
        self.complaints.unless(
            !request.creates_only || event.kind == "created",
            Rule::PreconditionHolds,
            || format!("{} was to create: {}", event.revision, event.kind),
        );
    }

    /// A 412 is wrong when the sensor was what the request named, before this round and after it.
    fn judge_refusal(&mut self, request: &Request, answer: &Answer) {
        let (Some(tag), Some(timeline)) = (&request.if_match, self.timelines.get(request.target())) else {
            return;
        };
        let never_changed = timeline.len() == 1 && timeline[0].0 == revision_of(tag) && timeline[0].1.is_some();
        self.complaints
            .unless(answer.status != 412 || !never_changed, Rule::PreconditionHolds, || {
                format!("{} {} was refused, and {tag} held", request.method, request.path)
            });
    }

    /// A deletion is known by the sensor and by what it was.
    fn judge_deletes(&mut self, mut entries: Vec<Entry>) {
        // Conditional ones first: they fit one deletion only.
        entries.sort_by_key(|entry| {
            (
                matches!(entry.outcome, Outcome::Unknown),
                entry.request.if_match.is_none(),
            )
        });
        let deletions = self.facts.iter().filter(|fact| fact.event.kind == "deleted");
        let mut deletions: Vec<_> = deletions.collect();
        let mut refused = Vec::new();
        for entry in &entries {
            let request = &entry.request;
            let named = request.if_match.as_deref().map(revision_of);
            let fits = |fact: &&Fact| deletes(request, fact);
            match &entry.outcome {
                Outcome::Failed(answer) => {
                    self.report.failed += 1;
                    self.judge_refusal(request, answer);
                    refused.push(request);
                }
                Outcome::Unknown => match deletions.iter().position(fits) {
                    Some(place) => {
                        deletions.swap_remove(place);
                        self.report.unknown_done += 1;
                    }
                    None => self.report.unknown_absent += 1,
                },
                Outcome::Ok(_) => {
                    self.report.ok += 1;
                    let Some(place) = deletions.iter().position(fits) else {
                        let lost = format!("DELETE {} If-Match {named:?} was answered and is lost", request.path);
                        self.complaints.add(Rule::OkIsPresent, lost);
                        continue;
                    };
                    let revision = deletions.swap_remove(place).event.revision;
                    self.made.push(Made {
                        started: entry.started,
                        ended: entry.ended,
                        revision,
                    });
                    self.note(request.target().to_owned(), entry.ended, revision);
                }
            }
        }
        for fact in deletions {
            let event = &fact.event;
            if refused.iter().any(|request| deletes(request, fact)) {
                let happened = format!("every DELETE of it that is left had failed, and happened: {event:?}");
                self.complaints.add(Rule::FailedIsAbsent, happened);
            } else {
                self.complaints
                    .add(Rule::EventIsAskedFor, format!("nobody asked for {event:?}"));
            }
        }
    }
}

/// Whether the deletion is one that the request asked for.
fn deletes(request: &Request, fact: &Fact) -> bool {
    let named = request.if_match.as_deref().map(revision_of);
    fact.event.sensor == request.target() && named.is_none_or(|named| fact.event.previous == Some(named))
}

/// What a request makes of the members that a client decides.
fn wanted(request: &Request, body: &Value, before: Option<&Value>) -> Value {
    let mut wanted = match request.method {
        "PATCH" => writable(&merge(before.unwrap_or(&Value::Null), body), body),
        _ => writable(body, body),
    };
    if request.method == "PUT" && body.get("name").is_none() {
        wanted["name"] = request.target().into();
    }
    if wanted.get("status").is_none_or(Value::is_null) {
        wanted["status"] = json!("active");
    }
    wanted
}

fn writable(representation: &Value, body: &Value) -> Value {
    let is_given = |name: &str| name == "measured_at" && body.get(name).is_some();
    let members = representation.as_object().expect("an object").iter();
    members
        .filter(|(name, _)| WRITABLE.contains(&name.as_str()) || is_given(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// `"k3f7q2vt.42"` → 42
fn revision_of(tag: &str) -> i64 {
    let (_, revision) = tag.trim_matches('"').split_once('.').expect("a tag");
    revision.parse().expect("a revision")
}

/// The members that a client decides alone. `measured_at` is one when it is given.
const WRITABLE: [&str; 7] = ["name", "kind", "unit", "value", "status", "location", "metadata"];
