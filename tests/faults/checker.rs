use std::collections::BTreeMap;

use crate::harness::{Event, Http, Message, Mirror};

/// What a subscriber to every change saw, judged by what the contract promises: in revision order after dropping
/// repeats, a repeat equal to the first byte for byte, no revision missing.
#[derive(Default)]
pub struct History {
    payloads: BTreeMap<i64, Vec<u8>>,
    pub mirror: Mirror,
    pub repeats: usize,
}

impl History {
    /// The newest revision seen.
    pub fn revision(&self) -> i64 {
        self.mirror.revision
    }

    /// Takes the next message in the order of arrival.
    #[track_caller]
    pub fn take(&mut self, message: &Message) {
        let event = message.event();
        assert_eq!(message.topic, format!("sensors/{}", event.sensor));
        if let Some(first) = self.payloads.get(&event.revision) {
            assert_eq!(first, &message.payload, "a repeat has the same bytes");
            self.repeats += 1;
            return;
        }
        // The mirror fails on a revision that is not the next one, and on a previous that is not what it holds.
        self.mirror.apply(&event);
        self.payloads.insert(event.revision, message.payload.clone());
    }

    /// The event of `revision`, if it was seen.
    pub fn event(&self, revision: i64) -> Option<Event> {
        self.payloads.get(&revision).map(|payload| Event::read(payload))
    }

    /// Asserts that the store holds what the events tell, and is at the revision of the last of them.
    pub async fn assert_tells_the_state_of(&self, http: &Http) {
        assert_eq!(
            http.store_revision().await,
            self.revision(),
            "no change without an event"
        );
        self.mirror.assert_equals(&http.all_pages(100).await);
    }
}
