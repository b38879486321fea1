//! What a JSON schema says about the members of an object, for people.

use maud::{Markup, html};
use serde_json::Value as Json;

/// One member of an object.
#[derive(Debug)]
pub struct Member<'a> {
    /// Its name.
    pub name: &'a str,
    /// The schema of its value.
    pub schema: &'a Json,
    /// Its only value, when it has only one.
    pub constant: Option<&'a str>,
    /// Whether it is always there.
    pub is_required: bool,
}

/// The members of an object: those that are always there first, in the order of the schema; without those that are never
/// there. A member that is described more than once has its first description.
pub fn members<'a>(document: &'a Json, schema: &'a Json) -> impl Iterator<Item = Member<'a>> {
    let mut parts = Vec::new();
    collect(document, schema, &mut parts);
    let required: Vec<&str> = parts
        .iter()
        .flat_map(|part| part["required"].as_array().into_iter().flatten())
        .filter_map(Json::as_str)
        .collect();
    let mut found: Vec<Member<'a>> = Vec::new();
    let mut absent = Vec::new();
    for (name, schema) in parts.iter().filter_map(|part| part["properties"].as_object()).flatten() {
        if *schema == Json::Bool(false) {
            absent.push(name.as_str());
            continue;
        }
        let constant = schema["const"].as_str();
        if let Some(member) = found.iter_mut().find(|member| member.name == name) {
            member.constant = member.constant.or(constant);
        } else {
            let is_required = required.contains(&name.as_str());
            found.push(Member {
                name,
                schema,
                constant,
                is_required,
            });
        }
    }
    found.sort_by_key(|member| {
        required
            .iter()
            .position(|name| *name == member.name)
            .unwrap_or(usize::MAX)
    });
    found.into_iter().filter(move |member| !absent.contains(&member.name))
}

/// What a `$ref` refers to; everything else itself.
pub fn resolve<'a>(document: &'a Json, value: &'a Json) -> &'a Json {
    let target = value["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
    target.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

/// The type in words, with a link where it is described on its own.
pub fn type_of(schema: &Json) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
        return html! { a href={ "#schema-" (name) } { (name) } };
    }
    if let Some([only]) = schema["allOf"].as_array().map(Vec::as_slice) {
        return type_of(only);
    }
    let values = schema["enum"].as_array().into_iter().flatten().filter_map(Json::as_str);
    let kinds = match &schema["type"] {
        Json::Array(kinds) => kinds.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" or "),
        kind => kind.as_str().unwrap_or("any").to_owned(),
    };
    // The width of a number is of no interest to JSON.
    let format = schema["format"]
        .as_str()
        .filter(|format| !matches!(*format, "int32" | "int64" | "double"));
    html! {
        (kinds)
        @if schema["items"].is_object() { " of " (type_of(&schema["items"])) }
        @if let Some(format) = format { ", " (format) }
        @if let Some(pattern) = schema["pattern"].as_str() { ", " code { (pattern) } }
        @for (index, value) in values.enumerate() { @if index == 0 { ": " } @else { ", " } code { (value) } }
    }
}

fn collect<'a>(document: &'a Json, schema: &'a Json, parts: &mut Vec<&'a Json>) {
    let schema = resolve(document, schema);
    parts.push(schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        collect(document, part, parts);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_come_through_references_and_without_those_that_are_never_there() {
        let document = json!({"s": {"properties": {"a": {}, "b": {}, "c": {}, "d": {}}, "required": ["d", "a"]}});
        let schema =
            json!({"allOf": [{"$ref": "#/s"}, {"properties": {"b": false, "a": {"const": "x"}}, "required": ["c"]}]});
        let found: Vec<_> = members(&document, &schema)
            .map(|member| (member.name, member.constant, member.is_required))
            .collect();
        assert_eq!(found, [("d", None, true), ("a", Some("x"), true), ("c", None, true)]);
    }

    #[test]
    fn a_type_reads_as_words() {
        let words = |schema| type_of(&schema).into_string();
        assert_eq!(words(json!({"type": ["string", "null"]})), "string or null");
        assert_eq!(
            words(json!({"allOf": [{"$ref": "#/x/S"}]})),
            "<a href=\"#schema-S\">S</a>"
        );
        assert_eq!(
            words(json!({"type": "array", "items": {"type": "number", "format": "double"}})),
            "array of number"
        );
        assert_eq!(
            words(json!({"type": "string", "enum": ["<a>"]})),
            "string: <code>&lt;a&gt;</code>"
        );
    }
}
