//! The disk is full, and free, and full again, while clients go on.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::harness::{Mosquitto, Process, Settings, Subscriber, Version};
use crate::ledger::{Checker, Ledger, Load, Request, Witness};

const DISK_BYTES: usize = 16 << 20;
const ROUNDS: u64 = 10;
/// What each of the eight clients sends while there is room.
const REQUESTS: usize = 25;
/// More than goes into what SQLite has already taken of the disk.
const MAX_WRITES_UNTIL_FULL: usize = 2_000;
/// Writes to a full disk.
const WRITES: usize = 20;
/// In the sensor and again in the event: the space that is left is used up soon.
const METADATA_BYTES: usize = 12_000;
/// What a refusal may take, in the median: some requests wait for the machine.
const REFUSED_WITHIN: Duration = Duration::from_millis(100);
/// More than a failure counts that no write comes after.
const FAILURE_LASTS: Duration = Duration::from_secs(11);
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// A file system in memory, which goes when it is dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where this process may not mount one.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "tmpfs"]);
        let mounted = mount.arg(folder.path()).status().is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Leaves no page free.
    fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file");
        while ballast.write_all(&[0; 4_096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.ballast()).expect("a file to remove");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a test that failed may have left a process behind.
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_again_and_again_refuses_writes_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED: a full disk was not tried, because only root may mount a small one");
        return;
    };
    let mosquitto = Mosquitto::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: Some(mosquitto.url()),
    };
    let database = format!("sqlite://{}", disk.path().join("sensorcast.db").display());
    let variables = [("DATABASE_URL", database.as_str()), ("RUST_LOG", "error")];
    let mut service = Process::start_with(&settings, &variables).await;
    let subscriber = Subscriber::start(Version::V5, mosquitto.addr(), "sensors/+").await;
    let mut witnesses = [Witness::of("a subscriber", subscriber)];
    let (ledger, mut checker) = (Ledger::default(), Checker::default());
    let mut load = Load::new(&ledger, 1);
    let (mut refusals, mut pauses) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        load.run(&service, REQUESTS).await;
        write_again(&service, &ledger).await;
        disk.fill();
        refusals.extend(write_to_full_disk(&service, &ledger).await);
        assert_eq!(readiness(&service).await, 503);
        disk.free();
        pauses.push(write_again(&service, &ledger).await);
        assert_eq!(readiness(&service).await, 200);
        let report = checker.check(&service, &ledger, &mut witnesses, &[]).await;
        report.unwrap_or_else(|complaints| panic!("round {round}: {complaints:?}\n{}", service.output()));
    }
    service.kill();
    let service = Process::start_with(&settings, &variables).await;
    checker.check(&service, &ledger, &mut witnesses, &[]).await.unwrap();
    checker.check_again(&service).await.unwrap();
    refusals.sort();
    let (median, longest) = (refusals[refusals.len() / 2], refusals[refusals.len() - 1]);
    println!("{}", checker.total());
    println!(
        "{} refusals, median {median:?}, longest {longest:?}; back after at most {:?}",
        refusals.len(),
        pauses.iter().max().expect("rounds")
    );
    assert!(median < REFUSED_WITHIN, "{refusals:?}");
}

/// What a probe commits fits into the write-ahead log that is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_still_full_is_told_although_nobody_writes() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED: a full disk was not tried, because only root may mount a small one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: None,
    };
    let database = format!("sqlite://{}", disk.path().join("sensorcast.db").display());
    let service = Process::start_with(&settings, &[("DATABASE_URL", &database)]).await;
    let ledger = Ledger::default();
    write_again(&service, &ledger).await;
    disk.fill();
    write_to_full_disk(&service, &ledger).await;
    sleep(FAILURE_LASTS).await;
    assert_eq!(readiness(&service).await, 503, "{}", service.output());
    disk.free();
    assert_eq!(readiness(&service).await, 200, "there is room");
}

/// The status alone: this 503 is no problem document.
async fn readiness(service: &Process) -> u16 {
    let accept = ("accept", "application/json");
    service.try_status("/health/ready", accept).await.expect("an answer")
}

/// Writes until a write is refused, and then some; gives how long each refusal took.
async fn write_to_full_disk(service: &Process, ledger: &Ledger) -> Vec<Duration> {
    let mut refusals = Vec::new();
    for _ in 0..MAX_WRITES_UNTIL_FULL {
        let sent = Instant::now();
        let answer = ledger.send(service, large_write()).await.expect("an answer");
        if answer.status == 507 {
            refusals.push(sent.elapsed());
        } else {
            assert!(answer.status < 300, "{}", answer.text());
        }
        for path in [
            "/sensors/large",
            "/sensors?limit=10",
            "/events?limit=3",
            "/sensors/large/events?limit=3",
        ] {
            if refusals.len() == 1 {
                service.get(path).await.expect(200);
            }
        }
        if refusals.len() == WRITES {
            return refusals;
        }
    }
    panic!("the disk is never full: {} refusals", refusals.len());
}

/// How long it takes until the service writes again.
async fn write_again(service: &Process, ledger: &Ledger) -> Duration {
    let freed = Instant::now();
    loop {
        let answer = ledger.send(service, large_write()).await.expect("an answer");
        if answer.status < 300 {
            return freed.elapsed();
        }
        assert_eq!(answer.status, 507, "{}", answer.text());
        assert!(freed.elapsed() < BACK_WITHIN, "still refused");
        sleep(Duration::from_millis(20)).await;
    }
}

fn large_write() -> Request {
    let metadata = json!({"text": "x".repeat(METADATA_BYTES)});
    Request::put("/sensors/large", json!({"metadata": metadata}))
}
