use std::fs::File;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::{Http, MQTT_PUBLIC_URL, PUBLIC_URL, eventually, free_port};

/// How a process of the real binary is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder that it runs in; the database is in it.
    pub folder: PathBuf,
    /// `MQTT_URL`; the built-in broker when `None`.
    pub mqtt_url: Option<String>,
}

/// A child process of the real binary, killed when dropped.
pub struct Process {
    http: Http,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `sensorcast` and waits until it is ready.
    pub async fn start(settings: &Settings) -> Self {
        Self::start_with(settings, &[]).await
    }

    /// As [`Process::start`], with more variables.
    pub async fn start_with(settings: &Settings, variables: &[(&str, &str)]) -> Self {
        let mut process = Self::spawn_with(settings, variables);
        process.become_ready().await;
        process
    }

    /// Waits until it is ready; fails when it ends instead.
    pub async fn become_ready(&mut self) {
        assert!(self.is_ready_or_ended().await, "{}", self.output());
    }

    /// Waits until it is ready (`true`) or has ended.
    pub async fn is_ready_or_ended(&mut self) -> bool {
        let http = self.http.clone();
        let mut has_ended = false;
        eventually("the process is ready or ends", || {
            has_ended = self.has_ended();
            let (http, has_ended) = (http.clone(), has_ended);
            async move { has_ended || http.try_status("/health/ready", ("accept", "*/*")).await == Some(200) }
        })
        .await;
        !has_ended
    }

    /// Whether it is no more.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a state").is_some()
    }

    /// Starts `sensorcast` and waits for nothing.
    pub fn spawn(settings: &Settings) -> Self {
        Self::spawn_with(settings, &[])
    }

    /// As [`Process::spawn`], as the argument of another command.
    pub fn spawn_under(words: &[String], settings: &Settings) -> Self {
        Self::spawn_command(under(words, &binary(&settings.folder)), settings, &[])
    }

    /// As [`Process::spawn`], with more variables.
    pub fn spawn_with(settings: &Settings, variables: &[(&str, &str)]) -> Self {
        Self::spawn_command(binary(&settings.folder), settings, variables)
    }

    fn spawn_command(mut command: Command, settings: &Settings, variables: &[(&str, &str)]) -> Self {
        let given = |wanted| {
            variables
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| *value)
        };
        let bind = given("HTTP_BIND").map_or_else(
            || SocketAddr::from(([127, 0, 0, 1], free_port())),
            |bind| bind.parse().expect("an address"),
        );
        let log = settings.folder.join(format!("{}.log", bind.port()));
        let output = File::create(&log).expect("a log file");
        command
            .env("HTTP_BIND", bind.to_string())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output);
        match &settings.mqtt_url {
            Some(url) => command.env("MQTT_URL", url),
            // The port of the built-in broker is another one after a restart, and what is read is to stay the same.
            None => command.env("MQTT_PUBLIC_URL", MQTT_PUBLIC_URL),
        };
        command.envs(variables.iter().copied());
        Self {
            http: Http::new(bind, given("PUBLIC_URL").unwrap_or(PUBLIC_URL)),
            child: command.spawn().expect("the binary"),
            log,
        }
    }

    /// Waits until it answers, or has ended before that.
    pub async fn has_started(&mut self) -> bool {
        let mut has_started = false;
        eventually("the process answers or ends", || {
            has_started = self.output().contains(&format!("http://{}\n", self.http.addr));
            let has_ended = self.child.try_wait().expect("a state").is_some();
            let is_over = has_started || has_ended;
            async move { is_over }
        })
        .await;
        has_started
    }

    /// What it has printed, on both streams.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The memory that it holds, in bytes: `VmRSS` of `proc_pid_status(5)`.
    pub fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kibibytes: usize = kibibytes.expect("VmRSS").parse().expect("a number");
        kibibytes * 1024
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("the end of the process");
    }

    /// SIGTERM, or another signal that `kill` knows by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(status.expect("kill").success());
    }

    /// Waits for the end of the process.
    pub async fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            status = self.child.try_wait().expect("a state");
            let ended = status.is_some();
            async move { ended }
        })
        .await;
        status.expect("an exit status")
    }
}

/// The binary with an environment of its own, in `folder`, on ports of its own.
pub fn binary(folder: &Path) -> Command {
    let built = env!("CARGO_BIN_EXE_sensorcast").to_owned();
    // Another build of it, where a test measures.
    let mut command = Command::new(std::env::var("SENSORCAST_BINARY").unwrap_or(built));
    for name in [
        "MQTT_TOPIC_PREFIX",
        "MQTT_QOS",
        "MQTT_URL",
        "REQUIRE_IF_MATCH",
        "MQTT_RETAIN_STATE",
        "LOG_FORMAT",
    ] {
        command.env_remove(name);
    }
    command
        .current_dir(folder)
        .env(
            "DATABASE_URL",
            format!("sqlite://{}", folder.join("sensorcast.db").display()),
        )
        .env("MQTT_BIND", "127.0.0.1:0")
        .env("PUBLIC_URL", PUBLIC_URL)
        .env("RUST_LOG", "info")
        .stdin(Stdio::null());
    command
}

/// The same command as the last argument of another one, in the same environment.
fn under(words: &[String], command: &Command) -> Command {
    let mut outer = Command::new(&words[0]);
    outer
        .args(&words[1..])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    outer.stdin(Stdio::null());
    outer
}

impl Deref for Process {
    type Target = Http;

    fn deref(&self) -> &Http {
        &self.http
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is no concern of the test any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Open files that a test with many connections needs, on both ends together.
const OPEN_FILES: u32 = 4_096;

/// Lets this process and its children open enough files; many systems give 1,024.
pub fn raise_open_files() {
    let raised = Command::new("prlimit")
        .arg(format!("--pid={}", std::process::id()))
        .arg(format!("--nofile={OPEN_FILES}:"))
        .status();
    assert!(raised.expect("prlimit").success(), "{OPEN_FILES} open files are needed");
}
