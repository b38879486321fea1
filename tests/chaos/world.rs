use std::fs::File;
use std::net::SocketAddr;
use std::process::Child;

use tempfile::TempDir;

use crate::harness::{Http, Link, Mosquitto, binary, eventually, free_port};

/// What the broker keeps for a subscriber that has fallen behind.
const MAX_QUEUED_MESSAGES: usize = 100;

/// A service and a broker, each a process that can be killed and comes back where it was.
pub struct World {
    pub http: Http,
    pub broker: Mosquitto,
    /// The way to the broker that the service names to its clients.
    pub link: Link,
    folder: TempDir,
    service: Option<Child>,
}

impl World {
    /// Both run.
    pub async fn start() -> Self {
        let mut broker = Mosquitto::stopped_with_queues_of(MAX_QUEUED_MESSAGES);
        broker.run().await;
        let bind = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut world = Self {
            link: Link::to(broker.addr()).await,
            http: Http::new(bind, &format!("http://{bind}")),
            broker,
            folder: tempfile::tempdir().expect("a temporary folder"),
            service: None,
        };
        world.start_service().await;
        world
    }

    /// Starts the service and waits until it answers.
    pub async fn start_service(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a log file");
        let service = binary(self.folder.path())
            .env("HTTP_BIND", self.http.addr.to_string())
            .env("PUBLIC_URL", &self.http.public_url)
            // A line a change would tell nothing and take time.
            .env("RUST_LOG", "warn")
            .env("MQTT_URL", self.broker.url())
            .env("MQTT_PUBLIC_URL", self.link.url())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        self.service = Some(service.expect("the binary"));
        let http = &self.http;
        eventually("the service is ready", || async {
            let answer = http.try_request("GET", "/health/ready", &[], "").await;
            answer.is_some_and(|answer| answer.status == 200)
        })
        .await;
    }

    /// SIGKILL.
    pub fn kill_service(&mut self) {
        if let Some(mut service) = self.service.take() {
            service.kill().expect("a process to kill");
            service.wait().expect("the end of the process");
        }
    }

    /// Takes the data of the service away while it is down: it comes back empty, with another epoch.
    pub fn lose_data(&self) {
        for entry in self.folder.path().read_dir().expect("the folder").flatten() {
            if entry.file_name() != "log" {
                std::fs::remove_file(entry.path()).expect("a file to remove");
            }
        }
    }

    /// What the service has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_service();
    }
}
