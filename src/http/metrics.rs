//! `GET /metrics`

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, route};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::HttpState;
use super::problem::{self, Problem, problem_responses};

problem_responses!(MetricsProblems:);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The numbers of the REST side.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    // A histogram counts, too: `_count` is the number of requests.
    duration: Family<RequestLabels, Histogram, fn() -> Histogram>,
    pub(super) open_streams: Gauge,
    pub(super) open_connections: Gauge,
}

/// One more in a gauge, as long as it lives.
#[derive(Debug)]
pub(super) struct Open(Gauge);

impl Open {
    /// With it comes how many there were before.
    pub(super) fn count(gauge: &Gauge) -> (Self, i64) {
        let others = gauge.inc();
        (Self(gauge.clone()), others)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: Cow<'static, str>,
    status: u16,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            duration: Family::new_with_constructor(buckets),
            open_streams: Gauge::default(),
            open_connections: Gauge::default(),
        }
    }
}

fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.0, 17))
}

impl HttpMetrics {
    /// Makes the numbers visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "http_request_duration",
            "Time from the head of a request to the head of its answer, by route and status",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register("open_streams", "Event streams that are open", self.open_streams.clone());
        registry.register(
            "open_connections",
            "Connections of HTTP that are open, those of streams included",
            self.open_connections.clone(),
        );
    }

    /// Counts an answer. `route` is the pattern, not the path: the number of series has a bound.
    pub(super) fn observe(&self, method: &str, route: Option<Cow<'static, str>>, status: u16, elapsed: Duration) {
        let labels = RequestLabels {
            method: known(method),
            route: route.unwrap_or(Cow::Borrowed("other")),
            status,
        };
        self.duration.get_or_create(&labels).observe(elapsed.as_secs_f64());
    }
}

/// A method as a label; what clients make up is one.
fn known(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    METHODS
        .iter()
        .find(|known| **known == method)
        .map_or("other", |known| *known)
}

/// Metrics of the process
///
/// In the text format of Prometheus (0.0.4), or as OpenMetrics 1.0 for those who ask for it.
#[utoipa::path(
    get,
    operation_id = "metrics",
    tag = "service",
    responses(
        (status = 200, description = "All metrics; as OpenMetrics when `Accept` names it", content(
            (String = "text/plain", example = "sensorcast_open_streams 0
"),
            (String = "application/openmetrics-text", example = "sensorcast_open_streams 0
# EOF
"),
        )),
        MetricsProblems,
    ),
)]
#[route("/metrics", method = "GET", method = "HEAD")]
pub async fn metrics(request: HttpRequest, state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let accept = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let media_type = match accept {
        Some(accept) if accept.contains("application/openmetrics-text") => OPEN_METRICS,
        _ => PLAIN_TEXT,
    };
    let mut text = String::new();
    encode(&mut text, &state.registry).map_err(|error| {
        tracing::error!(%error, "the metrics cannot be written");
        Problem::of_kind(&problem::INTERNAL)
    })?;
    let text = if media_type == OPEN_METRICS {
        text
    } else {
        as_prometheus_text(&text)
    };
    Ok(HttpResponse::Ok().content_type(media_type).body(text))
}

/// The same in the older format (0.0.4), in which a counter is named as its samples are, and which has neither units nor an end.
fn as_prometheus_text(open_metrics: &str) -> String {
    let counters: HashSet<_> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                text.extend(["# ", what, " ", name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}
