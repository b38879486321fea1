//! The rows of the table that take minutes. Each measures the service and what it is held against by turns, so that what
//! else the machine does comes to both, and keeps one ratio a round.

use std::net::SocketAddr;

use anyhow::Context;

use crate::delivery::{lag, latency, relay};
use crate::disk::{self, Disk};
use crate::fill;
use crate::process::{Place, Service};
use crate::progress;
use crate::sample::{MERGE_PATCH, sensor_path};
use crate::setting::{FEW_SENSORS, READERS, Setting, WRITERS};
use crate::stand_ins::{Answers, SENSORS};
use crate::table::{Goal, Row, median, ms, short, thousands};
use crate::wrk::Load;

/// Rows that are measured together, by a name to choose them with.
type Group = (&'static str, fn(&Setting) -> anyhow::Result<Vec<Row>>);

/// All of them, in the order of the table.
const GROUPS: &[Group] = &[
    ("get", get),
    ("304", not_modified),
    ("patch", patch),
    ("alone", alone),
    ("relay", relay),
    ("lag", lag),
    ("latency", latency),
    ("list", list),
];

const READ_SECONDS: u32 = 2;
const WRITE_SECONDS: u32 = 3;

/// Measures the groups whose names are in `chosen`; all of them when it is empty.
pub fn run(place: &Place, rounds: u32, chosen: &[String]) -> anyhow::Result<Vec<Row>> {
    fill::fill(place, "service", FEW_SENSORS)?;
    let service = place.service("service", None)?;
    let (answers, tag) = record(&service)?;
    let setting = Setting {
        bare: place.bare(&answers)?,
        place,
        rounds,
        service,
        tag,
    };
    let mut rows = Vec::new();
    for (name, measure) in GROUPS {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            rows.extend(measure(&setting).with_context(|| format!("the row {name}"))?);
        }
    }
    Ok(rows)
}

/// What the service answers, and the tag of the first sensor. What is changed for this is the last sensor.
pub fn record(service: &Service) -> anyhow::Result<(Answers, String)> {
    let mut client = service.client()?;
    let path = sensor_path(0);
    let sensor = client.get(&path)?;
    let tag = sensor.header("etag").context("no ETag")?.to_owned();
    let condition = format!("if-none-match: {tag}\n");
    let not_modified = client.send("GET", &path, &condition, "", 304)?;
    let patched = client.send(
        "PATCH",
        &sensor_path(SENSORS - 1),
        MERGE_PATCH,
        r#"{"value":23.5}"#,
        200,
    )?;
    let answers = Answers {
        sensor: sensor.into(),
        not_modified: not_modified.into(),
        patched: patched.into(),
        page: client.get("/sensors")?.into(),
    };
    Ok((answers, tag))
}

fn get(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let load = ["hot", &SENSORS.to_string()];
    let what = format!("GET by id, hot, {READERS} connections: service / bare actix-web");
    against_bare(setting, what, Goal::AtLeast(0.85), &load)
}

fn not_modified(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let what = "GET by id with its ETag, 304: service / bare actix-web".to_owned();
    let load = ["same", &sensor_path(0), &setting.tag];
    against_bare(setting, what, Goal::AtLeast(0.95), &load)
}

fn list(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let what = "page of 50 sensors: service / bare actix-web".to_owned();
    against_bare(setting, what, Goal::AtLeast(0.3), &["same", "/sensors"])
}

/// Reading the service and the bare framework, which gives the same bytes.
fn against_bare(setting: &Setting, what: String, goal: Goal, load: &[&str]) -> anyhow::Result<Vec<Row>> {
    let wrk = setting.place.wrk(READERS, READ_SECONDS, load);
    let targets = [setting.service.address(), setting.bare.address];
    warm_up(setting, READERS, load, &targets)?;
    let (mut rounds, mut ours, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=setting.rounds {
        let [service, limit] = targets.map(|target| wrk.run_flawless(target));
        let (service, limit) = (service?.per_second, limit?.per_second);
        progress(&format!(
            "{what}, round {round}: {} / {}",
            thousands(service),
            thousands(limit)
        ));
        rounds.push(service / limit);
        ours.push(service);
        bare.push(limit);
    }
    let absolute = format!("{} / {}", thousands(median(&ours)), thousands(median(&bare)));
    Ok(vec![Row {
        what,
        goal,
        rounds,
        unit: "",
        absolute,
    }])
}

fn warm_up(setting: &Setting, connections: u32, load: &[&str], targets: &[SocketAddr]) -> anyhow::Result<()> {
    for target in targets {
        setting.place.wrk(connections, 1, load).run(*target)?;
    }
    Ok(())
}

/// What the rounds of writing gave.
#[derive(Default)]
struct Writes {
    ours: Vec<f64>,
    bare: Vec<f64>,
    transactions: Vec<f64>,
    p99: Vec<f64>,
    transactions_p99: Vec<f64>,
    sync: Vec<f64>,
    sync_p99: Vec<f64>,
}

fn patch(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let transactions = setting.place.transactions()?;
    let targets = [setting.service.address(), setting.bare.address, transactions.address];
    let sensors = SENSORS.to_string();
    warm_up(setting, WRITERS, &["patch", &sensors, "0"], &targets)?;
    let mut writes = Writes::default();
    for round in 1..=setting.rounds {
        setting.service.quiet()?;
        let sync = disk::measure(setting.place.path())?;
        let load = ["patch", &sensors, &round.to_string()];
        let wrk = setting.place.wrk(WRITERS, WRITE_SECONDS, &load);
        let service = wrk.run_flawless(targets[0])?;
        setting.service.quiet()?;
        let limit = wrk.run_flawless(targets[1])?;
        // Its requests time out at times: that is what it is like.
        let simple = wrk.run(targets[2])?;
        progress(&format!(
            "PATCH, round {round}: {} / {} / {}, p99 {} ms, fdatasync {} ms",
            thousands(service.per_second),
            thousands(limit.per_second),
            thousands(simple.per_second),
            short(ms(service.p99)),
            short(ms(sync.median))
        ));
        writes.add(&service, &limit, &simple, sync);
    }
    Ok(writes.rows())
}

impl Writes {
    fn add(&mut self, service: &Load, bare: &Load, transactions: &Load, sync: Disk) {
        self.ours.push(service.per_second);
        self.bare.push(bare.per_second);
        self.transactions.push(transactions.per_second);
        self.p99.push(ms(service.p99));
        self.transactions_p99.push(ms(transactions.p99));
        self.sync.push(ms(sync.median));
        self.sync_p99.push(ms(sync.p99));
    }

    fn rows(&self) -> Vec<Row> {
        let ratios =
            |above: &[f64], below: &[f64]| above.iter().zip(below).map(|(above, below)| above / below).collect();
        let ours = thousands(median(&self.ours));
        let p99 = short(median(&self.p99));
        vec![
            Row {
                what: format!(
                    "durable PATCH with its event, {WRITERS} connections: service / bare actix-web that parses"
                ),
                goal: Goal::AtLeast(0.5),
                rounds: ratios(&self.ours, &self.bare),
                unit: "",
                absolute: format!("{ours} / {}", thousands(median(&self.bare))),
            },
            Row {
                what: "the same: service / actix-web + sqlx with a transaction a request".to_owned(),
                goal: Goal::AtLeast(10.0),
                rounds: ratios(&self.ours, &self.transactions),
                unit: "",
                absolute: format!(
                    "{ours} / {}; p99 {p99} / {} ms",
                    thousands(median(&self.transactions)),
                    short(median(&self.transactions_p99))
                ),
            },
            Row {
                what: "the same: p99 in units of fdatasync, by its median".to_owned(),
                goal: Goal::AtMost(10.0),
                rounds: ratios(&self.p99, &self.sync),
                unit: "fdatasync",
                absolute: format!(
                    "{p99} ms / {} ms; p99 of fdatasync {} ms",
                    short(median(&self.sync)),
                    short(median(&self.sync_p99))
                ),
            },
        ]
    }
}

fn alone(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let (mut rounds, mut syncs, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=setting.rounds {
        setting.service.quiet()?;
        let sync = ms(disk::measure(setting.place.path())?.median);
        let load = ["patch", &SENSORS.to_string(), &(1_000 + round).to_string()];
        let time = ms(setting
            .place
            .wrk(1, READ_SECONDS, &load)
            .run_flawless(setting.service.address())?
            .p50);
        progress(&format!(
            "one writer, round {round}: {} ms, fdatasync {} ms",
            short(time),
            short(sync)
        ));
        rounds.push(time / (1.5 * sync + 0.3));
        times.push(time);
        syncs.push(sync);
    }
    Ok(vec![Row {
        what: "one writer alone: median of PATCH / (1.5 fdatasync + 0.3 ms)".to_owned(),
        goal: Goal::AtMost(1.0),
        rounds,
        unit: "",
        absolute: format!("{} ms; fdatasync {} ms", short(median(&times)), short(median(&syncs))),
    }])
}
