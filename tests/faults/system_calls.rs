//! A system call fails, or the process is killed in it: at every write, sync, truncation and opening of a file of the
//! database that a fixed script of requests comes to.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::harness::{Process, Settings};
use crate::ledger::Checker;
use crate::script::{self, Life};

const CALLS: [&str; 5] = ["pwrite64", "fsync", "fdatasync", "ftruncate", "openat"];
/// As strace has them.
const FAULTS: [&str; 3] = ["error=EIO", "error=ENOSPC", "signal=SIGKILL"];
/// Of one kind of call, unless all are asked for.
const FIRST_CALLS: usize = 60;
/// Cases that run at a time.
const AT_A_TIME: usize = 4;
/// Nobody listens there: the relay writes nothing down, so that what the writer does depends on the script alone.
const NO_BROKER: &str = "mqtt://127.0.0.1:1";

const NOT_REACHED: &str = "not reached";

/// The `number`-th `call` of a thread on a file of the database, and what happens in it.
#[derive(Debug, Clone, Copy)]
struct Case {
    call: &'static str,
    fault: &'static str,
    number: usize,
}

impl Case {
    fn is_kill(self) -> bool {
        self.fault.starts_with("signal")
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:when={}", self.call, self.fault, self.number)
    }
}

/// What the cases did, for whoever wants to know.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    /// By what became of the process.
    ends: HashMap<&'static str, usize>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_call_that_fails_or_kills_loses_nothing_on_a_database_that_exists() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Process::start(&settings_in(folder.path())).await;
    let checker = script::prepare(&service).await;
    service.signal("TERM");
    service.exit().await;
    let database = std::fs::read(folder.path().join("sensorcast.db")).unwrap();
    try_all(Some(&database), &checker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_call_that_fails_or_kills_loses_nothing_in_the_first_life_of_a_database() {
    try_all(None, &Checker::default()).await;
}

/// Every fault in every call that the script comes to, or in the first ones.
async fn try_all(database: Option<&[u8]>, checker: &Checker) {
    let first = if std::env::var_os("ALL_SYSTEM_CALLS").is_some() {
        usize::MAX
    } else {
        FIRST_CALLS
    };
    let counts = count_calls(database).await;
    let cases = CALLS.into_iter().flat_map(|call| {
        let count = counts.get(call).copied().unwrap_or(0);
        let numbers = 1..=count.min(first);
        numbers.flat_map(move |number| FAULTS.map(|fault| Case { call, fault, number }))
    });
    let (mut tally, mut running) = (Tally::default(), JoinSet::new());
    for case in cases {
        if running.len() == AT_A_TIME {
            tally.add(running.join_next().await);
        }
        let (folder, checker) = (folder_with(database), checker.clone());
        running.spawn(async move { try_one(case, &folder, checker).await });
    }
    while let Some(ended) = running.join_next().await {
        tally.add(Some(ended));
    }
    println!("{counts:?} calls a thread; {tally:?}");
    // The last few calls belong to the close, which is not always the same thread's.
    let missed = tally.ends.get(NOT_REACHED).copied().unwrap_or(0);
    assert!(missed * 20 < tally.cases, "{missed} cases were not tried");
}

impl Tally {
    fn add(&mut self, ended: Option<Result<&'static str, tokio::task::JoinError>>) {
        let end = ended.expect("a case that runs").expect("a case that holds");
        self.cases += 1;
        *self.ends.entry(end).or_default() += 1;
    }
}

/// The most calls of each kind that one thread makes on the files of the database, because strace counts by thread.
async fn count_calls(database: Option<&[u8]>) -> HashMap<String, usize> {
    let folder = folder_with(database);
    let mut service = Process::spawn_under(&strace(folder.path(), None), &settings_in(folder.path()));
    let life = Life::run(&mut service).await;
    assert_eq!(life.end.code(), Some(0), "{}", service.output());
    let mut by_thread: HashMap<(&str, &str), usize> = HashMap::new();
    let trace = trace_in(folder.path());
    for line in trace.lines() {
        let (thread, rest) = line.split_once(' ').expect("a thread");
        let (call, _) = rest.trim_start().split_once('(').unwrap_or_default();
        *by_thread.entry((thread, call)).or_default() += 1;
    }
    let mut most = HashMap::new();
    for ((_, call), count) in by_thread {
        let most = most.entry(call.to_owned()).or_insert(0);
        *most = count.max(*most);
    }
    most
}

async fn try_one(case: Case, folder: &TempDir, checker: Checker) -> &'static str {
    let settings = settings_in(folder.path());
    let mut service = Process::spawn_under(&strace(folder.path(), Some(case)), &settings);
    let life = Life::run(&mut service).await;
    let output = service.output();
    assert!(!output.contains("panicked"), "{case}: {output}");
    let is_hit = trace_in(folder.path()).contains("(INJECTED)");
    let end = match life.end.code() {
        None => {
            assert!(case.is_kill(), "{case}: {:?} {output}", life.end);
            "killed"
        }
        Some(0) if is_hit => "went on",
        Some(0) => NOT_REACHED,
        Some(code) => {
            assert!(is_hit && code == 1, "{case}: exit code {code}: {output}");
            let last = output.lines().last().unwrap_or_default();
            assert!(last.starts_with("sensorcast: "), "{case}: no clear message: {output}");
            // A file that cannot be opened is found out by whoever comes first, which may be the pruning of the log.
            let knows = life.told_unknown || case.call == "openat";
            assert!(!life.is_started || knows, "{case}: {output}");
            if life.is_started { "stopped" } else { "did not start" }
        }
    };
    let again = Process::start(&settings).await;
    life.check(&again, checker, &case.to_string()).await;
    end
}

/// A new folder, with a copy of this database in it.
fn folder_with(database: Option<&[u8]>) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if let Some(bytes) = database {
        std::fs::write(folder.path().join("sensorcast.db"), bytes).expect("a copy");
    }
    folder
}

fn settings_in(folder: &Path) -> Settings {
    Settings {
        folder: folder.to_owned(),
        mqtt_url: Some(NO_BROKER.to_owned()),
    }
}

/// The command line that has strace do this to the program that follows. As a grandchild, so that the program stays a
/// child of the test.
fn strace(folder: &Path, case: Option<Case>) -> Vec<String> {
    let mut words: Vec<String> = ["strace", "-D", "-f", "-qqq", "-o"].map(str::to_owned).into();
    words.push(folder.join("trace").display().to_string());
    if !case.is_some_and(Case::is_kill) {
        // Quick, because only these calls stop the process; but it delivers no signals.
        words.push("--seccomp-bpf".to_owned());
    }
    for name in [
        "",
        "sensorcast.db",
        "sensorcast.db-wal",
        "sensorcast.db-shm",
        "sensorcast.db.lock",
    ] {
        let path = folder.join(name).display().to_string();
        words.extend(["-P".to_owned(), path.trim_end_matches('/').to_owned()]);
    }
    let calls = case.map_or(CALLS.join(","), |case| case.call.to_owned());
    words.extend(["-e".to_owned(), format!("trace={calls}")]);
    words.extend(
        case.into_iter()
            .flat_map(|case| ["-e".to_owned(), format!("inject={case}")]),
    );
    words
}

fn trace_in(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("trace")).expect("what strace wrote")
}
