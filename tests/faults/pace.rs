//! Clients that send at a rate of their own, whatever comes back, with as little work as possible for each request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// What was answered in some time.
#[derive(Debug, Default)]
pub struct Tally {
    /// How long each success took, sorted.
    pub served: Vec<Duration>,
    /// The same by the second in which it was sent.
    by_second: BTreeMap<u64, Vec<Duration>>,
    /// How long each 503 with a `Retry-After` took, sorted.
    pub refused: Vec<Duration>,
    /// Whatever else came.
    pub odd: Vec<String>,
    pub time: Duration,
}

/// One connection that is kept.
struct Line {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What to send at: a bound on the requests that wait for an answer, and on how often they are sent.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub connections: u32,
    /// All connections together; `None`: as soon as there is an answer.
    pub per_second: Option<f64>,
    pub time: Duration,
}

/// Sensors that are written to, in turn.
const SENSORS: u64 = 500;
/// The next value. No value is ever written twice, so that each write that is done changes something.
static NEXT_VALUE: AtomicU64 = AtomicU64::new(0);

impl Pace {
    pub fn closed(connections: u32, time: Duration) -> Self {
        Self {
            connections,
            per_second: None,
            time,
        }
    }

    pub fn open(connections: u32, per_second: f64, time: Duration) -> Self {
        Self {
            connections,
            per_second: Some(per_second),
            time,
        }
    }

    /// Writes to the service at this pace.
    pub async fn run(self, service: SocketAddr) -> Tally {
        let start = Instant::now();
        let mut clients = JoinSet::new();
        for place in 0..self.connections {
            clients.spawn(self.client(service, place, start));
        }
        let mut tally = Tally::default();
        while let Some(one) = clients.join_next().await {
            let one = one.expect("no panic");
            for (second, times) in one.by_second {
                tally.served.extend(&times);
                tally.by_second.entry(second).or_default().extend(times);
            }
            tally.refused.extend(one.refused);
            tally.odd.extend(one.odd);
        }
        tally.time = start.elapsed();
        tally.served.sort_unstable();
        tally.refused.sort_unstable();
        tally.by_second.values_mut().for_each(|times| times.sort_unstable());
        tally
    }

    async fn client(self, service: SocketAddr, place: u32, start: Instant) -> Tally {
        let mut tally = Tally::default();
        let interval = self
            .per_second
            .map(|rate| Duration::from_secs_f64(f64::from(self.connections) / rate));
        let mut due = start + interval.unwrap_or_default() * place / self.connections;
        let mut line = None;
        while due < start + self.time && start.elapsed() < self.time {
            sleep_until(due).await;
            let sent = Instant::now();
            let value = NEXT_VALUE.fetch_add(1, Ordering::Relaxed);
            match Line::send(&mut line, service, &write(value)).await {
                Some((200 | 201, _)) => {
                    let second = sent.duration_since(start).as_secs();
                    tally.by_second.entry(second).or_default().push(sent.elapsed());
                }
                Some((503, true)) => tally.refused.push(sent.elapsed()),
                other => {
                    tally.odd.push(format!("{other:?}"));
                    line = None;
                    sleep(Duration::from_millis(10)).await;
                }
            }
            // Who is late sends at once, and does not catch up with what was missed.
            due = (due + interval.unwrap_or_default()).max(Instant::now());
        }
        tally
    }
}

impl Tally {
    /// Successes a second.
    pub fn rate(&self) -> f64 {
        f64::from(u32::try_from(self.served.len()).expect("few")) / self.time.as_secs_f64()
    }

    /// The p99 of the successes in a second as most are: the median, which a disk that stalls now and then does not move.
    pub fn p99_of_a_second(&self) -> Duration {
        let mut p99s: Vec<Duration> = self.by_second.values().map(|times| p99(times)).collect();
        p99s.sort_unstable();
        p50(&p99s)
    }
}

/// The time below which half of them stay.
pub fn p50(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The time below which 99 of 100 stay.
pub fn p99(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() * 99 / 100).copied().unwrap_or_default()
}

fn write(value: u64) -> Vec<u8> {
    let body = format!(r#"{{"value":{value}}}"#);
    let (sensor, length) = (value % SENSORS, body.len());
    format!("PUT /sensors/p{sensor} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

impl Line {
    /// Sends a request on this connection, made anew where there is none; gives the status and whether there is a
    /// `Retry-After`.
    async fn send(line: &mut Option<Self>, service: SocketAddr, request: &[u8]) -> Option<(u16, bool)> {
        if line.is_none() {
            let stream = TcpStream::connect(service).await.ok()?;
            stream.set_nodelay(true).ok()?;
            *line = Some(Self {
                stream,
                received: Vec::with_capacity(4_096),
            });
        }
        let line = line.as_mut()?;
        line.stream.write_all(request).await.ok()?;
        line.answer().await
    }

    async fn answer(&mut self) -> Option<(u16, bool)> {
        loop {
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.received[..end]).ok()?.to_ascii_lowercase();
                let length: usize = head.split_once("content-length: ")?.1.lines().next()?.parse().ok()?;
                if self.received.len() >= end + 4 + length {
                    self.received.drain(..end + 4 + length);
                    return Some((head.get(9..12)?.parse().ok()?, head.contains("\r\nretry-after: ")));
                }
            }
            if self.stream.read_buf(&mut self.received).await.ok()? == 0 {
                return None;
            }
        }
    }
}
