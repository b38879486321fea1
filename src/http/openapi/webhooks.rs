//! The events, as webhooks: what the service sends on its own. It sends them over MQTT, and no HTTP request is made.

use serde_json::Value as Json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem, Paths, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{Ref, Required};

use crate::domain::ChangeKind;
use crate::http::documents::{Example, Examples, Terms};
use crate::wire::link::LinkBase;

/// One webhook an event, named as `event` names it.
///
/// # Errors
/// When an example is no JSON, which a test excludes.
pub fn webhooks(examples: &Examples, links: &LinkBase, terms: Terms) -> serde_json::Result<Paths> {
    let (topic, how_surely) = (links.topic("sensors/{id}"), terms.how_surely());
    let webhook = |kind, example: &Example, published| {
        let event: &str = ChangeKind::as_str(kind);
        let published = format!(
            "Published on the MQTT topic `{topic}`, {how_surely} and in the order of the revisions. {published}"
        );
        Ok((
            event,
            webhook(event, serde_json::from_str(&example.payload)?, published),
        ))
    };
    let all = [
        webhook(
            ChangeKind::Created,
            &examples.created,
            "`createSensor` publishes it with the `state`, and so does `replaceSensor` when it creates.",
        ),
        webhook(
            ChangeKind::Modified,
            &examples.patched,
            "`patchSensor` and `reportValue` publish it with the `changes`, `replaceSensor` with the `state`; none does when nothing changes.",
        ),
        webhook(ChangeKind::Deleted, &examples.deleted, "`deleteSensor` publishes it."),
    ];
    let all: Vec<(&str, PathItem)> = all.into_iter().collect::<serde_json::Result<_>>()?;
    let paths = all.into_iter();
    Ok(paths
        .fold(PathsBuilder::new(), |paths, (name, item)| paths.path(name, item))
        .build())
}

fn webhook(event: &str, example: Json, description: String) -> PathItem {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Event")))
        .example(Some(example))
        .build();
    let body = RequestBodyBuilder::new()
        .description(Some("The payload of the message"))
        .content("application/json", content)
        .required(Some(Required::True));
    let nothing =
        ResponseBuilder::new().description("There is no HTTP answer: a subscriber acknowledges the message over MQTT");
    let operation = OperationBuilder::new()
        .tag("events")
        .operation_id(Some(format!("{event}Event")))
        .summary(Some(format!("A sensor was {event}")))
        .description(Some(description))
        .request_body(Some(body.build()))
        .response("204", nothing);
    PathItem::new(HttpMethod::Post, operation)
}
