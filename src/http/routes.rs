//! The whole URL map. An operation names its own path and method, so that the document and the route are one; what a path
//! does not have is answered by [`allow`].

use utoipa_actix_web::service_config::ServiceConfig;

use super::allow::allow;
use super::{batch, documents, entry, events, health, metrics, problem_pages, sensors};

/// Every route of the service but the pages below `/docs`.
pub fn configure(routes: &mut ServiceConfig) {
    // PATCH, PUT, DELETE, GET /sensors/{sensor}. A route is found by trying one after the other, and each with a parameter is an
    // expression to match: the one that is asked for most comes first (a plain GET needs none).
    routes.service(sensors::patch::patch);
    routes.service(sensors::replace::replace);
    routes.service(sensors::delete::remove);
    routes.service(sensors::read::read);
    routes.service(allow("/sensors/{sensor}", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"));

    // GET /
    routes.service(entry::entry);
    routes.service(allow("/", "GET, HEAD, OPTIONS"));

    // GET, POST /sensors
    routes.service(sensors::list::list);
    routes.service(sensors::create::create);
    routes.service(allow("/sensors", "GET, HEAD, POST, OPTIONS"));

    // POST /batch
    routes.service(batch::batch);
    routes.service(allow("/batch", "POST, OPTIONS"));

    // GET, PUT /sensors/{sensor}/value
    routes.service(sensors::value::read_value);
    routes.service(sensors::value::report);
    routes.service(allow("/sensors/{sensor}/value", "GET, HEAD, PUT, OPTIONS"));

    // GET /sensors/{sensor}/history
    routes.service(sensors::history::history);
    routes.service(allow("/sensors/{sensor}/history", "GET, HEAD, OPTIONS"));

    // GET /events, /sensors/{sensor}/events
    routes.service(events::all);
    routes.service(events::of_sensor);
    routes.service(allow("/events", "GET, HEAD, OPTIONS"));
    routes.service(allow("/sensors/{sensor}/events", "GET, HEAD, OPTIONS"));

    // GET /health/live, /health/ready, /metrics
    routes.service(health::live);
    routes.service(health::ready);
    routes.service(metrics::metrics);
    routes.service(allow("/health/live", "GET, HEAD, OPTIONS"));
    routes.service(allow("/health/ready", "GET, HEAD, OPTIONS"));
    routes.service(allow("/metrics", "GET, HEAD, OPTIONS"));

    // GET /openapi.json, /openapi.yaml, /asyncapi.json, /asyncapi.yaml, /problems, /problems/{slug}
    routes.service(documents::json);
    routes.service(documents::yaml);
    routes.service(documents::events_json);
    routes.service(documents::events_yaml);
    routes.service(problem_pages::index);
    routes.service(problem_pages::page);
    routes.service(allow("/openapi.json", "GET, HEAD, OPTIONS"));
    routes.service(allow("/openapi.yaml", "GET, HEAD, OPTIONS"));
    routes.service(allow("/asyncapi.json", "GET, HEAD, OPTIONS"));
    routes.service(allow("/asyncapi.yaml", "GET, HEAD, OPTIONS"));
    routes.service(allow("/problems", "GET, HEAD, OPTIONS"));
    routes.service(allow("/problems/{slug}", "GET, HEAD, OPTIONS"));
}
