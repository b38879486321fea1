//! CSV (`text/csv`, RFC 4180) for a page of sensors: a header row, then a row a sensor. What is not a scalar is a cell of
//! JSON text; the page's own members and the links are not in it.

use std::borrow::Cow;

use csv::{Terminator, WriterBuilder};
use serde_json::value::RawValue;

use super::members::Members;
use super::representation;

/// The CSV form of a page of sensors. The columns are the members of a sensor that `is_shown`, in their order; those of
/// every page are the same, so that pages can be put one after the other.
///
/// # Errors
/// When `json` is not what this service writes.
pub fn page(json: &[u8], is_shown: impl Fn(&str) -> bool) -> anyhow::Result<Vec<u8>> {
    let names = representation::member_names()?;
    let columns: Vec<&str> = names.iter().map(String::as_str).filter(|name| is_shown(name)).collect();
    let mut rows = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    rows.write_record(&columns)?;
    let page = Members::read(json)?;
    let items = page.get("items").map(Members::read_all).transpose()?;
    for sensor in items.unwrap_or_default() {
        let cells: serde_json::Result<Vec<Cow<'_, str>>> = columns.iter().map(|name| cell(sensor.get(name))).collect();
        rows.write_record(cells?.iter().map(|cell| cell.as_bytes()))?;
    }
    Ok(rows.into_inner()?)
}

fn cell(value: Option<&RawValue>) -> serde_json::Result<Cow<'_, str>> {
    let json = value.map_or("", RawValue::get);
    if json.starts_with('"') {
        Ok(Cow::Owned(harmless(serde_json::from_str(json)?)))
    } else {
        Ok(Cow::Borrowed(json))
    }
}

/// Spreadsheets take a text that begins with one of `=+-@` for a formula, and hide an apostrophe before it. A text that
/// begins with an apostrophe gets one as well, so that taking one away always gives the text back.
fn harmless(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\'']) {
        format!("'{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(json: &str, is_shown: impl Fn(&str) -> bool) -> String {
        String::from_utf8(page(json.as_bytes(), is_shown).unwrap()).unwrap()
    }

    #[test]
    fn every_member_but_the_links_has_a_column() {
        let header = csv(r#"{"items":[]}"#, |_| true);
        let expected =
            "id,name,kind,unit,value,measured_at,status,location,metadata,revision,created_at,updated_at\r\n";
        assert_eq!(header, expected);
    }

    #[test]
    fn texts_are_quoted_and_never_formulas_and_numbers_stay_numbers() {
        let shown = ["name", "value", "metadata"];
        let json = r#"{"items":[{"name":"a","value":-5},{"name":"b","value":"=1+1"},{"name":"c","value":"'"},{"name":"d","value":"a \"b\", c","metadata":{"k":"v"}}]}"#;
        let expected =
            "name,value,metadata\r\na,-5,\r\nb,'=1+1,\r\nc,'',\r\nd,\"a \"\"b\"\", c\",\"{\"\"k\"\":\"\"v\"\"}\"\r\n";
        assert_eq!(csv(json, |name| shown.contains(&name)), expected);
    }
}
