//! The document as Swagger UI gets it, on whose page every request can be tried out.

use utoipa::openapi::{OpenApi, ServerBuilder};

/// From the document to the root of the service, whatever `PUBLIC_URL` says.
const ROOT: &str = "../../";

/// Makes the page work with the service that it came from.
pub fn adapt(document: &mut OpenApi) {
    let server = ServerBuilder::new().url(ROOT).description(Some("this service"));
    document.servers = Some(vec![server.build()]);
    let description = document.info.description.take().unwrap_or_default();
    let ways_out = format!("[All pages]({ROOT}docs) · [The events]({ROOT}docs/events)");
    document.info.description = Some(format!("{description}\n\n{ways_out}"));
}
