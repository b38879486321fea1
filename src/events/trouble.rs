use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Something that fails again and again: worth a line when it begins, when its reason changes, and once a minute.
#[derive(Default)]
pub(super) struct Trouble {
    present: Option<Present>,
}

struct Present {
    since: Instant,
    attempts: u64,
    /// When each of the last reasons was told.
    told: VecDeque<(String, Instant)>,
}

/// How often it went wrong, and for how long, up to now.
pub(super) struct Account {
    pub(super) attempts: u64,
    pub(super) for_seconds: u64,
    /// Whether a person should be told, and not only who debugs.
    pub(super) is_news: bool,
}

const REMINDER_INTERVAL: Duration = Duration::from_mins(1);
/// So many reasons may come in turn without being news each time.
const REASONS: usize = 4;

impl Trouble {
    /// It went wrong for this reason.
    pub(super) fn again(&mut self, reason: &str) -> Account {
        let now = Instant::now();
        let present = self.present.get_or_insert_with(|| Present {
            since: now,
            attempts: 0,
            told: VecDeque::new(),
        });
        present.attempts += 1;
        let told = &mut present.told;
        told.retain(|(_, at)| now - *at < REMINDER_INTERVAL);
        let is_news = told.iter().all(|(other, _)| other != reason);
        if is_news {
            told.truncate(REASONS - 1);
            told.push_front((reason.to_owned(), now));
        }
        Account {
            attempts: present.attempts,
            for_seconds: (now - present.since).as_secs(),
            is_news,
        }
    }

    /// It went well.
    pub(super) fn is_over(&mut self) {
        self.present = None;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_news_at_its_beginning_at_another_reason_and_once_a_minute() {
        let mut trouble = Trouble::default();
        let mut news = Vec::new();
        for second in 0..150 {
            let reason = match second {
                0..10 => "refused",
                // Told by whom it was noticed first.
                20..40 if second % 2 == 0 => "connection lost",
                _ => "no answer",
            };
            let account = trouble.again(reason);
            if account.is_news {
                news.push((account.attempts, account.for_seconds));
            }
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(news, [(1, 0), (11, 10), (21, 20), (71, 70), (131, 130)]);
        trouble.is_over();
        let account = trouble.again("no answer");
        assert!(account.is_news && account.attempts == 1 && account.for_seconds == 0);
    }
}
