//! What a sensor was, rebuilt from the events of the log: a `state` replaces it, `changes` are merged into it.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// What an event says about its sensor.
#[derive(Debug, Deserialize)]
pub struct Told {
    /// The revision that the change made.
    pub revision: i64,
    state: Option<Map<String, Json>>,
    changes: Option<Map<String, Json>>,
}

/// A representation, as far as the events that were applied tell it.
#[derive(Debug, Clone, Default)]
pub struct Fold {
    members: Map<String, Json>,
    /// The members that are not known yet. `None`: all but those in `members` are unknown.
    unknown: Option<BTreeSet<String>>,
}

impl Fold {
    /// Starts from a whole state.
    #[must_use]
    pub fn at(state: Map<String, Json>) -> Self {
        Self {
            members: state,
            unknown: Some(BTreeSet::new()),
        }
    }

    /// Starts before the oldest event that is kept. Only the `touched` members have changed between then and the `present`, so the
    /// others were then what they are now.
    #[must_use]
    pub fn back_from(mut present: Map<String, Json>, touched: BTreeSet<String>) -> Self {
        present.retain(|name, _| !touched.contains(name));
        Self {
            members: present,
            unknown: Some(touched),
        }
    }

    /// Goes on to the state after an event.
    pub fn apply(&mut self, event: Told) {
        match (event.state, event.changes) {
            (Some(state), _) => *self = Self::at(state),
            (None, Some(changes)) => self.change(changes),
            // Gone: a sensor that comes back under this id comes with a state.
            (None, None) => *self = Self::default(),
        }
    }

    /// All members, when all are known.
    #[must_use]
    pub fn complete(self) -> Option<Map<String, Json>> {
        let is_complete = self.unknown.is_some_and(|unknown| unknown.is_empty());
        is_complete.then_some(self.members)
    }

    /// The member `name`, where it is set and known.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.members.get(name)
    }

    fn change(&mut self, mut changes: Map<String, Json>) {
        let is_known = |name: &str| match &self.unknown {
            Some(unknown) => !unknown.contains(name),
            None => self.members.contains_key(name),
        };
        // A patch of an unknown object has only some of its members.
        changes.retain(|name, value| !value.is_object() || is_known(name));
        if let Some(unknown) = &mut self.unknown {
            unknown.retain(|name| !changes.contains_key(name));
        }
        let mut members = Json::Object(std::mem::take(&mut self.members));
        json_patch::merge(&mut members, &Json::Object(changes));
        if let Json::Object(members) = members {
            self.members = members;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::wire::merge_patch::diff;

    fn told(event: Json) -> Told {
        serde_json::from_value(event).unwrap()
    }

    fn object(json: Json) -> Map<String, Json> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_member_that_only_a_pruned_event_told_is_not_known() {
        let present = object(json!({"name": "s", "kind": "b", "value": 3}));
        let touched = BTreeSet::from(["kind".to_owned(), "value".to_owned()]);
        let mut fold = Fold::back_from(present, touched);
        fold.apply(told(json!({"revision": 8, "changes": {"value": 2}})));
        assert_eq!(fold.get("value"), Some(&json!(2)));
        assert!(fold.clone().complete().is_none());
        fold.apply(told(json!({"revision": 9, "changes": {"kind": null}})));
        let known = fold.clone().complete();
        assert_eq!(known, Some(object(json!({"name": "s", "value": 2}))));
        fold.apply(told(json!({"revision": 10})));
        assert!(fold.complete().is_none(), "of a sensor that is gone nothing is known");
    }

    #[test]
    fn a_patch_of_an_unknown_object_does_not_make_it_known() {
        let present = object(json!({"name": "s", "metadata": {"a": 1, "b": 2}}));
        let mut fold = Fold::back_from(present, BTreeSet::from(["metadata".to_owned()]));
        fold.apply(told(json!({"revision": 8, "changes": {"metadata": {"a": 1}}})));
        assert!(fold.complete().is_none());
    }

    fn sensor() -> impl Strategy<Value = Map<String, Json>> {
        let scalar = (0..3).prop_map(Json::from);
        let nested = prop::collection::btree_map("[xy]", scalar.clone(), 0..3).prop_map(|members| json!(members));
        prop::collection::btree_map("[abc]", prop_oneof![scalar, nested], 0..4)
            .prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        /// Whatever the log still has, what it gives is what was.
        #[test]
        fn what_is_rebuilt_is_what_was(
            states in prop::collection::vec(sensor(), 2..8),
            kept_from in 1..8_usize,
            asked in 0..8_usize,
        ) {
            let kept_from = kept_from.min(states.len() - 1);
            let asked = asked.clamp(kept_from, states.len() - 1);
            let changes: Vec<_> = states.windows(2).map(|pair| diff(&pair[0], &pair[1])).collect();
            let kept = &changes[kept_from - 1..];
            let touched = kept.iter().flat_map(|changes| changes.keys().cloned()).collect();
            let mut fold = Fold::back_from(states.last().unwrap().clone(), touched);
            for (index, changes) in kept[..=asked - kept_from].iter().enumerate() {
                fold.apply(told(json!({"revision": index, "changes": changes})));
            }
            if let Some(rebuilt) = fold.complete() {
                prop_assert_eq!(&rebuilt, &states[asked]);
            }
        }
    }
}
