//! Readers that do not read.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Event, PATIENCE, Service, eventually};

/// Each event is larger than what a connection buffers is small.
const EVENTS: i64 = 401;
const STALL: Duration = Duration::from_millis(700);

/// A service with a log of 6 MB, whose streams have little patience.
async fn impatient() -> Service {
    let service = Service::start_with(|config| {
        config.http.streams.stall = STALL;
        // A client that hangs up is noticed when it is written to.
        config.http.streams.keep_alive = Duration::from_millis(100);
    })
    .await;
    let body = json!({"metadata": {"filler": "x".repeat(15_000)}});
    let writers = (0..8).map(|writer| {
        let (http, body) = ((*service).clone(), body.clone());
        tokio::spawn(async move {
            for number in 0..50 {
                http.put(&format!("/sensors/s{writer}-{number}"), &body)
                    .await
                    .expect(201);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    service
}

/// Asks for the stream, over a connection that buffers little, and reads nothing.
async fn ask(addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut stream = socket.connect(addr).await.unwrap();
    let request = "GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn are_open(service: &Service, count: usize) -> bool {
    let metrics = service.get("/metrics").await.expect(200);
    metrics.text().contains(&format!("sensorcast_open_streams {count}\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_never_reads_is_hung_up_on_and_slows_nobody() {
    let service = impatient().await;
    let idle = ask(service.addr).await;
    eventually("the stream is open", || are_open(&service, 1)).await;
    let started = Instant::now();
    let mut brisk = service.event_stream("/events", &[]).await;
    for revision in 1..EVENTS {
        assert_eq!(Event::read(brisk.next().await.as_bytes()).revision, revision);
    }
    drop(brisk);
    eventually("both streams are closed", || are_open(&service, 0)).await;
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    drop(idle);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_too_slow_is_told_its_last_cursor_and_can_go_on() {
    let service = impatient().await;
    let mut slow = ask(service.addr).await;
    // Longer than the stall, shorter than the system's patience.
    tokio::time::sleep(STALL * 3 / 2).await;
    let mut text = Vec::new();
    let read = tokio::time::timeout(PATIENCE, slow.read_to_end(&mut text)).await;
    assert!(read.is_ok(), "the stream ends");
    let text = String::from_utf8_lossy(&text);
    let last_words = text.rsplit_once(": closed, too slow; cursor ").expect("last words").1;
    let cursor = last_words.lines().next().unwrap();
    let last_id = text.rsplit_once("\nid: ").unwrap().1.lines().next().unwrap();
    assert_eq!(last_id, cursor);
    let reached: i64 = cursor.split_once('.').unwrap().1.parse().unwrap();
    assert!(reached < EVENTS - 1, "it did not get all: {reached}");
    let mut resumed = service.event_stream("/events", &[("last-event-id", cursor)]).await;
    assert_eq!(Event::read(resumed.next().await.as_bytes()).revision, reached + 1);
    drop(resumed);
    service.finish().await;
}
