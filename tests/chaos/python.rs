use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::Traffic;
use crate::round::{SETTLE_LIMIT, canonical, compare};
use crate::world::World;
use crate::writers::Writers;

/// A process that keeps the mirror of the example in Python.
struct PythonMirror {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Python with Paho, about to run a script of this package.
fn python(script: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python: PathBuf = root.join("target/python/bin/python3");
    assert!(python.exists(), "run `make need-test`: it makes {}", python.display());
    let mut command = Command::new(python);
    command.arg(root.join(script));
    command
}

impl PythonMirror {
    fn start(url: &str) -> Self {
        let mut child = python("tests/chaos/keep.py")
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python");
        Self {
            questions: child.stdin.take().expect("a pipe"),
            answers: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        }
    }

    /// The revision that it is at, and its sensors.
    fn ask(&mut self) -> (i64, Vec<Value>) {
        self.questions.write_all(b"\n").expect("a process that reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("a line");
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        let sensors = answer["sensors"].as_array().expect("sensors").clone();
        (answer["revision"].as_i64().expect("a revision"), sensors)
    }
}

impl Drop for PythonMirror {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_example_in_python_takes_urls_and_explains_itself() {
    let run = |arguments: &[&str]| {
        let mirror = python("examples/mirror.py");
        let output = Command::new("timeout")
            .arg("60")
            .arg(mirror.get_program())
            .args(mirror.get_args())
            .args(arguments)
            .output()
            .expect("an end");
        let said = String::from_utf8(output.stdout).expect("text") + &String::from_utf8(output.stderr).expect("text");
        (output.status.code(), said)
    };
    let (code, help) = run(&["--help"]);
    assert!(code == Some(0) && help.contains("[URL] [BROKER]"), "{help}");
    for (arguments, allowed) in [
        (&["nonsense"][..], "http://"),
        (&["ftp://h"], "https://"),
        (&["http://h", "http://h"], "mqtt://"),
        (&["http://h", "mqtt://h", "more"], "more"),
    ] {
        let (code, complaint) = run(arguments);
        assert!(
            code == Some(2) && complaint.contains(allowed),
            "{arguments:?}: {complaint}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_python_tells_what_it_has_loaded_and_ends_quietly() {
    let world = World::start().await;
    world.http.create(&json!({"name": "s1"})).await;
    world.http.create(&json!({"name": "s2"})).await;
    let mut command = python("examples/mirror.py");
    let mut child = command
        .arg(&world.http.public_url)
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python");
    let mut told = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    assert_eq!(told.next().expect("a line").expect("text"), "2 sensors at revision 2");
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.expect("kill").success());
    let rest: Vec<String> = told.map(|line| line.expect("text")).collect();
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(child.wait().expect("its end").code(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_python_is_right_after_everything_was_killed() {
    const SEED: u64 = 7;
    let mut world = World::start().await;
    let writers = Writers::start(&world.http, SEED);
    let mut mirror = PythonMirror::start(&world.http.public_url);
    for traffic in [Traffic::Flows, Traffic::Stalled, Traffic::Cut] {
        sleep(Duration::from_millis(700)).await;
        world.link.set(traffic);
        sleep(Duration::from_millis(700)).await;
        world.link.set(Traffic::Flows);
        world.kill_service();
        if traffic == Traffic::Cut {
            world.lose_data();
        }
        world.start_service().await;
        sleep(Duration::from_millis(300)).await;
        world.broker.kill();
        world.broker.run().await;
    }
    // It has to be there again before it can lose the tail in silence.
    sleep(Duration::from_millis(2500)).await;
    world.link.set(Traffic::Stalled);
    sleep(Duration::from_secs(1)).await;
    let written = writers.written();
    writers.stop().await;
    sleep(Duration::from_millis(300)).await;
    world.link.set(Traffic::Flows);

    let store = world.http.store_revision().await;
    let quiet = Instant::now();
    let sensors = loop {
        let (revision, sensors) = mirror.ask();
        if revision == store {
            break sensors;
        }
        assert!(
            quiet.elapsed() < SETTLE_LIMIT,
            "it stays at {revision}, the store is at {store}"
        );
        sleep(Duration::from_millis(50)).await;
    };
    let listed = world.http.all_pages(500).await;
    if let Err(failure) = compare(0, &canonical(sensors.iter()), &canonical(listed.iter())) {
        panic!("{failure}");
    }
    println!(
        "{written} writes, {} sensors, right {} ms after quiet",
        listed.len(),
        quiet.elapsed().as_millis()
    );
}
