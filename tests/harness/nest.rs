use std::path::Path;

use tempfile::TempDir;

use super::{Mosquitto, Process, Settings, Subscriber, Version, free_port};

/// A service that comes back where it was, as often as it dies, and a broker that does not.
pub struct Nest {
    pub mosquitto: Mosquitto,
    folder: TempDir,
    bind: String,
}

impl Nest {
    pub async fn new() -> Self {
        Self {
            mosquitto: Mosquitto::start().await,
            folder: tempfile::tempdir().expect("a temporary folder"),
            bind: format!("127.0.0.1:{}", free_port()),
        }
    }

    /// Where the database is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Of the service.
    pub fn url(&self) -> String {
        format!("http://{}", self.bind)
    }

    /// Starts it with more variables and waits for nothing.
    pub fn spawn_with(&self, variables: &[(&str, &str)]) -> Process {
        let settings = Settings {
            folder: self.folder.path().to_owned(),
            mqtt_url: Some(self.mosquitto.url()),
        };
        let url = self.url();
        let mut all = vec![
            ("HTTP_BIND", self.bind.as_str()),
            ("PUBLIC_URL", &url),
            ("RUST_LOG", "warn"),
        ];
        all.extend(variables);
        Process::spawn_with(&settings, &all)
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&self) -> Process {
        let mut process = self.spawn_with(&[]);
        process.become_ready().await;
        process
    }

    pub async fn subscribe(&self, filter: &str) -> Subscriber {
        Subscriber::start(Version::V5, self.mosquitto.addr(), filter).await
    }
}
