use std::error::Error;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use super::documents::{self, EntryPoint, EventPage, SensorPage};
use crate::domain::Cursor;

/// The service as a client sees it: by its links, from the entry point on.
#[derive(Debug, Clone)]
pub(super) struct Service {
    client: Client,
    entry_point: Url,
}

/// The events after a cursor.
#[derive(Debug)]
pub(super) enum EventsAfter {
    /// Some of them, or none when there are none.
    Page(EventPage),
    /// The log does not know the cursor, or no longer.
    Gone,
}

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// From the request to the last byte of the answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// More than the largest page: 500 sensors of which each has 16 KiB of metadata, written out.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
const PAGE_LIMIT: &str = "500";

impl Service {
    /// # Errors
    /// When the TLS library does not start.
    pub(super) fn new(entry_point: Url) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("sensorcast-mirror/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_LIMIT)
            .timeout(ANSWER_LIMIT)
            .build()?;
        Ok(Self { client, entry_point })
    }

    pub(super) async fn entry_point(&self) -> Result<EntryPoint, String> {
        let url = &self.entry_point;
        let body = body(url, self.get(url).await?).await?;
        let entry = documents::read(&body).ok();
        // What is wrong in a document of somebody else is of no interest.
        entry
            .filter(EntryPoint::is_complete)
            .ok_or_else(|| format!("{url}: what answers there is no entry point of a sensorcast service"))
    }

    /// The first page of the list.
    pub(super) async fn first_page(&self, collection: &str) -> Result<SensorPage, String> {
        let mut url = self.url(collection)?;
        url.query_pairs_mut().append_pair("limit", PAGE_LIMIT);
        self.document(url).await
    }

    /// The page that a `next` link names.
    pub(super) async fn page(&self, href: &str) -> Result<SensorPage, String> {
        self.document(self.url(href)?).await
    }

    /// A page of the log.
    pub(super) async fn events_after(&self, events: &str, cursor: &Cursor) -> Result<EventsAfter, String> {
        let mut url = self.url(events)?;
        url.query_pairs_mut()
            .append_pair("after", &cursor.to_string())
            .append_pair("limit", PAGE_LIMIT);
        let answer = self.get(&url).await?;
        match answer.status() {
            // Also a cursor from the future (400): the store went back, and no event leads from here to there.
            StatusCode::GONE | StatusCode::BAD_REQUEST => Ok(EventsAfter::Gone),
            _ => Ok(EventsAfter::Page(read(&url, answer).await?)),
        }
    }

    /// A link may be relative.
    fn url(&self, href: &str) -> Result<Url, String> {
        self.entry_point
            .join(href)
            .map_err(|error| format!("the link {href:?} is no URL: {error}"))
    }

    async fn document<T: DeserializeOwned>(&self, url: Url) -> Result<T, String> {
        let answer = self.get(&url).await?;
        read(&url, answer).await
    }

    async fn get(&self, url: &Url) -> Result<Response, String> {
        let request = self.client.get(url.clone()).header("accept", "application/json");
        request.send().await.map_err(|error| describe(url, &error))
    }
}

async fn read<T: DeserializeOwned>(url: &Url, answer: Response) -> Result<T, String> {
    let body = body(url, answer).await?;
    documents::read(&body).map_err(|reason| format!("{url}: {reason}"))
}

async fn body(url: &Url, mut answer: Response) -> Result<Vec<u8>, String> {
    let status = answer.status();
    if status != StatusCode::OK {
        return Err(format!("{url}: {status}"));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| describe(url, &error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(format!("{url}: more than {MAX_ANSWER_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause says what happened; the outer ones say that something did.
fn describe(url: &Url, error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    format!("{url}: {cause}")
}
