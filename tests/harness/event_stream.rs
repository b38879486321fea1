use std::collections::VecDeque;

use reqwest::Response;
use tokio::time::timeout;

use super::{Event, PATIENCE};

/// A client of Server-Sent Events, by the letter of WHATWG HTML §9.2.6.
pub struct EventStream {
    response: Response,
    received: Vec<u8>,
    last_id: String,
}

/// What stands between two empty lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    pub comment: Option<String>,
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: Option<String>,
}

impl EventStream {
    pub fn new(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            received: Vec::new(),
            last_id: String::new(),
        }
    }

    /// What a browser would come back with.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// The next block; `None` when the stream has ended; fails after 10 s.
    pub async fn next_block(&mut self) -> Option<Block> {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\n\n") {
                let text: Vec<u8> = self.received.drain(..end + 2).collect();
                let block = read(std::str::from_utf8(&text).expect("UTF-8"));
                if let Some(id) = &block.id {
                    self.last_id.clone_from(id);
                }
                return Some(block);
            }
            let chunk = timeout(PATIENCE, self.response.chunk())
                .await
                .expect("something in 10 s");
            self.received.extend(chunk.ok()??);
        }
    }

    /// The data of the next event; comments are passed over.
    pub async fn try_next(&mut self) -> Option<String> {
        loop {
            let block = self.next_block().await?;
            let Some(data) = block.data else { continue };
            let event = Event::read(data.as_bytes());
            assert_eq!(block.id, Some(format!("{}.{}", event.epoch, event.revision)));
            assert_eq!(block.event, Some(event.kind));
            return Some(data);
        }
    }

    /// The data of the next event, which has to come.
    pub async fn next(&mut self) -> String {
        self.try_next().await.expect("the stream lives")
    }

    /// The next block that holds no event.
    pub async fn next_comment(&mut self) -> Block {
        loop {
            let block = self.next_block().await.expect("the stream lives");
            if block.data.is_none() {
                return block;
            }
        }
    }
}

fn read(text: &str) -> Block {
    let mut block = Block::default();
    let mut lines: VecDeque<_> = text.trim_end_matches('\n').split('\n').collect();
    while let Some(line) = lines.pop_front() {
        let (field, value) = line.split_once(':').expect("a field");
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        let place = match field {
            "" => &mut block.comment,
            "id" => &mut block.id,
            "event" => &mut block.event,
            "data" => &mut block.data,
            _ => panic!("an unknown field: {line}"),
        };
        assert!(place.replace(value).is_none(), "twice: {text}");
    }
    block
}
