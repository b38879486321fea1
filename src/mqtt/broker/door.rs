//! Takes the connections of clients in the place of the library, whose own door leaves nothing between a client and it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::auth::AuthProvider;
use mqtt5::broker::client_handler::ClientHandler;
use mqtt5::broker::config::BrokerConfig;
use mqtt5::broker::resource_monitor::ResourceMonitor;
use mqtt5::broker::router::MessageRouter;
use mqtt5::broker::server::MqttBroker;
use mqtt5::broker::storage::DynamicStorage;
use mqtt5::broker::sys_topics::BrokerStats;
use mqtt5::broker::transport::BrokerTransport;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::dialect::Spoken;
use super::guard::Guard;

/// The parts of the broker that a connection works with.
pub(super) struct Door {
    config: Arc<BrokerConfig>,
    guard: Arc<Guard>,
    router: Arc<MessageRouter>,
    storage: Option<Arc<DynamicStorage>>,
    stats: Arc<BrokerStats>,
    monitor: Arc<ResourceMonitor>,
    /// Tells the connections to end.
    end: broadcast::Sender<()>,
}

/// Before the next try when the system has no connection to give, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Door {
    pub(super) fn new(broker: &MqttBroker, config: BrokerConfig, guard: Arc<Guard>) -> Self {
        Self {
            config: Arc::new(config),
            guard,
            router: broker.router(),
            storage: broker.storage(),
            stats: broker.stats(),
            monitor: broker.resource_monitor(),
            end: broadcast::Sender::new(1),
        }
    }

    /// Lets clients in until it is to `stop`, and returns when all have gone.
    pub(super) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => self.admit(stream, address, &mut clients).await,
                    Err(cause) => {
                        self.tell_failed_accept(&cause);
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = clients.join_next() => {}
                () = stop.cancelled() => break,
            }
        }
        drop(listener);
        let _ = self.end.send(());
        while clients.join_next().await.is_some() {}
    }

    fn tell_failed_accept(&self, cause: &io::Error) {
        if let Some(count) = self.guard.numbers.accepts_failed.one_more() {
            warn!(count, %cause, "the built-in broker cannot accept connections: those that come wait");
        }
    }

    async fn admit(&self, stream: TcpStream, address: SocketAddr, clients: &mut JoinSet<()>) {
        // It says why not in its log, which is counted there.
        if !self.monitor.can_accept_connection(address.ip()).await {
            return;
        }
        // Without it messages only come later.
        let _ = stream.set_nodelay(true);
        let handler = ClientHandler::new(
            // The one kind of transport that the library lets others make.
            BrokerTransport::WebSocket(Box::new(Spoken::new(stream))),
            address,
            Arc::clone(&self.config),
            Arc::clone(&self.router),
            Arc::clone(&self.guard) as Arc<dyn AuthProvider>,
            self.storage.clone(),
            Arc::clone(&self.stats),
            Arc::clone(&self.monitor),
            self.end.subscribe(),
        );
        let guard = Arc::clone(&self.guard);
        clients.spawn(async move {
            let failure = handler.run().await.err().filter(|cause| !cause.is_normal_disconnect());
            if let Some(cause) = failure
                && let Some(count) = guard.numbers.connections_failed.one_more()
            {
                warn!(count, %address, %cause, "connections to the built-in broker ended with an error");
            }
        });
    }
}
