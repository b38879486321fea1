//! The REST side. A handler parses, checks preconditions, sends a command to the store or reads from it, and answers; it
//! never owns a write transaction.

mod allow;
mod conditional;
mod documents;
mod entry;
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

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::Data;
use actix_web::{App, HttpServer, middleware};
use prometheus_client::registry::Registry;
use tracing_actix_web::TracingLogger;
use utoipa_actix_web::AppExt;

use crate::config::{HttpConfig, HttpLimits};
use crate::events::RelayStatus;
use crate::store::Store;
use crate::wire::link::LinkBase;
pub use documents::{Delivery, asyncapi_json, asyncapi_yaml};
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
    /// How the events are delivered, for the document that says so.
    pub delivery: Delivery,
    /// All metrics of the process.
    pub registry: Arc<Registry>,
    /// Those of this side.
    pub metrics: HttpMetrics,
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
    let state = Data::new(state);
    let server = HttpServer::new(move || {
        App::new()
            .wrap(middleware::from_fn(frame::frame))
            .wrap(TracingLogger::<frame::RequestSpan>::new())
            .app_data(state.clone())
            .into_utoipa_app()
            .configure(routes::configure)
            .map(|app| app.configure(documents::pages::configure))
            .default_service(actix_web::web::to(allow::unknown))
            .into_app()
    })
    .workers(workers())
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
