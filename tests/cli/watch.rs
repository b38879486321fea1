//! `sensorcast watch` where there is no service to watch.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::{NOBODY, Run};

#[test]
fn watch_takes_urls_of_a_service_and_of_a_broker() {
    for (arguments, allowed) in [
        (["watch", "--url", "mqtt://h"], "http://"),
        (["watch", "--url", "nonsense"], "http://"),
        (["watch", "--mqtt", "http://h"], "mqtt://"),
        (["watch", "--mqtt", "mqtt://"], "mqtt://"),
    ] {
        let line = Run::new(&arguments).complaint(2);
        assert!(line.contains(arguments[2]) && line.contains(allowed), "{line}");
    }
    // With a password in it, which others would see among the arguments.
    let line = Run::new(&["watch"]).env("WATCH_MQTT", "http://h").complaint(2);
    assert!(line.contains("WATCH_MQTT") && line.contains("mqtt://"), "{line}");
}

/// A watch of this URL, and what it tells to be in the way.
fn watch(url: &str) -> (Run, Child, String) {
    let mut run = Run::new(&["watch", "--json", "--url", url]);
    let mut child = run.command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines
        .find(|line| line.as_ref().unwrap().contains("problem"))
        .unwrap()
        .unwrap();
    let line: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(line["status"], "connecting");
    (run, child, line["problem"].as_str().unwrap().to_owned())
}

#[test]
fn watch_tells_that_nobody_is_there_and_ends_well_with_ctrl_c() {
    let (_run, mut child, problem) = watch(&format!("http://{NOBODY}"));
    assert!(problem.contains(NOBODY), "{problem}");
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn watch_tells_that_what_is_there_is_something_else() {
    for body in [
        "<html>hello</html>",
        r#"{"status":"fine"}"#,
        r#"{"name":"s1","links":[{"rel":"self","href":"/sensors/s1"}]}"#,
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/there", listener.local_addr().unwrap());
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                // Who answers before it has read resets the connection.
                let _ = client.read(&mut [0; 4096]).unwrap();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                client.write_all((head + body).as_bytes()).unwrap();
            }
        });
        let (_run, mut child, problem) = watch(&url);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(problem.starts_with(&format!("{url}: ")), "{problem}");
        assert!(problem.contains("no entry point of a sensorcast service"), "{problem}");
    }
}
