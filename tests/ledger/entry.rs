use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use crate::harness::{Answer, Http, MERGE_PATCH};

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub body: Option<Value>,
    /// The tag in `If-Match`.
    pub if_match: Option<String>,
    /// `If-None-Match: *`
    pub creates_only: bool,
}

/// What became of a request.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A success.
    Ok(Answer),
    /// A refusal or a failure, after which nothing has changed.
    Failed(Answer),
    /// Nobody told, or was told that nobody knows.
    Unknown,
}

/// A request that was sent, and what became of it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub request: Request,
    /// What tells its change from all others: the `unit` that it sets. A request without a body has none, and one that
    /// changes nothing.
    pub mark: Option<String>,
    /// When it was sent, by a clock that counts.
    pub started: u64,
    /// When the answer was there.
    pub ended: u64,
    pub outcome: Outcome,
}

/// Who sends requests through it has them written down. Cheap to clone: every client has one.
#[derive(Clone, Default)]
pub struct Ledger {
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    clock: u64,
    entries: BTreeMap<u64, Entry>,
}

/// A request that takes longer has an unknown outcome.
const MAX_WAIT: Duration = Duration::from_secs(30);

impl Request {
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path, None)
    }

    pub fn post(body: Value) -> Self {
        Self::new("POST", "/sensors", Some(body))
    }

    pub fn put(path: impl Into<String>, body: Value) -> Self {
        Self::new("PUT", path, Some(body))
    }

    /// A merge patch.
    pub fn patch(path: impl Into<String>, body: Value) -> Self {
        Self::new("PATCH", path, Some(body))
    }

    /// By id, so that it is known which sensor was meant.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path, None)
    }

    #[must_use]
    pub fn if_match(self, tag: impl Into<String>) -> Self {
        Self {
            if_match: Some(tag.into()),
            ..self
        }
    }

    #[must_use]
    pub fn creates_only(self) -> Self {
        Self {
            creates_only: true,
            ..self
        }
    }

    fn new(method: &'static str, path: impl Into<String>, body: Option<Value>) -> Self {
        Self {
            method,
            path: path.into(),
            body,
            if_match: None,
            creates_only: false,
        }
    }

    /// The last segment: an id or a name.
    pub fn target(&self) -> &str {
        self.path.trim_start_matches("/sensors").trim_start_matches('/')
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        let mut headers = Vec::new();
        match self.method {
            "PATCH" => headers.push(("content-type", MERGE_PATCH)),
            "POST" | "PUT" => headers.push(("content-type", "application/json")),
            _ => {}
        }
        headers.extend(self.if_match.as_deref().map(|tag| ("if-match", tag)));
        headers.extend(self.creates_only.then_some(("if-none-match", "*")));
        headers
    }
}

impl Outcome {
    fn of(answer: Answer) -> Self {
        let says_unknown = || {
            answer.json()["type"]
                .as_str()
                .is_some_and(|kind| kind.ends_with("/outcome-unknown"))
        };
        match answer.status {
            ..400 => Self::Ok(answer),
            503 if says_unknown() => Self::Unknown,
            _ => Self::Failed(answer),
        }
    }
}

impl Ledger {
    /// Sends a request and writes it down; `None` when there was no whole answer. A client that is aborted leaves an unknown
    /// outcome behind; one that finds nobody to connect to leaves nothing.
    pub async fn send(&self, http: &Http, request: Request) -> Option<Answer> {
        let (number, request) = self.begin(request);
        let body = request.body.as_ref().map(Value::to_string).unwrap_or_default();
        let headers = request.headers();
        let sending = http.try_failing(request.method, &request.path, &headers, body);
        match timeout(MAX_WAIT, sending).await {
            Ok(Ok(answer)) => {
                self.end(number, Some(Outcome::of(answer.clone())));
                Some(answer)
            }
            Ok(Err(error)) if error.is_connect() => {
                self.end(number, None);
                None
            }
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Takes what is written, in the order in which it was sent; a request that still runs is unknown for ever.
    pub fn take(&self) -> Vec<Entry> {
        let entries = std::mem::take(&mut self.book.lock().expect("no panic").entries);
        entries.into_values().collect()
    }

    fn begin(&self, mut request: Request) -> (u64, Request) {
        let mut book = self.book.lock().expect("no panic");
        book.clock += 1;
        let started = book.clock;
        let members = request.body.as_mut().and_then(Value::as_object_mut);
        let mark = members.filter(|members| !members.is_empty()).map(|members| {
            let mark = format!("m{started}");
            members.insert("unit".to_owned(), mark.clone().into());
            mark
        });
        let entry = Entry {
            request: request.clone(),
            mark,
            started,
            ended: u64::MAX,
            outcome: Outcome::Unknown,
        };
        book.entries.insert(started, entry);
        (started, request)
    }

    /// `None`: it was never sent.
    fn end(&self, number: u64, outcome: Option<Outcome>) {
        let mut book = self.book.lock().expect("no panic");
        book.clock += 1;
        let ended = book.clock;
        match (outcome, book.entries.get_mut(&number)) {
            (Some(outcome), Some(entry)) => {
                entry.ended = ended;
                entry.outcome = outcome;
            }
            _ => drop(book.entries.remove(&number)),
        }
    }
}
