//! What all writes have in common, alone or in a batch: first the precondition, then whether the body can be used, then the change.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use utoipa::IntoResponses;

use super::{of_refusal, refused, represent};
use crate::clock;
use crate::domain::{Change, Moment, Precondition, Refusal, Revision, Sensor, SensorId, SensorRef, Version};
use crate::http::preference::{self, Content, Preferences};
use crate::http::problem::Problem;
use crate::http::variant::{Form, Variant};
use crate::http::{HttpState, conditional};
use crate::store::{Decide, Once, Outcome, WriteError};
use crate::wire::representation::SensorForm;

/// What [`written`] answers to a change of a sensor, for the document.
#[derive(IntoResponses)]
#[response(status = 200, description = "The sensor as it is now", headers(
    ("ETag" = String), ("Last-Modified" = String), ("Content-Location" = String),
    ("Cache-Control" = String), ("Vary" = String), ("Preference-Applied" = String),
))]
#[expect(dead_code, reason = "for the document")]
pub struct ChangedResponse(SensorForm);

/// The same to a client that prefers little.
#[derive(IntoResponses)]
#[response(status = 204, description = "Done; without a body, as the client preferred", headers(
    ("ETag" = String), ("Last-Modified" = String), ("Cache-Control" = String), ("Vary" = String),
    ("Preference-Applied" = String),
))]
pub struct MinimalResponse;

/// What [`written`] answers to a write that creates a sensor, for the document.
#[derive(IntoResponses)]
#[response(status = 201, description = "The new sensor", headers(
    ("Location" = String), ("ETag" = String), ("Last-Modified" = String), ("Content-Location" = String),
    ("Cache-Control" = String), ("Vary" = String), ("Preference-Applied" = String),
))]
#[expect(dead_code, reason = "for the document")]
pub struct CreatedResponse(SensorForm);

/// What a write makes of the sensor, when the state is the one that the request demands.
type Make = Decide;

/// A write that is ready to be run.
pub struct Plan {
    target: SensorRef,
    demand: Demand,
    make: Result<Make, Problem>,
    once: Option<Once>,
}

/// What a write demands of the present state, whatever it changes.
#[derive(Clone)]
struct Demand {
    precondition: Precondition,
    subject: Subject,
}

/// What the precondition of a write is about.
#[derive(Clone, Copy, PartialEq)]
enum Subject {
    /// The list, to which it adds.
    List,
    /// A sensor that may be there or not.
    Sensor,
    /// A sensor that has to be there.
    ExistingSensor,
}

/// What becomes of a plan in a batch.
pub struct Attempt {
    target: SensorRef,
    demand: Demand,
    /// What is wrong with the request itself.
    problem: Option<Problem>,
}

impl Plan {
    /// A write of what may be there or not; `make` is what the body asks for, or the problem that it has.
    pub fn new<M>(target: SensorRef, precondition: Precondition, make: Result<M, Problem>) -> Self
    where
        M: FnOnce(Option<&Sensor>, Moment) -> Result<Change, Refusal> + Send + 'static,
    {
        let subject = Subject::Sensor;
        Self {
            target,
            demand: Demand { precondition, subject },
            make: make.map(|make| Box::new(make) as Make),
            once: None,
        }
    }

    /// A write that adds a sensor of this id to the list.
    pub fn of_list<M>(id: SensorId, precondition: Precondition, make: Result<M, Problem>) -> Self
    where
        M: FnOnce(Moment) -> Change + Send + 'static,
    {
        let make = make.map(|make| move |_: Option<&Sensor>, moment: Moment| Ok(make(moment)));
        Self::new(SensorRef::Id(id), precondition, make).about(Subject::List)
    }

    /// A write of a sensor that has to be there.
    pub fn of_existing<M>(target: SensorRef, precondition: Precondition, make: Result<M, Problem>) -> Self
    where
        M: FnOnce(&Sensor, Moment) -> Result<Change, Refusal> + Send + 'static,
    {
        let make = make.map(|make| {
            move |current: Option<&Sensor>, moment: Moment| make(current.ok_or(Refusal::NotFound)?, moment)
        });
        Self::new(target, precondition, make).about(Subject::ExistingSensor)
    }

    fn about(mut self, subject: Subject) -> Self {
        self.demand.subject = subject;
        self
    }

    /// A write that fails with `problem`, whatever the state is.
    #[must_use]
    pub fn hopeless(problem: Problem) -> Self {
        let nobody = SensorRef::Id(clock::new_sensor_id());
        Self {
            make: Err(problem),
            ..Self::new(
                nobody,
                Precondition::default(),
                Ok(|_: Option<&Sensor>, _| Err(Refusal::Unusable)),
            )
        }
    }

    /// The same write with the key of its request: when that comes again, it is not carried out again.
    #[must_use]
    pub fn once(self, once: Option<Once>) -> Self {
        Self { once, ..self }
    }

    /// The write as the store runs it in a batch, and what is needed to answer it after that.
    #[must_use]
    pub fn into_attempt(self) -> (Attempt, (SensorRef, Decide)) {
        let Self {
            target, demand, make, ..
        } = self;
        let (make, problem) = match make {
            Ok(make) => (make, None),
            Err(problem) => (
                Box::new(|_: Option<&Sensor>, _| Err(Refusal::Unusable)) as Make,
                Some(problem),
            ),
        };
        let attempt = Attempt {
            target: target.clone(),
            demand: demand.clone(),
            problem,
        };
        (attempt, (target, decide(demand, make)))
    }

    /// Runs it and answers.
    ///
    /// # Errors
    /// The problem of the first check that fails.
    pub async fn run(self, headers: &HeaderMap, state: &HttpState) -> Result<HttpResponse, Problem> {
        let Self {
            target,
            demand,
            make,
            once,
        } = self;
        let _claim = once.as_ref().map(|once| state.running.claim(&once.key)).transpose()?;
        let make = match make {
            Ok(make) => make,
            Err(problem) => return Err(bad_body(problem, &target, &demand, state).await),
        };
        let decide = decide(demand, make);
        let outcome = state.store.write_once(target.clone(), decide, once).await;
        outcome
            .map(|outcome| written(outcome, Preferences::of(headers).content, headers, state))
            .map_err(|error| refused(error, &target, state))
    }
}

impl Attempt {
    /// Why it was not done.
    #[must_use]
    pub fn problem(&self, error: WriteError, state: &HttpState) -> Problem {
        if let (
            WriteError::Refused {
                refusal: Refusal::Unusable,
                ..
            },
            Some(problem),
        ) = (&error, &self.problem)
        {
            return problem.clone();
        }
        let reason = self.reason_in_batch(&error);
        let problem = refused(error, &self.target, state);
        reason.into_iter().fold(problem, Problem::because)
    }

    /// Why the write was refused, when only earlier operations of the batch explain it: those are undone, and the answer shows the
    /// sensor without them.
    fn reason_in_batch(&self, error: &WriteError) -> Option<&'static str> {
        let WriteError::Refused {
            refusal,
            current,
            after_others: true,
        } = error
        else {
            return None;
        };
        match refusal {
            Refusal::NotFound | Refusal::PreconditionFailed(_) | Refusal::ListPreconditionFailed(..) => {
                let head = match refusal {
                    Refusal::ListPreconditionFailed(_, head) => *head,
                    // Not looked at for a sensor.
                    _ => Revision::ZERO,
                };
                let without_them = self.demand.judge(current.map(|(_, version)| version), head);
                without_them
                    .is_ok()
                    .then_some("an earlier operation of the same batch made it so, and was undone")
            }
            Refusal::Conflict(_) | Refusal::Inactive => {
                Some("it was tried on what the operations before it make of the sensor")
            }
            Refusal::PreconditionRequired | Refusal::Invalid(_) | Refusal::Unusable => None,
        }
    }
}

fn decide(demand: Demand, make: Make) -> Decide {
    Box::new(move |current, moment| {
        demand.judge(current.map(Version::from), moment.head())?;
        make(current, moment)
    })
}

impl Demand {
    /// `head` is the newest revision.
    fn judge(&self, current: Option<Version>, head: Revision) -> Result<(), Refusal> {
        match self.subject {
            Subject::List => {
                let checked = self.precondition.check_list(head);
                checked.map_err(|unmet| Refusal::ListPreconditionFailed(unmet, head))
            }
            Subject::ExistingSensor if current.is_none() => Err(Refusal::NotFound),
            Subject::Sensor | Subject::ExistingSensor => self.precondition.check(current),
        }
    }
}

/// The problem of a request whose body cannot be used: that of the body, unless existence or precondition fail, which are checked first.
async fn bad_body(body: Problem, target: &SensorRef, demand: &Demand, state: &HttpState) -> Problem {
    let current = match state.store.get(target).await {
        Ok(current) => current,
        Err(error) => return error.into(),
    };
    let head = *state.store.head().borrow();
    let current = current.map(|record| (record.id, record.version()));
    match demand.judge(current.map(|(_, version)| version), head) {
        Err(refusal) => of_refusal(refusal, current, target, state),
        Ok(()) => body,
    }
}

/// The answer to a write that is committed. It is not encoded yet, but its tag is as the request's `headers` ask for when nothing is
/// left to encode.
pub fn written(outcome: Outcome, content: Option<Content>, headers: &HeaderMap, state: &HttpState) -> HttpResponse {
    let (status, record) = match outcome {
        Outcome::Created(record) => {
            tracing::debug!(sensor = %record.id, revision = record.revision.get(), "sensor created");
            (StatusCode::CREATED, record)
        }
        Outcome::Modified(record) => {
            tracing::debug!(sensor = %record.id, revision = record.revision.get(), "sensor modified");
            (StatusCode::OK, record)
        }
        Outcome::Unchanged(record) => (StatusCode::OK, record),
        Outcome::Deleted(id, revision) => {
            tracing::debug!(sensor = %id, revision = revision.get(), "sensor deleted");
            return HttpResponse::NoContent().finish();
        }
    };
    let mut response = represent(status, &record, state);
    let url = HeaderValue::from_str(&state.links().sensor_url(&SensorRef::Id(record.id))).ok();
    if status == StatusCode::CREATED
        && let Some(url) = url.clone()
    {
        response.headers_mut().insert(header::LOCATION, url);
    }
    if content == Some(Content::Minimal) {
        if status == StatusCode::OK {
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
        // RFC 9110 §15.3.5: it is that of what a GET would be given.
        let variant = Variant::of(headers, Form::Json, Some(record.representation.len()));
        let tag = conditional::etag_of(state.store.epoch(), record.revision, variant);
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().insert(header::ETAG, tag);
        response = response.drop_body().map_into_boxed_body();
    } else if let Some(url) = url {
        // RFC 9110 §8.7: the body is what a GET of this URL gives now.
        response.headers_mut().insert(header::CONTENT_LOCATION, url);
    }
    let headers = response.headers_mut();
    if let Some(content) = content {
        headers.insert(preference::PREFERENCE_APPLIED, content.applied());
    }
    response
}
