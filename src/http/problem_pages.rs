//! `GET /problems/{slug}`: what stands behind the `type` of a problem document.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, route};
use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::HttpState;
use super::problem::{self, KINDS, Problem, problem_responses};

problem_responses!(PageProblems: NOT_FOUND);

/// The last segment of a problem's `type`.
struct Slug;

impl PartialSchema for Slug {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(KINDS.iter().map(|kind| kind.slug)))
            .into()
    }
}

/// What a type of problem means and how to mend it
///
/// What happened, how to mend it, and an example of an answer.
#[utoipa::path(
    get,
    operation_id = "problemPage",
    tag = "service",
    params(("slug" = inline(Slug), Path, description = "The last segment of the `type`", example = "name-taken")),
    responses(
        (status = 200, description = "A short page", body = String, content_type = "text/html",
            example = "<!doctype html>\n<html lang=\"en\">…</html>"),
        PageProblems,
    ),
)]
#[route("/problems/{slug}", method = "GET", method = "HEAD")]
pub async fn page(slug: Path<String>, state: Data<HttpState>) -> Result<HttpResponse, Problem> {
    let kind = KINDS.iter().find(|kind| kind.slug == slug.as_str());
    let kind = kind.ok_or_else(|| Problem::new(&problem::NOT_FOUND, "there is no such type of problem"))?;
    let (status, title, request) = (kind.status, kind.title, kind.example.request);
    let (happened, fix) = (escape(kind.happened), escape(kind.fix));
    let answer = escape(&format!("{:#}", problem::example(kind, state.links())));
    // Every word of the page is from the table of problems, none from the request.
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body><h1>{title}</h1>\n<p>HTTP status {status}</p>\n\
         <h2>What happened</h2>\n<p>{happened}</p>\n\
         <h2>How to mend it</h2>\n<p>{fix}</p>\n\
         <h2>For example</h2>\n<p><code>{request}</code> is answered with</p>\n<pre>{answer}</pre>\n\
         <p><a href=\"../docs\">All operations and their answers</a></p></body></html>\n"
    );
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(html))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
