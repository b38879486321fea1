//! `GET /openapi.json`, `GET /openapi.yaml`, `/docs`: the contract as a document and as a page.

use actix_web::guard::Get;
use actix_web::http::header;
use actix_web::web::{self, Data};
use actix_web::{HttpResponse, route};
use url::Url;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::HttpState;
use super::allow::allow;
use super::openapi::{openapi, openapi_json, openapi_yaml};
use super::problem::{self, Problem, problem_responses};

problem_responses!(DocumentProblems:);

/// The OpenAPI document as JSON
///
/// What this service answers to which request, for tools and people.
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
    let document = openapi_json(&state.links().url("")).map_err(|error| unwritable(&error))?;
    Ok(HttpResponse::Ok().content_type("application/json").body(document))
}

/// The OpenAPI document as YAML
///
/// What this service answers to which request, for tools and people.
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
