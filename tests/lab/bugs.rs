use std::time::Duration;

use tokio::time::sleep;

use crate::for_each;
use crate::harness::{Nest, Process};
use crate::ledger::{Checker, Complaints, Ledger, Load, Report, Rule, Witness};

/// A bug that is planted, the trouble in which it shows, and what the checker has to complain of.
struct Bug {
    name: &'static str,
    trouble: Trouble,
    /// At least one of these.
    found_by: &'static [Rule],
}

/// What happens to the service, with the bug and without.
#[derive(Clone, Copy)]
struct Trouble {
    failpoints: &'static str,
    clients: u64,
    requests: usize,
    names: u64,
    retention: &'static str,
    pause: Duration,
    end: End,
}

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Not before it is judged.
    Open,
    /// By SIGKILL, while requests run.
    Kill,
    /// By itself, soon, if the bug does not keep it from that.
    Soon,
    /// In good order; another one follows with the same failpoints, before they are judged.
    Again,
}

const CALM: Trouble = Trouble {
    failpoints: "",
    clients: 8,
    requests: 60,
    names: 24,
    retention: "1000000",
    pause: Duration::ZERO,
    end: End::Open,
};

const BUGS: [Bug; 13] = [
    Bug {
        name: "bug.event-outside-transaction",
        trouble: Trouble {
            failpoints: "store.before-event=60*off->1*return(crash)",
            end: End::Soon,
            ..CALM
        },
        found_by: &[Rule::StateIsFold],
    },
    Bug {
        name: "bug.answer-before-commit",
        trouble: Trouble {
            // Without a broker, so that no cursor is saved, which would commit what came before.
            failpoints: "mqtt.before-connect=return(error);store.before-begin=return(delay)",
            requests: 100_000,
            end: End::Kill,
            ..CALM
        },
        found_by: &[Rule::OkIsPresent],
    },
    Bug {
        name: "bug.unknown-told-as-failed",
        trouble: Trouble {
            failpoints: "store.after-commit=10*off->return(error)",
            end: End::Soon,
            ..CALM
        },
        found_by: &[Rule::FailedIsAbsent],
    },
    Bug {
        name: "bug.event-lost-at-full-group",
        trouble: Trouble {
            // The first transaction is that of the probe.
            failpoints: "store.before-begin=1*off->1*sleep(3000)",
            clients: 900,
            requests: 1,
            ..CALM
        },
        found_by: &[Rule::RevisionsAreDense],
    },
    Bug {
        name: "bug.decide-before-transaction",
        trouble: Trouble {
            failpoints: "store.before-begin=20%return(delay)",
            ..CALM
        },
        found_by: &[Rule::RevisionsAreDense, Rule::PreconditionHolds],
    },
    Bug {
        name: "bug.cache-before-commit",
        trouble: Trouble {
            failpoints: "store.before-head=50%return(delay);store.before-commit=50%return(error)",
            names: 2,
            ..CALM
        },
        found_by: &[Rule::ReadIsFresh],
    },
    Bug {
        name: "bug.stale-cache-after-delete",
        trouble: CALM,
        found_by: &[Rule::ReadIsFresh, Rule::StateIsFold],
    },
    Bug {
        name: "bug.patch-misses-member",
        trouble: CALM,
        found_by: &[Rule::StateIsFold],
    },
    Bug {
        name: "bug.revision-reused-after-prune",
        trouble: Trouble {
            retention: "0",
            pause: PRUNING,
            end: End::Again,
            ..CALM
        },
        found_by: &[Rule::RevisionsAreDense, Rule::WitnessIsRight],
    },
    Bug {
        name: "bug.prune-unpublished",
        trouble: Trouble {
            failpoints: "mqtt.before-connect=5*return(error)",
            retention: "0",
            pause: PRUNING,
            ..CALM
        },
        found_by: &[Rule::RevisionsAreDense, Rule::WitnessIsRight],
    },
    Bug {
        name: "bug.cursor-before-puback",
        trouble: Trouble {
            failpoints: "mqtt.before-send=5%return(error)",
            ..CALM
        },
        found_by: &[Rule::WitnessIsRight],
    },
    Bug {
        name: "bug.forward-after-nack",
        trouble: Trouble {
            failpoints: "mqtt.refuse=5%return(error)",
            ..CALM
        },
        found_by: &[Rule::WitnessIsRight],
    },
    Bug {
        name: "bug.payload-made-anew",
        trouble: CALM,
        found_by: &[Rule::WitnessIsRight],
    },
];

/// Longer than the pause between two looks for events that may go, and than an attempt to connect.
const PRUNING: Duration = Duration::from_millis(1_500);

/// More than a process needs that ends.
const END: Duration = Duration::from_secs(3);
/// Before the kill.
const LIFE: Duration = Duration::from_secs(2);

/// Lets the trouble happen, with a bug or without, and judges.
async fn judge(trouble: Trouble, bug: &str) -> Result<Report, Complaints> {
    let nest = Nest::new().await;
    let (ledger, mut checker) = (Ledger::default(), Checker::default());
    let witness = Witness::of("a subscriber", nest.subscribe("sensors/+").await);
    let refuses = trouble.failpoints.contains("mqtt.refuse");
    let mut witnesses = [if refuses { witness.that_sees_jumps() } else { witness }];
    let mut load = Load::new(&ledger, 1)
        .of_clients(trouble.clients)
        .on_names(trouble.names);
    let failpoints = format!("{};{bug}", trouble.failpoints);
    let variables = [
        ("FAILPOINTS", failpoints.trim_matches(';')),
        ("EVENT_RETENTION_MIN", trouble.retention),
        ("EVENT_RETENTION_HOURS", "0"),
    ];
    let mut service = live(&nest, &mut load, trouble, &variables).await;
    match trouble.end {
        End::Open | End::Kill => {}
        End::Soon => sleep(END).await,
        End::Again => {
            service.signal("TERM");
            service.exit().await;
            drop(service);
            service = live(&nest, &mut load, trouble, &variables).await;
        }
    }
    if service.has_ended() {
        drop(service);
        service = nest.start().await;
    }
    checker.check(&service, &ledger, &mut witnesses, &[]).await
}

async fn live(nest: &Nest, load: &mut Load, trouble: Trouble, variables: &[(&str, &str)]) -> Process {
    let mut service = nest.spawn_with(variables);
    service.become_ready().await;
    let clients = load.start(&service, trouble.requests);
    if trouble.end == End::Kill {
        sleep(LIFE).await;
        service.kill();
    }
    clients.join_all().await;
    sleep(trouble.pause).await;
    service
}

async fn try_bug(bug: Bug) {
    let right = judge(bug.trouble, "").await;
    let report = right.unwrap_or_else(|complaints| panic!("without {}: {complaints:?}", bug.name));
    let wrong = judge(bug.trouble, &format!("{}=return", bug.name)).await;
    let complaints = wrong.expect_err(bug.name);
    let rules = complaints.rules();
    assert!(
        bug.found_by.iter().any(|rule| rules.contains(rule)),
        "{}: {complaints:?}",
        bug.name
    );
    println!("{}: found by {rules:?}; without it {report}", bug.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_bug_is_found_and_nothing_without_it() {
    for_each(BUGS, try_bug).await;
}
