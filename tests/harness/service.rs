use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;

use sensorcast::app::App;
use sensorcast::clock::Clock;
use sensorcast::config::{Config, UnsetUrls};
use tempfile::TempDir;

use super::{Http, Mosquitto, Subscriber, Version, eventually};

/// The base of links in tests: not where the service listens, so that a link made from a request is seen.
pub const PUBLIC_URL: &str = "http://sensors.example:8000";
/// The broker of links in tests.
pub const MQTT_PUBLIC_URL: &str = "mqtt://broker.example:1883";

/// A running service with a database of its own, on ports of its own. End it with [`Service::finish`].
pub struct Service {
    http: Http,
    app: Option<App>,
    broker: SocketAddr,
    _folder: TempDir,
}

impl Service {
    /// With the built-in broker.
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// With settings of the test's choice.
    pub async fn start_with(adapt: impl FnOnce(&mut Config)) -> Self {
        Self::start_with_clock(Clock::system(), adapt).await
    }

    /// With settings and a clock of the test's choice.
    pub async fn start_with_clock(clock: Clock, adapt: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = config_in(folder.path());
        adapt(&mut config);
        let public_url = config.http.public_url.as_str().trim_end_matches('/').to_owned();
        let elsewhere = config.mqtt.url.as_ref().map(|url| {
            let port = url.port().unwrap_or(1883);
            SocketAddr::from(([127, 0, 0, 1], port))
        });
        let app = App::start_with_clock(config, clock).await.expect("the service starts");
        Self {
            http: Http::new(app.http_addr(), &public_url),
            broker: elsewhere.or_else(|| app.mqtt_addr()).expect("a broker of its own"),
            app: Some(app),
            _folder: folder,
        }
    }

    /// With a real Mosquitto.
    pub async fn start_on(mosquitto: &Mosquitto) -> Self {
        let url = mosquitto.url().parse().expect("a URL");
        Self::start_with(|config| config.mqtt.url = Some(url)).await
    }

    /// The broker that the events go to.
    pub fn broker(&self) -> SocketAddr {
        self.broker
    }

    /// A subscriber to every change from now on, subscribed when this returns.
    pub async fn subscribe(&self) -> Subscriber {
        // An event before it could still be on its way to the broker, and then to the subscriber.
        self.drain().await;
        Subscriber::start(Version::V5, self.broker, "sensors/+").await
    }

    /// Waits until every event is with the broker, then stops the service as SIGTERM does.
    pub async fn finish(mut self) {
        self.drain().await;
        let app = self.app.take().expect("a running service");
        app.stop().await;
    }

    /// Waits until every event is with the broker.
    async fn drain(&self) {
        let http = &self.http;
        eventually("the event log is drained", || async move {
            http.relay_lag().await == Some(0)
        })
        .await;
    }
}

impl Deref for Service {
    type Target = Http;

    fn deref(&self) -> &Http {
        &self.http
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let unfinished = self.app.is_some() && !std::thread::panicking();
        assert!(!unfinished, "the test ended without finish().await");
    }
}

fn config_in(folder: &Path) -> Config {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = Config::default();
    config.http.bind = any_port;
    config.http.public_url = PUBLIC_URL.parse().expect("a URL");
    config.store.path = folder.join("sensorcast.db");
    config.mqtt.bind = any_port;
    config.mqtt.public_url = MQTT_PUBLIC_URL.parse().expect("a URL");
    // The ports that the system chooses are not to show in links.
    config.unset = UnsetUrls::default();
    config
}
