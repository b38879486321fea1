//! `GET /problems`, `/problems/{slug}`: what stands behind the `type` of a problem document.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, route};
use maud::{Markup, html};
use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::HttpState;
use super::documents::layout::{self, paragraphs, words};
use super::problem::{self, KINDS, Problem, problem_responses};

problem_responses!(IndexProblems:);
problem_responses!(PageProblems: NOT_FOUND);

/// A status in the words of RFC 9110, which are newer than those of the library.
fn status_line(status: StatusCode) -> String {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "413 Content Too Large".to_owned(),
        StatusCode::UNPROCESSABLE_ENTITY => "422 Unprocessable Content".to_owned(),
        status => status.to_string(),
    }
}

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

/// Every kind of problem with a link to its page, for pages in the root folder of the service.
pub(super) fn table() -> Markup {
    let mut kinds = KINDS.to_vec();
    kinds.sort_by_key(|kind| kind.status);
    html! {
        div.scroll { table {
            thead { tr { th scope="col" { "Status" } th scope="col" { "Problem" } } }
            tbody {
                @for kind in kinds {
                    tr { td { (kind.status.as_u16()) } td { a href={ "problems/" (kind.slug) } { (words(kind.title)) } } }
                }
            }
        } }
    }
}

/// Every type of problem
///
/// The titles, with a link to the page of each.
#[utoipa::path(
    get,
    operation_id = "problemPages",
    tag = "service",
    responses(
        (status = 200, description = "A short page", body = String, content_type = "text/html",
            example = "<!doctype html>\n<html lang=\"en\">…</html>"),
        IndexProblems,
    ),
)]
#[route("/problems", method = "GET", method = "HEAD")]
pub async fn index() -> HttpResponse {
    let content = html! {
        h1 { "Problems" }
        p.lead { "Every error is a problem document (RFC 9457); its " code { "type" } " is one of these pages." }
        (table())
    };
    layout::page("", "Problems", &content)
}

/// What a type of problem means and how to fix it
///
/// What happened, how to fix it, and an example of an answer.
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
    // Every word of the page is from the table of problems, none from the request.
    let content = html! {
        h1 { (kind.title) }
        p.lead { "HTTP status " (status_line(kind.status)) }
        h2 { "What happened" }
        (paragraphs(kind.happened))
        h2 { "How to fix it" }
        (paragraphs(kind.fix))
        h2 { "For example" }
        p { code { (kind.example.request) } " is answered with" }
        pre { code { (format!("{:#}", problem::example(kind, state.links()))) } }
    };
    Ok(layout::page("../", kind.title, &content))
}
