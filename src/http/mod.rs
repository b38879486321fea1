//! The REST side. A handler parses, checks preconditions, sends a command to the store or reads from it, and answers; it
//! never owns a write transaction.

mod allow;
mod conditional;
mod documents;
mod entry;
mod events;
mod extract;
mod frame;
mod health;
mod metrics;
mod negotiation;
mod openapi;
mod problem;
mod problem_kinds;
mod problem_pages;
mod routes;
mod sensors;

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::Data;
use actix_web::{App, HttpServer, middleware};
use prometheus_client::registry::Registry;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;
use utoipa_actix_web::AppExt;

use crate::config::{HttpConfig, HttpLimits, StreamLimits};
use crate::events::{Feed, RelayStatus};
use crate::store::Store;
use crate::wire::link::LinkBase;
pub use metrics::HttpMetrics;
pub use openapi::{openapi_json, openapi_yaml};

/// How long running requests may take when the service stops.
const STOP_TIME_LIMIT_S: u64 = 5;
/// Threads that answer requests: as many as actix starts when it is not told.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, NonZero::get)
}

/// What every handler works with.
#[derive(Debug, Clone)]
pub struct HttpState {
    /// The sensors and their log.
    pub store: Store,
    /// How the relay is doing.
    pub relay: RelayStatus,
    /// Whether a change of an existing sensor has to state which one (`REQUIRE_IF_MATCH`).
    pub require_if_match: bool,
    /// What a client may ask.
    pub limits: HttpLimits,
    /// All metrics of the process.
    pub registry: Arc<Registry>,
    /// Those of this side.
    pub metrics: HttpMetrics,
    /// The log, for those who read it by cursor.
    pub feed: Feed,
    /// The bounds of event streams.
    pub stream_limits: StreamLimits,
    /// When it is cancelled, streams and long polls end.
    pub stop: CancellationToken,
}

impl HttpState {
    /// What every link starts with.
    #[must_use]
    pub fn links(&self) -> &LinkBase {
        self.store.links()
    }
}

/// A server that listens.
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    /// Stops it.
    pub handle: ServerHandle,
    /// Works as long as it is awaited.
    pub server: Server,
}

/// Binds the address and starts serving.
///
/// # Errors
/// When the address is in use or not ours.
pub fn listen(config: &HttpConfig, state: HttpState) -> io::Result<Listening> {
    let public_url = config.public_url.clone();
    let hang_up_after = config.streams.stall * 2;
    let state = Data::new(state);
    let server = HttpServer::new(move || {
        App::new()
            .wrap(middleware::from_fn(frame::frame))
            .wrap(TracingLogger::<frame::RequestSpan>::new())
            .app_data(state.clone())
            .into_utoipa_app()
            .configure(routes::configure)
            .map(|app| app.configure(documents::pages(&public_url)))
            .default_service(actix_web::web::to(allow::unknown))
            .into_app()
    })
    .workers(workers())
    .on_connect(move |connection, _| hang_up_on_silence(connection, hang_up_after))
    .client_request_timeout(config.limits.head_timeout)
    .max_connections(config.limits.connections.div_ceil(workers()))
    .shutdown_timeout(STOP_TIME_LIMIT_S)
    .disable_signals()
    .bind(config.bind)?;
    let address = server.addrs().first().copied().unwrap_or(config.bind);
    let server = server.run();
    Ok(Listening {
        address,
        handle: server.handle(),
        server,
    })
}

/// Lets the system end the connection of a client that takes nothing for `limit`, be it gone or only not reading: the
/// framework would wait for it for ever.
fn hang_up_on_silence(connection: &dyn Any, limit: Duration) {
    let Some(stream) = connection.downcast_ref::<TcpStream>() else {
        return;
    };
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(limit)) {
        tracing::warn!(%error, "a connection has no time limit for a silent client");
    }
}
