use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io, thread};

use mqtt5::broker::auth::PasswordAuthProvider;
use mqtt5::broker::config::{BrokerConfig, StorageBackend, StorageConfig};
use mqtt5::broker::server::MqttBroker;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::BrokerError;
use super::door::Door;
use super::guard::{Guard, MAX_CLIENTS};
use super::metrics::BrokerMetrics;
use super::numbers::Numbers;
use crate::config::MqttConfig;
use crate::mqtt::endpoint::{Credentials, Endpoint};
use crate::mqtt::topics::Topics;

/// A running broker, on a thread and a runtime of its own, so that busy HTTP workers cannot starve it.
pub struct Broker {
    address: SocketAddr,
    relay: Credentials,
    numbers: Arc<Numbers>,
    stop: CancellationToken,
    stopped: CancellationToken,
}

/// The user name under which the relay comes, with a secret of this process.
const RELAY_USER: &str = "sensorcast-relay";
/// A packet's bytes; an event has less than 100 KiB. The library's default of 256 MiB makes Python's Paho refuse the
/// connection.
const MAX_PACKET_BYTES: usize = 1 << 20;
/// How long a client that is away keeps its subscriptions and queue.
const SESSION_EXPIRY: Duration = Duration::from_hours(1);
/// What is queued for one client that is away, and then no more: the event log is there for the rest.
const MAX_QUEUED_MESSAGES: usize = 2_000;
const MAX_QUEUED_BYTES: usize = 8 << 20;
/// Retained messages that others may leave here, and the bytes of one; a state has less than 100 KiB.
const MAX_RETAINED_MESSAGES: usize = 1_000;
const MAX_RETAINED_BYTES: usize = 128 << 10;
/// What is queued for one client that is connected and slow. Small, because the publisher waits for a while when it is
/// full.
const CLIENT_CHANNEL_CAPACITY: usize = 1_000;
/// The same when states are retained: a new subscriber to all of them gets what fits, and the library drops the rest.
const CLIENT_CHANNEL_CAPACITY_FOR_STATES: usize = 100_000;
/// In the library's words.
const UNLIMITED: usize = 0;
/// How often expired sessions are removed.
const CLEANUP_INTERVAL: Duration = Duration::from_mins(1);
/// How long a start may take; a stop has the same time before it is forced.
const START_LIMIT: Duration = Duration::from_secs(5);
const STOP_LIMIT: Duration = Duration::from_secs(2);
const WORKER_THREADS: usize = 2;

impl Broker {
    /// Starts a broker on `config.bind`, and returns when it accepts connections.
    ///
    /// # Errors
    /// When it cannot listen there, or does not start within 5 s.
    pub async fn start(config: &MqttConfig) -> Result<Self, BrokerError> {
        let listener = listen(config.bind)?;
        let address = listener.local_addr().map_err(start_error)?;
        let relay = Credentials {
            user: RELAY_USER.to_owned(),
            password: random_secret()?,
        };
        let numbers = Arc::<Numbers>::default();
        let guard = Guard {
            relay: relay.clone(),
            numbers: Arc::clone(&numbers),
            topics: Topics::new(&config.topic_prefix)?,
        };
        let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
        let (tell_ready, ready) = oneshot::channel();
        let task = Task {
            listener,
            config: broker_config(config),
            guard: Arc::new(guard),
            tell_ready,
            stop: stop.clone(),
        };
        let at_end = stopped.clone().drop_guard();
        thread::Builder::new()
            .name("mqtt-broker".to_owned())
            .spawn(move || {
                let _at_end = at_end;
                task.run();
            })
            .map_err(start_error)?;
        timeout(START_LIMIT, ready)
            .await
            .map_err(start_error)?
            .map_err(start_error)??;
        Ok(Self {
            address,
            relay,
            numbers,
            stop,
            stopped,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How the relay reaches it, and is known to it.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::local(self.address, self.relay.clone())
    }

    /// Makes its numbers visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(BrokerMetrics(Arc::clone(&self.numbers))));
    }

    /// Resolves when it has stopped, by [`Broker::shutdown`] or by itself.
    pub async fn stopped(&self) {
        self.stopped.cancelled().await;
    }

    /// Stops it: in good order within 2 s, by force after that.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.stopped.cancelled().await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broker({})", self.address)
    }
}

/// What happens on the broker's own thread.
struct Task {
    listener: TcpListener,
    config: BrokerConfig,
    guard: Arc<Guard>,
    tell_ready: oneshot::Sender<Result<(), BrokerError>>,
    stop: CancellationToken,
}

impl Task {
    fn run(self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .thread_name("mqtt-broker")
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => {
                runtime.block_on(self.serve());
                runtime.shutdown_background();
            }
            Err(cause) => drop(self.tell_ready.send(Err(start_error(cause)))),
        }
    }

    async fn serve(self) {
        let listener = match tokio::net::TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(cause) => return drop(self.tell_ready.send(Err(start_error(cause)))),
        };
        let mut broker = match MqttBroker::with_config(self.config.clone()).await {
            // Its own door, without which it does not run, is for nobody.
            Ok(broker) => broker.with_auth_provider(Arc::new(PasswordAuthProvider::new())),
            Err(cause) => return drop(self.tell_ready.send(Err(start_error(cause)))),
        };
        // There is no other broker that could have set it.
        let _ = self.guard.numbers.stats.set(broker.stats());
        let door = Door::new(&broker, self.config, self.guard);
        // A shutdown before the broker is ready would be lost, so `ready` comes first; both before `run`.
        let (shutdown, mut ready) = (broker.shutdown_handle(), broker.ready_receiver());
        let mut running = tokio::spawn(async move { broker.run().await });
        let is_ready = tokio::select! {
            ready = ready.wait_for(|is_ready| *is_ready) => ready.is_ok(),
            _ = &mut running => false,
        };
        let started = is_ready.then_some(()).ok_or_else(|| start_error("it stopped at once"));
        let failed = started.is_err();
        if self.tell_ready.send(started).is_err() || failed {
            return running.abort();
        }
        let clients = tokio::spawn(door.serve(listener, self.stop.clone()));
        tokio::select! {
            () = self.stop.cancelled() => {}
            outcome = &mut running => return error!(?outcome, "the built-in broker stopped by itself"),
        }
        let in_good_order = async {
            // The clients first, as long as there is a broker to serve them.
            let _ = clients.await;
            shutdown.shutdown();
            let _ = (&mut running).await;
        };
        if timeout(STOP_LIMIT, in_good_order).await.is_err() {
            running.abort();
        }
    }
}

fn broker_config(config: &MqttConfig) -> BrokerConfig {
    // With states there are as many retained messages as sensors, and what others left must not keep them out.
    let (client_channel_capacity, max_retained_messages) = if config.retain_state {
        (CLIENT_CHANNEL_CAPACITY_FOR_STATES, UNLIMITED)
    } else {
        (CLIENT_CHANNEL_CAPACITY, MAX_RETAINED_MESSAGES)
    };
    // Without persistence there are no queues for clients that are away; in memory it needs no files.
    let storage = StorageConfig::new()
        .with_backend(StorageBackend::Memory)
        .with_persistence(true)
        .with_cleanup_interval(CLEANUP_INTERVAL)
        .with_max_queued_messages_per_client(MAX_QUEUED_MESSAGES)
        .with_max_queued_bytes_per_client(MAX_QUEUED_BYTES);
    // Exactly one address: of two with one in use the library reports success. Nobody is let in there (see `door`).
    BrokerConfig::new()
        .with_bind_address((Ipv4Addr::LOCALHOST, 0))
        .with_max_clients(MAX_CLIENTS)
        .with_max_packet_size(MAX_PACKET_BYTES)
        .with_session_expiry(SESSION_EXPIRY)
        .with_max_retained_messages(max_retained_messages)
        .with_max_retained_message_size(MAX_RETAINED_BYTES)
        .with_client_channel_capacity(client_channel_capacity)
        .with_storage(storage)
}

fn listen(address: SocketAddr) -> Result<TcpListener, BrokerError> {
    let listener = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|cause| match cause.kind() {
        io::ErrorKind::AddrInUse => BrokerError::AddressInUse { address },
        _ => BrokerError::Bind { address, cause },
    })
}

/// 128 bits from the operating system, in hexadecimal.
fn random_secret() -> Result<String, BrokerError> {
    let (high, low) = getrandom::u64()
        .and_then(|high| Ok((high, getrandom::u64()?)))
        .map_err(start_error)?;
    Ok(format!("{high:016x}{low:016x}"))
}

fn start_error(cause: impl fmt::Display) -> BrokerError {
    BrokerError::Start(cause.to_string())
}
