//! What a queue does not deliver, and where it is then.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::super::{Held, Shared};
use super::Part;
use crate::answer::Answer;
use crate::exporters::dead_letters::Letter;
use crate::refusal::{Refusal, unlogged};

/// How long a request stays where it is that can neither be delivered nor kept elsewhere.
const STUCK: Duration = Duration::from_secs(30);

/// Why a request is kept elsewhere.
pub(super) struct Reason {
    /// With what the backend says of it.
    whole: String,
    /// Without that: it may quote telemetry.
    in_log: String,
}

impl Reason {
    pub(super) fn rejected(items: usize, answer: &Answer) -> Self {
        let (said, what) = (answer.message(), "the backend rejected");
        Self {
            whole: format!("{what} {items} of these: {said}"),
            in_log: format!("{what} {items} of these: [{}]", unlogged(said.len())),
        }
    }

    pub(super) fn refused(refusal: &Refusal) -> Self {
        Self {
            whole: refusal.to_string(),
            in_log: refusal.in_log().to_string(),
        }
    }
}

impl Shared {
    /// Keeps what cannot be delivered as a dead letter; returns whether it may be forgotten. On disk
    /// it is as safe where it is, and nobody else has it.
    pub(super) async fn keep_elsewhere(&self, parts: &[Part], request: Bytes, why: Reason) -> bool {
        let name = self.way.name();
        let Some(first) = parts.first().map(|part| &part.queued) else {
            return true;
        };
        let Reason { whole, in_log: why } = why;
        let letter = Letter {
            signal: first.signal,
            request,
            why: whole,
        };
        loop {
            // Nobody waits for it.
            match self.way.dead_letters().keep(letter.clone(), None).await {
                Ok(path) => {
                    self.way.counts().gave_up(1, 0);
                    let path = path.display();
                    tracing::warn!("{name}: {why}; the request is kept in {path}");
                    return true;
                }
                Err(error) if !error.is_wanted() || matches!(first.held, Held::Memory(_)) => {
                    self.way.counts().gave_up(0, 1);
                    let items: usize = parts.iter().map(|part| part.queued.items).sum();
                    tracing::error!("{name}: {items} items are lost: {why}; {error}");
                    return true;
                }
                Err(error) => tracing::error!("{name}: the queue waits: {why}; {error}"),
            }
            self.pause(STUCK).await;
            if self.stop.is_cancelled() {
                return false;
            }
        }
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Keeps all that still waits in memory.
    pub(in super::super) async fn keep_rest(&self) {
        let rest = self.waiting.take_rest();
        for queued in &rest {
            // Given up, or handed back to who waits.
            self.count(queued, queued.items);
        }
        let letters = rest.iter().filter_map(|queued| match &queued.held {
            // Who waits for an answer is told, and sends it again.
            Held::Memory(request) if queued.waiter.is_none() => Some(Letter {
                signal: queued.signal,
                request: request.clone(),
                why: "slimspan stopped before the backend took it".to_owned(),
            }),
            _ => None,
        });
        let letters: Vec<_> = letters.collect();
        if letters.is_empty() {
            return;
        }
        let (name, count) = (self.way.name(), letters.len());
        let kept = self.way.dead_letters().keep_all(letters).await;
        let lost = kept.iter().filter(|kept| kept.is_err()).count();
        self.way.counts().gave_up(count - lost, lost);
        tracing::warn!(
            "{name}: {} of {count} requests left are dead letters now",
            count - lost
        );
        if let Some(error) = kept.into_iter().find_map(Result::err) {
            tracing::error!("{name}: {lost} requests are lost: {error}");
        }
        for queued in &rest {
            queued.reject(queued.items);
        }
    }
}
