use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::harness::{Dice, Http, MERGE_PATCH};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const WRITERS: u64 = 8;
/// So many that not every one of them is written again after every loss.
const NAMES: u64 = 300;
/// How soon to ask a service again that does not answer.
const PAUSE: Duration = Duration::from_millis(20);

/// Writers that create, change and delete whatever happens, until they are told to stop.
pub struct Writers {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    /// The newest revision that was acknowledged.
    revision: Arc<AtomicI64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Writers {
    pub fn start(http: &Http, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicU64::new(0));
        let revision = Arc::new(AtomicI64::new(0));
        let write = |writer| {
            let writer = Writer {
                http: http.clone(),
                dice: Dice::new(seed, 100 + writer),
                stop: Arc::clone(&stop),
                written: Arc::clone(&written),
                revision: Arc::clone(&revision),
            };
            tokio::spawn(writer.run())
        };
        Self {
            tasks: (0..WRITERS).map(write).collect(),
            stop,
            written,
            revision,
        }
    }

    /// How many writes succeeded.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// About where the store is.
    pub fn revision(&self) -> i64 {
        self.revision.load(Ordering::Relaxed)
    }

    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no wrong answer");
        }
    }
}

struct Writer {
    http: Http,
    dice: Dice,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    revision: Arc<AtomicI64>,
}

impl Writer {
    async fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let (method, path, body) = some_write(&mut self.dice);
            let media_type = if method == "PATCH" {
                MERGE_PATCH
            } else {
                "application/json"
            };
            let headers = [("content-type", media_type)];
            match self.http.try_request(method, &path, &headers, body.to_string()).await {
                Some(answer) if matches!(answer.status, 200 | 201 | 204) => {
                    self.written.fetch_add(1, Ordering::Relaxed);
                    if answer.status != 204 {
                        self.revision.store(answer.revision(), Ordering::Relaxed);
                    }
                }
                // Not there, inactive, or gone in the meantime; busy.
                Some(answer) => assert!(matches!(answer.status, 404 | 409 | 503), "{}", answer.text()),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

fn some_write(dice: &mut Dice) -> (&'static str, String, Value) {
    let path = format!("/sensors/s{}", dice.below(NAMES));
    let member = format!("m{}", dice.below(4));
    match dice.below(20) {
        0 => ("DELETE", path, json!({})),
        1..=7 => (
            "PUT",
            path,
            json!({"value": dice.fraction(), "kind": format!("k{}", dice.below(3))}),
        ),
        8 => (
            "PATCH",
            path,
            json!({"status": if dice.below(3) == 0 { "inactive" } else { "active" }}),
        ),
        9..=11 => ("PATCH", path, json!({"metadata": {member: {"é\"": dice.fraction()}}})),
        12 => ("PATCH", path, json!({"metadata": {member: null}, "unit": null})),
        13 => (
            "PATCH",
            path,
            json!({"location": {"type": "Point", "coordinates": [dice.fraction() % 180.0, 41.5]}}),
        ),
        14 => ("PATCH", path, json!({"unit": format!("u{}", dice.below(5))})),
        _ => ("PATCH", path, json!({"value": dice.fraction()})),
    }
}
