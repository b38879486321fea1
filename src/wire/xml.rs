//! XML (`application/xml`): a member is an element of its name, what is not text says its JSON type in the attribute
//! `type`, and a link is `<link rel="…" href="…"/>`. It can be turned back into the JSON without loss.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use serde_json::value::RawValue;

use super::members::Members;

/// What a page is, and what it is made of.
const PAGE: (&str, &str) = ("sensors", "sensor");
/// The element of a member whose name is no name of XML; its attribute `name` has it.
const NAMELESS: &str = "member";
/// The element of a value in an array.
const ELEMENT: &str = "item";

type Xml = Writer<Vec<u8>>;

/// The XML form of a sensor.
///
/// # Errors
/// When `json` is not what this service writes.
pub fn sensor(json: &[u8]) -> anyhow::Result<Vec<u8>> {
    document(PAGE.1, json)
}

/// The XML form of a page of sensors.
///
/// # Errors
/// When `json` is not what this service writes.
pub fn page(json: &[u8]) -> anyhow::Result<Vec<u8>> {
    document(PAGE.0, json)
}

fn document(root: &str, json: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut xml = Writer::new(Vec::with_capacity(2 * json.len()));
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    resource(&mut xml, root, &Members::read(json)?)?;
    Ok(xml.into_inner())
}

/// A sensor or a page: its links and items are elements of their own, all else is told member by member.
fn resource(xml: &mut Xml, element: &str, members: &Members<'_>) -> io::Result<()> {
    let children = |xml: &mut Xml| {
        members.iter().try_for_each(|(name, value)| match name {
            "links" => Members::read_all(value)?
                .iter()
                .try_for_each(|target| link(xml, target)),
            "items" => Members::read_all(value)?
                .iter()
                .try_for_each(|item| resource(xml, PAGE.1, item)),
            _ => member(xml, name, value),
        })
    };
    xml.create_element(element).write_inner_content(children)?;
    Ok(())
}

fn link(xml: &mut Xml, link: &Members<'_>) -> io::Result<()> {
    let attributes: Vec<(&str, String)> = link
        .iter()
        .filter_map(|(name, _)| Some((name, link.text(name)?)))
        .collect();
    let attributes = attributes.iter().map(|(name, text)| (*name, text.as_str()));
    xml.create_element("link").with_attributes(attributes).write_empty()?;
    Ok(())
}

fn member(xml: &mut Xml, name: &str, value: &RawValue) -> io::Result<()> {
    if is_xml_name(name) {
        element(xml, name, None, value)
    } else {
        element(xml, NAMELESS, Some(name), value)
    }
}

fn element(xml: &mut Xml, element: &str, name: Option<&str>, value: &RawValue) -> io::Result<()> {
    let json = value.get();
    let json_type = match json.as_bytes().first() {
        Some(b'"') => None,
        Some(b'{') => Some("object"),
        Some(b'[') => Some("array"),
        Some(b't' | b'f') => Some("boolean"),
        Some(b'n') => Some("null"),
        _ => Some("number"),
    };
    let start = xml
        .create_element(element)
        .with_attributes(name.map(|name| ("name", name)))
        .with_attributes(json_type.map(|json_type| ("type", json_type)));
    match json_type {
        None => start.write_text_content(BytesText::new(&serde_json::from_str::<String>(json)?))?,
        Some("object") => {
            let members: Members<'_> = serde_json::from_str(json)?;
            start.write_inner_content(|xml| members.iter().try_for_each(|(name, value)| member(xml, name, value)))?
        }
        Some("array") => {
            let values: Vec<&RawValue> = serde_json::from_str(json)?;
            start.write_inner_content(|xml| {
                values
                    .iter()
                    .try_for_each(|value| self::element(xml, ELEMENT, None, value))
            })?
        }
        Some("null") => start.write_empty()?,
        Some(_) => start.write_text_content(BytesText::new(json))?,
    };
    Ok(())
}

/// Whether an element can be called so: the plain part of what XML 1.0 allows.
fn is_xml_name(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let reserved = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("xml"));
    starts && !reserved && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_elements_that_say_their_type_and_links_are_links() {
        let json = br#"{"id":"x","value":-1.50,"metadata":{"a<b":"c&d","n":null,"l":[1,"1",true,{}],"xmlns":""},"links":[{"rel":"self","href":"/x?a=1&b=2"}]}"#;
        let expected = concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?><sensor><id>x</id><value type="number">-1.50</value>"#,
            r#"<metadata type="object"><member name="a&lt;b">c&amp;d</member><n type="null"/><l type="array"><item type="number">1</item>"#,
            r#"<item>1</item><item type="boolean">true</item><item type="object"></item></l><member name="xmlns"></member></metadata>"#,
            r#"<link rel="self" href="/x?a=1&amp;b=2"/></sensor>"#,
        );
        assert_eq!(String::from_utf8(sensor(json).unwrap()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_plain_name_of_an_element_is_an_attribute() {
        for (name, is_plain) in [
            ("a", true),
            ("_a", true),
            ("A-1._", true),
            ("1a", false),
            ("-a", false),
            ("é", false),
            ("a b", false),
            ("", false),
            ("XmL-a", false),
            ("xm", true),
        ] {
            assert_eq!(is_xml_name(name), is_plain, "{name}");
        }
    }

    #[test]
    fn the_sensors_of_a_page_are_elements_of_their_own() {
        let json = br#"{"items":[{"id":"x"},{"id":"y"}],"revision":7,"links":[]}"#;
        let xml = String::from_utf8(page(json).unwrap()).unwrap();
        assert!(
            xml.ends_with(r#"<sensors><sensor><id>x</id></sensor><sensor><id>y</id></sensor><revision type="number">7</revision></sensors>"#),
            "{xml}"
        );
    }
}
