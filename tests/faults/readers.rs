//! A thousand readers of the log at once, and one that does not read.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::harness::{Http, Process, Settings, raise_open_files};
use crate::process::{database_in, sqlite};

const READERS: usize = 1_000;
/// With the time between two writes of one writer: 200 writes a second, when the machine can carry a thousand times as
/// many events.
const WRITERS: usize = 8;
const PACE: Duration = Duration::from_millis(40);
/// How long the writing goes on, rather than how much is written, so that a busy machine has less to do and not longer.
const WRITING: Duration = Duration::from_secs(8);
/// 6 MB of events from an earlier life of the service, which is more than a connection buffers.
const FILLERS: usize = 400;
const FILLER_BYTES: usize = 15_000;
/// Between two looks of a reader, so that a thousand of them leave the machine to the service.
const PAUSE: Duration = Duration::from_millis(100);
/// More than comes in that time.
const MAX_READ_BYTES: usize = 32 * 1024;
/// Of the service, for one reader that waits.
const MAX_BYTES_PER_READER: usize = 64 * 1024;
/// Until a reader that takes nothing is closed.
const MAX_STALL: Duration = Duration::from_secs(30);
/// A reader that hears nothing for this long has lost something: keep-alives come every 15 s.
const MAX_SILENCE: Duration = Duration::from_secs(40);

/// A client of Server-Sent Events that looks at no more than it has to.
pub struct Reader {
    stream: TcpStream,
    /// What has come since the last line feed.
    rest: Vec<u8>,
    /// The revision in the last `id`.
    id: i64,
    /// The revision of the last event.
    pub position: i64,
    /// Whether a sensor was deleted, which is the last thing that happens.
    is_done: bool,
    /// Of all `data`.
    data_bytes: usize,
}

impl Reader {
    /// Opens a stream of what happens from now on, and reads until the service has told where that is.
    pub async fn open(http: &Http) -> Self {
        let mut stream = TcpStream::connect(http.addr).await.expect("a connection");
        stream
            .write_all(request("/events?after=now").as_bytes())
            .await
            .expect("a request");
        let mut reader = Self {
            stream,
            rest: Vec::new(),
            id: 0,
            position: 0,
            is_done: false,
            data_bytes: 0,
        };
        while reader.id == 0 {
            reader.read().await;
        }
        reader.position = reader.id;
        reader
    }

    async fn read_to_the_end(mut self) -> Self {
        while !self.is_done {
            tokio::time::sleep(PAUSE).await;
            self.read().await;
        }
        self
    }

    /// Takes what comes next.
    pub async fn read(&mut self) {
        self.rest.reserve(MAX_READ_BYTES);
        let read = timeout(MAX_SILENCE, self.stream.read_buf(&mut self.rest)).await;
        let count = read.expect("something in time").expect("a connection");
        assert_ne!(count, 0, "the stream ended after {}", self.position);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return;
        };
        let rest = self.rest.split_off(end + 1);
        let lines = std::mem::replace(&mut self.rest, rest);
        for line in std::str::from_utf8(&lines).expect("UTF-8").lines() {
            self.take(line);
        }
    }

    /// Everything that is no field of an event is passed over: the head, the sizes of chunks, comments.
    fn take(&mut self, line: &str) {
        if let Some(cursor) = line.strip_prefix("id: ") {
            let revision = cursor.split_once('.').expect("a cursor").1;
            self.id = revision.parse().expect("a revision");
        } else if let Some(data) = line.strip_prefix("data: ") {
            assert_eq!(self.id, self.position + 1, "every event, in order");
            self.position = self.id;
            self.data_bytes += data.len();
            self.is_done = data.starts_with(r#"{"event":"deleted","#);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_get_every_event_and_one_that_stops_reading_is_closed() {
    raise_open_files();
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path()).await;
    // A fresh process, so that readers do not settle in memory that was left behind.
    let service = Process::start(&settings_in(folder.path())).await;
    let first = Reader::open(&service).await;
    let before = service.resident_bytes();
    let readers = open_readers(&service).await;
    assert_eq!(open_streams(&service).await, READERS + 1);
    let bytes = service.resident_bytes().saturating_sub(before) / READERS;
    println!("{READERS} idle readers: {bytes} bytes each");
    assert!(bytes < MAX_BYTES_PER_READER, "{bytes} bytes a reader");

    let stalled = stop_reading(&service).await;
    let started = Instant::now();
    let closing = tokio::spawn(is_closed((*service).clone()));
    let start = first.position;
    let reading: JoinSet<_> = readers
        .into_iter()
        .chain([first])
        .map(Reader::read_to_the_end)
        .collect();
    let last = start + write(&service).await;
    println!("{} events: {:?}", last - start, started.elapsed());
    let readers = reading.join_all().await;
    println!("read by {}: {:?}", readers.len(), started.elapsed());
    let data_bytes = readers[0].data_bytes;
    for reader in &readers {
        assert_eq!((reader.position, reader.data_bytes), (last, data_bytes));
    }
    let stall = closing.await.unwrap();
    println!("the reader that reads nothing is closed: {stall:?}");
    println!("in the end {} KiB", service.resident_bytes() / 1024);
    // Until here, or it would be the client that closes.
    drop((stalled, readers));
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
}

fn settings_in(folder: &Path) -> Settings {
    Settings {
        folder: folder.to_owned(),
        mqtt_url: None,
    }
}

/// A life of the service that leaves large events in the log.
async fn fill(folder: &Path) {
    let mut service = Process::start(&settings_in(folder)).await;
    let writers: JoinSet<_> = (0..WRITERS)
        .map(|writer| {
            let http = (*service).clone();
            let body = json!({"metadata": {"filler": "x".repeat(FILLER_BYTES)}});
            async move {
                for number in 0..FILLERS / WRITERS {
                    let path = format!("/sensors/f{writer}-{number}");
                    http.put(&path, &body).await.expect(201);
                }
            }
        })
        .collect();
    writers.join_all().await;
    service.signal("TERM");
    assert!(service.exit().await.success());
}

async fn open_readers(service: &Process) -> Vec<Reader> {
    let mut readers = Vec::with_capacity(READERS);
    while readers.len() < READERS {
        readers.push(Reader::open(service).await);
    }
    readers
}

/// Asks for the whole log over a connection that buffers little, and never reads.
async fn stop_reading(service: &Process) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(64 * 1024).expect("a small buffer");
    let mut stream = socket.connect(service.addr).await.expect("a connection");
    stream
        .write_all(request("/events").as_bytes())
        .await
        .expect("a request");
    while open_streams(service).await != READERS + 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stream
}

async fn open_streams(http: &Http) -> usize {
    let metrics = http.get("/metrics").await.expect(200);
    let line = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("sensorcast_open_streams "));
    line.expect("the gauge").parse().expect("a count")
}

/// Waits until one stream is closed, and tells how long that took.
async fn is_closed(http: Http) -> Duration {
    let started = Instant::now();
    while open_streams(&http).await != READERS + 1 {
        assert!(started.elapsed() < MAX_STALL, "it is still open");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    started.elapsed()
}

/// Writes that are one event each, the last one a deletion; tells how many.
async fn write(service: &Process) -> i64 {
    let end = Instant::now() + WRITING;
    let writers: JoinSet<_> = (0..WRITERS)
        .map(|writer| {
            let (http, path) = ((*service).clone(), format!("/sensors/w{writer}"));
            async move {
                let mut pace = interval(PACE);
                let mut written = 0;
                while Instant::now() < end {
                    pace.tick().await;
                    let status = if written == 0 { 201 } else { 200 };
                    http.put(&path, &json!({"value": written})).await.expect(status);
                    written += 1;
                }
                written
            }
        })
        .collect();
    let written: i64 = writers.join_all().await.into_iter().sum();
    service.delete("/sensors/w0").await.expect(204);
    written + 1
}

/// The framework's own line for an answer that breaks off is switched off (`src/telemetry.rs`).
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_go_on_says_so_to_its_reader_and_once_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Process::start(&settings_in(folder.path())).await;
    for number in 1..=40 {
        service.create(&json!({"name": format!("s{number}")})).await;
    }
    service.signal("TERM");
    service.exit().await;
    let damage = "UPDATE events SET sensor_id = 'none' WHERE revision = 40";
    sqlite(&database_in(folder.path()), damage).await;

    let service = Process::start(&settings_in(folder.path())).await;
    let mut stream = service.event_stream("/events", &[]).await;
    let mut blocks = Vec::new();
    while let Some(block) = stream.next_block().await {
        blocks.push(block);
    }
    let words = blocks
        .last()
        .and_then(|block| block.comment.clone())
        .unwrap_or_default();
    assert!(
        words.starts_with("closed, the log cannot be read; cursor "),
        "{blocks:?}"
    );
    let events = blocks.iter().filter(|block| block.data.is_some()).count();
    assert!(words.ends_with(&format!(".{events}")), "{events}: {words}");
    let output = service.output();
    let told: Vec<_> = output
        .lines()
        .filter(|line| line.contains("a row is damaged"))
        .collect();
    assert!(told.len() == 1 && told[0].contains("an event stream ends"), "{output}");
}
