//! The rows that need big databases: many sensors, and a long log that no broker has taken yet.

use std::thread;
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::delivery::sample;
use crate::fill::{Contents, fill};
use crate::mqtt::Mqtt;
use crate::paho;
use crate::process::{Place, Service, free_address};
use crate::progress;
use crate::setting::{FEW_SENSORS, READERS, WRITERS};
use crate::stand_ins::SENSORS;
use crate::table::{Goal, Row, median, ms, short, thousands};

const MANY_SENSORS: f64 = 1e6;
const LONG_LOG: f64 = 5e6;
const READ_SECONDS: u32 = 2;
const WRITE_SECONDS: u32 = 3;
const STARTS: usize = 3;
/// Of the limit that the relay is held against at the end.
const CEILING_MESSAGES: u32 = 100_000;

/// Measures them with `scale` times as many sensors and events as the goals name.
pub fn run(place: &Place, rounds: u32, scale: f64) -> anyhow::Result<Vec<Row>> {
    let mut rows = sensors(place, rounds, times(MANY_SENSORS, scale))?;
    rows.extend(log(place, rounds, times(LONG_LOG, scale))?);
    Ok(rows)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of rows that fit on a disk"
)]
fn times(count: f64, scale: f64) -> u64 {
    ((count * scale) as u64).max(SENSORS)
}

fn sensors(place: &Place, rounds: u32, count: u64) -> anyhow::Result<Vec<Row>> {
    progress(&format!("filling a database with {count} sensors"));
    let many = Contents {
        sensors: count,
        ..FEW_SENSORS
    };
    fill(place, "many", many)?;
    fill(place, "few", FEW_SENSORS)?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(place.service("many", None)?.process.start_up.as_secs_f64());
    }
    let many = place.service("many", None)?;
    let few = place.service("few", None)?;
    let mut rows = Vec::new();
    let ids = [count.to_string(), SENSORS.to_string()];
    let by_id = |kind: &str, round: u32| ids.clone().map(|ids| vec![kind.to_owned(), ids, round.to_string()]);
    let what = format!("{count} sensors / {SENSORS}");
    let contest = |name: &str, connections, seconds, loads: &dyn Fn(u32) -> [Vec<String>; 2]| {
        let contest = Contest {
            what: format!("{what}: {name}, time of a request"),
            services: [&many, &few],
            connections,
            seconds,
        };
        contest.run(place, rounds, loads)
    };
    rows.push(contest("GET by id", READERS, READ_SECONDS, &|round| {
        by_id("get", round)
    })?);
    rows.push(contest("PATCH", WRITERS, WRITE_SECONDS, &|round| {
        by_id("patch", round)
    })?);
    let first = ["same".to_owned(), "/sensors".to_owned()].to_vec();
    rows.push(contest("first page of the list", READERS, READ_SECONDS, &|_| {
        [first.clone(), first.clone()]
    })?);
    let deepest = [deepest_page(&many)?, deepest_page(&few)?].map(|path| vec!["same".to_owned(), path]);
    rows.push(contest("deepest page of the list", READERS, READ_SECONDS, &|_| {
        deepest.clone()
    })?);
    rows.push(Row {
        what: format!("start-up with {count} sensors"),
        goal: Goal::AtMost(2.0),
        rounds: starts,
        unit: "s",
        absolute: "from the start of the process until it listens".to_owned(),
    });
    rows.push(Row {
        what: format!("memory with {count} sensors, after all of this"),
        goal: Goal::AtMost(400.0),
        rounds: vec![many.process.peak_mebibytes()?],
        unit: "MiB",
        absolute: format!(
            "the most it ever held; with {SENSORS}: {} MiB",
            short(few.process.peak_mebibytes()?)
        ),
    });
    Ok(rows)
}

/// The same load for a big database and for a small one.
struct Contest<'a> {
    what: String,
    services: [&'a Service; 2],
    connections: u32,
    seconds: u32,
}

impl Contest<'_> {
    fn run(self, place: &Place, rounds: u32, loads: &dyn Fn(u32) -> [Vec<String>; 2]) -> anyhow::Result<Row> {
        let (mut ratios, mut rates) = (Vec::new(), [Vec::new(), Vec::new()]);
        // The first round is a warm-up.
        for round in 0..=rounds {
            let mut now = [0.0; 2];
            for (index, load) in loads(round).iter().enumerate() {
                self.services[index].quiet()?;
                let load: Vec<_> = load.iter().map(String::as_str).collect();
                let wrk = place.wrk(self.connections, self.seconds, &load);
                now[index] = wrk.run_flawless(self.services[index].address())?.per_second;
            }
            if round > 0 {
                progress(&format!(
                    "{}, round {round}: {} / {}",
                    self.what,
                    thousands(now[0]),
                    thousands(now[1])
                ));
                ratios.push(now[1] / now[0]);
                rates[0].push(now[0]);
                rates[1].push(now[1]);
            }
        }
        let [big, small] = rates.map(|rates| thousands(median(&rates)));
        Ok(Row {
            what: self.what,
            goal: Goal::AtMost(1.3),
            rounds: ratios,
            unit: "",
            absolute: format!("{big} / {small}"),
        })
    }
}

/// The path of the last page of 50, which a walk with larger pages finds.
fn deepest_page(service: &Service) -> anyhow::Result<String> {
    let mut client = service.client()?;
    let mut path = "/sensors?limit=500".to_owned();
    loop {
        let page: serde_json::Value = serde_json::from_str(&client.get(&path)?.body)?;
        let links = page["links"].as_array().context("no links")?;
        let Some(next) = links.iter().find(|link| link["rel"] == "next") else {
            return Ok(path.replace("limit=500", "limit=50"));
        };
        let href: url::Url = next["href"].as_str().context("no href")?.parse()?;
        href[url::Position::BeforePath..].clone_into(&mut path);
    }
}

fn log(place: &Place, rounds: u32, count: u64) -> anyhow::Result<Vec<Row>> {
    progress(&format!("filling a log with {count} events that no broker has"));
    let long = Contents {
        sensors: SENSORS,
        changes: count,
        is_published: false,
    };
    fill(place, "long", long)?;
    let short_log = Contents {
        is_published: false,
        ..FEW_SENSORS
    };
    fill(place, "short", short_log)?;
    // Nobody is there yet.
    let brokers = [free_address(), free_address()];
    let services = [
        place.service("long", Some(brokers[0]))?,
        place.service("short", Some(brokers[1]))?,
    ];
    let (mut ratios, mut p99s) = (Vec::new(), [Vec::new(), Vec::new()]);
    for round in 0..=rounds {
        let load = ["patch", &SENSORS.to_string(), &round.to_string()];
        let wrk = place.wrk(WRITERS, WRITE_SECONDS, &load);
        let [long, short_log] = [&services[0], &services[1]].map(|service| wrk.run_flawless(service.address()));
        let (long, short_log) = (ms(long?.p99), ms(short_log?.p99));
        // The first round is a warm-up.
        if round > 0 {
            progress(&format!(
                "PATCH behind a long log, round {round}: p99 {} / {} ms",
                short(long),
                short(short_log)
            ));
            ratios.push(long / short_log);
            p99s[0].push(long);
            p99s[1].push(short_log);
        }
    }
    let mut rows = vec![Row {
        what: format!("PATCH with {count} events behind a broker that is away / with few: p99"),
        goal: Goal::AtMost(1.2),
        rounds: ratios,
        unit: "",
        absolute: format!("{} / {} ms", short(median(&p99s[0])), short(median(&p99s[1]))),
    }];
    let [long, short] = services;
    let short = drain(place, &short, brokers[1])?;
    rows.extend(drained(count, &drain(place, &long, brokers[0])?, &short));
    Ok(rows)
}

/// How a log went out.
struct Drain {
    per_second: f64,
    /// Of Paho alone, to the same broker with the same subscriber.
    ceiling: f64,
    peak_mebibytes: f64,
}

/// Starts the broker, with a subscriber who checks that every revision comes once and in order, and waits for the end.
fn drain(place: &Place, service: &Service, address: std::net::SocketAddr) -> anyhow::Result<Drain> {
    let list: serde_json::Value = serde_json::from_str(&service.client()?.get("/sensors?limit=1")?.body)?;
    let head = list["revision"].as_u64().context("no revision")?;
    let broker = place.mosquitto(address)?;
    let mut subscriber = Mqtt::connect(broker.address, "subscriber")?;
    subscriber.subscribe("sensors/+")?;
    let reader = thread::spawn(move || -> anyhow::Result<f64> {
        let mut first = None;
        for expected in 1..=head {
            let message = subscriber.next()?;
            let since = *first.get_or_insert_with(Instant::now);
            let found = revision(&message.payload)?;
            ensure!(found == expected, "revision {found} came where {expected} was due");
            if expected % 500_000 == 0 {
                progress(&format!("{expected} of {head} events are out, in order"));
            }
            if expected == head {
                #[expect(clippy::cast_precision_loss, reason = "a rate")]
                return Ok((head - 1) as f64 / since.elapsed().as_secs_f64());
            }
        }
        Ok(0.0)
    });
    let per_second = reader.join().map_err(|_| anyhow::anyhow!("the subscriber failed"))??;
    service.quiet()?;
    let sample = sample(service)?;
    let mut witness = Mqtt::connect(broker.address, "witness")?;
    witness.subscribe("sensors/+")?;
    // Ends with the broker.
    thread::spawn(move || while witness.next().is_ok() {});
    Ok(Drain {
        per_second,
        ceiling: paho::ceiling(broker.address, &sample, CEILING_MESSAGES)?,
        peak_mebibytes: service.process.peak_mebibytes()?,
    })
}

/// The revision of an event: the first number of that name in it.
fn revision(payload: &[u8]) -> anyhow::Result<u64> {
    let text = std::str::from_utf8(payload)?;
    let (_, rest) = text.split_once(r#""revision":"#).context("no revision")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    Ok(digits.parse()?)
}

fn drained(count: u64, long: &Drain, short_log: &Drain) -> [Row; 2] {
    [
        Row {
            what: format!("{count} events go out in order, with a subscriber: service / Paho alone"),
            goal: Goal::AtLeast(0.8),
            rounds: vec![long.per_second / long.ceiling],
            unit: "",
            absolute: format!("{} / {}", thousands(long.per_second), thousands(long.ceiling)),
        },
        Row {
            what: "memory of the service after that / after a log that is short".to_owned(),
            goal: Goal::AtMost(1.2),
            rounds: vec![long.peak_mebibytes / short_log.peak_mebibytes],
            unit: "",
            absolute: format!(
                "{} / {} MiB",
                short(long.peak_mebibytes),
                short(short_log.peak_mebibytes)
            ),
        },
    ]
}
