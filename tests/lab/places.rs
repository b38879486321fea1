use std::time::Duration;

use crate::harness::{Nest, Process, eventually_within};
use crate::ledger::{Checker, Ledger, Load, Witness};
use crate::{for_each, has_aborted};

/// A place in the code, and what is to be expected when it fails with an error.
struct Place {
    name: &'static str,
    /// How often it is passed before.
    after: usize,
    on_error: OnError,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnError {
    /// The process lives and does its work.
    GoesOn,
    /// The process ends with exit code 1.
    Ends,
}

use OnError::{Ends, GoesOn};

const fn place(name: &'static str, after: usize, on_error: OnError) -> Place {
    Place { name, after, on_error }
}

/// In the order of a life. Those of backup and restore are in `backup.rs`.
const PLACES: [Place; 28] = [
    place("store.before-migration", 0, Ends),
    place("store.after-migration", 0, Ends),
    place("store.after-identity", 0, Ends),
    place("mqtt.before-connect", 0, GoesOn),
    place("mqtt.after-connect", 0, GoesOn),
    place("store.before-begin", 10, GoesOn),
    place("store.after-begin", 10, GoesOn),
    place("store.before-event", 30, GoesOn),
    place("store.after-event", 30, GoesOn),
    place("store.after-change", 30, GoesOn),
    place("store.before-head", 10, GoesOn),
    place("store.before-commit", 10, GoesOn),
    place("store.after-commit", 10, Ends),
    place("store.before-answer", 10, Ends),
    place("store.before-read", 3, GoesOn),
    place("mqtt.before-send", 20, GoesOn),
    place("mqtt.after-send", 20, GoesOn),
    place("mqtt.refuse", 20, GoesOn),
    place("relay.after-puback", 20, GoesOn),
    place("relay.after-cursor", 20, GoesOn),
    place("store.before-note", 1, GoesOn),
    place("relay.after-save", 1, GoesOn),
    place("store.before-prune", 0, GoesOn),
    place("store.during-prune", 1, GoesOn),
    place("store.after-prune", 1, Ends),
    place("app.before-stop", 0, GoesOn),
    place("app.after-http", 0, GoesOn),
    place("relay.before-farewell", 0, GoesOn),
];

/// The last steps of a life, which are tried by the same rules.
const LAST_PLACES: [Place; 4] = [
    place("app.after-relay", 0, GoesOn),
    place("app.before-close", 0, GoesOn),
    place("store.before-close", 0, GoesOn),
    place("store.after-close", 0, GoesOn),
];

const ACTIONS: [&str; 3] = ["crash", "error", "delay"];
/// A client's, of eight.
const REQUESTS: usize = 25;
/// The longest wait for the next look for events that may go, on a machine that does much else.
const PRUNING: Duration = Duration::from_secs(30);
/// Events go as soon as they are published.
const NO_RETENTION: [(&str, &str); 2] = [("EVENT_RETENTION_HOURS", "0"), ("EVENT_RETENTION_MIN", "0")];

/// One life, in which the place is passed at least so often; gives how it ended.
async fn live(nest: &Nest, load: &mut Load, place: &Place, action: &str) -> Process {
    let passes = match place.after {
        0 => String::new(),
        count => format!("{count}*off->"),
    };
    let failpoints = format!("{}={passes}1*return({action})", place.name);
    let mut variables = vec![("FAILPOINTS", failpoints.as_str())];
    let prunes = place.name.ends_with("prune");
    if prunes {
        variables.extend(NO_RETENTION);
    }
    let mut process = nest.spawn_with(&variables);
    if process.is_ready_or_ended().await {
        load.run(&process, REQUESTS).await;
        if prunes {
            let is_reached = || process.output().contains("failpoint");
            eventually_within(PRUNING, place.name, || async { is_reached() }).await;
            load.run(&process, 1).await;
        }
        // Who ends by itself is not told to, because it might take the word for the reason.
        let ends_by_itself = action == "error" && place.on_error == Ends;
        if !ends_by_itself && !process.has_ended() {
            process.signal("TERM");
        }
    }
    process
}

async fn try_place(place: Place) {
    let nest = Nest::new().await;
    let (ledger, mut checker) = (Ledger::default(), Checker::default());
    let witness = Witness::of(place.name, nest.subscribe("sensors/+").await);
    let mut witnesses = [if place.name == "mqtt.refuse" {
        witness.that_sees_jumps()
    } else {
        witness
    }];
    let mut load = Load::new(&ledger, 1);
    for action in ACTIONS {
        let mut process = live(&nest, &mut load, &place, action).await;
        let what = format!("{} {action}", place.name);
        let status = process.exit().await;
        let output = process.output();
        assert!(output.contains("failpoint"), "{what}: never reached: {output}");
        match (action, place.on_error) {
            ("crash", _) => assert!(has_aborted(status), "{what}: {status}"),
            ("error", Ends) => assert_eq!(status.code(), Some(1), "{what}: {output}"),
            _ => assert_eq!(status.code(), Some(0), "{what}: {output}"),
        }
        drop(process);
        let service = nest.start().await;
        let judged = checker.check(&service, &ledger, &mut witnesses, &[]).await;
        judged.unwrap_or_else(|complaints| panic!("{what}: {complaints:?}"));
    }
    let service = nest.start().await;
    checker.check_again(&service).await.expect("what it said");
    println!("{}: {}", place.name, checker.total());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_an_error_and_a_delay_at_every_place_lose_nothing() {
    for_each(PLACES.into_iter().chain(LAST_PLACES), try_place).await;
}
