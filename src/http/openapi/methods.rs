//! HEAD and OPTIONS, which follow from the other operations of a path.

use utoipa::openapi::header::Header;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

use crate::http::problem;

/// Adds HEAD where there is GET, and OPTIONS everywhere.
pub fn add(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        item.head = item.get.as_ref().map(head);
        item.options = Some(options(path, item));
    }
}

/// Every operation of the service, with its method in lower case.
pub fn all_mut(document: &mut OpenApi) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    document.paths.paths.values_mut().flat_map(of_path_mut)
}

fn of_path_mut(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let operations = [
        ("get", &mut item.get),
        ("head", &mut item.head),
        ("post", &mut item.post),
        ("put", &mut item.put),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
        ("options", &mut item.options),
    ];
    operations
        .into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// As GET, without the contents.
fn head(get: &Operation) -> Operation {
    let mut head = get.clone();
    head.tags = Some(vec!["methods".to_owned()]);
    head.operation_id = get.operation_id.as_deref().map(|id| id_with("head", id));
    head.summary = get.summary.as_ref().map(|summary| format!("{summary} (headers only)"));
    head.description = Some("Answers as GET does, without the body.".to_owned());
    for response in head.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.content.clear();
            response.links.clear();
        }
    }
    head
}

/// The parameters in the path: any text, because OPTIONS is about the place and not about what lives there.
fn in_path(path: &str) -> Option<Vec<RefOr<Parameter>>> {
    let (_, rest) = path.split_once('{')?;
    let (name, _) = rest.split_once('}')?;
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("Any"))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some("any".into()));
    Some(vec![RefOr::T(parameter.build())])
}

fn options(path: &str, item: &PathItem) -> Operation {
    let what = path.split('/').map(|segment| segment.trim_matches(['{', '}']));
    let id = what.fold("options".to_owned(), |id, segment| {
        id_with(&id, &segment.replace('.', "_"))
    });
    let headers = [
        ("Allow", true),
        ("Accept-Post", item.post.is_some()),
        ("Accept-Patch", item.patch.is_some()),
    ];
    let answer = ResponseBuilder::new().description("The methods, in the header `Allow`");
    let named = headers.into_iter().filter(|(_, is_there)| *is_there);
    let answer = named.fold(answer, |answer, (name, _)| answer.header(name, Header::default()));
    let operation = OperationBuilder::new()
        .tag("methods")
        .operation_id(Some(if path == "/" {
            "optionsEntryPoint".to_owned()
        } else {
            id
        }))
        .summary(Some(format!("The methods of {path}")))
        .description(Some("Any other method is answered with 405 and the same `Allow`."))
        .response("204", answer);
    let mut operation = operation.build();
    operation.responses.responses.extend(problem::responses(&[]));
    operation.parameters = in_path(path);
    operation
}

/// `head` and `readSensor` make `headReadSensor`.
fn id_with(prefix: &str, id: &str) -> String {
    let mut letters = id.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().fold(prefix.to_owned(), |id, first| {
        format!("{id}{first}{}", letters.as_str())
    })
}
