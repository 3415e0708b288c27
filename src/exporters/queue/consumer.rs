//! What empties a queue.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::{Held, Queued, Shared, record};
use crate::answer::Answer;
use crate::exporters::delivery::Oversize;
use crate::exporters::retry::Patience;
use crate::journal::Entry;
use crate::refusal::Refusal;

/// How long a request stays where it is that can neither be delivered nor kept elsewhere.
const STUCK: Duration = Duration::from_secs(30);

impl Shared {
    pub(super) async fn consume(self: Arc<Self>) {
        while let Some(queued) = self.waiting.next(self.journal.is_some()).await {
            let size = queued.size;
            if let Some(unfinished) = self.finish(queued).await {
                self.waiting.put_back(unfinished);
            } else {
                self.room.give_back(size);
            }
        }
    }

    /// Delivers a request or keeps it elsewhere; returns it where neither was possible and it stays
    /// on disk.
    async fn finish(&self, mut queued: Queued) -> Option<Queued> {
        let request = match &queued.held {
            Held::Memory(request) => request.clone(),
            Held::Disk(entry) => match self.read(entry).await {
                Ok(request) => request,
                Err(error) => {
                    // The next start puts what is left of it into quarantine.
                    tracing::error!("{}: a queued request is lost: {error}", self.way.name());
                    return None;
                }
            },
        };
        let waiter = queued.waiter.take();
        let outcome = self.deliver(&queued, request.clone()).await;
        if let Some(waiter) = waiter {
            // Who does not wait any more was told that it is not known.
            let _ = waiter.send(outcome);
            return None;
        }
        let on_disk = matches!(queued.held, Held::Disk(_));
        let (rejected, why) = match outcome {
            Ok(answer) => match usize::try_from(answer.rejected().unwrap_or(0)) {
                Ok(0) => (0, None),
                rejected => {
                    let rejected = rejected.unwrap_or(usize::MAX).min(queued.items);
                    let why = answer.message();
                    (
                        rejected,
                        Some(format!("the backend rejected {rejected} of these: {why}")),
                    )
                }
            },
            Err(refusal) if on_disk && refusal.is_retryable() => return Some(queued),
            Err(refusal) => (queued.items, Some(refusal.to_string())),
        };
        if let Some(why) = why
            && !self.keep_elsewhere(&queued, request, why).await
        {
            return Some(queued);
        }
        let tally = self.counters.items.of(queued.signal);
        tally.unqueue(queued.items - rejected);
        tally.unqueue_rejected(rejected);
        if let (Held::Disk(entry), Some(journal)) = (&queued.held, &self.journal) {
            journal.remove(entry);
        }
        None
    }

    async fn deliver(&self, queued: &Queued, request: Bytes) -> Result<Answer, Refusal> {
        let end = self.waiting.end();
        let patience = match (&queued.held, end) {
            (_, Some(end)) => Patience::Until(end),
            (Held::Memory(_), None) => Patience::Configured,
            (Held::Disk(_), None) => Patience::Endless,
        };
        let delivery = self
            .way
            .deliver(queued.signal, request, patience, Oversize::Kept);
        tokio::select! {
            outcome = delivery => outcome,
            () = self.waiting.ended() => Err(self.refusal("slimspan stops")),
        }
    }

    /// Keeps what cannot be delivered as a dead letter; returns whether it may be forgotten. On disk
    /// it is as safe where it is, and nobody else has it.
    async fn keep_elsewhere(&self, queued: &Queued, request: Bytes, why: String) -> bool {
        let name = self.way.name();
        loop {
            let kept = self
                .way
                .dead_letters()
                .keep(queued.signal, request.clone(), why.clone());
            match kept.await {
                Ok(path) => {
                    tracing::warn!("{name}: {why}; the request is kept in {}", path.display());
                    return true;
                }
                Err(error) if !error.is_wanted() || matches!(queued.held, Held::Memory(_)) => {
                    tracing::error!("{name}: {} items are lost: {why}; {error}", queued.items);
                    return true;
                }
                Err(error) => tracing::error!("{name}: the queue waits: {why}; {error}"),
            }
            tokio::select! {
                () = sleep(STUCK) => {}
                () = self.stop.cancelled() => return false,
            }
        }
    }

    async fn read(&self, entry: &Entry) -> Result<Bytes, String> {
        let Some(journal) = &self.journal else {
            return Err("there is no journal".to_owned());
        };
        let record = journal
            .read(entry)
            .await
            .map_err(|error| error.to_string())?;
        record::request(&record).ok_or_else(|| "it is no request".to_owned())
    }
}
