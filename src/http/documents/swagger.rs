//! `/docs/rest/`: Swagger UI, as it comes with its crate, on a page of ours.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, Data, Path};
use actix_web::{HttpResponse, route};
use bytes::Bytes;
use maud::{DOCTYPE, Markup, html};
use sha2::{Digest, Sha256};
use utoipa_swagger_ui::Config;

use super::super::HttpState;
use super::super::allow::allow;
use super::super::openapi::openapi_json_to_try_out;
use super::super::problem::{self, Problem};
use super::{layout, once};

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// What Swagger UI leaves to be done: its dark colours leave some texts as dark as the paper, the boxes of code in a text
/// cover the lines above and below, and a wide table makes the whole page wide.
const STYLE: &str = "\
html.dark-mode .swagger-ui :is(.header-col, .examples-select__section-label) { color: #b5bac9; }
.swagger-ui :is(.markdown, .renderedMarkdown) :is(p, li, td) { line-height: 1.7; }
.swagger-ui :is(.markdown, .renderedMarkdown) code { padding: 2px 5px; }
.swagger-ui :is(.opblock-body, .opblock-section, .responses-inner, .table-container) { overflow-x: auto; }
";
/// Long enough for a visit; after that one request tells that nothing has changed.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("max-age=3600");

/// Adds the page and what it is made of.
pub fn configure(config: &mut web::ServiceConfig, methods: &'static str) {
    config.service(page).service(allow("/docs/rest/", methods));
    config
        .service(document)
        .service(allow("/docs/rest/openapi.json", methods));
    config.service(asset).service(allow("/docs/rest/{file}", methods));
}

#[route("/docs/rest/", method = "GET", method = "HEAD")]
async fn page() -> HttpResponse {
    layout::answer(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (layout::head("REST"))
                link rel="stylesheet" href="swagger-ui.css";
                link rel="stylesheet" href="index.css";
                style { (STYLE) }
            }
            body { (content()) }
        }
    })
}

fn content() -> Markup {
    html! {
        // Swagger UI puts itself in the place of the words; they are all that there is when its scripts are switched off or lost.
        div #swagger-ui {
            p style="margin: 2rem; font-family: sans-serif" {
                "This page is shown by scripts, which have not come yet; " a href="../../openapi.yaml" { "openapi.yaml" } " says the same."
            }
        }
        script src="swagger-ui-bundle.js" {}
        script src="swagger.js" {}
    }
}

/// The OpenAPI document for Swagger UI.
#[route("/docs/rest/openapi.json", method = "GET", method = "HEAD")]
async fn document(state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let write = || openapi_json_to_try_out(state.links(), state.terms);
    let document = once(&state.documents.0.to_try_out, write)?;
    Ok(HttpResponse::Ok().content_type("application/json").body(document))
}

#[route("/docs/rest/{file}", method = "GET", method = "HEAD")]
async fn asset(file: Path<String>) -> Result<HttpResponse, Problem> {
    let asset = ASSETS.get(file.as_str());
    let asset = asset.ok_or_else(|| Problem::of_kind(&problem::NOT_FOUND))?;
    Ok(asset.answer())
}

/// What the page loads.
static ASSETS: LazyLock<HashMap<&'static str, Asset>> = LazyLock::new(|| {
    let vendored = [
        ("swagger-ui.css", CSS),
        ("index.css", CSS),
        ("swagger-ui-bundle.js", SCRIPT),
    ];
    let vendored = vendored.into_iter().filter_map(|(name, media_type)| {
        // Only its own script would be made from the configuration.
        let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default())).ok()??;
        Some((name, Asset::new(media_type, file.bytes.into_owned().into())))
    });
    let own = Asset::new(SCRIPT, Bytes::from_static(include_bytes!("swagger.js")));
    vendored.chain([("swagger.js", own)]).collect()
});

struct Asset {
    media_type: &'static str,
    bytes: Bytes,
    tag: HeaderValue,
}

impl Asset {
    fn new(media_type: &'static str, bytes: Bytes) -> Self {
        let tag = HeaderValue::try_from(format!("\"{:x}\"", Sha256::digest(&bytes)));
        Self {
            media_type,
            bytes,
            tag: tag.unwrap_or_else(|_| HeaderValue::from_static("\"\"")),
        }
    }

    /// The whole of it; the coding makes a 304 of that for who has it.
    fn answer(&self) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((header::ETAG, self.tag.clone()))
            .insert_header((header::CACHE_CONTROL, CACHE_CONTROL))
            .content_type(self.media_type)
            .body(self.bytes.clone())
    }
}
