//! Where an answer with a sensor leads, for tools that follow an operation with another.

use serde_json::json;
use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::response::Response;
use utoipa::openapi::{OpenApi, RefOr};

use super::{examples, methods};

/// The operations on the sensor that an answer shows.
const FOLLOWING: [(&str, &str); 5] = [
    ("readSensor", "Read it"),
    ("replaceSensor", "Replace it, if nobody else has changed it"),
    ("patchSensor", "Change it, if nobody else has"),
    ("reportValue", "Report a value of it, if nobody else has changed it"),
    ("deleteSensor", "Delete it, if nobody else has changed it"),
];

/// Adds the links to every answer that shows a sensor.
pub fn add(document: &mut OpenApi) {
    for (_, operation) in methods::all_mut(document) {
        for response in operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response
                && shows_sensor(response)
            {
                let links = FOLLOWING
                    .map(|(operation, description)| (operation.to_owned(), link(operation, description).into()));
                response.links.extend(links);
            }
        }
    }
}

fn shows_sensor(response: &Response) -> bool {
    let mut contents = response.content.values();
    contents.any(|content| matches!(content, RefOr::T(content) if examples::shows_sensor(content)))
}

fn link(operation: &str, description: &str) -> Link {
    let link = LinkBuilder::new()
        .operation_id(operation)
        .description(description)
        .parameter("sensor", json!("$response.body#/id"));
    match operation {
        "readSensor" => link.build(),
        _ => link
            .parameter("header.If-Match", json!("$response.header.ETag"))
            .build(),
    }
}
