//! What every use of Paho has to do right.
//!
//! Every connection has a client of its own: Paho sends what it has queued for a lost connection *first* after a
//! reconnect of the same client, which breaks the order. And one client that never connects lives as long as the
//! process: without it, dropping the last client stops Paho's threads and can deadlock every Paho call in the process
//! (paho.mqtt.rust issues #239, #207).

use std::sync::OnceLock;
use std::time::Duration;

use paho_mqtt::{AsyncClient, ConnectOptionsBuilder, CreateOptionsBuilder, Error, PersistenceType, SslOptionsBuilder};
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::timeout;

use super::double_free;
use super::endpoint::Endpoint;
use super::refusal::farewell;
use crate::events::{Refusal, Verdict};

/// What is waited for an attempt to connect that ignores its own limit, a name resolver that hangs for example.
pub(super) const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);

/// How soon a dead connection is found out: after one and a half of this.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const CONNECT_LIMIT: Duration = Duration::from_secs(4);

/// Makes Paho safe to use in this process: to be called before the first client is made.
pub(super) fn start_library() -> Result<(), Error> {
    static NEVER_CONNECTED: OnceLock<AsyncClient> = OnceLock::new();
    double_free::keep_linked();
    if NEVER_CONNECTED.get().is_none() {
        // Of two at once the second is not needed.
        let _ = NEVER_CONNECTED.set(new_client("tcp://127.0.0.1:1", "sensorcast-never-connected")?);
    }
    Ok(())
}

/// A client for one connection. It keeps nothing for another one.
pub(super) fn new_client(server_uri: &str, client_id: &str) -> Result<AsyncClient, Error> {
    CreateOptionsBuilder::new()
        .server_uri(server_uri)
        .client_id(client_id)
        .persistence(PersistenceType::None)
        .send_while_disconnected(false)
        .create_client()
}

/// Asks the system for the broker's name. Paho does so, too, but tells only its log that there is no such name.
pub(super) async fn resolve(endpoint: &Endpoint) -> Result<(), String> {
    let cause = match timeout(ATTEMPT_LIMIT, lookup_host(&endpoint.authority)).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(cause)) => cause.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    Err(format!("{endpoint}: the name cannot be resolved: {cause}"))
}

/// MQTT 5, a session that ends with the connection, and who we are to this broker.
pub(super) fn connect_options(endpoint: &Endpoint) -> ConnectOptionsBuilder {
    let mut options = ConnectOptionsBuilder::new_v5();
    options
        .clean_start(true)
        .keep_alive_interval(KEEP_ALIVE)
        .connect_timeout(CONNECT_LIMIT);
    if let Some(credentials) = &endpoint.credentials {
        options.user_name(&*credentials.user).password(&*credentials.password);
    }
    if endpoint.tls {
        // The certificate authorities are the system's, by default.
        let tls = SslOptionsBuilder::new()
            .enable_server_cert_auth(true)
            .verify(true)
            .finalize();
        options.ssl_options(tls);
    }
    options
}

/// What the client learns about the end of its connection: the first reason. The callbacks run on Paho's own threads,
/// which serve all clients: they only leave word.
pub(super) fn watch_connection(client: &AsyncClient) -> watch::Receiver<Option<Refusal>> {
    let (word, lost) = watch::channel(None);
    let leave_word = move |word: &watch::Sender<Option<Refusal>>, reason: Refusal| {
        word.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(reason);
            is_first
        });
    };
    let on_lost = word.clone();
    client.set_connection_lost_callback(move |_| leave_word(&on_lost, without_a_word("connection lost")));
    client.set_disconnected_callback(move |_, _, code| leave_word(&word, farewell(code)));
    lost
}

/// Resolves with the reason when the connection has ended.
pub(super) async fn ended(mut lost: watch::Receiver<Option<Refusal>>) -> Refusal {
    let reason = lost.wait_for(Option::is_some).await;
    let reason = reason.ok().and_then(|reason| reason.clone());
    reason.unwrap_or_else(|| without_a_word("the client is gone"))
}

fn without_a_word(what: &str) -> Refusal {
    Refusal {
        verdict: Verdict::Unclear,
        reason: what.to_owned(),
    }
}

/// A connect resolves while Paho still holds its lock; this waits for the same lock. To drop a client before that can
/// deadlock the process.
pub(super) async fn wait_for_paho(client: AsyncClient) -> AsyncClient {
    let waiting = client.clone();
    let _ = tokio::task::spawn_blocking(move || waiting.is_connected()).await;
    client
}

/// Dropping a client waits for Paho's lock, so it happens where waiting is allowed.
pub(super) fn drop_elsewhere(client: AsyncClient) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn_blocking(move || drop(client));
    }
}
