use std::net::SocketAddr;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Body, Client, Method};
use serde_json::Value;

use super::{Answer, Event, EventStream};

/// The media type of RFC 7396.
pub const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A client of one service.
#[derive(Clone)]
pub struct Http {
    pub addr: SocketAddr,
    /// The base of the links that this service gives out.
    pub public_url: String,
    client: Client,
}

impl Http {
    pub fn new(addr: SocketAddr, public_url: &str) -> Self {
        let client = Client::builder()
            .no_proxy()
            // There is no TLS here, and to read the authorities of the system takes longer than many a test.
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("an HTTP client");
        Self {
            addr,
            public_url: public_url.to_owned(),
            client,
        }
    }

    /// Sends any request; `None` when the connection fails.
    pub async fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Option<Answer> {
        let (status, headers, body) = self.exchange(method, path, headers, body).await.ok()?;
        Some(Answer::new(&format!("{method} {path}"), status, headers, body))
    }

    /// Sends any request to a service that may fail.
    ///
    /// # Errors
    /// When there is no whole answer; [`reqwest::Error::is_connect`] tells that the request was not even sent.
    pub async fn try_failing(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> reqwest::Result<Answer> {
        let (status, headers, body) = self.exchange(method, path, headers, body).await?;
        Ok(Answer::of_failing(&format!("{method} {path}"), status, headers, body))
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> reqwest::Result<(u16, HeaderMap, Bytes)> {
        let verb = Method::from_bytes(method.as_bytes()).expect("a verb");
        let mut request = self.client.request(verb, format!("http://{}{path}", self.addr));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok((status, headers, response.bytes().await?))
    }

    /// Sends any request.
    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        self.try_request(method, path, headers, body)
            .await
            .unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "").await
    }

    pub async fn head(&self, path: &str) -> Answer {
        self.request("HEAD", path, &[], "").await
    }

    /// HEAD with an `Accept` header.
    pub async fn head_of(&self, path: &str, accept: &str) -> Answer {
        self.request("HEAD", path, &[("accept", accept)], "").await.expect(200)
    }

    /// The status of an answer, whose body is not read.
    pub async fn try_status(&self, path: &str, (name, value): (&str, &str)) -> Option<u16> {
        let request = self.client.get(format!("http://{}{path}", self.addr));
        let response = request.header(name, value).send().await.ok()?;
        Some(response.status().as_u16())
    }

    /// POST /sensors
    pub async fn post(&self, body: &Value) -> Answer {
        self.request("POST", "/sensors", &[JSON], body.to_string()).await
    }

    /// A new sensor, which has to succeed.
    pub async fn create(&self, body: &Value) -> Answer {
        self.post(body).await.expect(201)
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.request("PUT", path, &[JSON], body.to_string()).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", MERGE_PATCH)];
        self.request("PATCH", path, &headers, body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path, &[], "").await
    }

    /// PUT with one more header.
    pub async fn put_if(&self, path: &str, condition: (&str, &str), body: &Value) -> Answer {
        self.request("PUT", path, &[JSON, condition], body.to_string()).await
    }

    /// PATCH with one more header.
    pub async fn patch_if(&self, path: &str, condition: (&str, &str), body: &Value) -> Answer {
        let headers = [("content-type", MERGE_PATCH), condition];
        self.request("PATCH", path, &headers, body.to_string()).await
    }

    /// Opens a stream of Server-Sent Events.
    pub async fn event_stream(&self, path: &str, headers: &[(&str, &str)]) -> EventStream {
        let request = self.client.get(format!("http://{}{path}", self.addr));
        let request = request.header("accept", "text/event-stream");
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        EventStream::new(request.send().await.expect("a head"))
    }

    /// The bytes of all events after `after`, page by page.
    pub async fn events_after(&self, after: &str) -> Vec<String> {
        let mut events = Vec::new();
        let mut page = self.get(&format!("/events?after={after}&limit=7")).await.expect(200);
        loop {
            events.extend(page.events());
            let Some(next) = link(&page.json(), "next") else {
                return events;
            };
            page = self.follow(&next).await.expect(200);
        }
    }

    /// GET of a link that the service gave out.
    pub async fn follow(&self, href: &str) -> Answer {
        let path = href
            .strip_prefix(&self.public_url)
            .unwrap_or_else(|| panic!("{href} does not start with {}", self.public_url));
        self.get(if path.is_empty() { "/" } else { path }).await
    }

    /// The revision of the store.
    pub async fn store_revision(&self) -> i64 {
        self.get("/sensors?limit=1").await.expect(200).revision()
    }

    /// All pages of the list, `limit` sensors a page.
    pub async fn all_pages(&self, limit: usize) -> Vec<Value> {
        let mut sensors = Vec::new();
        let mut page = self.get(&format!("/sensors?limit={limit}")).await.expect(200).json();
        loop {
            let items = page["items"].as_array().expect("items");
            assert!(items.len() <= limit);
            sensors.extend(items.iter().cloned());
            let Some(next) = link(&page, "next") else {
                return sensors;
            };
            page = self.follow(&next).await.expect(200).json();
        }
    }

    /// Asserts that the sensor reads as `event` tells, byte for byte, and gives its JSON.
    pub async fn assert_reads_as(&self, event: &Event) -> Value {
        let now = self.get(&format!("/sensors/{}", event.sensor)).await.expect(200);
        if let Some(state) = &event.state {
            assert_eq!(state, now.text(), "state is the GET body, byte for byte");
        }
        assert_eq!(now.revision(), event.revision);
        now.json()
    }

    /// Events behind, as the readiness document tells: the one member whose name speaks of a lag in events.
    pub async fn relay_lag(&self) -> Option<i64> {
        let document = self.get("/health/ready").await.expect(200).json();
        find_lag(&document)
    }
}

/// The href of the link with the relation `rel`.
pub fn link(document: &Value, rel: &str) -> Option<String> {
    let links = document["links"].as_array().expect("links");
    let found = links.iter().find(|link| link["rel"] == rel)?;
    Some(found["href"].as_str().expect("an href").to_owned())
}

fn find_lag(document: &Value) -> Option<i64> {
    let members = document.as_object()?;
    let direct = members
        .iter()
        .filter(|(name, _)| name.contains("lag") && !name.contains("seconds"))
        .find_map(|(_, value)| value.as_i64().or_else(|| value["events"].as_i64()));
    direct.or_else(|| members.values().find_map(find_lag))
}
