//! `GET /openapi.json`, `GET /openapi.yaml`, `/docs`: the contract as a document and as a page.

use actix_web::guard::Get;
use actix_web::http::header;
use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, route};
use url::Url;
use utoipa::OpenApi as _;
use utoipa::openapi::{OpenApi, ServerBuilder};
use utoipa_actix_web::AppExt;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::allow::allow;
use super::problem::{self, Problem, ProblemForm};
use super::{HttpState, routes};
use crate::wire::event::EventForm;

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

/// Adds the pages of Swagger UI, which work with the host that they are loaded from, whatever `PUBLIC_URL` says.
pub fn pages(public_url: &Url) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
    let base = public_url.path().trim_end_matches('/');
    let document = openapi(base);
    let page = format!("{base}/docs/");
    let settings = Config::default()
        .try_it_out_enabled(true)
        .display_request_duration(true);
    let swagger_ui = SwaggerUi::new("/docs/{file:.*}")
        .config(settings)
        .url("/docs/openapi.json", document);
    // The links in the page are relative and need the slash.
    let to_page = move || {
        let page = page.clone();
        async move {
            HttpResponse::PermanentRedirect()
                .insert_header((header::LOCATION, page))
                .finish()
        }
    };
    move |config| {
        config.service(web::resource("/docs").guard(Get()).to(to_page));
        config.service(allow("/docs", "GET, OPTIONS"));
        config.service(swagger_ui);
        config.service(allow("/docs/{file:.*}", "GET, OPTIONS"));
    }
}

fn unwritable(error: &anyhow::Error) -> Problem {
    tracing::error!(%error, "the document cannot be written");
    Problem::of_kind(&problem::INTERNAL)
}
