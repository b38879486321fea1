//! A fixed script of requests, and what has to be true after it, whatever happened on the way.

use std::process::ExitStatus;

use serde_json::{Value, json};

use crate::harness::{Answer, Event, Http, MERGE_PATCH, Mirror, Process};

/// Method, path, and what is in the body beside the value.
const STEPS: [(&str, &str, usize); 9] = [
    ("PATCH", "/sensors/old", 0),
    ("PUT", "/sensors/new", 0),
    ("POST", "/sensors", 0),
    ("PUT", "/sensors/old", METADATA_BYTES),
    ("DELETE", "/sensors/new", 0),
    ("PATCH", "/sensors/old", 0),
    ("PUT", "/sensors/new", METADATA_BYTES),
    ("PATCH", "/sensors/new", 0),
    ("PUT", "/sensors/old", 0),
];
/// Three pages of the database, in the sensor and again in the event.
const METADATA_BYTES: usize = 12_000;

/// What a client knows of one step.
#[derive(Debug)]
enum Outcome {
    /// Acknowledged, with this answer.
    Done(Box<Answer>),
    /// The service said that nothing was changed.
    Refused,
    /// The service said that it does not know.
    Unknown,
    /// The connection broke.
    Unanswered,
}

/// One life of a process, from its start to its end.
#[derive(Debug)]
pub struct Life {
    pub end: ExitStatus,
    outcomes: Vec<Outcome>,
}

/// Makes what the script finds when a database is there already.
pub async fn prepare(http: &Http) {
    for step in [
        ("PUT", "/sensors/old", METADATA_BYTES),
        ("PUT", "/sensors/gone", 0),
        ("DELETE", "/sensors/gone", 0),
    ] {
        assert!(matches!(send(http, "before", step).await, Outcome::Done(_)));
    }
}

impl Life {
    /// Runs the script as far as the process lives, then asks the process to stop.
    pub async fn run(process: &mut Process) -> Self {
        let mut outcomes = Vec::new();
        if process.has_started().await {
            for (number, step) in STEPS.into_iter().enumerate() {
                outcomes.push(send(process, &marker(number), step).await);
            }
            process.signal("TERM");
        }
        Self {
            end: process.exit().await,
            outcomes,
        }
    }

    /// Whether it came as far as to answer requests.
    pub fn is_started(&self) -> bool {
        !self.outcomes.is_empty()
    }

    /// Whether a client was told that the outcome of its request is unknown.
    pub fn told_unknown(&self) -> bool {
        self.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Unknown))
    }

    /// Asserts, on a service that has started again, that what was acknowledged is there, that what was refused is not,
    /// that the rest is whole or absent, and that the log tells the state.
    pub async fn check(&self, http: &Http, what: &str) {
        let epoch = http.get("/sensors").await.expect(200).json()["epoch"].clone();
        let after = format!("{}.0", epoch.as_str().expect("an epoch"));
        let events: Vec<_> = http.events_after(&after).await;
        let events: Vec<_> = events.iter().map(|event| Event::read(event.as_bytes())).collect();
        let mut mirror = Mirror::default();
        for event in &events {
            mirror.apply(event);
        }
        mirror.assert_equals(&http.all_pages(10).await);

        let of_script = events.iter().filter(|event| !is_from_before(event));
        let mut left = of_script.collect::<Vec<_>>().into_iter().peekable();
        for (number, outcome) in self.outcomes.iter().enumerate() {
            let step = STEPS[number];
            let told = |event: &&Event| tells(event, step, &marker(number));
            match outcome {
                Outcome::Done(answer) => {
                    let event = left.next_if(told);
                    let event = event.unwrap_or_else(|| panic!("{what}: step {number} is lost: {answer:?}"));
                    if let Some(state) = &event.state {
                        assert_eq!(state, answer.text(), "{what}: the state is what was acknowledged");
                    }
                }
                Outcome::Unknown | Outcome::Unanswered => drop(left.next_if(told)),
                Outcome::Refused => {}
            }
        }
        assert!(
            left.peek().is_none(),
            "{what}: nobody did {:?} of {self:?}",
            left.peek()
        );
        let next = http.put("/sensors/after", &json!({"value": 1})).await.expect(201);
        assert_eq!(
            next.revision(),
            mirror.revision + 1,
            "{what}: no hole after the restart"
        );
    }
}

/// Every step writes a value of its own, by which its event is known.
fn marker(number: usize) -> String {
    format!("step {number}")
}

async fn send(http: &Http, marker: &str, (method, path, metadata_bytes): (&str, &str, usize)) -> Outcome {
    let content_type = if method == "PATCH" {
        MERGE_PATCH
    } else {
        "application/json"
    };
    let body = match method {
        "DELETE" => String::new(),
        "POST" => json!({"name": "posted", "value": marker}).to_string(),
        _ => json!({"value": marker, "metadata": {"text": "x".repeat(metadata_bytes)}}).to_string(),
    };
    let answer = http
        .try_request(method, path, &[("content-type", content_type)], body)
        .await;
    match answer {
        None => Outcome::Unanswered,
        Some(answer) if answer.status < 300 => Outcome::Done(Box::new(answer)),
        Some(answer) if is_unknown(&answer) => Outcome::Unknown,
        Some(_) => Outcome::Refused,
    }
}

fn is_unknown(answer: &Answer) -> bool {
    let kind = answer.problem().document["type"].clone();
    kind.as_str().is_some_and(|kind| kind.ends_with("/outcome-unknown"))
}

fn is_from_before(event: &Event) -> bool {
    event.revision <= 3 && (event.kind == "deleted" || has_value(event, "before"))
}

fn tells(event: &Event, (method, ..): (&str, &str, usize), marker: &str) -> bool {
    match method {
        "DELETE" => event.kind == "deleted",
        _ => has_value(event, marker),
    }
}

fn has_value(event: &Event, value: &str) -> bool {
    let state: Option<Value> = event
        .state
        .as_ref()
        .map(|state| serde_json::from_str(state).expect("JSON"));
    state
        .or_else(|| event.changes.clone())
        .is_some_and(|members| members["value"] == value)
}
