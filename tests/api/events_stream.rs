//! The log as streams: Server-Sent Events and WebSocket.

use std::time::{Duration, Instant};

use sensorcast::config::StreamLimits;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Event, Frame, PATIENCE, Service, WebSocket, eventually, link};

/// A service whose streams say quickly that they live.
async fn lively() -> Service {
    Service::start_with(|config| config.http.streams.keep_alive = Duration::from_millis(50)).await
}

async fn open_streams(service: &Service) -> String {
    gauge(service, "sensorcast_open_streams ").await
}

async fn gauge(service: &Service, begin: &str) -> String {
    let metrics = service.get("/metrics").await.expect(200);
    let line = metrics.text().lines().find(|line| line.starts_with(begin));
    line.expect("a gauge").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn page_long_poll_stream_websocket_and_mqtt_give_the_same_events_with_the_same_bytes() {
    let service = Service::start().await;
    let mut mqtt = service.subscribe().await;
    let mut stream = service.event_stream("/events", &[]).await;
    let mut socket = WebSocket::open(service.addr, "/events").await;
    let made = service
        .create(&json!({"name": "s1", "kind": "🌡️\u{2028}", "value": 1.50}))
        .await;
    service
        .patch(&made.path(), &json!({"value": "\u{2029}😀"}))
        .await
        .expect(200);
    service.put(&made.path(), &json!({"name": "s1"})).await.expect(200);
    service
        .patch(&made.path(), &json!({"status": "inactive"}))
        .await
        .expect(200);
    service.delete(&made.path()).await.expect(204);
    let page = service.get("/events").await.expect(200).events();
    assert_eq!(page.len(), 5);
    let mut polled = Vec::new();
    let mut path = "/events?wait=10&limit=2".to_owned();
    while polled.len() < 5 {
        let answer = service.get(&path).await.expect(200);
        polled.extend(answer.events());
        let resume = link(&answer.json(), "resume").unwrap();
        path = resume.strip_prefix(&service.public_url).unwrap().to_owned();
    }
    assert_eq!(polled, page);
    let mut late = service.event_stream(&format!("{}/events", made.path()), &[]).await;
    let mut late_socket = WebSocket::open(service.addr, &format!("{}/events", made.path())).await;
    for event in &page {
        assert_eq!(mqtt.next().await.payload, event.as_bytes());
        assert_eq!(&stream.next().await, event);
        assert_eq!(&socket.next().await, event);
        assert_eq!(&late.next().await, event);
        assert_eq!(&late_socket.next().await, event);
    }
    drop((stream, socket, late, late_socket));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn last_event_id_resumes_and_wins_over_after() {
    let service = Service::start().await;
    for number in 0..10 {
        service.create(&json!({"name": format!("s{number}")})).await;
    }
    let mut stream = service.event_stream("/events", &[]).await;
    for _ in 0..4 {
        stream.next().await;
    }
    let last_id = stream.last_id().to_owned();
    drop(stream);
    for path in ["/events", "/events?after=now", "/events?after=aaaaaaaa.1"] {
        let mut resumed = service.event_stream(path, &[("last-event-id", &last_id)]).await;
        for expected in 5..=10 {
            assert_eq!(
                Event::read(resumed.next().await.as_bytes()).revision,
                expected,
                "{path}"
            );
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_after_now_can_be_resumed_before_its_first_event() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    let mut stream = service.event_stream("/events?after=now", &[]).await;
    stream.next_comment().await;
    let last_id = stream.last_id().to_owned();
    drop(stream);
    service.delete("/sensors/s1").await.expect(204);
    let mut resumed = service
        .event_stream("/events?after=now", &[("last-event-id", &last_id)])
        .await;
    assert_eq!(Event::read(resumed.next().await.as_bytes()).kind, "deleted");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_names_the_head_and_a_filtered_stream_moves_on() {
    let service = lively().await;
    let epoch = service.get("/").await.json()["epoch"].as_str().unwrap().to_owned();
    let mut stream = service.event_stream("/events?event=deleted", &[]).await;
    let first = stream.next_comment().await;
    assert_eq!(first.comment, Some(format!("head {epoch}.0")));
    service.create(&json!({"name": "s1"})).await;
    service.create(&json!({"name": "s2"})).await;
    let head = format!("{epoch}.2");
    while stream.last_id() != head {
        let comment = stream.next_comment().await;
        assert!(comment.comment.unwrap().starts_with("head "));
    }
    assert_eq!(stream.next_comment().await.comment, Some(format!("head {head}")));
    service.delete("/sensors/s1").await.expect(204);
    assert_eq!(Event::read(stream.next().await.as_bytes()).revision, 3);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_names_the_head_and_a_ping_is_answered() {
    let service = lively().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let mut socket = WebSocket::open(service.addr, "/events?after=now").await;
    let head = made.etag().trim_matches('"').to_owned();
    assert_eq!(socket.next_frame().await, Frame::Ping(head.clone()));
    assert_eq!(socket.next_frame().await, Frame::Ping(head));
    socket.send(Message::Ping("are you there".into())).await;
    while socket.next_frame().await != Frame::Pong("are you there".to_owned()) {}
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_sends_a_message_is_closed_with_a_code_and_nobody_else() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    let mut other = WebSocket::open(service.addr, "/events").await;
    for (message, expected) in [
        (Message::text("hello"), 1003),
        (Message::binary(vec![0; 100]), 1003),
        (Message::text("x".repeat(1 << 20)), 1009),
        (Message::binary(vec![0; 1 << 20]), 1009),
    ] {
        let mut socket = WebSocket::open(service.addr, "/events").await;
        socket.send(message).await;
        assert_eq!(socket.close_reason().await.0, expected);
    }
    let mut socket = WebSocket::open(service.addr, "/events").await;
    socket.send(Message::Close(None)).await;
    assert_eq!(socket.close_reason().await.0, 1000);
    assert_eq!(Event::read(other.next().await.as_bytes()).revision, 1);
    eventually("only one stream is open", || async {
        open_streams(&service).await == "sensorcast_open_streams 1"
    })
    .await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_announces_a_frame_without_end_is_closed_before_it_fills_the_memory() {
    let service = Service::start().await;
    let mut socket = WebSocket::open(service.addr, "/events").await;
    // A binary frame of 2^40 bytes, masked with zeros, of which some come (RFC 6455 §5.2).
    let mut frame = vec![0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    frame.resize(100_000, 0);
    socket.send_raw(&frame).await;
    assert_eq!(socket.close_reason().await.0, 1009);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_is_wrong_is_a_problem_document() {
    let service = Service::start().await;
    let upgrade = [("upgrade", "websocket"), ("connection", "upgrade")];
    let refused = service.request("GET", "/events", &upgrade, "").await.expect(400);
    assert_eq!(refused.header("sec-websocket-version"), Some("13"));
    let whole = [
        upgrade[0],
        upgrade[1],
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (path, status) in [
        ("/events?after=aaaaaaaa.1", 410),
        ("/events?after=x", 400),
        ("/sensors/nobody/events", 404),
        ("/sensors", 200),
    ] {
        service.request("GET", path, &whole, "").await.expect(status);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_are_counted_and_have_a_bound() {
    let service = Service::start_with(|config| config.http.streams.max_open = 2).await;
    let connections = async || {
        let line = gauge(&service, "sensorcast_open_connections ").await;
        line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    let before = connections().await;
    let stream = service.event_stream("/events", &[]).await;
    let socket = WebSocket::open(service.addr, "/events").await;
    assert_eq!(open_streams(&service).await, "sensorcast_open_streams 2");
    // With the one that asks.
    assert_eq!(connections().await, before + 2);
    let accept = ("accept", "text/event-stream");
    let refused = service.try_status("/events", accept).await.expect("an answer");
    assert_eq!(refused, 503);
    service.get("/events").await.expect(200);
    drop(socket);
    drop(stream);
    eventually("the WebSocket that has gone makes room", || async {
        service.try_status("/events", accept).await == Some(200)
    })
    .await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_leave_connections_for_those_who_ask_whether_the_service_lives() {
    const CONNECTIONS: usize = 40;
    let service = Service::start_with(|config| {
        config.http.limits.connections = CONNECTIONS;
        config.http.streams = StreamLimits::among(CONNECTIONS);
    })
    .await;
    let mut streams = Vec::new();
    for _ in 0..36 {
        streams.push(service.event_stream("/events?after=now", &[]).await);
    }
    let accept = ("accept", "text/event-stream");
    assert_eq!(service.try_status("/events?after=now", accept).await, Some(503));
    service.get("/health/live").await.expect(200);
    drop(streams);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_streams_and_long_polls_at_once_and_tells_the_cursor() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let cursor = made.etag().trim_matches('"').to_owned();
    let mut stream = service.event_stream("/events", &[]).await;
    let mut socket = WebSocket::open(service.addr, "/events").await;
    stream.next().await;
    socket.next().await;
    let http = (*service).clone();
    let poll = tokio::spawn(async move { http.get("/events?after=now&wait=60").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    service.finish().await;
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    let mut last = stream.next_comment().await.comment.unwrap();
    if last.starts_with("head") {
        last = stream.next_comment().await.comment.unwrap();
    }
    assert!(last.starts_with("closed") && last.ends_with(&cursor), "{last}");
    assert_eq!(stream.next_block().await, None);
    let (code, reason) = socket.close_reason().await;
    assert!(code == 1001 && reason.ends_with(&cursor), "{code} {reason}");
    assert!(poll.await.unwrap().expect(200).events().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_closed_the_half_on_which_it_sends_goes_on_being_told() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let service = Service::start().await;
    let mut stream = tokio::net::TcpStream::connect(service.addr).await.unwrap();
    let request = b"GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut received = Vec::new();
    for name in ["s1", "s2"] {
        service.create(&json!({"name": name})).await;
        let is_told = format!("\"name\":\"{name}\"");
        while !String::from_utf8_lossy(&received).contains(&is_told) {
            let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut received)).await;
            assert_ne!(
                read.expect("something in time").unwrap(),
                0,
                "the stream ended before {name}"
            );
        }
    }
    service.finish().await;
}
