//! Hours of work at an even pace.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::harness::{Process, Settings, eventually, raise_open_files};
use crate::pace::{Pace, Tally, p99};
use crate::readers::Reader;

/// Of what the service can do.
const SHARE: f64 = 0.7;
const CONNECTIONS: u32 = 16;
const MEASURE: Duration = Duration::from_secs(10);
/// Rows of the table.
const ROWS: u32 = 20;
/// Rows until caches, pools and the log have their size.
const WARM_UP: usize = ROWS as usize / 4;
/// The log is pruned all the time, so that the database has its size soon.
const EVENTS_KEPT: &str = "100000";
const MAX_GROWTH_BYTES: u64 = 32 << 20;
const MAX_WAL_BYTES: u64 = 128 << 20;
const MAX_MORE_FILES: u64 = 8;

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Holdings {
    memory: u64,
    files: u64,
    wal: u64,
    database: u64,
}

/// `make soak HOURS=n` runs it, on a release build.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes hours: make soak HOURS=n"]
async fn hours_at_an_even_pace_leave_memory_files_and_log_as_they_are() {
    let hours: f64 = std::env::var("HOURS").map_or(1.0, |hours| hours.parse().expect("HOURS is a number"));
    let time = Duration::from_secs_f64(hours * 3_600.0);
    raise_open_files();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: None,
    };
    let variables = [
        ("RUST_LOG", "warn"),
        ("EVENT_RETENTION_HOURS", "0"),
        ("EVENT_RETENTION_MIN", EVENTS_KEPT),
    ];
    let service = Process::start_with(&settings, &variables).await;
    let read = Arc::new(AtomicI64::new(0));
    let most = Pace::closed(CONNECTIONS, MEASURE).run(service.addr).await;
    let reader = tokio::spawn(read_all(Reader::open(&service).await, Arc::clone(&read)));
    let rate = most.rate() * SHARE;
    println!(
        "saturation {:.0} writes/s, p99 {:?}; from now on {rate:.0}/s for {time:?}",
        most.rate(),
        p99(&most.served)
    );
    println!("    time     writes  errors  p50 ms  p99 ms  memory MiB  files  WAL MiB  database MiB  relay lag  read");
    let (start, mut rows) = (Instant::now(), Vec::new());
    let mut errors = most.odd.len() + most.refused.len();
    for _ in 0..ROWS {
        let tally = Pace::open(CONNECTIONS, rate, time / ROWS).run(service.addr).await;
        errors += tally.odd.len() + tally.refused.len();
        let now = Holdings::of(&service, folder.path());
        let lag = service.relay_lag().await.expect("a lag");
        tell(start.elapsed(), &tally, now, lag, read.load(Ordering::Relaxed));
        rows.push(now);
    }
    assert_eq!(errors, 0, "{}", service.output());
    let head = service.store_revision().await;
    eventually("the reader has every event", || async {
        read.load(Ordering::Relaxed) == head
    })
    .await;
    reader.abort();
    assert_flat(&rows);
    assert!(!service.output().contains("ERROR"), "{}", service.output());
}

fn tell(time: Duration, tally: &Tally, now: Holdings, lag: i64, read: i64) {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "{:>7.0}s {:>10} {:>7} {:>7.1} {:>7.1} {:>11} {:>6} {:>8} {:>13} {:>10} {:>5}",
        time.as_secs_f64(),
        tally.served.len(),
        tally.odd.len() + tally.refused.len(),
        milliseconds(tally.served.get(tally.served.len() / 2).copied().unwrap_or_default()),
        milliseconds(p99(&tally.served)),
        mib(now.memory),
        now.files,
        mib(now.wal),
        mib(now.database),
        lag,
        read,
    );
}

/// The last quarter holds no more than the rows after the warm-up did.
fn assert_flat(rows: &[Holdings]) {
    let (warm, last) = (&rows[WARM_UP..], &rows[rows.len() - WARM_UP..]);
    let first = &warm[..WARM_UP];
    let most = |rows: &[Holdings], of: fn(&Holdings) -> u64| rows.iter().map(of).max().unwrap_or_default();
    let memory = (most(first, |row| row.memory), most(last, |row| row.memory));
    assert!(memory.1 <= memory.0 + MAX_GROWTH_BYTES, "memory grows: {memory:?}");
    let files = (most(first, |row| row.files), most(last, |row| row.files));
    assert!(files.1 <= files.0 + MAX_MORE_FILES, "files are left open: {files:?}");
    let wal = most(warm, |row| row.wal);
    assert!(wal <= MAX_WAL_BYTES, "the write-ahead log grows: {wal}");
}

impl Holdings {
    fn of(service: &Process, folder: &Path) -> Self {
        let bytes = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
        let files: PathBuf = format!("/proc/{}/fd", service.id()).into();
        Self {
            memory: u64::try_from(service.resident_bytes()).expect("a size"),
            files: u64::try_from(std::fs::read_dir(files).expect("a process").count()).expect("few"),
            wal: bytes("sensorcast.db-wal"),
            database: bytes("sensorcast.db"),
        }
    }
}

/// Holds an event stream open, and tells the revision of the last event: they come without a hole.
async fn read_all(mut reader: Reader, read: Arc<AtomicI64>) {
    loop {
        reader.read().await;
        read.store(reader.position, Ordering::Relaxed);
    }
}
