use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep, sleep_until};
use url::Url;

use super::documents::{self, EntryPoint, Event, Head};
use super::service::{EventsAfter, Service};
use super::shared::Shared;
use super::state::{Gaps, State, Step};
use super::{MirrorOptions, Status};
use crate::domain::{Cursor, Revision};
use crate::mqtt::{Delivery, Endpoint, Message, Subscription};

/// Keeps the mirror: the I/O around [`State`].
pub(super) struct Keeper {
    service: Service,
    /// The broker, when it is not the one that the service names.
    mqtt: Option<Url>,
    gaps: Gaps,
    shared: Arc<Shared>,
    /// Read and not yet settled; it takes the place of what is shown once it is.
    loading: Option<State>,
    /// Whether what is held leads nowhere, so that the list has to be read.
    must_load: bool,
    /// Since when more is known to exist than is here, without progress.
    behind_since: Option<Instant>,
    /// When to ask the log if nothing comes until then.
    silence_ends_at: Instant,
}

/// Why the following of the events ended.
enum Trouble {
    /// Something does not answer: what is held is still good.
    Failed(String),
    /// What is held leads nowhere.
    StartOver(String),
}

/// The first pause after trouble; it doubles from there, with jitter, and starts anew once the mirror was live.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, before jitter.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How long the head may be ahead without an event arriving, before the log is asked.
const TAIL_PATIENCE: Duration = Duration::from_secs(1);
/// How long no message may come after the last one, before the log is asked. A broker whose queue for us is full
/// drops events *and* the head that would tell of them, but not what is in the queue: so something comes, and then
/// nothing.
const SILENCE_LIMIT: Duration = Duration::from_secs(3);
/// How long nothing may come after that, and from the beginning, before it is asked again. The head comes every five seconds, unless the
/// service is gone, its way to the broker is cut, or this is another broker, or one that lets us read nothing and does not say so.
const NO_HEAD_LIMIT: Duration = Duration::from_secs(10);
/// Messages that are held while the list is read; more are dropped, and found missing.
const MAX_HELD: usize = 4096;

impl Keeper {
    pub(super) fn new(options: MirrorOptions, service: Service, shared: Arc<Shared>) -> Self {
        Self {
            service,
            mqtt: options.mqtt,
            gaps: options.gaps,
            shared,
            loading: None,
            must_load: true,
            behind_since: None,
            silence_ends_at: Instant::now(),
        }
    }

    /// Keeps the mirror for ever.
    pub(super) async fn run(mut self) {
        let mut pauses = new_pauses();
        loop {
            let Err(trouble) = self.follow().await;
            if self.shared.status() == Status::Live {
                pauses = new_pauses();
            }
            let problem = match trouble {
                Trouble::Failed(problem) => problem,
                Trouble::StartOver(problem) => {
                    self.must_load = true;
                    problem
                }
            };
            tracing::debug!(problem, "the mirror connects again");
            self.shared.set_status(Status::Connecting { problem: Some(problem) });
            sleep(pauses.next().unwrap_or(MAX_PAUSE)).await;
        }
    }

    /// Subscribes, reads what is needed, and follows the events until something is in the way.
    async fn follow(&mut self) -> Result<Infallible, Trouble> {
        let entry = self.service.entry_point().await?;
        let (endpoint, topic) = self.broker(&entry)?;
        // The head is on the collection's own topic, one level up.
        let head_topic = topic.trim_end_matches("/+");
        // Before the list is read, so that no change falls between the two.
        let mut subscription = Subscription::open(&endpoint, &[topic, head_topic], MAX_HELD).await?;
        let events = entry.href("events")?;
        if self.must_load {
            self.shared.set_status(Status::Reading);
            self.load(entry.href("collection")?).await?;
        } else {
            self.catch_up(events).await?;
        }
        loop {
            self.watch_tail();
            let delivery = tokio::select! {
                biased;
                () = at(self.ask_at()) => Delivery::Missed,
                delivery = subscription.next() => delivery?,
            };
            self.silence_ends_at = Instant::now() + SILENCE_LIMIT;
            match delivery {
                Delivery::Missed => self.catch_up(events).await?,
                Delivery::Message(message) if message.topic == head_topic => self.take_head(&message),
                Delivery::Message(message) => self.take_event(&message, events).await?,
            }
        }
    }

    fn broker<'a>(&self, entry: &'a EntryPoint) -> Result<(Endpoint, &'a str), String> {
        let (href, topic) = entry.monitor()?;
        let url = if let Some(url) = &self.mqtt {
            url.clone()
        } else {
            let mut url = Url::parse(href).map_err(|error| format!("{href}: {error}"))?;
            url.set_path("");
            url
        };
        let endpoint = Endpoint::from_url(&url)
            .map_err(|error| format!("{url}, which the service names as its broker: {error}"))?;
        Ok((endpoint, topic))
    }

    /// Reads all pages. The revision of the first one is where the events go on.
    async fn load(&mut self, collection: &str) -> Result<(), Trouble> {
        let mut page = self.service.first_page(collection).await?;
        let mut next = page.next().map(str::to_owned);
        let mut state = State::new(page, self.gaps);
        while let Some(href) = next {
            page = self.service.page(&href).await?;
            next = page.next().map(str::to_owned);
            state
                .add(page)
                .map_err(|_| Trouble::StartOver("the store was replaced while its list was read".to_owned()))?;
        }
        self.shared.learn_head(state.epoch(), state.settles_at());
        self.loading = Some(state);
        self.must_load = false;
        self.behind_since = None;
        self.silence_ends_at = Instant::now() + NO_HEAD_LIMIT;
        self.show_when_settled();
        Ok(())
    }

    /// Reads the log from where the mirror is to its head.
    async fn catch_up(&mut self, events: &str) -> Result<(), Trouble> {
        self.behind_since = None;
        self.silence_ends_at = Instant::now() + NO_HEAD_LIMIT;
        loop {
            let Some(cursor) = self.cursor() else { return Ok(()) };
            let page = match self.service.events_after(events, &cursor).await? {
                EventsAfter::Page(page) if page.epoch == cursor.epoch => page,
                EventsAfter::Page(_) | EventsAfter::Gone => return Err(start_over(&cursor, "is gone")),
            };
            self.shared.learn_head(&page.epoch, page.head);
            let is_empty = page.events.is_empty();
            for event in page.events {
                if !matches!(self.apply(event), Step::Applied | Step::Repeat) {
                    return Err(start_over(&cursor, "leads to events that do not fit"));
                }
            }
            match self.cursor().map(|cursor| cursor.revision) {
                // The head may have been read before the events.
                Some(revision) if revision == page.head || (revision > page.head && !is_empty) => return Ok(()),
                _ if is_empty => return Err(start_over(&cursor, "does not lead to the head")),
                _ => {}
            }
        }
    }

    async fn take_event(&mut self, message: &Message, events: &str) -> Result<(), Trouble> {
        let Ok(event) = documents::read::<Event>(&message.payload) else {
            // Not ours, whoever published it. If it stands for one of ours, that one will be missing.
            tracing::debug!(topic = message.topic, "a message that is no event");
            return Ok(());
        };
        match self.apply(event) {
            Step::Applied => {
                self.behind_since = None;
                Ok(())
            }
            Step::Repeat => Ok(()),
            // A message is a hint, and the log decides: an old message of another epoch may still be on its way.
            Step::Foreign => {
                self.behind_since.get_or_insert_with(Instant::now);
                Ok(())
            }
            Step::Gap => self.catch_up(events).await,
            Step::Contradiction => Err(Trouble::StartOver("an event does not fit to what is held".to_owned())),
        }
    }

    fn take_head(&mut self, message: &Message) {
        let Ok(head) = documents::read::<Head>(&message.payload) else {
            return;
        };
        if self.cursor().is_some_and(|cursor| cursor.epoch == head.epoch) {
            self.shared.learn_head(&head.epoch, head.revision);
        } else {
            self.behind_since.get_or_insert_with(Instant::now);
        }
    }

    /// Starts the clock when more is known to exist than is here.
    fn watch_tail(&mut self) {
        let known = self.shared.head();
        let here = self.cursor().map_or(Revision::ZERO, |cursor| cursor.revision);
        if known > here {
            self.behind_since.get_or_insert_with(Instant::now);
        }
        if self.loading.is_none() {
            self.shared.set_status(Status::Live);
        }
    }

    /// When to ask the log whether something is missing; never without gap detection.
    fn ask_at(&self) -> Option<Instant> {
        let behind = self.behind_since.map(|since| since + TAIL_PATIENCE);
        let ask_at = behind.into_iter().chain([self.silence_ends_at]).min();
        ask_at.filter(|_| self.gaps == Gaps::Detected)
    }

    fn apply(&mut self, event: Event) -> Step {
        let step = match &mut self.loading {
            Some(state) => state.apply(event),
            None => self.shared.apply(event),
        };
        self.show_when_settled();
        step
    }

    fn show_when_settled(&mut self) {
        if let Some(state) = self.loading.take_if(|state| state.is_settled()) {
            self.shared.show(state);
        }
    }

    fn cursor(&self) -> Option<Cursor> {
        match &self.loading {
            Some(state) => Some(state.cursor()),
            None => self.shared.cursor(),
        }
    }
}

impl From<String> for Trouble {
    fn from(problem: String) -> Self {
        Self::Failed(problem)
    }
}

fn start_over(cursor: &Cursor, why: &str) -> Trouble {
    Trouble::StartOver(format!("the cursor {cursor} {why}; the list is read again"))
}

fn new_pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(MIN_PAUSE)
        .with_max_delay(MAX_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

/// Resolves at this instant, or never.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}
