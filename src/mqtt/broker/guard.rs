use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::error::Result;
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use tracing::warn;

use super::numbers::Numbers;
use crate::mqtt::client_id;
use crate::mqtt::endpoint::Credentials;
use crate::mqtt::topics::Topics;

/// Who may do what on the built-in broker: everybody may connect, subscribe, and publish elsewhere; only the relay may
/// publish what the service says.
///
/// The relay is known by a secret of this process and not by its client id, which anybody could use. Nobody else gets
/// in with its user name or a client id like its own, so nobody can push it out.
pub(super) struct Guard {
    pub(super) relay: Credentials,
    pub(super) topics: Topics,
    pub(super) numbers: Arc<Numbers>,
}

/// Clients at a time.
pub(super) const MAX_CLIENTS: usize = 1_000;
/// From this many connections on, a new one is worth a log line: half of the limit.
const CROWD: usize = MAX_CLIENTS / 2;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Guard {
    fn admit(&self, connect: &ConnectPacket) -> AuthResult {
        let is_relay = connect.username.as_ref() == Some(&self.relay.user);
        let has_secret = connect.password.as_deref() == Some(self.relay.password.as_bytes());
        match (is_relay, has_secret) {
            (true, true) => AuthResult::success_with_user(&self.relay.user),
            (true, false) => AuthResult::fail(ReasonCode::BadUsernameOrPassword),
            (false, _) if client_id::is_relays(&connect.client_id) => {
                AuthResult::fail(ReasonCode::ClientIdentifierNotValid)
            }
            // Without a user, whatever name was given: only the relay has one.
            (false, _) => AuthResult::success(),
        }
    }

    fn may_publish(&self, user: Option<&str>, topic: &str) -> bool {
        // What begins with a dollar is the broker's own, which it publishes without asking (MQTT 5 §4.7.2).
        let is_of_all = !self.topics.owns(topic) && !topic.starts_with('$');
        is_of_all || user == Some(&self.relay.user)
    }

    fn tell_crowd(&self) {
        let connections = self.numbers.connections() + 1;
        if connections >= CROWD && self.numbers.in_a_crowd.one_more().is_some() {
            warn!(
                connections,
                limit = MAX_CLIENTS,
                "the built-in broker has many connections"
            );
        }
    }

    fn tell_impostor(&self, connect: &ConnectPacket, address: SocketAddr) {
        if let Some(count) = self.numbers.impostors_refused.one_more() {
            let client_id = &connect.client_id;
            warn!(
                count,
                %address,
                client_id,
                "the built-in broker refused a client that came with the relay's user name or client id"
            );
        }
    }

    fn tell_refused_publish(&self, client_id: &str, topic: &str) {
        if let Some(count) = self.numbers.publishes_refused.one_more() {
            warn!(
                count,
                client_id, topic, "the built-in broker refused messages on the service's topics or its own"
            );
        }
    }
}

impl AuthProvider for Guard {
    fn authenticate<'a>(&'a self, connect: &'a ConnectPacket, address: SocketAddr) -> Boxed<'a, Result<AuthResult>> {
        let verdict = self.admit(connect);
        if verdict.authenticated {
            self.tell_crowd();
        } else {
            self.tell_impostor(connect, address);
        }
        Box::pin(ready(Ok(verdict)))
    }

    fn authorize_publish<'a>(&'a self, client_id: &str, user: Option<&'a str>, topic: &'a str) -> Boxed<'a, bool> {
        let may_publish = self.may_publish(user, topic);
        if !may_publish {
            self.tell_refused_publish(client_id, topic);
        }
        Box::pin(ready(may_publish))
    }

    fn authorize_subscribe<'a>(&'a self, _: &str, _: Option<&'a str>, filter: &'a str) -> Boxed<'a, bool> {
        // A group needs a name (MQTT 5 §4.8.2), which the library does not look for.
        Box::pin(ready(!filter.starts_with("$share//")))
    }
}
