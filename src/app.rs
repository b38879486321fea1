//! The composition root: builds the parts, joins them, owns their tasks and their end. Production and tests start the
//! same [`App`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::{Context, anyhow};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::clock::Clock;
use crate::config::{Config, MqttConfig};
use crate::events::{Feed, Relay, RelayStatus};
use crate::failpoint::pass;
use crate::http::{
    self, BatchRoom, Bound, Documents, HttpMetrics, HttpState, Listening, PageCache, Readiness, Running, Terms,
};
use crate::mqtt::broker::Broker;
use crate::mqtt::{Endpoint, PahoSink};
use crate::store::{Options, Retention, Store};
use crate::wire::link::LinkBase;

/// How long a stop may take: what is running is finished and what can be published is published within this.
const STOP_TIME_LIMIT: Duration = Duration::from_secs(10);
/// The part of it in which events are published; the rest is for closing the broker and the store.
const PUBLISH_TIME_LIMIT: Duration = Duration::from_secs(8);
/// What the relay has beyond that to persist how far it came.
const RELAY_RESERVE: Duration = Duration::from_secs(1);

/// A running service.
#[derive(Debug)]
pub struct App {
    http_addr: SocketAddr,
    http: ServerHandle,
    streams_stop: CancellationToken,
    broker: Option<Broker>,
    relay: JoinHandle<()>,
    relay_stop: oneshot::Sender<Instant>,
    relay_ended: CancellationToken,
    http_ended: CancellationToken,
    store: Store,
}

/// Runs the service until it is told to stop (SIGTERM, SIGINT, SIGHUP) or a part of it fails.
///
/// # Errors
/// When it cannot start, when a part of it fails, or when it cannot stop in good order.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let hang_up = hang_up()?;
    let told_to_stop = async {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            // The terminal is closed: there is nothing to read anew, and whoever wants a service has it started by a supervisor.
            () = hang_up => tracing::info!("SIGHUP: stopping"),
        }
    };
    tokio::pin!(told_to_stop);
    let app = tokio::select! {
        app = App::start(config.clone()) => app?,
        // What the start was at is left as by a kill: a migration is rolled back.
        () = &mut told_to_stop => {
            tracing::info!("stopped before the start was complete");
            return Ok(());
        }
    };
    if let Err(error) = cli::print(&app.greeting(&config)) {
        tracing::warn!(error = format!("{error:#}"), "nobody can be greeted");
    }
    tokio::select! {
        () = &mut told_to_stop => {}
        failure = app.failed() => {
            app.stop().await;
            return Err(failure);
        }
    }
    app.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Resolves when the terminal is closed; never where that is to be ignored, as `nohup` has it.
fn hang_up() -> anyhow::Result<impl Future<Output = ()>> {
    const SIGHUP_BIT: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let mut signals = match ignored {
        Some(mask) if mask & SIGHUP_BIT != 0 => None,
        _ => Some(signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?),
    };
    Ok(async move {
        match &mut signals {
            Some(signals) => drop(signals.recv().await),
            None => std::future::pending().await,
        }
    })
}

impl App {
    /// Starts every part; when it returns, HTTP requests are answered.
    ///
    /// # Errors
    /// One line that says what is in the way: a port in use, a database that cannot be opened.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        Self::start_with_clock(config, Clock::system()).await
    }

    /// As [`App::start`], with another clock.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_with_clock(mut config: Config, clock: Clock) -> anyhow::Result<Self> {
        // Addresses first: a start that fails because one is in use leaves no new database behind, and links name the ports that
        // the system chose.
        let cannot_listen = format!(
            "HTTP_BIND: cannot listen on {}; choose another address or port",
            config.http.bind
        );
        let bound = Bound::at(config.http.bind).with_context(|| cannot_listen.clone())?;
        config.http_listens_at(bound.address());
        let (broker, endpoint) = broker(&config.mqtt).await?;
        if let Some(broker) = &broker {
            config.broker_listens_at(broker.local_addr());
        }
        let store = Store::open(store_options(&config, clock.clone())).await?;
        let status = RelayStatus::new(store.head(), clock);
        let sink = PahoSink::new(endpoint, &config.mqtt, store.epoch(), &config.http.public_url)?;
        let relay = Relay::new(store.clone(), sink, status.clone()).await?;
        let relay = relay.keeping_states(config.mqtt.retain_state);

        let metrics = HttpMetrics::default();
        let mut registry = Registry::default();
        let own = registry.sub_registry_with_prefix("sensorcast");
        store.metrics().register(own);
        metrics.register(own);
        status.register(&mut registry);
        if let Some(broker) = &broker {
            broker.register(&mut registry);
        }
        let streams_stop = CancellationToken::new();
        let state = HttpState {
            store: store.clone(),
            readiness: Readiness::default(),
            relay: status,
            cors_origins: config.http.cors_origins.clone(),
            limits: config.http.limits,
            batch_room: BatchRoom::new(config.http.limits.batch_bytes),
            terms: terms(&config),
            documents: Documents::default(),
            running: Running::default(),
            registry: Arc::new(registry),
            metrics,
            feed: Feed::new(store.clone()),
            pages: PageCache::new(),
            stream_limits: config.http.streams,
            stop: streams_stop.clone(),
        };
        let Listening {
            address,
            handle,
            server,
        } = http::listen(bound, &config.http, state).context(cannot_listen)?;
        let (_, http_ended) = start_part(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the HTTP server failed");
            }
        });
        let (relay_stop, stop_word) = oneshot::channel();
        let (relay, relay_ended) = start_part(relay.run(stop_word));
        tracing::info!(http = %address, epoch = %store.epoch(), revision = store.head().borrow().get(), "listening");
        Ok(Self {
            http_addr: address,
            http: handle,
            streams_stop,
            broker,
            relay,
            relay_stop,
            relay_ended,
            http_ended,
            store,
        })
    }

    /// Where HTTP requests are answered.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where the built-in broker listens; `None` when another one is used.
    #[must_use]
    pub fn mqtt_addr(&self) -> Option<SocketAddr> {
        self.broker.as_ref().map(Broker::local_addr)
    }

    /// Resolves with the reason when a part has failed and the process has to end.
    pub async fn failed(&self) -> anyhow::Error {
        let broker_stopped = async {
            match &self.broker {
                Some(broker) => broker.stopped().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.store.failed() => {
                anyhow!("the store failed: the outcome of its last writes is unknown, and the next start finds out")
            }
            () = self.relay_ended.cancelled() => anyhow!("the relay failed"),
            () = self.http_ended.cancelled() => anyhow!("the HTTP server failed"),
            () = broker_stopped => anyhow!("the built-in broker stopped"),
        }
    }

    /// Stops: accepts no more requests, finishes those that run, publishes what can be published, and closes the database.
    /// Takes 10 s at most.
    pub async fn stop(self) {
        let now = Instant::now();
        let (publish_until, deadline) = (now + PUBLISH_TIME_LIMIT, now + STOP_TIME_LIMIT);
        pass("app.before-stop");
        // Streams never finish by themselves.
        self.streams_stop.cancel();
        if timeout_at(publish_until, self.http.stop(true)).await.is_err() {
            tracing::warn!("requests were still running and are cut off");
        }
        pass("app.after-http");
        // The time that requests took is not there twice. One that has ended needs no word.
        let _ = self.relay_stop.send(publish_until);
        if timeout_at(publish_until + RELAY_RESERVE, self.relay).await.is_err() {
            tracing::warn!("events are left to publish; the next start goes on with them");
        }
        pass("app.after-relay");
        let close = async {
            if let Some(broker) = self.broker {
                broker.shutdown().await;
            }
            pass("app.before-close");
            self.store.close().await;
        };
        if timeout_at(deadline, close).await.is_err() {
            tracing::warn!("closing took too long; the next start recovers the database");
        }
    }

    /// What a person who started it wants to know.
    fn greeting(&self, config: &Config) -> String {
        let mqtt = match self.mqtt_addr() {
            Some(address) => format!("mqtt://{address} (built-in broker)"),
            None => config.mqtt.public_url.to_string(),
        };
        format!(
            "sensorcast {version} is running; stop it with Ctrl-C\n  REST   http://{http}\n  Docs   {docs}\n  MQTT   {mqtt}, topic {prefix}sensors/+\n",
            version = env!("CARGO_PKG_VERSION"),
            http = self.http_addr,
            docs = self.store.links().url("/docs"),
            prefix = config.mqtt.topic_prefix,
        )
    }
}

/// Runs a part of the service. The token is cancelled when it ends, in whatever way.
fn start_part(part: impl Future<Output = ()> + Send + 'static) -> (JoinHandle<()>, CancellationToken) {
    let ended = CancellationToken::new();
    let at_its_end = ended.clone().drop_guard();
    let task = tokio::spawn(async move {
        let _at_its_end = at_its_end;
        part.await;
    });
    (task, ended)
}

/// What every link of a service with these settings starts with.
#[must_use]
pub fn links(config: &Config) -> LinkBase {
    let mqtt = &config.mqtt;
    LinkBase::new(config.http.public_base(), mqtt.public_url.as_str(), &mqtt.topic_prefix)
}

/// What the documents tell of these settings.
#[must_use]
pub fn terms(config: &Config) -> Terms {
    Terms {
        qos: config.mqtt.qos,
        retain_state: config.mqtt.retain_state,
        require_if_match: config.http.require_if_match,
    }
}

fn store_options(config: &Config, clock: Clock) -> Options {
    Options {
        path: config.store.path.clone(),
        links: links(config),
        clock,
        retention: Retention {
            hours: config.store.event_retention_hours,
            min_events: config.store.event_retention_min,
        },
        write_queue_max: config.store.write_queue_max,
    }
}

/// The broker to publish to: the one that `MQTT_URL` names, or one in this process.
async fn broker(config: &MqttConfig) -> anyhow::Result<(Option<Broker>, Endpoint)> {
    if let Some(url) = &config.url {
        return Ok((None, Endpoint::from_url(url).context("MQTT_URL")?));
    }
    let broker = Broker::start(config).await?;
    let endpoint = broker.endpoint();
    Ok((Some(broker), endpoint))
}
