use std::io::{BufRead, BufReader};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Http, Mosquitto, Process, Settings, binary, eventually, free_port, link};

pub fn settings_in(folder: &Path) -> Settings {
    Settings {
        folder: folder.to_owned(),
        mqtt_url: None,
    }
}

/// What a run says that ends by itself, with the lines of its log at most as bad as warnings left out.
pub fn run(command: &mut Command) -> Output {
    let child = command
        .env("RUST_LOG", "error")
        .env("HTTP_BIND", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    child.wait_with_output().expect("an end")
}

/// Asserts an exit code and one clear line that names `what`.
#[track_caller]
pub fn assert_refuses(output: &Output, code: i32, what: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "one line: {said}");
    for word in what {
        assert!(said.contains(word), "{word} is not named: {said}");
    }
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_sigint_and_sighup_end_the_process_with_exit_code_0() {
    let folder = tempfile::tempdir().unwrap();
    for (round, signal) in ["TERM", "INT", "HUP"].into_iter().enumerate() {
        let mut service = Process::start(&settings_in(folder.path())).await;
        assert_eq!(service.store_revision().await, i64::try_from(round).unwrap());
        service.create(&json!({"name": format!("s{round}")})).await;
        service.signal(signal);
        let status = service.exit().await;
        assert_eq!(status.code(), Some(0), "{signal}: {}", service.output());
        let log = folder.path().join("sensorcast.db-wal");
        assert!(!log.exists(), "an orderly stop leaves one complete file");
    }
}

/// As a migration may that takes its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_start_that_waits_for_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let migrated = run(binary(folder.path()).arg("migrate"));
    assert_eq!(migrated.status.code(), Some(0));
    let lock = folder.path().join("sensorcast.db.lock");
    std::fs::remove_file(&lock).expect("a lock file that stays");
    let mut other = connect(&database_in(folder.path())).await;
    other.execute("PRAGMA locking_mode = EXCLUSIVE").await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.expect("a lock");
    let mut service = Process::spawn(&settings_in(folder.path()));
    eventually("the start gets to the database", || async { lock.exists() }).await;
    service.signal("TERM");
    assert_eq!(service.exit().await.code(), Some(0), "{}", service.output());
    other.execute("ROLLBACK").await.expect("a lock that was kept until now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_database_refuses_to_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&settings_in(folder.path())).await;
    first.create(&json!({"name": "s1"})).await;
    let output = run(&mut binary(folder.path()));
    assert_refuses(&output, 1, &["sensorcast.db"]);
    let alias = folder.path().join("alias.db");
    std::os::unix::fs::symlink("sensorcast.db", &alias).unwrap();
    let output = run(binary(folder.path()).env("DATABASE_URL", format!("sqlite://{}", alias.display())));
    assert_refuses(&output, 1, &["alias.db", "another process"]);
    first.create(&json!({"name": "s2"})).await;
    let mut first = first;
    first.kill();
    let again = Process::start(&settings_in(folder.path())).await;
    assert_eq!(again.store_revision().await, 2, "a killed process leaves no lock");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_database_that_is_still_to_be_made_is_locked_like_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let alias = folder.path().join("alias.db");
    std::fs::create_dir(folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere/real.db", &alias).unwrap();
    let url = format!("sqlite://{}", alias.display());
    let first = Process::start_with(&settings_in(folder.path()), &[("DATABASE_URL", &url)]).await;
    first.create(&json!({"name": "s1"})).await;
    let output = run(binary(folder.path()).env("DATABASE_URL", &url));
    assert_refuses(&output, 1, &["another process"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nohup_is_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Process::spawn_under(&["nohup".to_owned()], &settings_in(folder.path()));
    service.become_ready().await;
    service.signal("HUP");
    service.create(&json!({"name": "s1"})).await;
    service.signal("TERM");
    assert_eq!(service.exit().await.code(), Some(0));
    assert!(!service.output().contains("SIGHUP"), "{}", service.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_files_may_be_open_as_the_hard_limit_allows_and_too_few_are_told() {
    for (hard, is_enough) in [(20_000, true), (500, false)] {
        let folder = tempfile::tempdir().unwrap();
        let words = ["prlimit".to_owned(), format!("--nofile=200:{hard}")];
        let mut service = Process::spawn_under(&words, &settings_in(folder.path()));
        service.become_ready().await;
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.id())).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let soft = line.split_whitespace().nth(3).unwrap();
        assert_eq!(soft, hard.to_string(), "{line}");
        let is_told = service.output().contains("HTTP_MAX_CONNECTIONS is 10000");
        assert_eq!(is_told, !is_enough, "{}", service.output());
    }
}

#[test]
fn a_start_that_may_open_too_few_files_is_one_line_and_exit_code_1() {
    for files in [6, 7, 8, 20, 25, 35, 40] {
        let folder = tempfile::tempdir().unwrap();
        let command = binary(folder.path());
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--nofile={files}:{files}"));
        limited.arg(command.get_program()).current_dir(folder.path());
        limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let allowed = format!("only {files} files may be open");
        assert_refuses(&run(&mut limited), 1, &[&allowed, " needs ", "raise the hard limit"]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_connected_is_served_when_no_file_more_may_be_open() {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let files = 72 + 4 * cores;
    let folder = tempfile::tempdir().unwrap();
    let words = ["prlimit".to_owned(), format!("--nofile={files}:{files}")];
    let mut service = Process::spawn_under(&words, &settings_in(folder.path()));
    service.become_ready().await;
    service.create(&json!({"name": "s1"})).await;
    let mut connected = TcpStream::connect(service.addr).await.unwrap();
    connected.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    connected.read_u8().await.unwrap();
    let mut others = Vec::new();
    for _ in 0..files {
        others.push(TcpStream::connect(service.addr).await.unwrap());
    }
    let open = || std::fs::read_dir(format!("/proc/{}/fd", service.id())).unwrap().count();
    eventually("no file is left", || {
        let is_full = open() >= files;
        async move { is_full }
    })
    .await;
    let requests = "GET /sensors HTTP/1.1\r\nHost: x\r\n\r\n\
        GET /sensors/s1?revision=1 HTTP/1.1\r\nHost: x\r\n\r\n\
        GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n\
        DELETE /sensors/s1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    connected.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    connected.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("TTP/1.1 20").count(), 5, "{answers}");
    // It is tried twice a second.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let log = service.output();
    assert_eq!(log.matches("Error accepting connection").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_writes_whose_database_is_missing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Process::start(&settings_in(folder.path())).await;
    service.create(&json!({"name": "s1"})).await;
    service.kill();
    let (database, log) = (
        folder.path().join("sensorcast.db"),
        folder.path().join("sensorcast.db-wal"),
    );
    let elsewhere = folder.path().join("elsewhere.db");
    std::fs::rename(&database, &elsewhere).unwrap();
    for command in ["serve", "migrate"] {
        let output = run(binary(folder.path()).arg(command));
        assert_refuses(&output, 1, &["sensorcast.db is missing", "write-ahead log"]);
    }
    assert!(log.exists());
    std::fs::rename(&elsewhere, &database).unwrap();
    let service = Process::start(&settings_in(folder.path())).await;
    service.get("/sensors/s1").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["sh", "-c", r#"exec "$@" 2>/dev/full"#, "sh"].map(str::to_owned);
    let mut service = Process::spawn_under(&words, &settings_in(folder.path()));
    service.become_ready().await;
    for number in 0..10 {
        service.create(&json!({"name": format!("s{number}")})).await;
    }
    service.signal("TERM");
    assert_eq!(service.exit().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_epoch_and_the_sensors_survive_a_restart_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    // The broker's address is in the links: it has to be the same in both lives.
    let mosquitto = Mosquitto::start().await;
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: Some(mosquitto.url()),
    };
    let mut first = Process::start(&settings).await;
    let sent = json!({"name": "s1", "value": 21.5, "metadata": {"b": 1, "a": 2}});
    let made = first.create(&sent).await;
    first.signal("TERM");
    first.exit().await;
    let second = Process::start(&settings).await;
    let read = second.get("/sensors/s1").await.expect(200);
    assert_eq!((read.etag(), read.text()), (made.etag(), made.text()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_address_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let service = Process::start(&settings_in(folder.path())).await;
    let output = service.output();
    assert!(output.contains(&service.addr.to_string()), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_a_number_in_a_line_of_json() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("LOG_FORMAT", "json"), ("MQTT_RETAIN_STATE", "true")];
    let mut service = Process::start_with(&settings_in(folder.path()), &variables).await;
    eventually("the retained states are complete", || {
        let is_told = service.output().contains("the retained states are complete");
        async move { is_told }
    })
    .await;
    service.signal("TERM");
    service.exit().await;
    let output = service.output();
    let line = output.lines().find(|line| line.contains("elapsed_ms")).expect("a line");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert!(line["elapsed_ms"].is_u64() && line["states"].is_u64(), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_one_line_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(binary(folder.path()).env("MQTT_BIND", &address));
    assert_refuses(&output, 1, &[&address]);
    let child = binary(folder.path())
        .env("RUST_LOG", "error")
        .env("HTTP_BIND", &address)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    assert_refuses(&child.wait_with_output().expect("an end"), 1, &[&address]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_one_line_that_names_it_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        ("MQTT_QOS", "3"),
        ("MQTT_URL", "http://x"),
        ("PUBLIC_URL", "nonsense"),
        ("REQUIRE_IF_MATCH", "perhaps"),
        ("LOG_FORMAT", "xml"),
        ("MQTT_TOPIC_PREFIX", "a/#/"),
        ("EVENT_RETENTION_HOURS", "-1"),
        ("DATABASE_URL", "postgres://x"),
    ];
    for (variable, value) in rows {
        let output = run(binary(folder.path()).env(variable, value));
        assert_refuses(&output, 2, &[variable, value]);
    }
    let port = free_port();
    let child = binary(folder.path())
        .env("HTTP_BIND", format!("nowhere:{port}:1"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    assert_refuses(&child.wait_with_output().expect("an end"), 2, &["HTTP_BIND", "nowhere"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_database_is_one_line_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("sensorcast.db"),
        "no database, whatever its name says".repeat(300),
    )
    .unwrap();
    let output = run(&mut binary(folder.path()));
    assert_refuses(&output, 1, &["sensorcast.db"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("file is not a database").count(), 1, "{said}");
}

/// The database of a service in this folder.
pub fn database_in(folder: &Path) -> PathBuf {
    folder.join("sensorcast.db")
}

async fn connect(database: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(database).create_if_missing(true);
    options.connect().await.expect("a connection")
}

/// Changes a database behind the service's back, with SQLite itself.
pub async fn sqlite(database: &Path, statements: &'static str) {
    let mut connection = connect(database).await;
    let changed = sqlx::raw_sql(statements).execute(&mut connection).await;
    changed.expect("statements that run");
    connection.close().await.expect("a database that closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_schema_is_one_line_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let migrated = run(binary(folder.path()).arg("migrate"));
    assert_eq!(migrated.status.code(), Some(0));
    let newer = "INSERT INTO _sqlx_migrations VALUES (9999, 'from the future', '2030-01-01', 1, x'00', 1)";
    sqlite(&database_in(folder.path()), newer).await;
    assert_refuses(&run(&mut binary(folder.path())), 1, &["sensorcast.db", "9999", "newer"]);
    std::fs::rename(folder.path().join("sensorcast.db"), folder.path().join("newer.db")).unwrap();
    let output = run(binary(folder.path()).args(["restore", "newer.db"]));
    assert_refuses(&output, 1, &["restored: newer.db has schema version 9999"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_program_is_one_line_and_exit_code_1_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    sqlite(&database_in(folder.path()), "CREATE TABLE theirs (id INTEGER)").await;
    assert_refuses(
        &run(&mut binary(folder.path())),
        1,
        &["sensorcast.db", "not a sensorcast database"],
    );
    sqlite(&database_in(folder.path()), "INSERT INTO theirs VALUES (1)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_asks_a_running_service_and_fails_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let service = Process::start(&settings_in(folder.path())).await;
    let ask = |address: String| {
        let mut command = binary(folder.path());
        command
            .arg("health")
            .env("HTTP_BIND", address)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().expect("the binary").code()
    };
    assert_eq!(ask(service.addr.to_string()), Some(0));
    assert_ne!(ask(format!("127.0.0.1:{}", free_port())), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn why_it_is_not_ready_is_told_by_health_and_by_the_log_once() {
    let folder = tempfile::tempdir().unwrap();
    let service = Process::start(&settings_in(folder.path())).await;
    let mut other = connect(&database_in(folder.path())).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let address = service.addr.to_string();
    for _ in 0..2 {
        let output = run(binary(folder.path()).args(["health", "--http-bind", &address]));
        assert_refuses(&output, 1, &["not ready", "no answer within 2 s"]);
    }
    other.execute("ROLLBACK").await.unwrap();
    eventually("it is ready again", || {
        let http = (*service).clone();
        async move { http.try_status("/health/ready", ("accept", "*/*")).await == Some(200) }
    })
    .await;
    service.get("/health/ready").await.expect(200);
    let log = service.output();
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(lines("not ready reason=\"no answer within 2 s\""), 1, "{log}");
    assert_eq!((lines("ready again"), lines("request failed")), (1, 0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_follow_the_ports_that_the_system_chose_unless_told_otherwise() {
    for (public_url, mqtt_public_url) in [("", ""), ("http://there", "mqtt://there")] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = binary(folder.path())
            .envs([
                ("HTTP_BIND", "127.0.0.1:0"),
                ("PUBLIC_URL", public_url),
                ("MQTT_PUBLIC_URL", mqtt_public_url),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"))
            .lines()
            .map_while(Result::ok);
        let greeting: Vec<String> = lines.take(4).collect();
        let after = |line: usize, words: &str| {
            let (_, rest) = greeting[line]
                .split_once(words)
                .unwrap_or_else(|| panic!("{words}: {greeting:?}"));
            rest.split([' ', '/']).next().unwrap().to_owned()
        };
        let (port, broker_port) = (after(1, "http://127.0.0.1:"), after(3, "mqtt://127.0.0.1:"));
        let is_set = !public_url.is_empty();
        let base = if is_set {
            public_url.to_owned()
        } else {
            format!("http://localhost:{port}")
        };
        let monitor = if is_set {
            mqtt_public_url.to_owned()
        } else {
            format!("mqtt://localhost:{broker_port}")
        };
        assert!(greeting[2].ends_with(&format!(" {base}/docs")), "{greeting:?}");

        let http = Http::new(format!("127.0.0.1:{port}").parse().unwrap(), &base);
        let entry = http.get("/").await.expect(200).json();
        assert_eq!(link(&entry, "collection"), Some(format!("{base}/sensors")));
        assert_eq!(link(&entry, "monitor"), Some(format!("{monitor}/sensors/+")));
        let made = http.create(&json!({"name": "s1"})).await;
        assert!(
            made.header("location")
                .unwrap()
                .starts_with(&format!("{base}/sensors/"))
        );
        child.kill().expect("a process to kill");
        child.wait().expect("its end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_can_be_found_in_the_log_by_the_id_of_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: None,
    };
    let service = Process::start_with(&settings, &[("RUST_LOG", "info,sensorcast=debug")]).await;
    let made = service.put("/sensors/s1", &json!({"value": 1})).await.expect(201);
    // Nothing is asked of the database for the second one.
    let read = service.get("/sensors/s1").await.expect(200);
    let read_again = service.get("/sensors/s1").await.expect(200);
    for (answer, method) in [(made, "PUT"), (read, "GET"), (read_again, "GET")] {
        let id = answer.header("x-request-id").expect("an id").to_owned();
        let is_told = async || {
            let log = service.output();
            log.lines().any(|line| {
                [&id, method, "/sensors/s1", "request answered"]
                    .iter()
                    .all(|word| line.contains(*word))
            })
        };
        eventually("its line", is_told).await;
    }
}
