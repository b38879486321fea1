use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::harness::{Dice, Link, Traffic};
use crate::world::World;
use crate::writers::Writers;
use sensorcast::mirror::{Mirror, MirrorOptions, Status};
use serde_json::Value;
use tokio::time::sleep;

/// One round: its plan comes from the seed.
pub struct Round {
    seed: u64,
    dice: Dice,
}

/// What a round saw.
#[derive(Debug)]
pub struct Told {
    seed: u64,
    written: u64,
    deeds: BTreeMap<&'static str, usize>,
    max_behind: i64,
    settled_after: Duration,
}

/// How a mirror was wrong after quiet.
#[derive(Debug)]
pub enum Failure {
    /// It did not reach the revision of the store.
    Behind {
        mirror: usize,
        at: i64,
        store: i64,
        status: Status,
    },
    /// It is at the revision of the store, with other sensors.
    Differs {
        mirror: usize,
        sensor: String,
        held: Option<String>,
        listed: Option<String>,
    },
}

/// How long things go wrong.
const STORM: Duration = Duration::from_secs(2);
/// A mirror that is stalled over the end of the writes loses the tail, and only the head can tell.
const LAST_STALL: Duration = Duration::from_secs(1);
/// The longest wait for a mirror after quiet: a few pauses between attempts to connect.
pub const SETTLE_LIMIT: Duration = Duration::from_secs(20);
const MIRRORS: usize = 3;
/// One round in so many lets one mirror miss everything once it has the list.
const SLEEPS_IN: u64 = 3;
const ASLEEP: usize = 2;
/// One round in so many replaces the store.
const REPLACES_STORE_IN: u64 = 5;

/// A mirror and its way to the broker.
pub struct Seat {
    pub link: Link,
    options: MirrorOptions,
    mirror: Option<Mirror>,
    /// When its link flows again, or it comes back.
    until: Option<Instant>,
}

impl Round {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            dice: Dice::new(seed, 0),
        }
    }

    /// Runs the round.
    pub async fn run(mut self) -> Result<Told, Failure> {
        let mut world = World::start().await;
        let writers = Writers::start(&world.http, self.seed);
        let mut seats = Vec::new();
        for _ in 0..MIRRORS {
            seats.push(Seat::new(&world, |options| options).await);
        }
        let mut told = Told {
            seed: self.seed,
            written: 0,
            deeds: BTreeMap::new(),
            max_behind: 0,
            settled_after: Duration::ZERO,
        };
        let end = Instant::now() + STORM;
        if self.dice.below(SLEEPS_IN) == 0 {
            seats[ASLEEP].fall_asleep(end + SETTLE_LIMIT).await;
        }
        while Instant::now() < end {
            let deed = self.do_something(&mut world, &mut seats).await;
            *told.deeds.entry(deed).or_default() += 1;
            let pause = self.dice.millis(20, 200);
            sleep(pause).await;
            for seat in &mut seats {
                told.max_behind = told.max_behind.max(writers.revision().saturating_sub(seat.revision()));
                seat.end_trouble(Instant::now());
            }
        }
        self.lose_a_tail(&mut seats).await;
        told.max_behind = told
            .max_behind
            .max(writers.revision().saturating_sub(seats[ASLEEP].revision()));
        told.written = writers.written();
        writers.stop().await;
        // Longer than the head takes to be refreshed, so that what was published is dropped and not only late.
        sleep(Duration::from_millis(300)).await;
        for seat in &mut seats {
            seat.end_trouble(end + SETTLE_LIMIT);
        }
        let quiet = Instant::now();
        judge(&world, &seats).await?;
        told.settled_after = quiet.elapsed();
        Ok(told)
    }

    async fn do_something(&mut self, world: &mut World, seats: &mut [Seat]) -> &'static str {
        let number = usize::try_from(self.dice.below(3)).expect("small");
        let is_asleep = seats[number].until.is_some_and(|until| until > Instant::now() + STORM);
        let seat = &mut seats[if is_asleep { 0 } else { number }];
        let until = Instant::now() + self.dice.millis(100, 1200);
        match self.dice.below(16) {
            0..=1 => {
                world.broker.kill();
                sleep(self.dice.millis(0, 300)).await;
                world.broker.run().await;
                "broker killed"
            }
            2 => {
                world.kill_service();
                sleep(self.dice.millis(0, 300)).await;
                let replaces = self.dice.below(REPLACES_STORE_IN) == 0;
                if replaces {
                    world.lose_data();
                }
                world.start_service().await;
                if replaces { "store replaced" } else { "service killed" }
            }
            3..=7 => {
                seat.trouble(Traffic::Stalled, until);
                "stalled"
            }
            8..=9 => {
                seat.trouble(Traffic::Cut, until);
                "cut"
            }
            10 => {
                seat.mirror = None;
                seat.until = Some(until);
                "left"
            }
            _ => "nothing",
        }
    }

    /// The first mirror falls behind while the last changes are made, with its connection alive.
    async fn lose_a_tail(&mut self, seats: &mut [Seat]) {
        seats[0].end_trouble(Instant::now() + SETTLE_LIMIT);
        seats[0].come_alive().await;
        seats[0].trouble(Traffic::Stalled, Instant::now());
        sleep(LAST_STALL).await;
    }
}

impl Seat {
    /// `adapt` may change the mirror.
    pub async fn new(world: &World, adapt: impl Fn(MirrorOptions) -> MirrorOptions) -> Self {
        let link = Link::to(world.broker.addr()).await;
        let mut options = MirrorOptions::new(world.http.public_url.parse().expect("a URL"));
        options.mqtt = Some(link.url().parse().expect("a URL"));
        let options = adapt(options);
        Self {
            mirror: Some(Mirror::start(options.clone()).expect("a mirror")),
            options,
            link,
            until: None,
        }
    }

    fn trouble(&mut self, traffic: Traffic, until: Instant) {
        self.link.set(traffic);
        self.until = Some(until);
    }

    /// Ends what was to end by `now`.
    fn end_trouble(&mut self, now: Instant) {
        if self.until.take_if(|until| *until <= now).is_some() {
            self.link.set(Traffic::Flows);
            if self.mirror.is_none() {
                self.mirror = Some(Mirror::start(self.options.clone()).expect("a mirror"));
            }
        }
    }

    /// Waits until the mirror follows the events.
    pub async fn come_alive(&self) {
        let mirror = self.mirror.as_ref().expect("a mirror");
        let start = Instant::now();
        while mirror.status() != Status::Live && start.elapsed() < SETTLE_LIMIT {
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn fall_asleep(&mut self, until: Instant) {
        self.come_alive().await;
        self.trouble(Traffic::Cut, until);
    }

    /// What it shows; a mirror that is not there lags behind nothing.
    pub fn revision(&self) -> i64 {
        let shown = self.mirror.as_ref().and_then(Mirror::revision);
        shown.map_or(i64::MAX, sensorcast::domain::Revision::get)
    }
}

/// Waits until each mirror is where the store is, and compares.
pub async fn judge(world: &World, seats: &[Seat]) -> Result<(), Failure> {
    let store = world.http.store_revision().await;
    let listed = canonical(world.http.all_pages(500).await.iter());
    let start = Instant::now();
    for (number, seat) in seats.iter().enumerate() {
        let mirror = seat.mirror.as_ref().expect("every mirror came back");
        loop {
            let at = mirror.revision().map_or(-1, sensorcast::domain::Revision::get);
            if at == store && mirror.status() == Status::Live {
                break;
            }
            if start.elapsed() > SETTLE_LIMIT {
                println!("{}", world.log().lines().rev().take(20).collect::<Vec<_>>().join("\n"));
                return Err(Failure::Behind {
                    mirror: number,
                    at,
                    store,
                    status: mirror.status(),
                });
            }
            sleep(Duration::from_millis(20)).await;
        }
        let snapshot = mirror.snapshot().expect("a list");
        compare(
            number,
            &canonical(snapshot.sensors.values().map(|sensor| &**sensor)),
            &listed,
        )?;
    }
    Ok(())
}

/// Each sensor by its id, written out with its members sorted.
pub fn canonical<'a>(sensors: impl Iterator<Item = &'a Value>) -> BTreeMap<String, String> {
    let entry = |sensor: &Value| (sensor["id"].as_str().expect("an id").to_owned(), sensor.to_string());
    sensors.map(entry).collect()
}

/// Both have the same sensors, byte for byte.
pub fn compare(
    mirror: usize,
    held: &BTreeMap<String, String>,
    listed: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    let different = held
        .keys()
        .chain(listed.keys())
        .find(|id| held.get(*id) != listed.get(*id));
    match different {
        None => Ok(()),
        Some(id) => Err(Failure::Differs {
            mirror,
            sensor: id.clone(),
            held: held.get(id).cloned(),
            listed: listed.get(id).cloned(),
        }),
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {} writes, at most {} behind, right {} ms after quiet, {:?}",
            self.seed,
            self.written,
            self.max_behind,
            self.settled_after.as_millis(),
            self.deeds
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind {
                mirror,
                at,
                store,
                status,
            } => {
                write!(f, "mirror {mirror} stays at {at}, the store is at {store}: {status:?}")
            }
            Self::Differs {
                mirror,
                sensor,
                held,
                listed,
            } => {
                write!(
                    f,
                    "mirror {mirror} is wrong in {sensor}:\n  held   {held:?}\n  listed {listed:?}"
                )
            }
        }
    }
}
