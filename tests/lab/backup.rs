use std::path::Path;
use std::process::{ExitStatus, Stdio};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::harness::{Nest, Process, binary};
use crate::ledger::{Checker, Ledger, Load};
use crate::{for_each, has_aborted};

const BACKUP_PLACES: [&str; 3] = ["backup.before-copy", "backup.before-name", "backup.after-name"];
const RESTORE_PLACES: [&str; 5] = [
    "restore.before-copy",
    "restore.after-copy",
    "restore.after-new-life",
    "restore.before-rename",
    "restore.after-rename",
];
const ACTIONS: [&str; 3] = ["crash", "error", "delay"];
const REQUESTS: usize = 25;

/// Runs a subcommand on a file, with a failure at a place if one is named.
fn run(nest: &Nest, command: &str, file: &Path, failpoints: &str) -> ExitStatus {
    let mut process = binary(nest.folder());
    let status = process
        .arg(command)
        .arg(file)
        .env("FAILPOINTS", failpoints)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.expect("the binary")
}

#[track_caller]
fn assert_ends_as(action: &str, status: ExitStatus, place: &str) {
    match action {
        "crash" => assert!(has_aborted(status), "{place}: {status}"),
        "error" => assert_eq!(status.code(), Some(1), "{place}"),
        _ => assert_eq!(status.code(), Some(0), "{place}"),
    }
}

/// The newest revision in a copy that is whole.
async fn head_of_whole(copy: &Path) -> i64 {
    let options = SqliteConnectOptions::new().filename(copy).read_only(true);
    let mut connection = options.connect().await.expect("a database");
    let complaint: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await
        .expect("a database");
    assert_eq!(complaint, "ok");
    let counts: (i64, i64) = sqlx::query_as("SELECT head, (SELECT count(*) FROM events) FROM store")
        .fetch_one(&mut connection)
        .await
        .expect("a store");
    connection.close().await.expect("a database that closes");
    assert_eq!(counts.0, counts.1, "as many events as revisions");
    counts.0
}

async fn try_backup(place: &'static str) {
    let nest = Nest::new().await;
    let (ledger, mut checker) = (Ledger::default(), Checker::default());
    let mut load = Load::new(&ledger, 1);
    let service = nest.start().await;
    load.run(&service, REQUESTS).await;
    let copy = nest.folder().join("copy.db");
    for action in ACTIONS {
        let clients = load.start(&service, REQUESTS);
        let status = run(&nest, "backup", &copy, &format!("{place}=return({action})"));
        clients.join_all().await;
        assert_ends_as(action, status, place);
        if copy.exists() {
            head_of_whole(&copy).await;
            std::fs::remove_file(&copy).expect("a file");
        } else {
            assert_ne!(action, "delay", "{place}: there is no copy");
        }
        assert_eq!(run(&nest, "backup", &copy, "").code(), Some(0), "{place}: the next one");
        let head = service.store_revision().await;
        assert_eq!(head_of_whole(&copy).await, head, "{place}: the next one has all");
        std::fs::remove_file(&copy).expect("a file");
    }
    let judged = checker.check(&service, &ledger, &mut [], &[]).await;
    judged.expect("nothing to complain of");
}

async fn try_restore(place: &'static str) {
    let nest = Nest::new().await;
    let ledger = Ledger::default();
    let mut load = Load::new(&ledger, 1);
    let service = nest.start().await;
    load.run(&service, REQUESTS).await;
    let copy = nest.folder().join("copy.db");
    assert!(run(&nest, "backup", &copy, "").success());
    let at_copy = state(&service).await;
    load.run(&service, REQUESTS).await;
    let mut before = state(&service).await;
    stop(service).await;
    for action in ACTIONS {
        let status = run(&nest, "restore", &copy, &format!("{place}=return({action})"));
        assert_ends_as(action, status, place);
        let service = nest.start().await;
        let after = state(&service).await;
        let is_restored = after.epoch != before.epoch;
        let expected = if is_restored { &at_copy } else { &before };
        assert_eq!(
            after.sensors, expected.sensors,
            "{place} {action}: old or new, and whole"
        );
        assert!(is_restored || action != "delay", "{place}: it was not restored");
        stop(service).await;
        before = after;
    }
}

struct State {
    epoch: serde_json::Value,
    sensors: Vec<serde_json::Value>,
}

async fn state(service: &Process) -> State {
    State {
        epoch: service.get("/sensors").await.expect(200).json()["epoch"].clone(),
        sensors: service.all_pages(500).await,
    }
}

async fn stop(mut service: Process) {
    service.signal("TERM");
    assert!(service.exit().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_dies_or_fails_leaves_a_whole_copy_or_none() {
    for_each(BACKUP_PLACES, try_backup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_dies_or_fails_leaves_the_old_store_or_the_new_one() {
    for_each(RESTORE_PLACES, try_restore).await;
}
