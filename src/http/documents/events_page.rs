//! The page of the events, made from the AsyncAPI document.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::Terms;
use super::event_examples::{Example, Examples};
use super::indent::indented;
use super::layout::{paragraphs, words};
use super::members::{Member, members, resolve, type_of};

/// The schemas whose members are in the table of a message, or of the schema that includes them.
const SHOWN_ABOVE: &[&str] = &["Event", "EventAttributes", "Presence", "SensorProperties"];

/// What stands on the page. `examples` are those of the document, in the order of their bytes.
#[must_use]
pub fn content(document: &Json, examples: &Examples, terms: Terms) -> Markup {
    html! {
        h1 { "Events" }
        p.lead { (text(&document["info"]["description"])) }
        p {
            "This page is made from the AsyncAPI document: "
            a href="../asyncapi.json" { "asyncapi.json" } ", " a href="../asyncapi.yaml" { "asyncapi.yaml" } "."
        }
        (broker(document))
        (subscribe(document, terms))
        @for key in ["sensor", "collection", "state", "mark"] {
            (channel(document, key, examples))
        }
        h2 #user-properties { "MQTT 5 properties" }
        p { "A message says its content type and that it is UTF-8. An event has the CloudEvents attributes as user "
            "properties besides; the payload is the same without them. A broker may add properties of its own." }
        (table(document, &document["components"]["schemas"]["EventAttributes"], "Property"))
        h2 { "Schemas" }
        p { "They are the same in the REST documentation." }
        @for (name, schema) in object(&document["components"]["schemas"]) {
            @if !SHOWN_ABOVE.contains(&name.as_str()) { (schema_section(document, name, schema)) }
        }
    }
}

fn broker(document: &Json) -> Markup {
    let server = &document["servers"]["broker"];
    let binding = &server["bindings"]["mqtt"];
    let last_will = &binding["lastWill"];
    html! {
        h2 { "The broker" }
        (paragraphs(str(&server["description"])))
        dl {
            dt { "Address" } dd { code { (str(&server["host"])) (str(&server["pathname"])) } }
            dt { "Protocol" } dd { (str(&server["protocol"])) ", MQTT " (str(&server["protocolVersion"])) }
            dt { "Last Will" }
            dd {
                "on " code { (str(&last_will["topic"])) } ", QoS " (scalar(&last_will["qos"]))
                @if last_will["retain"] == true { ", retained" }
                ": " code { (str(&last_will["message"])) }
            }
        }
    }
}

fn subscribe(document: &Json, terms: Terms) -> Markup {
    let server = &document["servers"]["broker"];
    let topic = |key: &str| str(&document["channels"][key]["address"]).replace("{id}", "+");
    let command = |options: &str, topic: &str| {
        let connection = match str(&server["protocol"]) {
            "mqtt" => String::new(),
            "secure-mqtt" => " --capath /etc/ssl/certs".to_owned(),
            _ => return None,
        };
        let (host, port) = host_and_port(str(&server["host"]), connection.is_empty());
        Some(format!(
            "mosquitto_sub -h {host} -p {port}{connection} {options} -t {}",
            shell_quoted(topic)
        ))
    };
    let commands = [
        (
            format!("Every change of every sensor, {}:", terms.how_surely()),
            command("-q 1 -v", &topic("sensor")),
        ),
        (
            "The same with the MQTT 5 user properties before the payload:".to_owned(),
            command("-V mqttv5 -q 1 -F '%t %P %p'", &topic("sensor")),
        ),
        (
            "Presence and newest revision; retained, so a subscriber gets it at once:".to_owned(),
            command("-q 1", &topic("collection")),
        ),
    ];
    html! {
        h2 { "Subscribe" }
        @for (what, command) in &commands {
            @if let Some(command) = command { p { (what) } pre { code { (command) } } }
        }
        @if commands.iter().all(|(_, command)| command.is_none()) {
            p {
                "This broker is reached through WebSockets: connect a client that can do that, MQTT.js or Paho for example, to "
                code { (str(&server["protocol"])) "://" (str(&server["host"])) (str(&server["pathname"])) } ", and subscribe to "
                code { (topic("sensor")) } " for every change of every sensor, " (terms.how_surely()) ", or to "
                code { (topic("collection")) } " for presence and newest revision; retained, so a subscriber gets it at once."
            }
        }
        p {
            "To keep an exact copy: subscribe to " code { (topic("sensor")) } " and hold what comes; read all pages of "
            code { "GET /sensors" } "; apply the held events whose " code { "revision" } " is higher than that of the "
            "first page; go on with what comes. A gap in the revisions means that something was missed: read "
            code { "GET /events?after=" } " from your last cursor. Do so after ten seconds of silence, too. If that is answered with 410, "
            "or if anything has another " code { "epoch" } ", start over."
        }
    }
}

fn channel(document: &Json, key: &str, examples: &Examples) -> Markup {
    let channel = &document["channels"][key];
    let own = format!("#/channels/{key}");
    let operations = object(&document["operations"])
        .map(|(_, operation)| operation)
        .filter(|operation| operation["channel"]["$ref"] == own.as_str());
    let order = ["created", "modified", "deleted", "presence", "state", "mark"];
    html! {
        h2 id=(key) { (str(&channel["title"])) }
        p.topic { code { (str(&channel["address"])) } }
        (paragraphs(str(&channel["description"])))
        @for operation in operations {
            @let binding = &operation["bindings"]["mqtt"];
            dl {
                dt { "Sent" } dd { (text(&operation["summary"])) }
                dt { "Delivery" } dd { "QoS " (scalar(&binding["qos"])) @if binding["retain"] == true { ", retained" } @else { ", not retained" } }
            }
        }
        @for name in order {
            @if let Some(found) = channel["messages"].get(name) { (message(document, resolve(document, found), examples)) }
        }
    }
}

fn message(document: &Json, message: &Json, examples: &Examples) -> Markup {
    let own = array(&message["examples"]).filter_map(|example| examples.named(str(&example["name"])));
    html! {
        section.message {
            h3 { (str(&message["title"])) }
            (paragraphs(str(&message["summary"])))
            (payload(document, &message["payload"]))
            @if message.get("headers").is_some() {
                p { "With " a href="#user-properties" { "user properties" } "." }
            }
            @for (index, example) in own.enumerate() { (example_of(example, index == 0)) }
        }
    }
}

fn example_of(example: &Example, is_open: bool) -> Markup {
    html! {
        details open[is_open] {
            summary { "Example: " (example.summary) }
            @if let Some(attributes) = &example.attributes {
                pre { code { @for (name, value) in attributes.pairs() { (name) ": " (value) "\n" } } }
            }
            pre { code { (indented(&example.payload)) } }
        }
    }
}

fn schema_section(document: &Json, name: &str, schema: &Json) -> Markup {
    html! {
        h3 id={ "schema-" (name) } { (name) }
        @if let Some(description) = schema["description"].as_str() { (paragraphs(description)) }
        (payload(document, schema))
    }
}

/// Its members; without any, its type.
fn payload(document: &Json, schema: &Json) -> Markup {
    let has_members = members(document, schema).next().is_some();
    html! {
        @if has_members { (table(document, schema, "Member")) } @else { p { (type_of(schema)) } }
    }
}

fn table(document: &Json, schema: &Json, what: &str) -> Markup {
    html! {
        div.scroll { table.members {
            thead { tr { th scope="col" { (what) } th scope="col" { "Type" } th scope="col" { "Meaning" } } }
            tbody { @for member in members(document, schema) { (row(&member)) } }
        } }
    }
}

fn row(member: &Member<'_>) -> Markup {
    html! {
        tr {
            th scope="row" { code { (member.name) } @if !member.is_required { " " span.optional { "optional" } } }
            td.type {
                @if let Some(value) = member.constant { code { (value) } } @else { (type_of(member.schema)) }
            }
            td { (text(&member.schema["description"])) }
        }
    }
}

/// Host and port of an authority, the host without the brackets of an IPv6 address.
fn host_and_port(authority: &str, is_plain: bool) -> (&str, &str) {
    let default_port = if is_plain { "1883" } else { "8883" };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, default_port),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

fn shell_quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn text(value: &Json) -> Markup {
    words(str(value))
}

fn str(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

fn scalar(value: &Json) -> String {
    value.to_string()
}

fn array(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

fn object(value: &Json) -> impl Iterator<Item = (&String, &Json)> {
    value.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_split_as_mosquitto_sub_takes_it() {
        assert_eq!(host_and_port("example.org:1884", true), ("example.org", "1884"));
        assert_eq!(host_and_port("example.org", false), ("example.org", "8883"));
        assert_eq!(host_and_port("[::1]", true), ("::1", "1883"));
        assert_eq!(host_and_port("[::1]:1", true), ("::1", "1"));
        assert_eq!(shell_quoted("it's"), r"'it'\''s'");
    }
}
