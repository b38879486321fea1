//! The representations of one revision: a format, chosen by `Accept`, and a content coding, chosen by `Accept-Encoding` (RFC 9110
//! §12.5). Each has a strong tag of its own, with a suffix that tells them apart.

use std::fmt;

use actix_web::HttpMessage;
use actix_web::http::header::{self, HeaderMap};
use bytes::Bytes;

use super::coding::{AcceptedCodings, Coding};
use super::negotiation;
use super::problem::{self, Problem};
use crate::wire::{csv, hal, xml};

/// A form, made from the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Form {
    /// What all others are made from.
    #[default]
    Json,
    /// JSON with `_links` and `_embedded`.
    Hal,
    /// XML.
    Xml,
    /// Plain text, of a value alone.
    Text,
    /// A row a sensor, of lists alone.
    Csv,
    /// A picture, of the history alone.
    Svg,
}

/// Which representation of a revision. Written out it is the suffix of its tag: `-hal-gzip`, and nothing for JSON as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Variant {
    /// The form.
    pub form: Form,
    /// The coding.
    pub coding: Coding,
}

impl Form {
    /// Those of a sensor, the default first.
    pub const OF_SENSOR: [Self; 3] = [Self::Json, Self::Hal, Self::Xml];
    /// Those of a page of sensors.
    pub const OF_PAGE: [Self; 4] = [Self::Json, Self::Hal, Self::Xml, Self::Csv];
    /// Those of a value.
    pub const OF_VALUE: [Self; 2] = [Self::Json, Self::Text];
    /// Those of a history.
    pub const OF_HISTORY: [Self; 2] = [Self::Json, Self::Svg];
    const ALL: [Self; 6] = [Self::Json, Self::Hal, Self::Xml, Self::Text, Self::Csv, Self::Svg];

    /// The one of `offered` that the client likes best.
    ///
    /// # Errors
    /// 406 when it takes none of them, or no coding of them.
    pub fn choose(request: &impl HttpMessage, offered: &[Self]) -> Result<Self, Problem> {
        let headers = request.headers();
        if !headers.contains_key(header::ACCEPT) && !headers.contains_key(header::ACCEPT_ENCODING) {
            return Ok(offered.first().copied().unwrap_or_default());
        }
        let types: Vec<&str> = offered.iter().map(|form| form.essence()).collect();
        let chosen = negotiation::choose(request, &types)?;
        Ok(offered
            .iter()
            .copied()
            .find(|form| form.essence() == chosen)
            .unwrap_or_default())
    }

    /// The media type without parameters.
    #[must_use]
    pub const fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Hal => "application/hal+json",
            Self::Xml => "application/xml",
            Self::Text => "text/plain",
            Self::Csv => "text/csv",
            Self::Svg => "image/svg+xml",
        }
    }

    /// The `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Text => "text/plain; charset=utf-8",
            _ => self.essence(),
        }
    }

    /// A sensor in this form, from its JSON.
    ///
    /// # Errors
    /// 500 when the JSON is not what this service writes.
    pub fn of_sensor(self, json: Bytes) -> Result<Bytes, Problem> {
        match self {
            Self::Hal => hal::hal(&json).map_err(anyhow::Error::from),
            Self::Xml => xml::sensor(&json),
            Self::Json | Self::Text | Self::Csv | Self::Svg => return Ok(json),
        }
        .map(Bytes::from)
        .map_err(|error| unwritable(&error))
    }

    /// A page of sensors in this form, from its JSON. `is_shown` tells which members were asked for.
    ///
    /// # Errors
    /// 500 when the JSON is not what this service writes.
    pub fn of_page(self, json: Bytes, is_shown: impl Fn(&str) -> bool) -> Result<Bytes, Problem> {
        match self {
            Self::Hal => hal::hal(&json).map_err(anyhow::Error::from),
            Self::Xml => xml::page(&json),
            Self::Csv => csv::page(&json, is_shown),
            Self::Json | Self::Text | Self::Svg => return Ok(json),
        }
        .map(Bytes::from)
        .map_err(|error| unwritable(&error))
    }

    /// What stands in a tag after the cursor.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Json => "",
            Self::Text => "-text",
            Self::Hal => "-hal",
            Self::Xml => "-xml",
            Self::Csv => "-csv",
            Self::Svg => "-svg",
        }
    }
}

fn unwritable(error: &anyhow::Error) -> Problem {
    tracing::error!(%error, "a representation cannot be written");
    Problem::of_kind(&problem::INTERNAL)
}

impl Variant {
    /// The representation that this request would get. `bytes` is its length where it may be too short to be compressed.
    #[must_use]
    pub fn of(headers: &HeaderMap, form: Form, bytes: Option<usize>) -> Self {
        let codings = AcceptedCodings::of(headers);
        let coding = bytes.map_or_else(|| codings.best().unwrap_or_default(), |bytes| codings.best_for(bytes));
        Self { form, coding }
    }

    /// The representation with this suffix.
    #[must_use]
    pub fn of_suffix(suffix: &str) -> Option<Self> {
        if suffix.is_empty() {
            return Some(Self::default());
        }
        let variants = Form::ALL
            .into_iter()
            .flat_map(|form| Coding::ALL.map(|coding| Self { form, coding }));
        variants
            .into_iter()
            .find(|variant| suffix.strip_prefix(variant.form.suffix()) == Some(variant.coding.suffix()))
    }
}

/// Not compressed.
impl From<Form> for Variant {
    fn from(form: Form) -> Self {
        Self {
            form,
            ..Self::default()
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.form.suffix())?;
        f.write_str(self.coding.suffix())
    }
}
