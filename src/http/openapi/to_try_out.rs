//! The document as Swagger UI gets it, on whose page every request can be tried out.

use serde_json::{Value as Json, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder};
use utoipa::openapi::{OpenApi, RefOr, Required, ServerBuilder};

use super::methods;

/// What only the service itself gives out: any example of it would be wrong.
const GIVEN_OUT: &str = "revision";
/// From the document to the root of the service, whatever `PUBLIC_URL` says.
const ROOT: &str = "../../";

/// Makes the page work with the service that it came from, and its requests do what one expects who has entered nothing yet.
///
/// # Errors
/// When a parameter cannot be written as JSON, which a test excludes.
pub fn adapt(document: &mut OpenApi) -> serde_json::Result<()> {
    let server = ServerBuilder::new().url(ROOT).description(Some("this service"));
    document.servers = Some(vec![server.build()]);
    // It would be a link to the page of one licence, and there is none of a choice.
    if let Some(license) = &mut document.info.license {
        license.identifier = None;
    }
    let description = document.info.description.take().unwrap_or_default();
    let ways_out = format!("[All pages]({ROOT}docs) · [The events]({ROOT}docs/events)");
    document.info.description = Some(format!("{description}\n\n{ways_out}"));
    for (_, operation) in methods::all_mut(document) {
        operation.parameters.iter_mut().flatten().try_for_each(leave_empty)?;
    }
    let components = document.components.get_or_insert_default();
    components.parameters.values_mut().try_for_each(leave_empty)
}

/// Swagger UI enters the example of a parameter, so that a list has every filter at once, and shows nothing. What need not be
/// sent has its example in words.
fn leave_empty(parameter: &mut RefOr<Parameter>) -> serde_json::Result<()> {
    let RefOr::T(parameter) = parameter else { return Ok(()) };
    if parameter.required == Required::True {
        return Ok(());
    }
    // Utoipa shows the example to nobody else.
    let form = serde_json::to_value(&*parameter)?;
    let (entered, told) = match form.get("example") {
        // Without any it would make up members.
        Some(members @ Json::Object(_)) => (Some(json!({})), text(members)),
        example => (None, example.map(text).unwrap_or_default()),
    };
    let mut description = parameter.description.clone().unwrap_or_default();
    if !told.is_empty() && parameter.name != GIVEN_OUT {
        description = format!("{description}\n\nFor example `{told}`");
    }
    let adapted = ParameterBuilder::from(std::mem::take(parameter));
    *parameter = adapted.description(Some(description)).example(entered).build();
    Ok(())
}

/// As it is entered: an object as JSON, of which Swagger UI makes parameters.
fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
