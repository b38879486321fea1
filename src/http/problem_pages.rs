//! `GET /problems/{slug}`: what stands behind the `type` of a problem document.

use actix_web::web::Path;
use actix_web::{HttpResponse, route};

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
    let (status, title, explanation) = (kind.status, kind.title, escape(kind.explanation));
    // Every word of the page is from the table of problems, none from the request.
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body><h1>{title}</h1>\n<p>HTTP status {status}</p>\n<p>{explanation}</p>\n\
         <p><a href=\"../docs\">All operations and their answers</a></p></body></html>\n"
    );
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(html))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
