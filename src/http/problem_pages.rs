//! `GET /problems/{slug}`: what stands behind the `type` of a problem document.

use actix_web::web::Path;
use actix_web::{HttpResponse, route};
use maud::html;

use super::documents::layout::{self, words};
use super::problem::{self, KINDS, Problem};

/// What a type of problem means and how to mend it
#[utoipa::path(
    get,
    operation_id = "problemPage",
    tag = "service",
    params(("slug" = String, Path, description = "The last segment of the `type`", example = "name-taken")),
    responses(
        (status = 200, description = "A short page", body = String, content_type = "text/html"),
        (status = 404, description = "There is no such type of problem"),
    ),
)]
#[route("/problems/{slug}", method = "GET", method = "HEAD")]
pub async fn page(slug: Path<String>) -> Result<HttpResponse, Problem> {
    let kind = KINDS.iter().find(|kind| kind.slug == slug.as_str());
    let kind = kind.ok_or_else(|| Problem::new(&problem::NOT_FOUND, "there is no such type of problem"))?;
    let content = html! {
        h1 { (kind.title) }
        p.lead { "HTTP status " (kind.status) }
        p { (words(kind.explanation)) }
    };
    Ok(layout::page("../", kind.title, &content))
}
