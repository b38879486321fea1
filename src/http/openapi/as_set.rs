//! What the settings make of the document: the topic of the events, and requests that need `If-Match`.

use serde_json::{Value as Json, json};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

use super::methods;
use crate::wire::link::LinkBase;

/// As the operations name it.
const TOPIC: &str = "`sensors/{id}`";
const IF_MATCH: &str = "If-Match";

/// Puts what stands before every topic before the one of the words.
pub fn name_topic(document: &mut OpenApi, links: &LinkBase) {
    let topic = format!("`{}`", links.topic(TOPIC.trim_matches('`')));
    let name = |text: &mut Option<String>| *text = text.take().map(|text| text.replace(TOPIC, &topic));
    name(&mut document.info.description);
    for (_, operation) in methods::all_mut(document) {
        name(&mut operation.description);
    }
}

/// Makes of `If-Match` what it is with `REQUIRE_IF_MATCH=true`, where a request can be refused for the want of it.
pub fn require_if_match(document: &mut OpenApi) {
    let can_lack_it = |operation: &Operation| operation.responses.responses.contains_key("428");
    for (_, operation) in methods::all_mut(document).filter(|(_, operation)| can_lack_it(operation)) {
        let may_create = operation.responses.responses.contains_key("201");
        for parameter in operation.parameters.iter_mut().flatten().filter(|own| is_if_match(own)) {
            *parameter = RefOr::T(if_match(may_create));
        }
        let Some(RefOr::T(body)) = &mut operation.request_body else {
            continue;
        };
        for content in body.content.values_mut() {
            if let RefOr::T(content) = content
                && let Some(operations) = content
                    .example
                    .as_mut()
                    .and_then(|example| example.get_mut("operations"))
            {
                // The first one creates the sensor of the others.
                operations
                    .as_array_mut()
                    .into_iter()
                    .flatten()
                    .skip(1)
                    .for_each(add_if_match);
            }
        }
    }
}

fn is_if_match(parameter: &RefOr<Parameter>) -> bool {
    match parameter {
        RefOr::Ref(shared) => shared.ref_location.rsplit('/').next() == Some(IF_MATCH),
        RefOr::T(own) => own.name == IF_MATCH,
    }
}

fn if_match(may_create: bool) -> Parameter {
    let (required, unless) = if may_create {
        (Required::False, "; not to create one")
    } else {
        (Required::True, "")
    };
    let description = format!(
        "The tags of the states in which to go on, separated by commas, or `*` for any; in another state the answer is 412. On this \
         service it is needed to change a sensor that is there{unless}"
    );
    ParameterBuilder::new()
        .name(IF_MATCH)
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some("*".into()))
        .build()
}

fn add_if_match(operation: &mut Json) {
    let headers = operation
        .as_object_mut()
        .map(|operation| operation.entry("headers").or_insert(json!({})));
    if let Some(headers) = headers {
        headers[IF_MATCH] = "*".into();
    }
}
