use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;
use serde_json::value::RawValue;

use super::members_of;

/// An HTTP answer, read to its end. Whatever holds for every answer of the service was checked when it was made.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A problem document (RFC 9457).
#[derive(Debug, Clone)]
pub struct Problem {
    pub detail: String,
    /// The `errors[].pointer`, sorted.
    pub pointers: Vec<String>,
    pub document: Value,
}

impl Answer {
    /// Takes an answer and checks what every answer has to keep to.
    pub fn new(request: &str, status: u16, headers: HeaderMap, body: Bytes) -> Self {
        let answer = Self { status, headers, body };
        answer.check(request);
        let is_busy = status == 503 && answer.header("retry-after").is_some();
        let is_full = status == 507;
        assert!(status < 500 || is_busy || is_full, "{request} -> {answer:?}");
        answer
    }

    /// Takes the answer of a service that may fail, and checks what every answer has to keep to even then.
    pub fn of_failing(request: &str, status: u16, headers: HeaderMap, body: Bytes) -> Self {
        let answer = Self { status, headers, body };
        answer.check(request);
        answer
    }

    fn check(&self, request: &str) {
        let nosniff = self.header("x-content-type-options");
        assert_eq!(nosniff, Some("nosniff"), "{request} -> {self:?}");
        let bodiless = request.starts_with("HEAD ") || self.status == 204 || self.status == 304;
        if bodiless {
            assert!(self.body.is_empty(), "{request} -> {self:?}");
        } else if self.status >= 400 {
            self.problem_of(request);
        }
    }

    /// Asserts the status and hands the answer on.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a UTF-8 body")
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The strong ETag of the answer.
    #[track_caller]
    pub fn etag(&self) -> String {
        let tag = self.header("etag").unwrap_or_else(|| panic!("no ETag: {self:?}"));
        assert!(tag.starts_with('"') && tag.ends_with('"'), "not a strong tag: {tag}");
        tag.to_owned()
    }

    #[track_caller]
    pub fn id(&self) -> String {
        self.json()["id"].as_str().expect("an id").to_owned()
    }

    #[track_caller]
    pub fn revision(&self) -> i64 {
        self.json()["revision"].as_i64().expect("a revision")
    }

    /// The events of a page of the log, as their exact text.
    #[track_caller]
    pub fn events(&self) -> Vec<String> {
        let members = members_of(self.text());
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["epoch", "head", "events", "links"]);
        let events: Vec<Box<RawValue>> = serde_json::from_str(&members[2].1).expect("an array");
        events.iter().map(|event| event.get().to_owned()).collect()
    }

    /// The path of the sensor by its id.
    #[track_caller]
    pub fn path(&self) -> String {
        format!("/sensors/{}", self.id())
    }

    /// The verbs of `Allow`, sorted.
    #[track_caller]
    pub fn allow(&self) -> Vec<String> {
        let allow = self.header("allow").unwrap_or_else(|| panic!("no Allow: {self:?}"));
        let mut verbs: Vec<_> = allow.split(',').map(|verb| verb.trim().to_owned()).collect();
        verbs.sort();
        verbs
    }

    /// The problem document that this answer is.
    #[track_caller]
    pub fn problem(&self) -> Problem {
        self.problem_of("request")
    }

    /// Whether the body or a `Link` header has `url`.
    pub fn links_to(&self, url: &str) -> bool {
        let quoted = format!("\"{url}\"");
        let in_header = self
            .headers
            .get_all("link")
            .iter()
            .any(|value| value.to_str().is_ok_and(|text| text.contains(&format!("<{url}>"))));
        in_header || self.text().contains(&quoted)
    }

    #[track_caller]
    fn problem_of(&self, request: &str) -> Problem {
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(
            content_type.starts_with("application/problem+json"),
            "{request} -> {self:?}"
        );
        let document = self.json();
        assert_eq!(document["status"], self.status, "{request} -> {document}");
        for member in ["type", "title", "detail", "instance"] {
            let text = document[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "no {member}: {request} -> {document}");
        }
        let kind = document["type"].as_str().unwrap_or_default();
        assert!(kind.starts_with("http"), "type is a URL: {request} -> {document}");
        let errors = document["errors"].as_array().cloned().unwrap_or_default();
        assert_eq!(
            self.status == 422,
            !errors.is_empty(),
            "errors go with 422: {request} -> {document}"
        );
        let pointer = |error: &Value| {
            assert!(error["detail"].is_string(), "{request} -> {document}");
            error["pointer"].as_str().expect("a pointer").to_owned()
        };
        let mut pointers: Vec<_> = errors.iter().map(pointer).collect();
        pointers.sort();
        Problem {
            detail: document["detail"].as_str().unwrap_or_default().to_owned(),
            pointers,
            document,
        }
    }
}
