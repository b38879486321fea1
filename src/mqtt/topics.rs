use crate::config;
use crate::domain::SensorId;

/// The topics of one service: the collection's own, one for each sensor below it, and one below that for its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    collection: String,
}

/// A prefix that is none, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the topic prefix: {0}")]
pub struct TopicError(String);

impl Topics {
    /// More than a prefix and the rest of a topic have, in bytes.
    const MAX_LENGTH: usize = 320;
    const COLLECTION: &str = "sensors";
    const STATE: &str = "/state";

    /// The topics after a prefix, e.g. `plant7/`; it may be empty.
    ///
    /// # Errors
    /// When it is no prefix, and a topic after it might not be valid.
    pub fn new(prefix: &str) -> Result<Self, TopicError> {
        let prefix = config::topic_prefix(prefix).map_err(TopicError)?;
        Ok(Self {
            collection: format!("{prefix}{}", Self::COLLECTION),
        })
    }

    /// Where the presence is retained: `{prefix}sensors`.
    #[must_use]
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// Where the events of a sensor go: `{prefix}sensors/{id}`. Valid and short, because its parts are.
    #[must_use]
    pub fn sensor(&self, id: SensorId) -> String {
        let topic = format!("{}/{id}", self.collection);
        debug_assert!(topic.len() < Self::MAX_LENGTH && !topic.contains(['+', '#', '\0']));
        topic
    }

    /// Where the state of a sensor is retained: `{prefix}sensors/{id}/state`.
    #[must_use]
    pub fn state(&self, id: SensorId) -> String {
        format!("{}/{id}{}", self.collection, Self::STATE)
    }

    /// Every topic of a state.
    #[must_use]
    pub fn all_states(&self) -> String {
        format!("{}/+{}", self.collection, Self::STATE)
    }

    /// The sensor whose state is retained on this topic.
    #[must_use]
    pub fn sensor_of_state(&self, topic: &str) -> Option<SensorId> {
        let id = topic.strip_prefix(&self.collection)?.strip_prefix('/')?;
        let id = id.strip_suffix(Self::STATE)?.parse().ok()?;
        // The same UUID in upper case is another topic.
        (self.state(id) == topic).then_some(id)
    }

    /// Where the mark is retained: `{prefix}sensors/state/relayed`, which neither `sensors/+` nor `sensors/+/state` matches.
    #[must_use]
    pub fn mark(&self) -> String {
        format!("{}{}/relayed", self.collection, Self::STATE)
    }

    /// Whether only the service itself may publish there.
    #[must_use]
    pub fn owns(&self, topic: &str) -> bool {
        topic
            .strip_prefix(&self.collection)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_could_break_a_topic_is_refused() {
        for prefix in ["+/", "a/#", "$SYS/", "a\0", "a\n", &"x".repeat(257)] {
            assert!(Topics::new(prefix).is_err(), "{prefix:?}");
        }
    }

    #[test]
    fn the_service_owns_its_collection_and_nothing_beside_it() {
        let topics = Topics::new("plant7/").unwrap();
        let id = "01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90".parse().unwrap();
        assert_eq!(topics.sensor(id), format!("plant7/sensors/{id}"));
        assert_eq!(topics.sensor_of_state(&topics.state(id)), Some(id));
        let shouted = topics.state(id).replace("7e90", "7E90");
        for topic in [&shouted, &topics.mark(), &topics.sensor(id), "sensors/x/state"] {
            assert_eq!(topics.sensor_of_state(topic), None, "{topic}");
        }
        assert!(topics.owns(&topics.mark()));
        for topic in ["plant7/sensors", "plant7/sensors/", "plant7/sensors/x/state"] {
            assert!(topics.owns(topic), "{topic}");
        }
        for topic in ["sensors/x", "plant7/sensorsx", "plant7", "x/plant7/sensors"] {
            assert!(!topics.owns(topic), "{topic}");
        }
    }
}
