use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::entry::{Ledger, Request};
use crate::harness::{Answer, Dice, Http};

/// Clients that send whatever a client can send, one request after the other each, to the same few sensors.
pub struct Load {
    ledger: Ledger,
    dice: Dice,
    clients: u64,
    names: u64,
    known: Known,
}

/// The sensors that some client was told of, each with its id and its last known tag.
type Known = Arc<Mutex<Vec<(String, String)>>>;

const CLIENTS: u64 = 8;
/// Names that all clients use, so that they meet. There are no more sensors than names.
const NAMES: u64 = 24;
/// Sensors that are remembered.
const MAX_KNOWN: usize = 48;

impl Load {
    /// Eight clients; what each of them asks for comes from the seed.
    pub fn new(ledger: &Ledger, seed: u64) -> Self {
        Self {
            ledger: ledger.clone(),
            dice: Dice::new(seed, 0x10ad),
            clients: CLIENTS,
            names: NAMES,
            known: Known::default(),
        }
    }

    /// As many clients as this.
    #[must_use]
    pub fn of_clients(self, clients: u64) -> Self {
        Self { clients, ..self }
    }

    /// On so few names that clients meet more often, or less.
    #[must_use]
    pub fn on_names(self, names: u64) -> Self {
        Self { names, ..self }
    }

    /// Sends `requests` requests a client, or until there is no answer, which ends a client.
    pub async fn run(&mut self, http: &Http, requests: usize) {
        self.start(http, requests).join_all().await;
    }

    /// As [`Load::run`], in the background. Who drops the clients cuts them off.
    pub fn start(&mut self, http: &Http, requests: usize) -> JoinSet<()> {
        let client = |part| Client {
            http: http.clone(),
            ledger: self.ledger.clone(),
            dice: Dice::new(self.dice.clone().roll(), part),
            names: self.names,
            known: Arc::clone(&self.known),
        };
        let clients = (0..self.clients).map(|part| client(part).run(requests)).collect();
        self.dice.roll();
        clients
    }
}

struct Client {
    http: Http,
    ledger: Ledger,
    dice: Dice,
    names: u64,
    known: Known,
}

impl Client {
    async fn run(mut self, requests: usize) {
        for _ in 0..requests {
            let request = self.request();
            match self.ledger.send(&self.http, request).await {
                Some(answer) => self.remember(&answer),
                None => return,
            }
        }
    }

    fn remember(&mut self, answer: &Answer) {
        if !matches!(answer.status, 200 | 201) {
            return;
        }
        let (id, tag) = (answer.id(), answer.etag());
        let mut known = self.known.lock().expect("no panic");
        if let Some(entry) = known.iter_mut().find(|(known, _)| *known == id) {
            entry.1 = tag;
        } else if known.len() < MAX_KNOWN {
            known.push((id, tag));
        } else {
            let place = usize::try_from(self.dice.below(MAX_KNOWN as u64)).expect("small");
            known[place] = (id, tag);
        }
    }

    /// The path of some sensor, and a tag that it had.
    fn some_sensor(&mut self) -> Option<(String, String)> {
        let known = self.known.lock().expect("no panic");
        let count = u64::try_from(known.len()).expect("few");
        let place = self.dice.below(count.max(1));
        let (id, tag) = known.get(usize::try_from(place).expect("small"))?;
        Some((format!("/sensors/{id}"), tag.clone()))
    }

    fn some_name(&mut self) -> String {
        format!("s{}", self.dice.below(self.names))
    }

    fn request(&mut self) -> Request {
        let by_name = format!("/sensors/{}", self.some_name());
        let (path, tag) = self.some_sensor().unwrap_or((by_name.clone(), "\"none.1\"".to_owned()));
        match self.dice.below(32) {
            0..=2 => {
                let name = self.some_name();
                Request::post(self.body(&name))
            }
            3..=6 => Request::put(by_name, self.properties()),
            7..=8 => {
                let name = self.some_name();
                Request::put(path, self.body(&name)).if_match(tag)
            }
            9 => {
                let id = self.some_id();
                let name = self.some_name();
                Request::put(format!("/sensors/{id}"), self.body(&name)).creates_only()
            }
            10..=14 => Request::patch(path, self.change()),
            15..=17 => Request::patch(by_name, self.change()),
            18..=20 => Request::patch(path, self.change()).if_match(tag),
            // Changes nothing.
            21 => Request::patch(path, json!({})),
            // Breaks a rule.
            22 => Request::patch(path, json!({"kind": 5})),
            23 if is_id(&path) => Request::delete(path),
            24..=25 if is_id(&path) => Request::delete(path).if_match(tag),
            _ => Request::get(path),
        }
    }

    fn some_id(&mut self) -> String {
        let (high, low) = (self.dice.roll(), self.dice.roll());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }

    fn body(&mut self, name: &str) -> Value {
        let mut body = self.properties();
        body["name"] = name.into();
        body
    }

    fn properties(&mut self) -> Value {
        let mut properties = self.change();
        properties
            .as_object_mut()
            .expect("an object")
            .retain(|_, value| !value.is_null());
        if let Some(metadata) = properties.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|_, value| !value.is_null());
        }
        properties
    }

    /// Some members to set and to unset.
    fn change(&mut self) -> Value {
        let member = format!("m{}", self.dice.below(4));
        match self.dice.below(8) {
            0 => json!({"value": self.dice.fraction(), "measured_at": "2026-11-22T11:00:00.000Z"}),
            1 => json!({"metadata": {member: {"é\"": self.dice.fraction()}}}),
            2 => json!({"metadata": {member: null}, "kind": null}),
            3 => json!({"location": {"type": "Point", "coordinates": [self.dice.fraction() % 180.0, 41.5]}}),
            4 => json!({"kind": format!("k{}", self.dice.below(5)), "value": true}),
            5 if self.dice.below(4) == 0 => json!({"status": "inactive"}),
            6 => json!({"status": "active", "value": "warm"}),
            _ => json!({"value": self.dice.fraction()}),
        }
    }
}

fn is_id(path: &str) -> bool {
    path.len() == "/sensors/".len() + 36
}
