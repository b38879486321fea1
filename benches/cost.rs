//! What a PATCH costs the processor, part by part, beside what each part costs alone, and what the goals of PATCH leave for all
//! of them: why rows of the table are short, and what could be gained.

use std::array;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::Context;
use rusqlite::{Connection, params};

use crate::disk;
use crate::fill::fill;
use crate::mqtt::Message;
use crate::paho;
use crate::process::{Place, Process, free_address};
use crate::progress;
use crate::rows::record;
use crate::sample::sensor_id;
use crate::setting::{FEW_SENSORS, WRITERS};
use crate::stand_ins::SENSORS;
use crate::table::{median, short, thousands};
use crate::wrk::finish;

/// Before the processor's time is read, and between the two readings.
const WARM_UP: Duration = Duration::from_secs(2);
const SPAN: Duration = Duration::from_secs(6);
const WRK_SECONDS: u32 = 9;
const ROUNDS: u32 = 3;
/// Of Paho alone, and of SQLite alone, in groups as large as they can be, because no more requests than that wait.
const MESSAGES: u32 = 150_000;
const GROUPS: u32 = 1_600;
/// The threads of the service, by what their names begin with.
const SERVICE: &[(&str, &str)] = &[
    ("HTTP", "actix-server"),
    ("the writer", "writer"),
    ("the relay", "tokio-rt-worker"),
    ("Paho", "MQTTAsync_"),
];
/// Those of actix-web alone: all of them.
const BARE: &[(&str, &str)] = &[("HTTP", "")];

/// What a report writes, as `store::scribe` has it.
const UPDATE: &str =
    "UPDATE sensors SET revision = ?2, value_number = ?3, updated_at_ms = ?4, document = ?5 WHERE id = ?1";
const INSERT: &str = "INSERT INTO events (revision, sensor_id, kind, committed_at_ms, payload, name)
    VALUES (?, ?, 'modified', ?, ?, 'bench-000000000000')";

/// Processor time by the name of the thread.
type Spent = BTreeMap<String, Duration>;

/// Microseconds of processor time for one PATCH.
#[derive(Default)]
struct Costs(BTreeMap<&'static str, Vec<f64>>);

/// Measures, and gives the report in Markdown.
pub fn run(place: &Place) -> anyhow::Result<String> {
    fill(place, "cost", FEW_SENSORS)?;
    let broker = place.mosquitto(free_address())?;
    let service = place.service("cost", Some(broker.address))?;
    let (answers, _) = record(&service)?;
    let bare = place.bare(&answers)?;
    let transactions = place.transactions()?;
    let (mut together, mut alone) = (Costs::default(), Costs::default());
    let (mut limits, mut simples, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        progress(&format!(
            "round {round} of {ROUNDS}: the service, actix-web, a transaction a request, Paho, SQLite"
        ));
        under_load(place, (&service.process, SERVICE), Some(&broker), round, &mut together)?;
        service.quiet()?;
        limits.push(under_load(place, (&bare, BARE), None, round, &mut alone)?);
        let load = ["patch", &SENSORS.to_string(), &round.to_string()];
        simples.push(place.wrk(WRITERS, 3, &load).run(transactions.address)?.per_second);
        syncs.push(disk::measure(place.path())?.median.as_secs_f64());
        let folder = place.folder(&format!("cost-alone-{round}"))?;
        let payload = sqlite_alone(&folder, &service.database(), &mut alone)?;
        let topic = "sensors/".to_owned() + &sensor_id(0);
        paho_alone(&broker, &Message { topic, payload }, &mut alone)?;
    }
    Ok(report(
        &together,
        &alone,
        [median(&limits), median(&simples), median(&syncs)],
    ))
}

/// Sends PATCH to `server` and adds what each part of it took. Gives the rate.
fn under_load(
    place: &Place,
    (server, parts): (&Process, &[(&'static str, &str)]),
    broker: Option<&Process>,
    round: u32,
    costs: &mut Costs,
) -> anyhow::Result<f64> {
    let wrk = place.wrk(
        WRITERS,
        WRK_SECONDS,
        &["patch", &SENSORS.to_string(), &round.to_string()],
    );
    let running = wrk.start(server.address)?;
    let read = || -> anyhow::Result<(Spent, Duration, Duration)> {
        let broker = broker.map(|broker| whole(broker.id())).transpose()?;
        Ok((threads(server.id())?, broker.unwrap_or_default(), whole(running.id())?))
    };
    sleep(WARM_UP);
    let (before, start) = (read()?, Instant::now());
    sleep(SPAN);
    let (after, elapsed) = (read()?, start.elapsed());
    let load = finish(running)?;
    let requests = load.per_second * elapsed.as_secs_f64();
    for (part, prefix) in parts {
        costs.add(
            part,
            total(&after.0, prefix).saturating_sub(total(&before.0, prefix)),
            requests,
        );
    }
    costs.add("Mosquitto", after.1.saturating_sub(before.1), requests);
    costs.add("the load: wrk", after.2.saturating_sub(before.2), requests);
    Ok(load.per_second)
}

/// Publishes as the relay does, with nothing else.
fn paho_alone(broker: &Process, message: &Message, costs: &mut Costs) -> anyhow::Result<()> {
    // Paho's threads have ended by then, so what counts is the whole process.
    let before = [whole(process::id())?, whole(broker.id())?];
    paho::ceiling(broker.address, message, MESSAGES)?;
    let after = [whole(process::id())?, whole(broker.id())?];
    for (index, part) in ["Paho", "Mosquitto"].into_iter().enumerate() {
        costs.add(part, after[index].saturating_sub(before[index]), f64::from(MESSAGES));
    }
    Ok(())
}

/// Writes into a copy of `database`, made in an empty folder, by the writer's two statements and as durably as it does. Gives the newest
/// event, which it writes again and again.
fn sqlite_alone(folder: &Path, database: &Path, costs: &mut Costs) -> anyhow::Result<Vec<u8>> {
    let path = folder.join("sensorcast.db");
    let original = Connection::open(database)?;
    original.execute("VACUUM INTO ?", [path.to_string_lossy()])?;
    let mut copy = Connection::open(&path)?;
    copy.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384")?;
    let head: i64 = copy.query_row("SELECT head FROM store", [], |row| row.get(0))?;
    let document: String = copy.query_row("SELECT document FROM sensors LIMIT 1", [], |row| row.get(0))?;
    let newest = "SELECT payload FROM events ORDER BY revision DESC LIMIT 1";
    let payload: String = copy.query_row(newest, [], |row| row.get(0))?;
    let before = whole(process::id())?;
    for group in 0..GROUPS {
        let transaction = copy.transaction()?;
        let now = 1_800_000_000_000 + i64::from(group);
        for number in group * WRITERS..(group + 1) * WRITERS {
            let revision = head + 1 + i64::from(number);
            // Each in its turn, but not in the order in which they lie.
            let id = sensor_id(u64::from(number) * 7_919 % SENSORS);
            transaction
                .prepare_cached(UPDATE)?
                .execute(params![id, revision, f64::from(number), now, document])?;
            transaction
                .prepare_cached(INSERT)?
                .execute(params![revision, id, now, payload])?;
        }
        transaction.commit()?;
    }
    costs.add(
        "the writer",
        whole(process::id())?.saturating_sub(before),
        f64::from(GROUPS * WRITERS),
    );
    Ok(payload.into_bytes())
}

/// The processor time of the threads of a process by name: the first number of `schedstat` in `proc_pid(5)`, nanoseconds.
fn threads(process: u32) -> anyhow::Result<Spent> {
    let mut spent = Spent::new();
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?.path();
        let name = fs::read_to_string(task.join("comm"))?;
        let times = fs::read_to_string(task.join("schedstat"))?;
        let nanoseconds = times.split(' ').next().context("no schedstat")?.parse()?;
        *spent.entry(name.trim_end().to_owned()).or_default() += Duration::from_nanos(nanoseconds);
    }
    Ok(spent)
}

/// The processor time of a process, threads that have ended included: `utime` and `stime` of `proc_pid_stat(5)`, whose unit is a
/// hundredth of a second.
fn whole(process: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name before it may have blanks.
    let (_, numbers) = stat.rsplit_once(')').context("no name")?;
    let times: Result<Vec<u64>, _> = numbers.split_whitespace().skip(11).take(2).map(str::parse).collect();
    Ok(Duration::from_millis(10 * times?.iter().sum::<u64>()))
}

/// What the threads took whose names begin with `prefix`.
fn total(spent: &Spent, prefix: &str) -> Duration {
    let times = spent.iter().filter(|(name, _)| name.starts_with(prefix));
    times.map(|(_, time)| *time).sum()
}

impl Costs {
    /// Adds what a part took for `requests`, where it is there.
    fn add(&mut self, part: &'static str, taken: Duration, requests: f64) {
        if !taken.is_zero() {
            let costs = self.0.entry(part).or_default();
            costs.push(taken.as_secs_f64() * 1e6 / requests);
        }
    }

    fn of(&self, part: &str) -> f64 {
        self.0.get(part).map_or(0.0, |rounds| median(rounds))
    }
}

fn report(together: &Costs, alone: &Costs, [limit, simple, sync]: [f64; 3]) -> String {
    let mut text = format!(
        "Processor time of a PATCH with {WRITERS} connections, medians of {ROUNDS} rounds. The least is the lower one of the two\n\
         before it: where a goal leaves less than all of that, it would take other parts or more cores.\n\n\
         | part | in the service, us | alone, us | the least, us | what is alone |\n|---|---|---|---|---|\n"
    );
    let parts = [
        ("HTTP", "actix-web that parses the body and answers the same bytes"),
        ("the writer", "SQLite: the two statements, durable, in groups of 64"),
        ("the relay", "nothing"),
        ("Paho", "Paho with a window of 20"),
        ("Mosquitto", "the same"),
        ("the load: wrk", "wrk against actix-web"),
    ];
    let mut sums = [0.0; 3];
    for (part, what) in parts {
        let (here, alone) = (together.of(part), alone.of(part));
        let costs = [here, alone, here.min(alone)];
        sums = array::from_fn(|index| sums[index] + costs[index]);
        let [here, alone, least] = costs.map(short);
        // Cannot fail: it is written into memory.
        let _ = writeln!(text, "| {part} | {here} | {alone} | {least} | {what} |");
    }
    let [here, alone, least] = sums.map(short);
    let _ = writeln!(text, "| all | **{here}** | {alone} | **{least}** | |");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    text += "\n| goal | PATCH a second | leaves, us of all cores |\n|---|---|---|\n";
    for (goal, rate) in [
        ("half of bare actix-web", limit / 2.0),
        ("10 times a transaction a request", simple * 10.0),
        (
            "64 connections, each at most 10 fdatasync on average",
            f64::from(WRITERS) / (10.0 * sync),
        ),
    ] {
        #[expect(clippy::cast_precision_loss, reason = "cores of a machine")]
        let leaves = cores as f64 * 1e6 / rate;
        let _ = writeln!(text, "| {goal} | {} | **{}** |", thousands(rate), short(leaves));
    }
    text
}
