//! The events, as webhooks: what the service sends on its own. It sends them over MQTT, and no HTTP request is made.

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem, Paths, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{Ref, Required};

use crate::domain::ChangeKind;

/// One webhook an event, named as `event` names it.
pub fn webhooks() -> Paths {
    let webhook = |kind, published| {
        let event: &str = ChangeKind::as_str(kind);
        (event, webhook(event, published))
    };
    let all = [
        webhook(
            ChangeKind::Created,
            "`createSensor` publishes it with the `state`, and so does `replaceSensor` when it creates.",
        ),
        webhook(
            ChangeKind::Modified,
            "`patchSensor` and `reportValue` publish it with the `changes`, `replaceSensor` with the `state`; none does when nothing changes.",
        ),
        webhook(ChangeKind::Deleted, "`deleteSensor` publishes it."),
    ];
    all.into_iter()
        .fold(PathsBuilder::new(), |paths, (name, item)| paths.path(name, item))
        .build()
}

fn webhook(event: &str, published: &str) -> PathItem {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Event")))
        .build();
    let body = RequestBodyBuilder::new()
        .description(Some("The payload of the message"))
        .content("application/json", content)
        .required(Some(Required::True));
    let nothing = ResponseBuilder::new().description("Nothing is answered: a subscriber acknowledges as MQTT has it");
    let operation = OperationBuilder::new()
        .tag("events")
        .operation_id(Some(format!("{event}Event")))
        .summary(Some(format!("A sensor was {event}")))
        .description(Some(format!(
            "Published on the MQTT topic `sensors/{{id}}`, at least once and in the order of the revisions. {published}"
        )))
        .request_body(Some(body.build()))
        .response("204", nothing);
    PathItem::new(HttpMethod::Post, operation)
}
