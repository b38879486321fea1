//! `GET /docs`, `/docs/rest/`, `/docs/events`: the contract as pages. Nothing on them comes from another host, and all but
//! Swagger UI work without scripts.

use actix_web::http::header;
use actix_web::web::{self, Data, Path};
use actix_web::{HttpResponse, route};
use maud::{Markup, html};

use super::super::HttpState;
use super::super::allow::allow;
use super::super::problem::{self, KINDS, Problem};
use super::super::problem_pages;
use super::Terms;
use super::event_examples::Examples;
use super::layout::page;
use super::{asyncapi, events_page, swagger, unwritable};
use crate::wire::link::LinkBase;

/// Adds the pages, which are no operations of the document.
pub fn configure(config: &mut web::ServiceConfig) {
    const METHODS: &str = "GET, HEAD, OPTIONS";
    config.service(overview).service(allow("/docs", METHODS));
    config.service(overview_with_slash).service(allow("/docs/", METHODS));
    config.service(style).service(allow("/docs/style.css", METHODS));
    config.service(events).service(allow("/docs/events", METHODS));
    config
        .service(events_with_slash)
        .service(allow("/docs/events/", METHODS));
    config
        .service(problems_with_slash)
        .service(allow("/problems/", METHODS));
    config
        .service(problem_with_slash)
        .service(allow("/problems/{slug}/", METHODS));
    config.service(rest_without_slash).service(allow("/docs/rest", METHODS));
    swagger::configure(config, METHODS);
}

#[route("/docs", method = "GET", method = "HEAD")]
async fn overview(state: Data<HttpState>) -> HttpResponse {
    page("", "Documentation", &overview_content(state.links(), state.terms))
}

fn overview_content(links: &LinkBase, terms: Terms) -> Markup {
    let base = links.url("");
    let tag = if terms.require_if_match {
        " -H 'If-Match: *'"
    } else {
        ""
    };
    html! {
        h1 { "sensorcast" }
        p.lead {
            "REST holds the state of sensors, MQTT carries every change to it: a sensor lives at "
            code { "/sensors/{id}" } ", and its changes are announced on the topic " code { (links.topic("sensors/{id}")) } "."
        }
        div.cards {
            a.card href="docs/rest/" {
                strong { "REST" }
                p { "Every operation and its responses, ready to try." }
            }
            a.card href="docs/events" {
                strong { "Events" }
                p { "The MQTT side: topics, messages, and how to subscribe." }
            }
        }
        h2 { "In one minute" }
        p { "Create a sensor and report a value; a subscriber to the events sees both." }
        pre { code {
            "curl " (base) "/sensors -H 'Content-Type: application/json' \\\n     -d '{\"name\": \"boiler-temp\", \"unit\": \"Cel\"}'\n\n"
            "curl -X PATCH " (base) "/sensors/boiler-temp" (tag) " -H 'Content-Type: application/merge-patch+json' \\\n     -d '{\"value\": 21.5}'"
        } }
        h2 { "For programs" }
        div.scroll { table { tbody {
            tr { td { "REST, as OpenAPI 3.1" } td { a href="openapi.json" { "openapi.json" } } td { a href="openapi.yaml" { "openapi.yaml" } } }
            tr { td { "Events, as AsyncAPI 3.0" } td { a href="asyncapi.json" { "asyncapi.json" } } td { a href="asyncapi.yaml" { "asyncapi.yaml" } } }
            tr { td { "How the service is doing" } td { a href="health/ready" { "health/ready" } } td { a href="metrics" { "metrics" } } }
        } } }
        h2 { "When something is refused" }
        p { "Every error is a problem document (RFC 9457); its " code { "type" } " is one of these pages." }
        (problem_pages::table())
    }
}

#[route("/docs/events", method = "GET", method = "HEAD")]
async fn events(state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let document = asyncapi::asyncapi(state.links(), state.terms).map_err(|error| unwritable(&error))?;
    let examples = Examples::new(state.links()).map_err(|error| unwritable(&error))?;
    Ok(page(
        "../",
        "Events",
        &events_page::content(&document, &examples, state.terms),
    ))
}

#[route("/docs/style.css", method = "GET", method = "HEAD")]
async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .body(include_str!("style.css"))
}

/// The links on the page are relative to `/docs`.
#[route("/docs/", method = "GET", method = "HEAD")]
async fn overview_with_slash() -> HttpResponse {
    redirect("../docs")
}

#[route("/docs/events/", method = "GET", method = "HEAD")]
async fn events_with_slash() -> HttpResponse {
    redirect("../events")
}

#[route("/problems/", method = "GET", method = "HEAD")]
async fn problems_with_slash() -> HttpResponse {
    redirect("../problems")
}

#[route("/problems/{slug}/", method = "GET", method = "HEAD")]
async fn problem_with_slash(slug: Path<String>) -> Result<HttpResponse, Problem> {
    let kind = KINDS.iter().find(|kind| kind.slug == slug.as_str());
    let kind = kind.ok_or_else(|| Problem::of_kind(&problem::NOT_FOUND))?;
    Ok(redirect(&format!("../{}", kind.slug)))
}

/// The links of Swagger UI are relative to `/docs/rest/`.
#[route("/docs/rest", method = "GET", method = "HEAD")]
async fn rest_without_slash() -> HttpResponse {
    redirect("rest/")
}

/// A target that is relative (RFC 9110 §10.2.2) is right behind a proxy, too.
fn redirect(target: &str) -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, target))
        .finish()
}
