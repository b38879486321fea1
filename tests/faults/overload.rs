//! More than the service can do, and clients that keep their connections for nothing.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::harness::{Process, Settings, eventually, raise_open_files};
use crate::pace::{Pace, Tally, p50, p99};

/// What a build without optimisations and its client do to each other is no measure: the times are those of `make overload`.
const TIME: Duration = Duration::from_secs(6);
const TIMES_TOO_MUCH: f64 = 5.0;
/// More than the service lets wait, so that it has to refuse.
const CROWD: u32 = 2_000;
const FEW: u32 = 16;
/// A share of what it can do, at which it is at its ease.
const EASE: f64 = 0.5;
/// On a machine that does other work as well.
const PATIENCE: Duration = Duration::from_secs(2);
const BACK_WITHIN: Duration = Duration::from_secs(5);

const SLOW: usize = 1_000;
/// From one byte to the next, of a client that is slow.
const DRIP: Duration = Duration::from_millis(500);
/// The service gives a head 5 s and a body 10 s.
const SLOW_LIMIT: Duration = Duration::from_secs(20);

/// A service, and the folder of its database.
async fn start() -> (TempDir, Process) {
    raise_open_files();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: None,
    };
    let service = Process::start_with(&settings, &[("RUST_LOG", "warn")]).await;
    (folder, service)
}

fn tell(what: &str, tally: &Tally) {
    println!(
        "{what}: {:.0} served/s, p50 {:?}, p99 {:?}, of a second {:?}; {} refused, p50 {:?}, p99 {:?}; {} odd",
        tally.rate(),
        p50(&tally.served),
        p99(&tally.served),
        tally.p99_of_a_second(),
        tally.refused.len(),
        p50(&tally.refused),
        p99(&tally.refused),
        tally.odd.len(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn five_times_too_many_writes_are_served_or_refused_soon_and_then_all_is_well() {
    let (_folder, service) = start().await;
    let most = Pace::closed(FEW, TIME / 2).run(service.addr).await;
    tell("as much as it can", &most);
    let rate = most.rate();
    let nominal = Pace::open(FEW, rate * EASE, TIME / 2).run(service.addr).await;
    tell("at its ease", &nominal);
    let crowd = Pace::open(CROWD, rate * TIMES_TOO_MUCH, TIME).run(service.addr).await;
    tell("too much", &crowd);
    let over = Instant::now();
    let mut later = 0;
    let after = loop {
        let after = Pace::open(FEW, rate * EASE, TIME / 6).run(service.addr).await;
        later += after.served.len();
        if after.refused.is_empty() && p99(&after.served) < PATIENCE {
            break after;
        }
        assert!(over.elapsed() < BACK_WITHIN, "it does not recover");
    };
    tell("afterwards", &after);
    for tally in [&most, &nominal, &crowd, &after] {
        assert!(tally.odd.is_empty(), "{:?}", &tally.odd[..tally.odd.len().min(5)]);
    }
    assert!(nominal.refused.is_empty() && !crowd.served.is_empty() && !crowd.refused.is_empty());
    let served: usize = [&most, &nominal, &crowd].map(|tally| tally.served.len()).iter().sum();
    let made = usize::try_from(service.store_revision().await).expect("few") - later;
    assert_eq!(made, served, "what was served was done, and what was refused was not");
}

/// What the log says when the first one is refused, and when that is over.
const BEGIN: &str = "more writes come than can be made: some are refused with 503";
const END: &str = "all writes are taken again";

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_that_writes_are_refused_at_either_limit_and_by_itself_that_it_is_over() {
    raise_open_files();
    for (limit, crowd) in [("2", 60), ("1024", CROWD)] {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            folder: folder.path().to_owned(),
            mqtt_url: None,
        };
        let service = Process::start_with(&settings, &[("WRITE_QUEUE_MAX", limit)]).await;
        let refused = Pace::closed(crowd, TIME / 3).run(service.addr).await.refused.len();
        assert!(refused > 100, "{refused} were refused");
        // Nobody asks for anything meanwhile.
        let count = |text| service.output().matches(text).count();
        eventually("the log says that it is over", async || {
            count(BEGIN) > 0 && count(BEGIN) == count(END)
        })
        .await;
        // Where the machine stands still for a while, one ends and another begins.
        assert!(count(BEGIN) * 10 < refused, "{limit}: {}", service.output());
        let output = service.output();
        let mut ends = output.lines().filter(|line| line.contains(END));
        assert!(ends.all(|line| !line.contains("request{")), "{output}");
        assert!(!output.contains("request failed"), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_connections_that_send_next_to_nothing_harm_nobody() {
    let (_folder, service) = start().await;
    service.put("/sensors/p1", &json!({"value": 1})).await.expect(201);
    let alone = Pace::open(FEW, 100.0, Duration::from_secs(3)).run(service.addr).await;
    tell("alone", &alone);
    let head = "PUT /sensors/slow HTTP/1.1\r\nHost: x\r\n";
    let body = format!("{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{\"value\": \"");
    let mut slow = JoinSet::new();
    for number in 0..SLOW {
        // Half of them have had an answer already.
        let before = ["", "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"][number % 2];
        slow.spawn(drip(service.addr, format!("{before}{head}")));
        slow.spawn(drip(service.addr, format!("{before}{body}")));
    }
    sleep(Duration::from_secs(1)).await;
    let among = Pace::open(FEW, 100.0, Duration::from_secs(3)).run(service.addr).await;
    tell("among 2,000 slow ones", &among);
    let ends = timeout(SLOW_LIMIT, slow.join_all())
        .await
        .expect("they are all cut off");
    let told = ends.iter().filter(|told| **told).count();
    println!("{told} of {} were told 408", ends.len());
    let after = Pace::open(FEW, 100.0, Duration::from_secs(1)).run(service.addr).await;
    for tally in [&alone, &among, &after] {
        assert!(tally.odd.is_empty() && tally.refused.is_empty(), "{:?}", tally.odd);
        assert!(p99(&tally.served) < PATIENCE);
    }
    service.get("/sensors/slow").await.expect(404);
}

/// Sends the beginning of a request and then a byte at a time, until the service ends it; tells whether that was with a 408.
async fn drip(service: std::net::SocketAddr, beginning: String) -> bool {
    let mut stream = TcpStream::connect(service).await.expect("a connection");
    stream.write_all(beginning.as_bytes()).await.expect("a connection");
    let mut answer = Vec::new();
    loop {
        match timeout(DRIP, stream.read_buf(&mut answer)).await {
            Err(_) if stream.write_all(b"x").await.is_ok() => {}
            Ok(Ok(length)) if length > 0 => {}
            _ => return String::from_utf8_lossy(&answer).contains("HTTP/1.1 408 "),
        }
    }
}
