use std::fs::{self, File};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::for_each;
use crate::harness::{Http, Nest, Process, eventually_within, raise_open_files};
use crate::ledger::{Checker, Complaints, Ledger, Load, Report, Request, Rule, Witness};

/// A bug that is planted, the trouble in which it shows, and what the checker has to complain of.
struct Bug {
    name: &'static str,
    trouble: Trouble,
    /// Beside whatever else it complains of.
    found_by: Rule,
}

/// What happens to the service, with the bug and without: eight clients send whatever they can, then comes the scene, then
/// the end.
#[derive(Clone, Copy)]
struct Trouble {
    failpoints: &'static str,
    retention: &'static str,
    scene: Scene,
    end: End,
}

/// What is done on purpose when the clients have ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scene {
    Nothing,
    /// A sensor is deleted, and asked for again.
    Deletion,
    /// More changes of one sensor wait for the writer than fit into two groups.
    FullGroup,
    /// A sensor is read while a change of it is not committed; the process does not live to commit it.
    Uncommitted,
    /// The log is looked through for events that may go.
    Pruning,
    /// All events go.
    EmptyLog,
}

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Not before it is judged.
    Open,
    /// By SIGKILL, if not by itself, before it is judged.
    Kill,
    /// In good order, when it is judged; another one follows in the same trouble and is judged with it.
    Again,
}

const CALM: Trouble = Trouble {
    failpoints: "",
    retention: "1000000",
    scene: Scene::Nothing,
    end: End::Open,
};

const BUGS: [Bug; 14] = [
    Bug {
        name: "bug.event-outside-transaction",
        trouble: Trouble {
            failpoints: "store.before-event=60*off->1*return(crash)",
            end: End::Kill,
            ..CALM
        },
        found_by: Rule::StateIsFold,
    },
    Bug {
        name: "bug.answer-before-commit",
        trouble: UNCOMMITTED,
        found_by: Rule::OkIsPresent,
    },
    Bug {
        name: "bug.cache-before-commit",
        trouble: UNCOMMITTED,
        found_by: Rule::ReadIsFresh,
    },
    Bug {
        name: "bug.tail-before-commit",
        trouble: Trouble {
            failpoints: "store.before-head=10*off->1*return(error)",
            ..CALM
        },
        found_by: Rule::FailedIsAbsent,
    },
    Bug {
        name: "bug.unknown-told-as-failed",
        trouble: Trouble {
            failpoints: "store.after-commit=10*off->return(error)",
            // As long as it lives it does not tell of what it takes for failed.
            end: End::Kill,
            ..CALM
        },
        found_by: Rule::FailedIsAbsent,
    },
    Bug {
        name: "bug.event-lost-at-full-group",
        trouble: FULL_GROUP,
        found_by: Rule::RevisionsAreDense,
    },
    Bug {
        name: "bug.decide-before-transaction",
        trouble: FULL_GROUP,
        found_by: Rule::RevisionsAreDense,
    },
    Bug {
        name: "bug.stale-cache-after-delete",
        trouble: Trouble {
            scene: Scene::Deletion,
            ..CALM
        },
        found_by: Rule::ReadIsFresh,
    },
    Bug {
        name: "bug.patch-misses-member",
        trouble: CALM,
        found_by: Rule::StateIsFold,
    },
    Bug {
        name: "bug.revision-reused-after-prune",
        trouble: Trouble {
            retention: "0",
            scene: Scene::EmptyLog,
            end: End::Again,
            ..CALM
        },
        found_by: Rule::RevisionsAreDense,
    },
    Bug {
        name: "bug.prune-unpublished",
        trouble: Trouble {
            failpoints: "mqtt.before-connect=return(error);store.after-prune=return(delay)",
            retention: "0",
            scene: Scene::Pruning,
            end: End::Kill,
        },
        found_by: Rule::RevisionsAreDense,
    },
    Bug {
        name: "bug.cursor-before-puback",
        trouble: Trouble {
            // More than once, because a presence may be hit instead of an event.
            failpoints: "mqtt.before-send=20*off->1*return(error)->20*off->1*return(error)->20*off->1*return(error)",
            ..CALM
        },
        found_by: Rule::WitnessIsRight,
    },
    Bug {
        name: "bug.forward-after-nack",
        trouble: Trouble {
            failpoints: REFUSED,
            ..CALM
        },
        found_by: Rule::WitnessIsRight,
    },
    Bug {
        name: "bug.payload-made-anew",
        trouble: CALM,
        found_by: Rule::WitnessIsRight,
    },
];

/// The writer is held when it has made a change, until it is killed.
const UNCOMMITTED: Trouble = Trouble {
    failpoints: "store.before-head=return(hold)",
    scene: Scene::Uncommitted,
    end: End::Kill,
    ..CALM
};
/// The writer is held before a transaction, until enough commands wait.
const FULL_GROUP: Trouble = Trouble {
    failpoints: "store.before-begin=return(hold)",
    scene: Scene::FullGroup,
    ..CALM
};
const REFUSED: &str = "mqtt.refuse=20*off->1*return(error)";

/// Of each client.
const REQUESTS: usize = 60;
/// Fewer than that: the revisions of a second life that counts from 1 do not reach those of the first.
const REQUESTS_AGAIN: usize = 10;
/// Twice as many as the writer commits together: the word to prune may take a place among the first of them, and then that
/// group is not full.
const TWO_GROUPS: i64 = 512;
/// More than that.
const CHANGES: i64 = 600;
/// Pruning that began before the last event was written may have passed it over, and what comes after is new.
const PRUNINGS: usize = 2;
/// How long an answer may take that should not come at all. A bug gives it at once.
const ANSWER: Duration = Duration::from_secs(3);
/// The longest wait for a scene, on a machine that does much else.
const LIMIT: Duration = Duration::from_mins(1);

/// Lets the trouble happen, with a bug or without, and judges.
async fn judge(trouble: Trouble, bug: &str) -> Result<Report, Complaints> {
    let nest = Nest::new().await;
    let (ledger, mut checker) = (Ledger::default(), Checker::default());
    let witness = Witness::of("a subscriber", nest.subscribe("sensors/+").await);
    let refuses = trouble.failpoints == REFUSED;
    let mut witnesses = [if refuses { witness.that_sees_jumps() } else { witness }];
    let mut load = Load::new(&ledger, 1);
    let failpoints = format!("{};{bug}", trouble.failpoints);
    let variables = [
        ("FAILPOINTS", failpoints.trim_matches(';')),
        ("EVENT_RETENTION_MIN", trouble.retention),
        ("EVENT_RETENTION_HOURS", "0"),
    ];
    let mut service = nest.spawn_with(&variables);
    service.become_ready().await;
    load.run(&service, REQUESTS).await;
    play(trouble.scene, &nest, &mut service, &ledger).await;
    match trouble.end {
        End::Open => {}
        End::Kill => {
            service.kill();
            service = nest.start().await;
        }
        End::Again => {
            checker.check(&service, &ledger, &mut witnesses, &[]).await?;
            service.signal("TERM");
            service.exit().await;
            service = nest.spawn_with(&variables);
            service.become_ready().await;
            load.run(&service, REQUESTS_AGAIN).await;
        }
    }
    checker.check(&service, &ledger, &mut witnesses, &[]).await?;
    // What was told from memory has to be on the disk.
    service.kill();
    let service = nest.start().await;
    checker.check_again(&service).await?;
    Ok(checker.total())
}

async fn play(scene: Scene, nest: &Nest, service: &mut Process, ledger: &Ledger) {
    match scene {
        Scene::Nothing => {}
        Scene::Deletion => {
            let path = some_sensor(service, ledger).await;
            ledger.send(service, Request::delete(&path)).await;
            ledger.send(service, Request::get(&path)).await;
        }
        Scene::FullGroup => {
            let path = some_sensor(service, ledger).await;
            let held = Held::at(nest, "store.before-begin");
            let clients = (0..CHANGES).map(|value| change(service, ledger, &path, value));
            let clients: JoinSet<_> = clients.collect();
            let http = Http::clone(service);
            let is_enough = || async { waiting_writes(&http).await >= TWO_GROUPS };
            eventually_within(LIMIT, "two groups of writes wait", is_enough).await;
            held.let_go();
            clients.join_all().await;
        }
        Scene::Uncommitted => {
            let path = some_sensor(service, ledger).await;
            let _held = Held::at(nest, "store.before-head");
            let mut clients = JoinSet::from_iter([change(service, ledger, &path, 1)]);
            let is_held = |service: &Process| service.output().contains("store.before-head");
            eventually_within(LIMIT, "the writer is held", || async { is_held(service) }).await;
            ledger.send(service, Request::get(&path)).await;
            // In vain, without a bug.
            let _ = timeout(ANSWER, clients.join_next()).await;
            service.kill();
            clients.join_all().await;
        }
        Scene::Pruning => {
            let prunings = || service.output().matches("store.after-prune").count();
            let enough = prunings() + PRUNINGS;
            eventually_within(LIMIT, "the log is pruned", || async { prunings() >= enough }).await;
        }
        Scene::EmptyLog => {
            let http = Http::clone(service);
            let is_empty = || async { http.get("/events").await.expect(200).events().is_empty() };
            eventually_within(LIMIT, "the log is empty", is_empty).await;
        }
    }
}

/// The path of a new sensor.
async fn some_sensor(http: &Http, ledger: &Ledger) -> String {
    let made = ledger
        .send(http, Request::put("/sensors/played", json!({"value": 0})))
        .await;
    made.expect("an answer").path()
}

fn change(http: &Http, ledger: &Ledger, path: &str, value: i64) -> impl Future<Output = ()> + Send + use<> {
    let (http, ledger, request) = (
        http.clone(),
        ledger.clone(),
        Request::patch(path, json!({"value": value})),
    );
    async move { drop(ledger.send(&http, request).await) }
}

/// As the metrics tell; none where 600 clients on two cores kept the question from being sent within the 5 s that a head may take (408).
async fn waiting_writes(http: &Http) -> i64 {
    let metrics = http.get("/metrics").await;
    if metrics.status == 408 {
        return 0;
    }
    let metrics = metrics.expect(200);
    let mut lines = metrics.text().lines();
    let depth = lines.find_map(|line| line.strip_prefix("sensorcast_write_queue_depth "));
    depth.expect("a depth").parse().expect("a number")
}

/// A place at which the process is held.
struct Held(std::path::PathBuf);

impl Held {
    fn at(nest: &Nest, place: &str) -> Self {
        let file = nest.folder().join(place);
        File::create(&file).expect("a file");
        Self(file)
    }

    fn let_go(self) {
        fs::remove_file(self.0).expect("the file");
    }
}

async fn try_bug(bug: Bug) {
    let right = judge(bug.trouble, "").await;
    let report = right.unwrap_or_else(|complaints| panic!("without {}: {complaints:?}", bug.name));
    let wrong = judge(bug.trouble, &format!("{}=return", bug.name)).await;
    let complaints = wrong.expect_err(bug.name);
    let rules = complaints.rules();
    assert!(rules.contains(&bug.found_by), "{}: {complaints:?}", bug.name);
    println!("{}: found by {rules:?}; without it {report}", bug.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_bug_is_found_and_nothing_without_it() {
    raise_open_files();
    for_each(BUGS, try_bug).await;
}
