//! A fixed script of requests: the same system calls at every run.

use std::process::ExitStatus;

use serde_json::json;

use crate::harness::{Answer, Http, Process};
use crate::ledger::{Checker, Ledger, Request};

const OLD: &str = "/sensors/00000000-0000-4000-8000-000000000001";
const NEW: &str = "/sensors/00000000-0000-4000-8000-000000000002";
/// Three pages of the database, in the sensor and again in the event.
const METADATA_BYTES: usize = 12_000;

/// One life of a process, from its start to its end.
pub struct Life {
    pub end: ExitStatus,
    /// Whether it came as far as to answer requests.
    pub is_started: bool,
    /// Whether a client was told that the outcome of its request is unknown.
    pub told_unknown: bool,
    ledger: Ledger,
}

/// Makes what the script finds when a database is there already; gives the checker of that database.
pub async fn prepare(http: &Http) -> Checker {
    let (ledger, mut checker) = (Ledger::default(), Checker::default());
    for request in [put(OLD, METADATA_BYTES), put(NEW, 0), Request::delete(NEW)] {
        let answer = ledger.send(http, request).await.expect("an answer");
        assert!(answer.status < 300, "{}", answer.text());
    }
    checker.check(http, &ledger, &mut [], &[]).await.unwrap();
    checker
}

impl Life {
    /// Runs the script as far as the process lives, then asks the process to stop.
    pub async fn run(process: &mut Process) -> Self {
        let ledger = Ledger::default();
        let mut told_unknown = false;
        let is_started = process.has_started().await;
        if is_started {
            for request in requests() {
                let answer = ledger.send(process, request).await;
                told_unknown |= answer.is_some_and(|answer| is_unknown(&answer));
            }
            process.signal("TERM");
        }
        Self {
            end: process.exit().await,
            is_started,
            told_unknown,
            ledger,
        }
    }

    /// Judges a service that has started again.
    pub async fn check(&self, http: &Http, mut checker: Checker, what: &str) {
        let report = checker.check(http, &self.ledger, &mut [], &[]).await;
        report.unwrap_or_else(|complaints| panic!("{what}: {complaints:?}"));
        self.ledger.send(http, put(OLD, 1)).await.expect("an answer");
        let report = checker.check(http, &self.ledger, &mut [], &[]).await;
        report.unwrap_or_else(|complaints| panic!("{what}, and a write: {complaints:?}"));
    }
}

fn requests() -> [Request; 9] {
    [
        patch(OLD),
        put(NEW, 0),
        Request::post(json!({"name": "posted"})),
        put(OLD, METADATA_BYTES),
        Request::delete(NEW),
        patch(OLD),
        put(NEW, METADATA_BYTES),
        patch(NEW),
        put(OLD, 0),
    ]
}

fn put(path: &str, metadata_bytes: usize) -> Request {
    let name = if path == OLD { "old" } else { "new" };
    Request::put(
        path,
        json!({"name": name, "metadata": {"text": "x".repeat(metadata_bytes)}}),
    )
}

/// The ledger puts in what is to be changed.
fn patch(path: &str) -> Request {
    Request::patch(path, json!({"kind": "patched"}))
}

fn is_unknown(answer: &Answer) -> bool {
    answer.status == 503 && answer.text().contains("/outcome-unknown")
}
