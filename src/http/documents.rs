//! The contract as documents, `/openapi.json`, `/openapi.yaml`, `/asyncapi.json` and `/asyncapi.yaml`, and as pages, `/docs`.

mod asyncapi;
mod event_examples;
mod events_page;
mod indent;
pub mod layout;
mod members;
pub mod pages;
mod schemas;

use actix_web::web::Data;
use actix_web::{App, HttpResponse, route};
use utoipa::OpenApi as _;
use utoipa::openapi::{OpenApi, ServerBuilder};
use utoipa_actix_web::AppExt;

use super::problem::{self, Problem, ProblemForm};
use super::{HttpState, routes};
use crate::wire::event::EventForm;
use crate::wire::link::LinkBase;
pub use asyncapi::Delivery;

/// What the document says about the service as a whole.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "sensorcast",
        description = "The state of sensors over REST, every change of it over MQTT. A sensor lives at `/sensors/{id}`, and every change of it is announced on the MQTT topic `sensors/{id}`. One number, the revision, ties list, ETag and event together.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "sensors", description = "The sensors, and how they change"),
        (name = "service", description = "The service itself"),
    ),
    components(schemas(ProblemForm, EventForm)),
)]
struct Frame;

/// The OpenAPI document of a service whose base is `server`.
#[must_use]
pub fn openapi(server: &str) -> OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(Frame::openapi())
        .configure(routes::configure)
        .split_for_parts();
    document.servers = Some(vec![ServerBuilder::new().url(server).build()]);
    document
}

/// The document as YAML, for a service at `server`.
///
/// # Errors
/// When it cannot be written as YAML, which a test excludes.
pub fn openapi_yaml(server: &str) -> anyhow::Result<String> {
    Ok(openapi(server).to_yaml()?)
}

/// The document as JSON, for a service at `server`.
///
/// # Errors
/// When it cannot be written as JSON, which a test excludes.
pub fn openapi_json(server: &str) -> anyhow::Result<String> {
    Ok(openapi(server).to_pretty_json()?)
}

/// The OpenAPI document as JSON
#[utoipa::path(
    get,
    operation_id = "openapiJson",
    tag = "service",
    responses((status = 200, description = "This document", body = Object, content_type = "application/json")),
)]
#[route("/openapi.json", method = "GET", method = "HEAD")]
pub async fn json(state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let document = openapi_json(&state.links().url("")).map_err(|error| unwritable(&error))?;
    Ok(HttpResponse::Ok().content_type("application/json").body(document))
}

/// The OpenAPI document as YAML
#[utoipa::path(
    get,
    operation_id = "openapiYaml",
    tag = "service",
    responses((status = 200, description = "This document", body = String, content_type = "application/yaml")),
)]
#[route("/openapi.yaml", method = "GET", method = "HEAD")]
pub async fn yaml(state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let document = openapi_yaml(&state.links().url("")).map_err(|error| unwritable(&error))?;
    Ok(HttpResponse::Ok().content_type("application/yaml").body(document))
}

/// The AsyncAPI document as YAML.
///
/// # Errors
/// When it cannot be written as YAML, which a test excludes.
pub fn asyncapi_yaml(links: &LinkBase, delivery: Delivery) -> anyhow::Result<String> {
    Ok(yaml_serde::to_string(&asyncapi::asyncapi(links, delivery)?)?)
}

/// The AsyncAPI document as JSON.
///
/// # Errors
/// When it cannot be written as JSON, which a test excludes.
pub fn asyncapi_json(links: &LinkBase, delivery: Delivery) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&asyncapi::asyncapi(links, delivery)?)?)
}

/// The AsyncAPI document as JSON
///
/// The events: broker, topics and messages, as AsyncAPI 3.0.
#[utoipa::path(
    get,
    operation_id = "asyncapiJson",
    tag = "service",
    responses((status = 200, description = "The document", body = Object, content_type = "application/json")),
)]
#[route("/asyncapi.json", method = "GET", method = "HEAD")]
pub async fn events_json(state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let document = asyncapi_json(state.links(), state.delivery).map_err(|error| unwritable(&error))?;
    Ok(HttpResponse::Ok().content_type("application/json").body(document))
}

/// The AsyncAPI document as YAML
///
/// The events: broker, topics and messages, as AsyncAPI 3.0.
#[utoipa::path(
    get,
    operation_id = "asyncapiYaml",
    tag = "service",
    responses((status = 200, description = "The document", body = String, content_type = "application/yaml")),
)]
#[route("/asyncapi.yaml", method = "GET", method = "HEAD")]
pub async fn events_yaml(state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let document = asyncapi_yaml(state.links(), state.delivery).map_err(|error| unwritable(&error))?;
    Ok(HttpResponse::Ok().content_type("application/yaml").body(document))
}

fn unwritable(error: &anyhow::Error) -> Problem {
    tracing::error!(%error, "the document cannot be written");
    Problem::of_kind(&problem::INTERNAL)
}
