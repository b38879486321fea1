//! What a resource does not have: OPTIONS and 405 for the methods of a path, 404 for other paths.

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Paths;
use utoipa::openapi::schema::Schema;
use utoipa_actix_web::OpenApiFactory;

use super::extract::{BodyType, Patch, Post};
use super::problem::{self, Problem};

/// Comes after the operations of a path, to answer every other method.
pub struct Allow(Resource);

/// What `path` has: the value of its `Allow` header (RFC 9110 §10.2.1).
#[must_use]
pub fn allow(path: &'static str, methods: &'static str) -> Allow {
    let answer = move |request: HttpRequest| async move {
        let methods = HeaderValue::from_static(methods);
        if *request.method() == Method::OPTIONS {
            return Ok(options(methods));
        }
        let detail = format!("this resource does not support {}", request.method());
        Err(Problem::new(&problem::METHOD_NOT_ALLOWED, detail).with_header(header::ALLOW, methods))
    };
    Allow(web::resource(path).to(answer))
}

/// What there is anywhere.
const ANYWHERE: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// Answers for a path that nothing lives at, and for `OPTIONS *`, which asks about the service as a whole (RFC 9110 §9.3.7).
pub async fn unknown(request: HttpRequest) -> Result<HttpResponse, Problem> {
    if *request.method() == Method::OPTIONS && request.path() == "*" {
        return Ok(options(ANYWHERE));
    }
    Err(Problem::of_kind(&problem::NOT_FOUND))
}

/// With the media types that a POST and a PATCH take (RFC 5789 §3.1).
fn options(methods: HeaderValue) -> HttpResponse {
    let has = |method: &str| {
        methods
            .to_str()
            .is_ok_and(|methods| methods.split(", ").any(|own| own == method))
    };
    let (has_post, has_patch) = (has("POST"), has("PATCH"));
    let mut response = HttpResponse::NoContent();
    response.insert_header((header::ALLOW, methods));
    if has_post {
        response.insert_header((Post::ADVERTISE, Post::MEDIA_TYPES.join(", ")));
    }
    if has_patch {
        response.insert_header((Patch::ADVERTISE, Patch::MEDIA_TYPES.join(", ")));
    }
    response.finish()
}

impl HttpServiceFactory for Allow {
    fn register(self, config: &mut AppService) {
        self.0.register(config);
    }
}

// OPTIONS and 405 follow from the operations in the document; nothing is added to it.
impl OpenApiFactory for Allow {
    fn paths(&self) -> Paths {
        Paths::new()
    }

    fn schemas(&self, _: &mut Vec<(String, RefOr<Schema>)>) {}
}
