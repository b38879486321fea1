//! The contract as documents, `/openapi.json`, `/openapi.yaml`, `/asyncapi.json` and `/asyncapi.yaml`, and as pages, `/docs`.

mod asyncapi;
mod event_examples;
mod events_page;
mod indent;
pub mod layout;
mod members;
pub mod pages;
mod schemas;
mod swagger;

use std::sync::{Arc, OnceLock};

use actix_web::web::Data;
use actix_web::{HttpResponse, route};
use bytes::Bytes;

use super::HttpState;
use super::openapi::{openapi_json, openapi_yaml};
use super::problem::{self, Problem, problem_responses};
use crate::wire::link::LinkBase;
pub use event_examples::{Example, Examples};

problem_responses!(DocumentProblems:);

/// The settings that clients have to know, beside what is in the links: the documents tell them.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Quality of service of the events: 0, 1 or 2.
    pub qos: u8,
    /// Whether the representation of every sensor is retained.
    pub retain_state: bool,
    /// Whether a change of an existing sensor has to state which one.
    pub require_if_match: bool,
}

impl Terms {
    /// How surely an event comes. At quality of service 0 one can be lost, and after a crash one can come again.
    #[must_use]
    pub fn how_surely(self) -> &'static str {
        if self.qos == 0 {
            "without a guarantee"
        } else {
            "at least once"
        }
    }
}

/// The documents, each written when it is first asked for: they follow from the settings alone, and take tens of milliseconds. Cheap to
/// clone.
#[derive(Debug, Clone, Default)]
pub struct Documents(Arc<Written>);

#[derive(Debug, Default)]
struct Written {
    openapi_json: OnceLock<Bytes>,
    openapi_yaml: OnceLock<Bytes>,
    asyncapi_json: OnceLock<Bytes>,
    asyncapi_yaml: OnceLock<Bytes>,
    /// For Swagger UI.
    to_try_out: OnceLock<Bytes>,
}

/// What is there, or what `write` gives.
fn once(written: &OnceLock<Bytes>, write: impl FnOnce() -> anyhow::Result<String>) -> Result<Bytes, Problem> {
    if let Some(document) = written.get() {
        return Ok(document.clone());
    }
    let document = write().map_err(|error| unwritable(&error))?;
    Ok(written.get_or_init(|| document.into()).clone())
}

/// The OpenAPI document as JSON
///
/// The operations of this service, with their parameters and answers.
#[utoipa::path(
    get,
    operation_id = "openapiJson",
    tag = "service",
    responses(
        (status = 200, description = "This document", body = Object, content_type = "application/json",
            example = json!({"openapi": "3.1.0"})),
        DocumentProblems,
    ),
)]
#[route("/openapi.json", method = "GET", method = "HEAD")]
pub async fn json(state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let document = once(&state.documents.0.openapi_json, || {
        openapi_json(state.links(), state.terms)
    })?;
    Ok(HttpResponse::Ok().content_type("application/json").body(document))
}

/// The OpenAPI document as YAML
///
/// The operations of this service, with their parameters and answers.
#[utoipa::path(
    get,
    operation_id = "openapiYaml",
    tag = "service",
    responses(
        (status = 200, description = "This document", body = Object, content_type = "application/yaml",
            example = json!({"openapi": "3.1.0"})),
        DocumentProblems,
    ),
)]
#[route("/openapi.yaml", method = "GET", method = "HEAD")]
pub async fn yaml(state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let document = once(&state.documents.0.openapi_yaml, || {
        openapi_yaml(state.links(), state.terms)
    })?;
    Ok(HttpResponse::Ok().content_type("application/yaml").body(document))
}

/// The AsyncAPI document as YAML.
///
/// # Errors
/// When it cannot be written as YAML, which a test excludes.
pub fn asyncapi_yaml(links: &LinkBase, terms: Terms) -> anyhow::Result<String> {
    Ok(yaml_serde::to_string(&asyncapi::asyncapi(links, terms)?)?)
}

/// The AsyncAPI document as JSON.
///
/// # Errors
/// When it cannot be written as JSON, which a test excludes.
pub fn asyncapi_json(links: &LinkBase, terms: Terms) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&asyncapi::asyncapi(links, terms)?)?)
}

/// The AsyncAPI document as JSON
///
/// The events: broker, topics and messages, as AsyncAPI 3.0.
#[utoipa::path(
    get,
    operation_id = "asyncapiJson",
    tag = "service",
    responses(
        (status = 200, description = "The document", body = Object, content_type = "application/json",
            example = json!({"asyncapi": "3.0.0"})),
        DocumentProblems,
    ),
)]
#[route("/asyncapi.json", method = "GET", method = "HEAD")]
pub async fn events_json(state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let write = || asyncapi_json(state.links(), state.terms);
    let document = once(&state.documents.0.asyncapi_json, write)?;
    Ok(HttpResponse::Ok().content_type("application/json").body(document))
}

/// The AsyncAPI document as YAML
///
/// The events: broker, topics and messages, as AsyncAPI 3.0.
#[utoipa::path(
    get,
    operation_id = "asyncapiYaml",
    tag = "service",
    responses(
        (status = 200, description = "The document", body = Object, content_type = "application/yaml",
            example = json!({"asyncapi": "3.0.0"})),
        DocumentProblems,
    ),
)]
#[route("/asyncapi.yaml", method = "GET", method = "HEAD")]
pub async fn events_yaml(state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let write = || asyncapi_yaml(state.links(), state.terms);
    let document = once(&state.documents.0.asyncapi_yaml, write)?;
    Ok(HttpResponse::Ok().content_type("application/yaml").body(document))
}

fn unwritable(error: &anyhow::Error) -> Problem {
    tracing::error!(%error, "the document cannot be written");
    Problem::of_kind(&problem::INTERNAL)
}
