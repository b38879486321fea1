use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sensorcast::mqtt::Endpoint;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::port::free_port;

/// A Mosquitto on a free port of the loopback interface; it can be killed and started again.
pub struct Mosquitto {
    pub port: u16,
    folder: TempDir,
    child: Option<Child>,
}

impl Mosquitto {
    pub async fn start() -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let config = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let mut mosquitto = Self {
            port,
            folder,
            child: None,
        };
        mosquitto.restart().await;
        mosquitto
    }

    pub fn endpoint(&self) -> Endpoint {
        let url = format!("mqtt://127.0.0.1:{}", self.port);
        Endpoint::from_url(&url.parse().unwrap()).unwrap()
    }

    /// As `kill -9` does it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub async fn restart(&mut self) {
        self.kill();
        let child = Command::new("/usr/sbin/mosquitto")
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Debian's mosquitto is there");
        self.child = Some(child);
        let listening = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(5), listening)
            .await
            .expect("mosquitto listens");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}
