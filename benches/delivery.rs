//! The rows about events on their way to subscribers, by Mosquitto.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::fill::{self, Contents};
use crate::http::Client;
use crate::mqtt::{Message, Mqtt};
use crate::paho;
use crate::process::{Service, free_address, metric};
use crate::progress;
use crate::sample::{MARK, MERGE_PATCH, SENSOR, sensor_id, sensor_path};
use crate::setting::{FEW_SENSORS, Setting, WRITERS};
use crate::stand_ins::SENSORS;
use crate::table::{Goal, Row, median, ms, percentile, short, thousands};
use crate::wrk::finish;

/// Of the log that the relay publishes at full speed.
const BACKLOG: u32 = 150_000;
const SUSTAINED_SECONDS: u32 = 15;
/// Changes a round, one after the other, with this in between: some 200 a second.
const LIGHT_CHANGES: u32 = 400;
const LIGHT_PAUSE: Duration = Duration::from_millis(3);

pub fn relay(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let contents = Contents {
        sensors: SENSORS,
        changes: u64::from(BACKLOG) - SENSORS,
        is_published: false,
    };
    fill::fill(setting.place, "relay", contents)?;
    let (mut rounds, mut ours, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=setting.rounds {
        let broker = setting.place.mosquitto(free_address())?;
        fill::forget_relayed(setting.place, "relay")?;
        let service = setting.place.service("relay", Some(broker.address))?;
        let relayed = relay_rate(&service)?;
        let sample = sample(&service)?;
        drop(service);
        let limit = paho::ceiling(broker.address, &sample, BACKLOG)?;
        progress(&format!(
            "relay, round {round}: {} / {}",
            thousands(relayed),
            thousands(limit)
        ));
        rounds.push(relayed / limit);
        ours.push(relayed);
        limits.push(limit);
    }
    Ok(vec![Row {
        what: "relay to Mosquitto, QoS 1: service / Paho alone, window 20".to_owned(),
        goal: Goal::AtLeast(0.8),
        rounds,
        unit: "",
        absolute: format!("{} / {}", thousands(median(&ours)), thousands(median(&limits))),
    }])
}

/// Events a second from the first one that is published until there are no more.
pub fn relay_rate(service: &Service) -> anyhow::Result<f64> {
    let mut client = service.client()?;
    let mut first = None;
    loop {
        let published = metric(&mut client, "sensorcast_relay_published_events_total")?;
        let now = Instant::now();
        if metric(&mut client, "sensorcast_relay_lag_events")? <= 0.0 {
            let (since, before) = first.context("it was over before it was seen to begin")?;
            let published = metric(&mut client, "sensorcast_relay_published_events_total")?;
            return Ok((published - before) / now.duration_since(since).as_secs_f64());
        }
        if published > 0.0 && first.is_none() {
            first = Some((now, published));
        }
        sleep(Duration::from_millis(10));
    }
}

/// The newest event, as a message.
pub fn sample(service: &Service) -> anyhow::Result<Message> {
    let page: serde_json::Value = serde_json::from_str(&service.client()?.get("/events?limit=1")?.body)?;
    let oldest = page["events"][0].to_string();
    let id = sensor_id(0);
    Ok(Message {
        topic: format!("sensors/{id}"),
        payload: oldest.into_bytes(),
    })
}

pub fn lag(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let broker = setting.place.mosquitto(free_address())?;
    fill::fill(setting.place, "lag", FEW_SENSORS)?;
    let service = setting.place.service("lag", Some(broker.address))?;
    let wrk = setting
        .place
        .wrk(WRITERS, SUSTAINED_SECONDS, &["patch", &SENSORS.to_string(), "1"]);
    let mut running = wrk.start(service.address())?;
    let mut client = service.client()?;
    let (mut events, mut seconds) = (0.0_f64, 0.0_f64);
    while running.try_wait()?.is_none() {
        events = events.max(metric(&mut client, "sensorcast_relay_lag_events")?);
        seconds = seconds.max(metric(&mut client, "sensorcast_relay_lag_seconds")?);
        sleep(Duration::from_millis(100));
    }
    let start = Instant::now();
    let load = finish(running)?;
    service.quiet()?;
    progress(&format!("lag: {} s, {events} events at most", short(seconds)));
    Ok(vec![Row {
        what: format!(
            "lag of the relay behind PATCH at full speed, {WRITERS} connections, {SUSTAINED_SECONDS} s, Mosquitto on the same cores: the most"
        ),
        goal: Goal::AtMost(1.0),
        rounds: vec![seconds],
        unit: "s",
        absolute: format!(
            "{events} events at {}, gone {} s after the last",
            thousands(load.per_second),
            short(start.elapsed().as_secs_f64())
        ),
    }])
}

/// Times of one round of light load.
#[derive(Default)]
struct Light {
    change: Vec<Duration>,
    commit: Vec<Duration>,
    trip: Vec<Duration>,
}

pub fn latency(setting: &Setting) -> anyhow::Result<Vec<Row>> {
    let broker = setting.place.mosquitto(free_address())?;
    let service = setting.place.service("light", Some(broker.address))?;
    let mut client = service.client()?;
    let body = SENSOR.replace(MARK, "1");
    client.send("PUT", &sensor_path(0), "content-type: application/json\n", &body, 201)?;
    service.quiet()?;
    let arrivals = subscribe(broker.address, &["sensors/+", "trip"])?;
    let mut publisher = Mqtt::connect(broker.address, "trip")?;
    let (mut rounds, mut medians, mut trips, mut p99s, mut limits) =
        <(Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
    for round in 1..=setting.rounds {
        let mut light = Light::default();
        for change in 0..LIGHT_CHANGES {
            light.change_once(&mut client, &arrivals, round * LIGHT_CHANGES + change)?;
            light.trip_once(&mut publisher, &arrivals)?;
            sleep(LIGHT_PAUSE);
        }
        let [p99, commit, trip] =
            [&mut light.change, &mut light.commit, &mut light.trip].map(|times| ms(percentile(times, 0.99)));
        let limit = commit + 2.0 * trip;
        progress(&format!(
            "change to subscriber, round {round}: p99 {}, commit {}, round trip {} ms",
            short(p99),
            short(commit),
            short(trip)
        ));
        rounds.push(p99 / limit);
        p99s.push(p99);
        limits.push(limit);
        medians.push(ms(percentile(&mut light.change, 0.5)));
        trips.push(ms(percentile(&mut light.trip, 0.5)));
    }
    Ok(vec![Row {
        what: "PATCH sent to event received, light load: p99 / p99 of (commit + 2 round trips of the broker)"
            .to_owned(),
        goal: Goal::AtMost(1.0),
        rounds,
        unit: "",
        absolute: format!(
            "{} / {} ms; medians: {} ms, and {} ms from publisher to subscriber",
            short(median(&p99s)),
            short(median(&limits)),
            short(median(&medians)),
            short(median(&trips))
        ),
    }])
}

impl Light {
    fn change_once(&mut self, client: &mut Client, arrivals: &Arrivals, value: u32) -> anyhow::Result<()> {
        let body = format!(r#"{{"value":{value}.5}}"#);
        let sent = Instant::now();
        client.send("PATCH", &sensor_path(0), MERGE_PATCH, &body, 200)?;
        self.commit.push(sent.elapsed());
        self.change.push(arrival(arrivals)?.duration_since(sent));
        Ok(())
    }

    fn trip_once(&mut self, publisher: &mut Mqtt, arrivals: &Arrivals) -> anyhow::Result<()> {
        let sent = Instant::now();
        publisher.publish("trip", SENSOR.as_bytes())?;
        self.trip.push(arrival(arrivals)?.duration_since(sent));
        publisher.published()
    }
}

/// When each message came.
type Arrivals = mpsc::Receiver<Instant>;

fn subscribe(broker: SocketAddr, filters: &[&str]) -> anyhow::Result<Arrivals> {
    let mut subscriber = Mqtt::connect(broker, "subscriber")?;
    for filter in filters {
        subscriber.subscribe(filter)?;
    }
    let (sender, arrivals) = mpsc::channel();
    // Ends with the broker, or when nobody asks any more.
    thread::spawn(move || while subscriber.next().is_ok() && sender.send(Instant::now()).is_ok() {});
    Ok(arrivals)
}

fn arrival(arrivals: &Arrivals) -> anyhow::Result<Instant> {
    arrivals
        .recv_timeout(Duration::from_secs(10))
        .context("the event did not come")
}
