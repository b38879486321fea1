use std::path::Path;

use serde_json::json;

use crate::harness::{Nest, Process, Settings};

const WRITES: usize = 20;

/// How often the write-ahead log was synced while so many writes were answered one after the other. A kill of the process
/// cannot tell, because what it wrote is with the operating system.
async fn syncs(failpoints: &str) -> usize {
    let nest = Nest::new().await;
    let trace = nest.folder().join("trace");
    let service = start_traced(&nest, &trace, failpoints).await;
    let before = count(&trace);
    for value in 0..WRITES {
        service.put("/sensors/s1", &json!({"value": value})).await;
    }
    // The trace is written before the call returns to the process.
    count(&trace) - before
}

async fn start_traced(nest: &Nest, trace: &Path, failpoints: &str) -> Process {
    let words = [
        "strace",
        // The program stays the child that the test ends; strace would be gone and leave it behind.
        "--daemonize",
        "--follow-forks",
        "--seccomp-bpf",
        "--decode-fds=path",
        // Were it fsync, SQLite would have been compiled without what .cargo/config.toml says.
        "--trace=fdatasync",
        "--output",
        &trace.display().to_string(),
        "env",
        &format!("FAILPOINTS={failpoints}"),
    ]
    .map(str::to_owned);
    let settings = Settings {
        folder: nest.folder().to_owned(),
        mqtt_url: Some(nest.mosquitto.url()),
    };
    let mut process = Process::spawn_under(&words, &settings);
    process.become_ready().await;
    process
}

fn count(trace: &Path) -> usize {
    let text = std::fs::read_to_string(trace).expect("a trace");
    text.lines().filter(|line| line.contains("-wal>")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_waits_for_a_sync_of_the_log() {
    let synced = syncs("").await;
    assert!(synced >= WRITES, "{synced} syncs for {WRITES} writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_nothing_is_synced_is_found() {
    let synced = syncs("bug.synchronous-off=return").await;
    assert!(synced < WRITES, "{synced} syncs for {WRITES} writes");
}
