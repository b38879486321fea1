use super::{Refusal, Revision, Sensor, Timestamp};

/// What a request demands of the sensor's present state: RFC 9110 §13 in terms of revisions. For a write it is checked in
/// the transaction that changes the sensor, so that of two racing writers with one tag exactly one succeeds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Precondition {
    /// `If-Match`: the sensor has to be one of these.
    pub if_match: Option<Tags>,
    /// `If-None-Match`: the sensor must be none of these.
    pub if_none_match: Option<Tags>,
    /// `If-Modified-Since`: the client has the state of this second, and needs the sensor only if it changed later.
    pub if_modified_since: Option<Timestamp>,
    /// `If-Unmodified-Since`: the sensor must not have changed after this second.
    pub if_unmodified_since: Option<Timestamp>,
    /// Whether a change of an existing sensor needs `If-Match` (`REQUIRE_IF_MATCH`).
    pub if_match_required: bool,
}

/// What tells one state of a sensor from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The revision.
    pub revision: Revision,
    /// When it became what it is.
    pub updated_at: Timestamp,
}

impl From<&Sensor> for Version {
    fn from(sensor: &Sensor) -> Self {
        Self {
            revision: sensor.revision,
            updated_at: sensor.updated_at,
        }
    }
}

/// Which demand of a request the present state does not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// `If-Match`: there is nothing.
    Missing,
    /// `If-Match`: there is another state.
    OtherState,
    /// `If-None-Match: *`: there is something.
    Present,
    /// `If-None-Match` with the tag of the present state.
    Excluded,
    /// `If-Unmodified-Since`.
    ModifiedSince,
}

/// What a conditional header lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tags {
    /// `*`: any state, as long as there is one.
    Any,
    /// These revisions. A tag that is malformed or of another epoch names none, and so never matches.
    Revisions(Vec<Revision>),
}

impl Precondition {
    /// Whether a write may change what is there; `None` when there is no sensor.
    ///
    /// # Errors
    /// [`Refusal::PreconditionFailed`]; or [`Refusal::PreconditionRequired`] when `If-Match` is needed and missing, unless
    /// `If-None-Match` fails already.
    pub fn check(&self, present: Option<Version>) -> Result<(), Refusal> {
        let unwanted = present.and_then(|present| self.unwanted(present.revision));
        if unwanted.is_none() && self.if_match_required && self.if_match.is_none() && present.is_some() {
            return Err(Refusal::PreconditionRequired);
        }
        match self.stale(present).or(unwanted) {
            Some(unmet) => Err(Refusal::PreconditionFailed(unmet)),
            None => Ok(()),
        }
    }

    /// Whether the list meets the precondition. It always exists, and changes with every revision of the store, of which `head` is the
    /// newest. `If-Unmodified-Since` is ignored, because the list has no instant of its own.
    ///
    /// # Errors
    /// The demand that is not met.
    pub fn check_list(&self, head: Revision) -> Result<(), Unmet> {
        let stale = self.if_match.as_ref().filter(|tags| !tags.contain(head));
        let unmet = stale.map(|_| Unmet::OtherState).or_else(|| self.unwanted(head));
        unmet.map_or(Ok(()), Err)
    }

    /// Whether the client that reads already has the present state, so that the answer is 304.
    ///
    /// # Errors
    /// [`Refusal::PreconditionFailed`] when `If-Match` or `If-Unmodified-Since` does not hold.
    pub fn check_read(&self, present: Version) -> Result<bool, Refusal> {
        if let Some(unmet) = self.stale(Some(present)) {
            return Err(Refusal::PreconditionFailed(unmet));
        }
        // RFC 9110 §13.2.2: tags win over instants, which cannot tell two changes in one second apart.
        let unchanged_since = |instant| !changed_after(present, instant);
        Ok(match &self.if_none_match {
            Some(tags) => tags.contain(present.revision),
            None => self.if_modified_since.is_some_and(unchanged_since),
        })
    }

    fn stale(&self, present: Option<Version>) -> Option<Unmet> {
        match (&self.if_match, self.if_unmodified_since, present) {
            (Some(_), _, None) => Some(Unmet::Missing),
            (Some(tags), _, Some(present)) => (!tags.contain(present.revision)).then_some(Unmet::OtherState),
            (None, Some(instant), Some(present)) => changed_after(present, instant).then_some(Unmet::ModifiedSince),
            (None, _, _) => None,
        }
    }

    fn unwanted(&self, present: Revision) -> Option<Unmet> {
        match self.if_none_match.as_ref()? {
            Tags::Any => Some(Unmet::Present),
            tags @ Tags::Revisions(_) => tags.contain(present).then_some(Unmet::Excluded),
        }
    }
}

/// Compares whole seconds, because the instants of HTTP have no fractions.
fn changed_after(present: Version, instant: Timestamp) -> bool {
    present.updated_at.unix_ms().div_euclid(1_000) > instant.unix_ms().div_euclid(1_000)
}

impl Tags {
    /// Whether `revision` is listed.
    #[must_use]
    pub fn contain(&self, revision: Revision) -> bool {
        match self {
            Self::Any => true,
            Self::Revisions(revisions) => revisions.contains(&revision),
        }
    }
}
