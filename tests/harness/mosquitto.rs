use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{eventually, free_port};

/// A real broker, as Debian's package `mosquitto` installs it, that can be killed and started again on its port.
pub struct Mosquitto {
    addr: SocketAddr,
    configuration: PathBuf,
    child: Option<Child>,
    _folder: TempDir,
}

impl Mosquitto {
    /// A running broker.
    pub async fn start() -> Self {
        let mut broker = Self::stopped();
        broker.run().await;
        broker
    }

    /// A broker that is not there yet. Nothing bounds what waits for a subscriber: most tests have to know that the broker
    /// dropped nothing.
    pub fn stopped() -> Self {
        Self::stopped_with_queues_of(0)
    }

    /// A broker that is not there yet, and drops what comes when `max_queued_messages` wait for a subscriber (0: never).
    pub fn stopped_with_queues_of(max_queued_messages: usize) -> Self {
        Self::stopped_with(&format!("max_queued_messages {max_queued_messages}"))
    }

    /// A broker that is not there yet, with these lines in its configuration.
    pub fn stopped_with(lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let broker = Self {
            addr: SocketAddr::from(([127, 0, 0, 1], free_port())),
            configuration: folder.path().join("mosquitto.conf"),
            child: None,
            _folder: folder,
        };
        broker.configure(lines);
        broker
    }

    /// From the next run on it has these lines in its configuration.
    pub fn configure(&self, lines: &str) {
        let access = if lines.contains("password_file") {
            "false"
        } else {
            "true"
        };
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous {access}\npersistence false\n\
             max_inflight_messages 20\nset_tcp_nodelay true\nuser root\nlog_type none\n{lines}\n",
            port = self.addr.port()
        );
        std::fs::write(&self.configuration, text).expect("a configuration file");
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// For `MQTT_URL`.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.addr)
    }

    /// Starts the process and waits until it listens.
    pub async fn run(&mut self) {
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())
            .unwrap_or("mosquitto");
        let child = Command::new(program)
            .arg("-c")
            .arg(&self.configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the package mosquitto is installed");
        self.child = Some(child);
        let addr = self.addr;
        eventually("Mosquitto listens", || async move { TcpStream::connect(addr).is_ok() }).await;
    }

    /// STOP or CONT, or another signal that `kill` knows by name.
    pub fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("a process");
        let mut kill = Command::new("kill");
        let status = kill.arg(format!("-{name}")).arg(child.id().to_string()).status();
        assert!(status.expect("kill").success());
    }

    /// SIGKILL: no farewell, nothing written down.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a process to kill");
            child.wait().expect("the end of the process");
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}
