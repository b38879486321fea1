//! `GET /health/live`, `GET /health/ready`

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpResponse, route};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::HttpState;
use super::problem::problem_responses;

problem_responses!(HealthProblems:);

/// How long the store may take to show that it works.
const PROBE_TIME_LIMIT: Duration = Duration::from_secs(2);

/// What the last probe found: the log tells when that changes, and not each time that somebody asks.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    trouble: Arc<Mutex<Option<String>>>,
}

impl Readiness {
    fn found(&self, trouble: Option<&str>) {
        let mut last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_deref() == trouble {
            return;
        }
        if let Some(reason) = trouble {
            tracing::error!(reason, "not ready");
        } else {
            tracing::info!("ready again");
        }
        *last = trouble.map(str::to_owned);
    }
}

/// Whether the service can work, and how far the broker is behind.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Readiness)]
struct ReadinessForm {
    /// Whether the store can be read and written.
    status: ReadinessStatus,
    /// What is wrong with the store; absent when it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "the disk that holds the database is full")]
    store: Option<String>,
    /// The newest revision.
    #[schema(minimum = 0, example = 45)]
    revision: i64,
    /// The way to the MQTT broker. A broker that is away does not make the service unready.
    mqtt: BrokerForm,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ReadinessStatus {
    Ready,
    Unavailable,
}

/// How the relay is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BrokerState)]
struct BrokerForm {
    /// Whether there is a connection to the broker.
    connected: bool,
    /// Since when that is so: RFC 3339.
    #[schema(format = "date-time", example = "2026-11-22T11:00:00.000Z")]
    since: String,
    /// Committed events that the broker has not acknowledged.
    #[schema(example = 0)]
    lag_events: u64,
    /// The age of the oldest of them, in seconds.
    #[schema(example = 0.0)]
    lag_seconds: f64,
    /// Events that the broker does not take, since the start of the process.
    #[schema(example = 0)]
    set_aside_events: u64,
    /// Why the last connection failed; absent when none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "connection refused")]
    last_error: Option<String>,
}

/// Is the process running?
///
/// Answers 200 while the process runs, whatever the state of store and broker.
#[utoipa::path(
    get,
    operation_id = "live",
    tag = "service",
    responses(
        (status = 200, description = "It runs", body = String, content_type = "text/plain",
            headers(("Cache-Control" = String)), example = "live\n"),
        HealthProblems,
    ),
)]
#[route("/health/live", method = "GET", method = "HEAD")]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body("live\n")
}

/// Can it read and write the store?
///
/// A broker that is away does not make the service unready: requests are served, and the events are published when it is
/// back.
#[utoipa::path(
    get,
    operation_id = "ready",
    tag = "service",
    responses(
        (status = 200, description = "It can", body = ReadinessForm, headers(("Cache-Control" = String))),
        (status = 503, description = "It cannot", body = ReadinessForm, headers(("Cache-Control" = String))),
        HealthProblems,
    ),
)]
#[route("/health/ready", method = "GET", method = "HEAD")]
pub async fn ready(state: Data<HttpState>) -> HttpResponse {
    let probe = async {
        state.store.probe_read().await?;
        state.store.probe().await
    };
    let store = match timeout(PROBE_TIME_LIMIT, probe).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PROBE_TIME_LIMIT.as_secs())),
    };
    state.readiness.found(store.as_ref().err().map(String::as_str));
    let (relay, lag) = (state.relay.state(), state.relay.lag());
    let (code, status) = match store {
        Ok(()) => (StatusCode::OK, ReadinessStatus::Ready),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, ReadinessStatus::Unavailable),
    };
    HttpResponse::build(code)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(ReadinessForm {
            status,
            store: store.err(),
            revision: state.store.head().borrow().get(),
            mqtt: BrokerForm {
                connected: relay.connected,
                since: relay.since.to_string(),
                lag_events: lag.events,
                lag_seconds: lag.age.as_secs_f64(),
                set_aside_events: relay.set_aside,
                last_error: relay.last_error,
            },
        })
}
