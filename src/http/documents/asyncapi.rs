//! The AsyncAPI 3.0 document: the broker, the topics, and the messages on them.

use serde_json::{Map, Value as Json, json};

use super::Terms;
use super::event_examples::{Example, Examples};
use super::schemas::{reference_to, schemas_of};
use crate::wire::attributes::AttributesForm;
use crate::wire::event::EventForm;
use crate::wire::link::LinkBase;
use crate::wire::presence::{Presence, PresenceForm};
use crate::wire::representation::SensorForm;

/// The version of the MQTT bindings that all of them are written in.
const BINDING_VERSION: &str = "0.2.0";
const MEDIA_TYPE: &str = "application/json";
const PLAIN_TEXT: &str = "text/plain";

/// The document of a service with these links.
///
/// # Errors
/// When a schema or an example cannot be written, which a test excludes.
pub fn asyncapi(links: &LinkBase, terms: Terms) -> anyhow::Result<Json> {
    let examples = Examples::new(links)?;
    Ok(json!({
        "asyncapi": "3.0.0",
        "id": links.url("/asyncapi.json"),
        "info": info(links, terms),
        "defaultContentType": MEDIA_TYPE,
        "servers": {"broker": server(links, &examples.offline)},
        "channels": channels(links, terms),
        "operations": operations(terms),
        "components": {
            "messages": messages(&examples)?,
            "schemas": schemas()?,
        },
    }))
}

fn info(links: &LinkBase, terms: Terms) -> Json {
    let topic = links.topic("sensors/{id}");
    let how_surely = terms.how_surely();
    json!({
        "title": "sensorcast events",
        "version": env!("CARGO_PKG_VERSION"),
        "description": format!("Every change of a sensor, published over MQTT: of `/sensors/{{id}}` on the topic `{topic}`. One \
            number, the revision, is both the ETag of a sensor and the number of its event. Events come {how_surely}, in the \
            order of their revisions; ignore a revision that you already have, and read one that you miss from `/events`."),
        "license": {"name": "MIT OR Apache-2.0"},
        "externalDocs": {"description": "The same as a page", "url": links.url("/docs/events")},
        "tags": [{"name": "sensors", "description": "The sensors, and how they change"}],
    })
}

fn server(links: &LinkBase, last_will: &Example) -> Json {
    let (scheme, address) = links.mqtt_url().split_once("://").unwrap_or(("mqtt", links.mqtt_url()));
    let (host, path) = match address.split_once('/') {
        Some((host, path)) => (host, Some(format!("/{path}"))),
        None => (address, None),
    };
    let mut server = json!({
        "host": host,
        "protocol": if scheme == "mqtts" { "secure-mqtt" } else { scheme },
        "protocolVersion": "5",
        "title": "MQTT broker",
        "description": "The broker that the events are published to. Subscribers with MQTT 3.1.1 get the same \
            payloads, without the user properties.",
        "bindings": {"mqtt": {
            "lastWill": {
                "topic": links.topic("sensors"),
                "qos": Presence::QOS,
                "retain": true,
                "message": last_will.payload,
            },
            "bindingVersion": BINDING_VERSION,
        }},
    });
    if let Some(path) = path {
        server["pathname"] = json!(path);
    }
    server
}

fn channels(links: &LinkBase, terms: Terms) -> Json {
    let id = json!({
        "description": "The id of the sensor, a UUID in lower case; `+` in a subscription means every sensor",
        "examples": ["01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90"],
    });
    let state_setting = if terms.retain_state { "on" } else { "off" };
    json!({
        "sensor": {
            "address": links.topic("sensors/{id}"),
            "title": "Changes of a sensor",
            "description": "Every change, as one event. Subscribe with `+` in place of the id to receive the changes \
                of every sensor in the order of their revisions.",
            "servers": [{"$ref": "#/servers/broker"}],
            "parameters": {"id": id},
            "messages": {
                "created": {"$ref": "#/components/messages/created"},
                "modified": {"$ref": "#/components/messages/modified"},
                "deleted": {"$ref": "#/components/messages/deleted"},
            },
        },
        "collection": {
            "address": links.topic("sensors"),
            "title": "Head and presence",
            "description": "One retained message: whether the service publishes, and the newest revision, refreshed \
                every 5 seconds, and sooner after a change. A subscriber that has an older revision has missed events. As the Last \
                Will, the broker puts `offline` here when it loses the service, with the revision at the time of the \
                connect: while the service is not `online`, only the log tells what is missing.",
            "servers": [{"$ref": "#/servers/broker"}],
            "messages": {"presence": {"$ref": "#/components/messages/presence"}},
        },
        "state": {
            "address": links.topic("sensors/{id}/state"),
            "title": "State of a sensor",
            "description": format!("Only when the service runs with `MQTT_RETAIN_STATE=true`; on this service it is \
                {state_setting}. The current representation, retained, so that a subscriber has it at once; an empty \
                message clears it when the sensor is deleted."),
            "servers": [{"$ref": "#/servers/broker"}],
            "parameters": {"id": id},
            "messages": {"state": {"$ref": "#/components/messages/state"}},
        },
        "mark": {
            "address": links.topic("sensors/state/relayed"),
            "title": "Mark of the states",
            "description": format!("Only when the service runs with `MQTT_RETAIN_STATE=true`; on this service it is \
                {state_setting}. One retained message, by which the service finds out what this broker has of the states; \
                it has no meaning for others."),
            "servers": [{"$ref": "#/servers/broker"}],
            "messages": {"mark": {"$ref": "#/components/messages/mark"}},
        },
    })
}

fn operations(terms: Terms) -> Json {
    let operation = |channel: &str, title: &str, summary: &str, messages: &[&str], qos: u8, retain: bool| {
        let messages: Vec<_> = messages
            .iter()
            .map(|message| json!({"$ref": format!("#/channels/{channel}/messages/{message}")}))
            .collect();
        json!({
            "action": "send",
            "channel": {"$ref": format!("#/channels/{channel}")},
            "title": title,
            "summary": summary,
            "tags": [{"name": "sensors"}],
            "messages": messages,
            "bindings": {"mqtt": {"qos": qos, "retain": retain, "bindingVersion": BINDING_VERSION}},
        })
    };
    json!({
        "announceChange": operation(
            "sensor",
            "Announce a change",
            "Follows every POST, PUT, PATCH and DELETE that changes a sensor",
            &["created", "modified", "deleted"],
            terms.qos,
            false,
        ),
        "announcePresence": operation(
            "collection",
            "Announce head and presence",
            "At the start, at the end, every 5 seconds, and sooner after a change",
            &["presence"],
            Presence::QOS,
            true,
        ),
        "keepState": operation(
            "state",
            "Keep the state",
            "After every change, when `MQTT_RETAIN_STATE=true`",
            &["state"],
            terms.qos,
            true,
        ),
        "keepMark": operation(
            "mark",
            "Keep the mark",
            "Once the broker has every state up to it, and no more than once a second; only with `MQTT_RETAIN_STATE=true`",
            &["mark"],
            Presence::QOS,
            true,
        ),
    })
}

fn messages(examples: &Examples) -> anyhow::Result<Json> {
    // As good as `false`, and what generators understand.
    let absent = json!({"not": {}});
    let event = |event: &str, required: &[&str], refinement: Json| {
        let mut properties = refinement;
        properties["event"] = json!({"const": event});
        json!({"allOf": [
            reference_to::<EventForm>(),
            {"type": "object", "required": required, "properties": properties},
        ]})
    };
    let created = event("created", &["state"], json!({"previous": absent, "changes": absent}));
    let mut modified = event("modified", &["previous"], json!({}));
    modified["oneOf"] = json!([{"required": ["state"]}, {"required": ["changes"]}]);
    let deleted = event("deleted", &["previous"], json!({"state": absent, "changes": absent}));
    Ok(json!({
        "created": message(
            "SensorCreated",
            "There is a new sensor, after a POST or a PUT. `state` is its representation.",
            &created,
            &[&examples.created],
        )?,
        "modified": message(
            "SensorModified",
            "A sensor has changed. Exactly one of two members tells how: after a PUT of it `state` is the new representation, after a PATCH \
             or a PUT of its value `changes` is a merge patch (RFC 7396) from the old one to the new one.",
            &modified,
            &[&examples.patched, &examples.replaced],
        )?,
        "deleted": message("SensorDeleted", "A sensor is gone, after a DELETE.", &deleted, &[&examples.deleted])?,
        "presence": message(
            "Presence",
            "Whether the service publishes, and the newest revision.",
            &reference_to::<PresenceForm>(),
            &[&examples.online, &examples.offline],
        )?,
        "state": message(
            "SensorState",
            "A sensor as a GET returns it.",
            &reference_to::<SensorForm>(),
            &[&examples.state],
        )?,
        "mark": mark(&examples.mark),
    }))
}

/// The one message that is not JSON; on the wire nothing says what it is.
fn mark(example: &Example) -> Json {
    json!({
        "name": "Mark",
        "title": "Mark",
        "summary": "The cursor of the last event whose state, like that of every event before it, the broker was given.",
        "contentType": PLAIN_TEXT,
        "payload": {"type": "string", "pattern": "^[a-z2-7]{8}[.](0|[1-9][0-9]{0,17})$"},
        "examples": [{"name": example.name, "summary": example.summary, "payload": example.payload}],
    })
}

fn message(title: &str, summary: &str, payload: &Json, examples: &[&Example]) -> anyhow::Result<Json> {
    let has_attributes = examples.iter().any(|example| example.attributes.is_some());
    let examples: Vec<_> = examples
        .iter()
        .map(|example| {
            let mut form = json!({
                "name": example.name,
                "summary": example.summary,
                "payload": serde_json::from_str::<Json>(&example.payload)?,
            });
            if let Some(attributes) = &example.attributes {
                form["headers"] = serde_json::to_value(attributes)?;
            }
            Ok(form)
        })
        .collect::<serde_json::Result<_>>()?;
    let mut message = json!({
        "name": title,
        "title": title,
        "summary": summary,
        "contentType": MEDIA_TYPE,
        "payload": payload,
        "bindings": {"mqtt": {
            // The payload is UTF-8 (MQTT 5 §3.3.2.3.2).
            "payloadFormatIndicator": 1,
            "contentType": MEDIA_TYPE,
            "bindingVersion": BINDING_VERSION,
        }},
        "examples": examples,
    });
    if has_attributes {
        message["headers"] = reference_to::<AttributesForm>();
    }
    Ok(message)
}

fn schemas() -> serde_json::Result<Map<String, Json>> {
    let mut schemas = schemas_of::<EventForm<'_>>()?;
    schemas.append(&mut schemas_of::<SensorForm>()?);
    schemas.append(&mut schemas_of::<PresenceForm<'_>>()?);
    schemas.append(&mut schemas_of::<AttributesForm>()?);
    Ok(schemas)
}
