//! The OpenAPI document: what the operations say of themselves, completed with what holds for all of them.

mod as_set;
mod examples;
mod headers;
mod links;
mod methods;
mod to_try_out;
mod webhooks;

use actix_web::App;
use utoipa::OpenApi as _;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::{OpenApi, ServerBuilder};
use utoipa_actix_web::AppExt;

use super::documents::{Examples, Terms};
use super::problem::{self, KINDS, ProblemForm};
use super::routes;
use crate::wire::event::EventForm;
use crate::wire::link::LinkBase;

/// What the document says about the service as a whole.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "sensorcast",
        description = "The state of sensors over REST, every change to it over MQTT. A sensor lives at `/sensors/{id}`, and every change to it is announced on the MQTT topic `sensors/{id}`. One number, the revision, ties list, ETag and event together.",
        contact(name = "The maintainers of sensorcast"),
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "sensors", description = "The sensors, and how they change"),
        (name = "events", description = "The changes, as published on MQTT and kept in the log"),
        (name = "service", description = "The service itself"),
        (name = "methods", description = "HEAD and OPTIONS: the headers of a resource alone, and what it can do"),
    ),
    components(schemas(ProblemForm, EventForm)),
)]
struct Frame;

/// The OpenAPI document of a service with these links and settings.
///
/// # Errors
/// When an example cannot be made, which a test excludes.
pub fn openapi(links: &LinkBase, terms: Terms) -> anyhow::Result<OpenApi> {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(Frame::openapi())
        .configure(routes::configure)
        .split_for_parts();
    // Nobody has to log in, and that is meant.
    document.security = Some(Vec::new());
    document.servers = Some(vec![ServerBuilder::new().url(links.url("")).build()]);
    let events = Examples::new(links)?;
    document.webhooks = Some(webhooks::webhooks(&events, links, terms)?);
    self::links::add(&mut document);
    methods::add(&mut document);
    headers::add(&mut document, links);
    examples::add(&mut document, &events, links)?;
    as_set::name_topic(&mut document, links);
    if terms.require_if_match {
        as_set::require_if_match(&mut document);
    }
    add_problems(&mut document, links);
    Ok(document)
}

/// The document as YAML, for a service with these links and settings.
///
/// # Errors
/// When it cannot be written as YAML, which a test excludes.
pub fn openapi_yaml(links: &LinkBase, terms: Terms) -> anyhow::Result<String> {
    Ok(openapi(links, terms)?.to_yaml()?)
}

/// The document as JSON, for a service with these links and settings.
///
/// # Errors
/// When it cannot be written as JSON, which a test excludes.
pub fn openapi_json(links: &LinkBase, terms: Terms) -> anyhow::Result<String> {
    Ok(openapi(links, terms)?.to_pretty_json()?)
}

/// The document as JSON, for the Swagger UI of a service with these links and settings.
///
/// # Errors
/// When it cannot be written as JSON, which a test excludes.
pub fn openapi_json_to_try_out(links: &LinkBase, terms: Terms) -> anyhow::Result<String> {
    let mut document = openapi(links, terms)?;
    to_try_out::adapt(&mut document)?;
    if terms.require_if_match {
        // It is not left empty, also where it need not be there.
        as_set::require_if_match(&mut document);
    }
    Ok(document.to_json()?)
}

/// An answer of every kind of problem that the operations refer to: all but 405, which no operation answers with.
fn add_problems(document: &mut OpenApi, links: &LinkBase) {
    let answered = KINDS.iter().filter(|kind| **kind != &problem::METHOD_NOT_ALLOWED);
    let examples = answered.map(|kind| {
        let value = problem::example(kind, links);
        let example: Example = ExampleBuilder::new().summary(kind.title).value(Some(value)).build();
        (kind.slug.to_owned(), example.into())
    });
    document.components.get_or_insert_default().examples.extend(examples);
}
