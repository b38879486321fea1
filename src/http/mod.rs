//! The REST side. A handler parses, checks preconditions, sends a command to the store or reads from it, and answers; it
//! never owns a write transaction.

mod allow;
mod batch;
mod beside;
mod coding;
mod compression;
mod conditional;
mod cors;
mod documents;
mod entry;
mod events;
mod extract;
mod frame;
mod framing;
mod health;
mod idempotency;
mod metrics;
mod negotiation;
mod openapi;
#[doc(hidden)]
pub mod parsers;
mod preference;
mod problem;
mod problem_kinds;
mod problem_pages;
mod routes;
mod sensors;
mod variant;

use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, Request};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::dev::{AppConfig, Server, ServerHandle, ServiceFactory, ServiceResponse, fn_service};
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use actix_web::{App, Error, rt};
use prometheus_client::registry::Registry;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio_util::sync::CancellationToken;
use utoipa_actix_web::AppExt;

use crate::config::{CorsOrigins, HttpConfig, HttpLimits, StreamLimits};
use crate::events::{Feed, RelayStatus};
use crate::store::Store;
use crate::wire::link::LinkBase;
pub use batch::BatchRoom;
pub use documents::{Documents, Terms, asyncapi_json, asyncapi_yaml};
use framing::{Refusals, StrictFraming};
pub use health::Readiness;
pub use idempotency::Running;
pub use metrics::HttpMetrics;
pub use openapi::{openapi_json, openapi_yaml};
pub use sensors::list::cache::PageCache;

/// How long running requests may take when the service stops.
const STOP_TIME_LIMIT_S: u64 = 5;
/// How long a connection that is closed may take to end.
const DISCONNECT_TIME_LIMIT: Duration = Duration::from_secs(1);

/// What every handler works with.
#[derive(Debug, Clone)]
pub struct HttpState {
    /// The sensors and their log.
    pub store: Store,
    /// What the last readiness probe found.
    pub readiness: Readiness,
    /// How the relay is doing.
    pub relay: RelayStatus,
    /// Whose scripts may use the service.
    pub cors_origins: CorsOrigins,
    /// What a client may ask.
    pub limits: HttpLimits,
    /// For the bodies of batches.
    pub batch_room: BatchRoom,
    /// What holds for requests and events by the settings, and is told in the documents.
    pub terms: Terms,
    /// The contract as documents.
    pub documents: Documents,
    /// The requests with an `Idempotency-Key` that are being done.
    pub running: Running,
    /// All metrics of the process.
    pub registry: Arc<Registry>,
    /// Those of this side.
    pub metrics: HttpMetrics,
    /// The log, for those who read it by cursor.
    pub feed: Feed,
    /// The bounds of event streams.
    pub stream_limits: StreamLimits,
    /// The cache of pages of the list.
    pub pages: PageCache,
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
    /// The address at which it listens.
    pub address: SocketAddr,
    /// Stops it.
    pub handle: ServerHandle,
    /// The server, which runs while this future is awaited.
    pub server: Server,
}

/// An address that is bound, but at which no connection is accepted yet.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    address: SocketAddr,
}

/// The most connections that wait to be accepted.
const BACKLOG: i32 = 1024;

impl Bound {
    /// Binds the address.
    ///
    /// # Errors
    /// When it is in use, or does not belong to this machine.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Connections of a former process may still be closing there.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        let address = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Self { socket, address })
    }

    /// The address, with the port that the system chose when port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Starts serving.
///
/// As `HttpServer` would, but with `StrictFraming` between socket and parser.
///
/// # Errors
/// When the address has come into use.
pub fn listen(bound: Bound, config: &HttpConfig, state: HttpState) -> io::Result<Listening> {
    let Bound { socket, address } = bound;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let limits = config.limits;
    let hang_up_after = config.streams.stall * 2;
    let builder = Server::build()
        .workers(workers())
        .max_concurrent_connections(limits.connections.div_ceil(workers()))
        .shutdown_timeout(STOP_TIME_LIMIT_S)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("http", listener, move || {
        let stopping = stopping.clone();
        // Called once for each worker, in its thread.
        let (store, delivery) = state.store.for_thread();
        rt::spawn(delivery);
        let state = Data::new(HttpState { store, ..state.clone() });
        let refusals = Rc::new(Refusals::new(state.links().clone(), state.metrics.clone()));
        // The configuration is used for URLs alone, which are not made from it here.
        let routes = map_config(routes(state.clone()), |()| AppConfig::default());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            // The framework would look at its clock twice a second, and at the first head alone.
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(DISCONNECT_TIME_LIMIT)
            .local_addr(address)
            .on_connect_ext(StrictFraming::hand_over)
            .h1(frame::framed(routes, state).map_err(|error: Error| error.error_response()));
        fn_service(move |stream: TcpStream| {
            hang_up_on_silence(&stream, hang_up_after);
            let peer = stream.peer_addr().ok();
            ready(Ok((
                StrictFraming::new(stream, limits.head_timeout, Rc::clone(&refusals)),
                peer,
            )))
        })
        .and_then(http)
    })?;
    let server = server.run();
    Ok(Listening {
        address,
        handle: server.handle(),
        server,
    })
}

/// Everything that has a route.
fn routes(
    state: Data<HttpState>,
) -> impl ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse, Error = Error, InitError = ()> {
    App::new()
        .app_data(state)
        .into_utoipa_app()
        .configure(routes::configure)
        .map(|app| app.configure(documents::pages::configure))
        .default_service(actix_web::web::to(allow::unknown))
        .into_app()
        .into_factory()
}

/// Lets the system end the connection of a client that takes nothing for `limit`, be it gone or only not reading: the
/// framework would wait for it for ever.
fn hang_up_on_silence(stream: &TcpStream, limit: Duration) {
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(limit)) {
        tracing::warn!(%error, "a connection has no time limit for a silent client");
    }
}

/// Threads that answer requests: as many as there are cores.
#[must_use]
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, NonZero::get)
}
