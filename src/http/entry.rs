//! `GET /`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, route};
use serde::Serialize;
use utoipa::ToSchema;

use super::HttpState;
use super::extract::{NoParameters, Parameters};
use super::negotiation::require_acceptable;
use super::problem::{Problem, problem_responses};
use crate::wire::link::Link;

problem_responses!(EntryProblems: NOT_ACCEPTABLE);

/// Where everything else is found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EntryPoint)]
struct EntryForm<'a> {
    /// `sensorcast`
    #[schema(example = "sensorcast")]
    name: &'static str,
    /// The version of the service.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The life of the store that the revision belongs to.
    #[schema(pattern = "^[a-z2-7]{8}$", example = "k3f7q2vt")]
    epoch: &'a str,
    /// The newest revision.
    #[schema(minimum = 0, example = 45)]
    revision: i64,
    /// Links to everything else.
    links: Vec<Link>,
}

/// The entry point
///
/// The only URL that a client has to know: it links to everything else.
#[utoipa::path(
    get,
    operation_id = "entryPoint",
    tag = "service",
    responses((status = 200, description = "Links to everything else", body = EntryForm), EntryProblems),
)]
#[route("/", method = "GET", method = "HEAD")]
pub async fn entry(
    _: Parameters<NoParameters>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, Problem> {
    require_acceptable(&request, &mime::APPLICATION_JSON)?;
    let base = state.links();
    Ok(HttpResponse::Ok().json(EntryForm {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        epoch: state.store.epoch().as_str(),
        revision: state.store.head().borrow().get(),
        links: vec![
            Link::new("self", base.url("/")),
            Link::new("collection", base.url("/sensors")),
            Link::action("create", base.url("/sensors"), "POST", "application/json"),
            Link::action("batch", base.url("/batch"), "POST", "application/json"),
            Link::new("events", base.url("/events")),
            base.monitor("sensors/+"),
            Link::new("service-desc", base.url("/openapi.json")).of_type("application/json"),
            Link::new("service-desc", base.url("/openapi.yaml")).of_type("application/yaml"),
            Link::new("service-desc", base.url("/asyncapi.json")).of_type("application/json"),
            Link::new("service-desc", base.url("/asyncapi.yaml")).of_type("application/yaml"),
            Link::new("service-doc", base.url("/docs")),
            Link::new("status", base.url("/health/ready")).of_type("application/json"),
            Link::new("status", base.url("/health/live")).of_type("text/plain"),
            Link::new("metrics", base.url("/metrics")),
        ],
    }))
}
