//! The processes that are measured, each with a folder of its own, all of which go when the [`Place`] goes.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::http::Client;
use crate::port::free_port;
use crate::stand_ins::Answers;
use crate::wrk::Wrk;

/// Where everything happens: a folder beside the build, and in it the programs, copied so that a build that comes in
/// between changes nothing.
pub struct Place {
    folder: PathBuf,
}

/// A process that listens; killed when dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    /// From its start until it listened.
    pub start_up: Duration,
}

/// The service as it is released, with default settings but for its ports.
pub struct Service {
    pub process: Process,
    /// The folder that it runs in.
    pub folder: PathBuf,
}

const START_LIMIT: Duration = Duration::from_mins(1);
const QUIET_LIMIT: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(2);

impl Place {
    /// Makes the folder, and copies this program and the service, which is built beside it.
    pub fn new() -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let built = own.parent().context("no folder")?;
        let folder = built.join(format!("bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let place = Self { folder };
        fs::copy(&own, place.program("bench"))?;
        let service = built.join("sensorcast");
        fs::copy(&service, place.program("sensorcast")).with_context(|| format!("no {}", service.display()))?;
        fs::write(place.folder.join("load.lua"), include_str!("load.lua"))?;
        Ok(place)
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The folder of one process; it keeps what a former process left there.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The service in the folder `name`, publishing to `broker`, or to the one in its own process.
    pub fn service(&self, name: &str, broker: Option<SocketAddr>) -> anyhow::Result<Service> {
        let folder = self.folder(name)?;
        let address = free_address();
        let mut command = self.command("sensorcast", &folder)?;
        command
            .env("HTTP_BIND", address.to_string())
            .env("MQTT_BIND", "127.0.0.1:0");
        if let Some(broker) = broker {
            command.env("MQTT_URL", format!("mqtt://{broker}"));
        }
        let process = Process::start(command, address)?;
        Ok(Service { process, folder })
    }

    /// actix-web alone, which gives `answers` whatever it is asked.
    pub fn bare(&self, answers: &Answers) -> anyhow::Result<Process> {
        let folder = self.folder("bare")?;
        let path = folder.join("answers.json");
        fs::write(&path, serde_json::to_string(answers)?)?;
        self.stand_in("bare", &folder, &path)
    }

    /// The service that a user would write: a transaction a request.
    pub fn transactions(&self) -> anyhow::Result<Process> {
        let folder = self.folder("transactions")?;
        self.stand_in("transactions", &folder, &folder.join("sensors.db"))
    }

    fn stand_in(&self, kind: &str, folder: &Path, file: &Path) -> anyhow::Result<Process> {
        let address = free_address();
        let mut command = self.command("bench", folder)?;
        command.arg(kind).arg(address.to_string()).arg(file);
        Process::start(command, address)
    }

    /// Mosquitto with its defaults, but that it sends at once, and drops nothing for a subscriber who is slow.
    pub fn mosquitto(&self, address: SocketAddr) -> anyhow::Result<Process> {
        let folder = self.folder("mosquitto")?;
        let configuration = folder.join(format!("{}.conf", address.port()));
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\nuser root\n",
            address.port()
        );
        fs::write(&configuration, text)?;
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(configuration);
        log_to(&mut command, &folder)?;
        Process::start(command, address)
    }

    /// A load of wrk.
    pub fn wrk(&self, connections: u32, seconds: u32, arguments: &[&str]) -> Wrk {
        Wrk {
            script: self.folder.join("load.lua"),
            connections,
            seconds,
            arguments: arguments.iter().map(ToString::to_string).collect(),
        }
    }

    fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A program with nothing in its environment.
    fn command(&self, program: &str, folder: &Path) -> anyhow::Result<Command> {
        let mut command = Command::new(self.program(program));
        command.current_dir(folder).env_clear();
        log_to(&mut command, folder)?;
        Ok(command)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is left to `cargo clean`.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Process {
    fn start(mut command: Command, address: SocketAddr) -> anyhow::Result<Self> {
        let start = Instant::now();
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        let mut process = Self {
            child,
            address,
            start_up: Duration::ZERO,
        };
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.child.try_wait()? {
                bail!("{command:?} ended: {status}");
            }
            ensure!(start.elapsed() < START_LIMIT, "{command:?} does not listen");
            sleep(LOOK_EVERY);
        }
        process.start_up = start.elapsed();
        Ok(process)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has held so far, in MiB: `VmHWM` of `proc_pid_status(5)`.
    pub fn peak_mebibytes(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes: f64 = line.context("no VmHWM")?.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        self.folder.join("data/sensorcast.db")
    }

    pub fn client(&self) -> anyhow::Result<Client> {
        Client::connect(self.address())
    }

    /// Waits until every event is published, so that nothing of one measurement is left for the next.
    pub fn quiet(&self) -> anyhow::Result<()> {
        let (mut client, start) = (self.client()?, Instant::now());
        while metric(&mut client, "sensorcast_relay_lag_events")? > 0.0 {
            ensure!(start.elapsed() < QUIET_LIMIT, "the relay does not come to an end");
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// One number of `GET /metrics`.
pub fn metric(client: &mut Client, name: &str) -> anyhow::Result<f64> {
    let text = client.get("/metrics")?.body;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no metric {name}"))?.parse()?)
}

/// An address of this machine that nobody listens on.
pub fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

fn log_to(command: &mut Command, folder: &Path) -> anyhow::Result<()> {
    let log = File::create(folder.join("log"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(())
}
