use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;

use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::error::Result;
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;

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
}

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
        user == Some(&self.relay.user) || !self.topics.owns(topic)
    }
}

impl AuthProvider for Guard {
    fn authenticate<'a>(&'a self, connect: &'a ConnectPacket, _: SocketAddr) -> Boxed<'a, Result<AuthResult>> {
        Box::pin(ready(Ok(self.admit(connect))))
    }

    fn authorize_publish<'a>(&'a self, _: &str, user: Option<&'a str>, topic: &'a str) -> Boxed<'a, bool> {
        Box::pin(ready(self.may_publish(user, topic)))
    }

    fn authorize_subscribe<'a>(&'a self, _: &str, _: Option<&'a str>, _: &'a str) -> Boxed<'a, bool> {
        Box::pin(ready(true))
    }
}
