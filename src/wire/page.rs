//! A page of the list, and one of the log.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::bodies::members_of;
use super::event::EventForm;
use super::link::Link;
use super::members::Members;
use super::representation::{self, PropertiesForm, SensorForm};

/// A page of sensors, in the order asked for.
#[derive(Debug, ToSchema)]
#[schema(as = SensorPage)]
#[expect(dead_code, reason = "for the document; it is written by SensorPage::write")]
pub struct SensorPageForm {
    /// The sensors, or what `fields` names of each.
    items: Vec<SensorItemForm>,
    /// The life of the store that the revision belongs to.
    #[schema(pattern = "^[a-z2-7]{8}$", example = "k3f7q2vt")]
    epoch: String,
    /// The revision of the store when the page was read: events after that of the *first* page complete the list.
    #[schema(minimum = 0, example = 45)]
    revision: i64,
    /// How many sensors match the filters; only with `count=exact`.
    #[schema(nullable = false, minimum = 0, example = 3)]
    count: Option<u64>,
    /// `self`, `first`; `next` unless this page is the last and `prev` unless it is the first; `monitor` with the topic of all
    /// changes; and on the first page `events`, the changes after it.
    links: Vec<Link>,
}

/// A sensor of a page, or a part of it.
#[derive(Debug)]
struct SensorItemForm;

impl PartialSchema for SensorItemForm {
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new()
            .item(Ref::from_schema_name(SensorForm::name()))
            .item(SensorPartForm::schema())
            .into()
    }
}

impl ToSchema for SensorItemForm {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SensorItem")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((SensorForm::name().into_owned(), SensorForm::schema()));
        SensorForm::schemas(schemas);
    }
}

/// What `fields` names of a sensor.
#[derive(Debug)]
struct SensorPartForm;

impl PartialSchema for SensorPartForm {
    fn schema() -> RefOr<Schema> {
        let mut part = members_of(PropertiesForm::schema());
        part.properties.extend(members_of(SensorForm::schema()).properties);
        part.required.clear();
        part.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        part.description =
            Some("The members of a sensor that `fields` names, as they are in the whole of it.".to_owned());
        Schema::Object(part).into()
    }
}

/// A page of sensors, all but the sensors themselves.
#[derive(Debug, Serialize)]
pub struct SensorPage<'a> {
    /// The life of the store that the revision belongs to.
    pub epoch: &'a str,
    /// The revision of the store when the page was read.
    pub revision: i64,
    /// How many sensors the filters let through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Where to go from here.
    pub links: &'a [Link],
}

impl SensorPage<'_> {
    /// The page with `items`, each the JSON of a sensor, which is taken as it is.
    ///
    /// # Errors
    /// Never in practice: the rest are texts and numbers.
    pub fn write<T: AsRef<[u8]>>(&self, items: &[T]) -> serde_json::Result<Vec<u8>> {
        let rest = serde_json::to_vec(self)?;
        let bytes: usize = items.iter().map(|item| item.as_ref().len() + 1).sum();
        let mut page = Vec::with_capacity(bytes + rest.len() + 16);
        page.extend_from_slice(b"{\"items\":[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                page.push(b',');
            }
            page.extend_from_slice(item.as_ref());
        }
        page.extend_from_slice(b"],");
        page.extend_from_slice(&rest[1..]);
        Ok(page)
    }
}

/// Some of the members of a sensor, in the order of the representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(Vec<String>);

impl Fields {
    /// All that there are.
    fn all() -> serde_json::Result<Vec<String>> {
        let mut all = representation::member_names()?;
        all.push("links".to_owned());
        Ok(all)
    }

    /// Whether this member is one of them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|member| member == name)
    }

    /// These members of a representation, as they are in it.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn of(&self, representation: &[u8]) -> serde_json::Result<Vec<u8>> {
        let whole = Members::read(representation)?;
        let named = whole.iter().filter(|(name, _)| self.contains(name));
        let members = named.map(|(name, value)| format!("\"{name}\":{value}"));
        Ok(format!("{{{}}}", members.collect::<Vec<_>>().join(",")).into_bytes())
    }
}

impl FromStr for Fields {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named: Vec<&str> = text.split(',').collect();
        let all = Self::all().map_err(|error| error.to_string())?;
        let is_unknown = |name: &&&str| !all.iter().any(|member| member == **name);
        let unknown: Vec<String> = named
            .iter()
            .filter(is_unknown)
            .map(|name| format!("{name:?}"))
            .collect();
        if !unknown.is_empty() {
            let (unknown, all) = (unknown.join(", "), all.join(", "));
            return Err(format!("a sensor has no member {unknown}; it has {all}"));
        }
        let mut members = all;
        members.retain(|member| named.contains(&member.as_str()));
        if members.len() < named.len() {
            return Err("a member is there twice".to_owned());
        }
        Ok(Self(members))
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// A page of the event log, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventPage)]
pub struct EventPageForm<'a> {
    /// The life of the store that the revisions belong to.
    #[schema(pattern = "^[a-z2-7]{8}$", example = "k3f7q2vt")]
    pub epoch: &'a str,
    /// The newest revision.
    #[schema(minimum = 0, example = 45)]
    pub head: i64,
    /// The events, each byte for byte as MQTT carries it.
    #[schema(value_type = Vec<EventForm>)]
    pub events: Vec<&'a RawValue>,
    /// `self`, `first`, `next` when there is more already, and `resume`: what comes after this page, now or later. With a filter, both continue after everything that was looked at.
    pub links: Vec<Link>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_that_are_named_stay_as_they_are() {
        let members: Fields = "value,id,links".parse().unwrap();
        assert_eq!(members.to_string(), "id,value,links");
        let part = members
            .of(br#"{"id":"a","name":"\u00e9","value":1.50,"links":[{"rel":"self"}]}"#)
            .unwrap();
        assert_eq!(part, br#"{"id":"a","value":1.50,"links":[{"rel":"self"}]}"#);
        assert_eq!(members.of(br#"{"name":"x"}"#).unwrap(), b"{}");
    }

    #[test]
    fn what_names_no_members_is_refused() {
        for text in ["", ",", "id,", "colour", "id,id", "Id", " id", "metadata.room"] {
            assert!(text.parse::<Fields>().is_err(), "{text}");
        }
    }
}
