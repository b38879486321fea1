//! Time: what was answered before a request was sent has happened before it.

use std::collections::HashMap;

use super::complaint::{Complaints, Rule};
use super::entry::{Entry, Outcome};
use super::history::State;

/// The revision that an answered request made.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    pub started: u64,
    pub ended: u64,
    pub revision: i64,
}

/// The states of one sensor in a round, by the revision from which on each is; `None` while there is no sensor.
pub type Timeline = Vec<(i64, Option<State>)>;

/// Who asks after an answer gets a higher revision.
pub fn judge_writes(made: &[Made], complaints: &mut Complaints) {
    let (mut by_start, mut by_end) = (made.to_vec(), made.to_vec());
    by_start.sort_by_key(|made| made.started);
    by_end.sort_by_key(|made| made.ended);
    let (mut answered, mut newest) = (by_end.iter().peekable(), 0);
    for made in by_start {
        while let Some(earlier) = answered.next_if(|earlier| earlier.ended < made.started) {
            newest = newest.max(earlier.revision);
        }
        complaints.unless(made.revision > newest, Rule::OrderIsReal, || {
            format!("{} was given out when {newest} had been answered", made.revision)
        });
    }
}

/// Every read tells a state that was committed, and none that is older than what was answered before about the sensor.
///
/// `told` has, for every sensor, the revisions that answers have told, by the time of the answer.
pub fn judge_reads(
    reads: &[Entry],
    timelines: &mut HashMap<String, Timeline>,
    told: &HashMap<String, Vec<(u64, i64)>>,
    complaints: &mut Complaints,
) {
    for read in reads {
        // Of a read by name only the answer tells which sensor it is.
        let id = match &read.outcome {
            Outcome::Ok(answer) => answer.id(),
            Outcome::Failed(_) | Outcome::Unknown => read.request.target().to_owned(),
        };
        let (Some(timeline), Some(told)) = (timelines.get_mut(&id), told.get(&id)) else {
            continue;
        };
        let before = told.iter().filter(|(ended, _)| *ended < read.started);
        let floor = before.map(|(_, revision)| *revision).max().unwrap_or(0);
        match &read.outcome {
            Outcome::Ok(answer) => {
                let revision = answer.revision();
                complaints.unless(revision >= floor, Rule::ReadIsFresh, || {
                    format!("GET {id} told {revision} when {floor} had been answered")
                });
                let state = timeline.iter_mut().find(|(from, _)| *from == revision);
                match state {
                    Some((_, Some(state))) => state.compare(answer.text(), "GET", complaints),
                    _ => complaints.add(
                        Rule::ReadIsFresh,
                        format!("GET told {revision}, which the log does not have: {}", answer.text()),
                    ),
                }
            }
            Outcome::Failed(answer) if answer.status == 404 => {
                let ends = timeline.iter().skip(1).map(|(from, _)| *from).chain([i64::MAX]);
                let mut absences = timeline.iter().zip(ends).filter(|((_, state), _)| state.is_none());
                complaints.unless(absences.any(|(_, end)| end > floor), Rule::ReadIsFresh, || {
                    format!("GET {id} found nothing, and {floor} had been answered")
                });
            }
            Outcome::Failed(_) | Outcome::Unknown => {}
        }
    }
}
