//! An exact copy of the sensors in another process, kept by the recipe for consumers: read the list at a revision, apply
//! the events after it, and notice when one is missing.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use sensorcast::mirror::{Mirror, MirrorOptions};
//!
//! let mut mirror = Mirror::start(MirrorOptions::new("http://localhost:8000".parse()?))?;
//! loop {
//!     mirror.changed().await;
//!     if let Some(snapshot) = mirror.snapshot() {
//!         println!("{} sensors at revision {}", snapshot.sensors.len(), snapshot.revision);
//!     }
//! }
//! # }
//! ```
//!
//! What a mirror shows is at every moment the store at exactly one revision: while the list is read (again), it goes on to
//! show what it had. The pure part is the `State`; MQTT messages only ever bring an event or a hint, and the log over HTTP
//! decides.
//!
//! *Byte for byte:* a mirror applies merge patches (RFC 7396) to parsed JSON, and JSON objects have no order. So a sensor
//! of a mirror, written out with its members sorted by name, is byte for byte the body of the GET of that revision,
//! parsed and written out in the same way.

mod documents;
mod keeper;
mod service;
mod shared;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::domain::{Epoch, Revision, SensorId};
use crate::mqtt::{Endpoint, EndpointError};
use keeper::Keeper;
use service::Service;
use shared::Shared;
use state::{Gaps, State};

/// An exact mirror of the sensors of a service, kept by a task of its own until the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Mirror {
    shared: Arc<Shared>,
    changes: watch::Receiver<()>,
    _keeper: Arc<AbortOnDropHandle<()>>,
}

/// What to mirror.
#[derive(Debug, Clone)]
pub struct MirrorOptions {
    /// The entry point of the service; everything else is found by its links.
    pub url: Url,
    /// The broker, `mqtt://user:password@host:1883` or `mqtts://`; by default the one that the entry point names.
    pub mqtt: Option<Url>,
    gaps: Gaps,
}

/// Why there can be no such mirror.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The URL is not one of HTTP.
    #[error("the URL of the service starts with http:// or https://")]
    Url,
    /// The broker's URL is not one.
    #[error("the broker's URL is wrong")]
    Broker(#[from] EndpointError),
    /// The TLS library does not start.
    #[error("the HTTP client does not start")]
    Client(#[from] reqwest::Error),
}

/// How a mirror is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It has no connection, and tries to make one.
    Connecting {
        /// What was in the way last, in one line.
        problem: Option<String>,
    },
    /// It reads the list.
    Reading,
    /// It follows the events.
    Live,
}

/// The store at one revision.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The life of the store that the revision belongs to.
    pub epoch: Epoch,
    /// Every change up to here is in, none after it.
    pub revision: Revision,
    /// The sensors as a GET returns them, by their ids.
    pub sensors: BTreeMap<SensorId, Arc<Json>>,
}

impl MirrorOptions {
    /// Mirrors the service at `url`, with the broker that it names.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            url,
            mqtt: None,
            gaps: Gaps::Detected,
        }
    }

    /// Takes every event for the next one. Only to show that a test notices what comes of that.
    #[doc(hidden)]
    #[must_use]
    pub fn without_gap_detection(mut self) -> Self {
        self.gaps = Gaps::Ignored;
        self
    }
}

impl Mirror {
    /// Starts to keep a mirror, within a tokio runtime. A service or broker that is away is no error: the mirror tries
    /// again, with a pause that grows from 100 ms to 5 s.
    ///
    /// # Errors
    /// When a URL is wrong.
    pub fn start(options: MirrorOptions) -> Result<Self, MirrorError> {
        if !matches!(options.url.scheme(), "http" | "https") {
            return Err(MirrorError::Url);
        }
        if let Some(url) = &options.mqtt {
            Endpoint::from_url(url)?;
        }
        let shared = Arc::new(Shared::new());
        let service = Service::new(options.url.clone())?;
        let keeper = Keeper::new(options, service, Arc::clone(&shared));
        Ok(Self {
            changes: shared.changes(),
            shared,
            _keeper: Arc::new(AbortOnDropHandle::new(tokio::spawn(keeper.run()))),
        })
    }

    /// The sensor as a GET returns it; `None` when there is none, or nothing was read yet.
    #[must_use]
    pub fn get(&self, id: SensorId) -> Option<Arc<Json>> {
        self.shared.with_shown(|state| state.sensors().get(&id).cloned())?
    }

    /// All sensors at one revision; `None` as long as the list was never read. Costs a pointer a sensor, no copies.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.shared.snapshot()
    }

    /// The revision that the mirror shows; `None` as long as the list was never read.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        self.shared.with_shown(State::revision)
    }

    /// By how many changes the mirror is behind the newest revision that it knows of. The service tells that at least
    /// every 5 s while it changes, so that the true lag can be greater by what changed since.
    #[must_use]
    pub fn lag(&self) -> i64 {
        let shown = self.revision().unwrap_or(Revision::ZERO);
        (self.shared.head().get() - shown.get()).max(0)
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Waits until something is other than when this was last called: a sensor, the lag or the status. Several changes
    /// may be told as one. May be cancelled.
    pub async fn changed(&mut self) {
        // The sender lives as long as this mirror.
        let _ = self.changes.changed().await;
    }
}
