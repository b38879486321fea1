use std::fmt;

/// What has to hold, whatever fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// What was answered with success is there.
    OkIsPresent,
    /// What was answered with a failure is not.
    FailedIsAbsent,
    /// A change does all that its request asked for, and nothing else.
    ChangeIsWhole,
    /// Every event was asked for, once.
    EventIsAskedFor,
    /// A conditional request changed what it named, and was refused only when that was not there.
    PreconditionHolds,
    /// Revisions are 1, 2, 3, …, and `previous` is what the sensor had.
    RevisionsAreDense,
    /// The sensors are the fold of the events.
    StateIsFold,
    /// An event's `state` is what a GET of its revision returns, byte for byte.
    EventIsState,
    /// The log says the same as ever.
    LogIsKept,
    /// Who asks after an answer gets a higher revision.
    OrderIsReal,
    /// A read tells a committed state, no older than what was answered before.
    ReadIsFresh,
    /// A subscriber gets every event in order, and again only with the same bytes.
    WitnessIsRight,
    /// A mirror that has come to rest holds what the list holds.
    MirrorIsRight,
}

/// A rule that did not hold.
#[derive(Debug, Clone)]
pub struct Complaint {
    pub rule: Rule,
    pub detail: String,
}

/// All that did not hold.
#[derive(Clone, Default)]
pub struct Complaints(pub Vec<Complaint>);

/// More are counted and not shown.
const MAX_SHOWN: usize = 20;
/// Of one complaint, in characters.
const MAX_DETAIL: usize = 1_000;

impl Complaints {
    pub fn add(&mut self, rule: Rule, detail: impl Into<String>) {
        let detail = detail.into();
        self.0.push(Complaint { rule, detail });
    }

    /// Complains unless `holds`.
    pub fn unless(&mut self, holds: bool, rule: Rule, detail: impl FnOnce() -> String) {
        if !holds {
            self.add(rule, detail());
        }
    }

    /// The rules that did not hold, each once.
    pub fn rules(&self) -> Vec<Rule> {
        let mut rules: Vec<_> = self.0.iter().map(|complaint| complaint.rule).collect();
        rules.sort();
        rules.dedup();
        rules
    }
}

impl fmt::Debug for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Complaint { rule, detail } in self.0.iter().take(MAX_SHOWN) {
            let detail: String = detail.chars().take(MAX_DETAIL).collect();
            write!(f, "\n{rule:?}: {detail}")?;
        }
        write!(f, "\n{} complaints, {:?}", self.0.len(), self.rules())
    }
}
