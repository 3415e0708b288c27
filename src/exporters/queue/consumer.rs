//! What empties a queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::{Held, Queued, Shared, record};
use crate::client::Client;
use crate::crash::{self, Point};
use crate::exporters::dead_letters::Letter;
use crate::exporters::delivery::{Delivered, Origin, Oversize};
use crate::exporters::departure::Notice;
use crate::exporters::retry::Patience;
use crate::journal::{Entry, ReadError};
use crate::refusal::Refusal;
use crate::telemetry::traces::Onward;

/// How long one waits that cannot be read.
const UNREAD: Duration = Duration::from_secs(1);

/// How long a request stays where it is that can neither be delivered nor kept elsewhere.
const STUCK: Duration = Duration::from_secs(30);

impl Queued {
    fn reject(&self, items: usize) {
        if let Some(tickets) = &self.tickets {
            tickets.reject(items);
        }
    }
}

impl Shared {
    pub(super) async fn consume(self: Arc<Self>) {
        while !self.is_over()
            && let Some(queued) = self.waiting.next(self.journal.is_some()).await
        {
            let mut queued = queued;
            if self.finish(&mut queued).await {
                queued.is_done = true;
                self.room.give_back(queued.size);
            } else {
                self.waiting.put_back(queued);
            }
        }
    }

    /// Delivers a request or keeps it elsewhere; returns false where neither was possible and it
    /// stays on disk.
    pub(super) async fn finish(&self, queued: &mut Queued) -> bool {
        let request = match &queued.held {
            Held::Memory(request) => request.clone(),
            Held::Disk(entry) => match self.read(entry).await {
                Ok(Stands {
                    request,
                    client,
                    notices,
                }) => {
                    queued.client = client;
                    if std::mem::take(&mut queued.is_found) {
                        // Before it leaves: what it refers to is to be known then.
                        for notice in notices {
                            self.herald.tell(notice).await;
                        }
                    }
                    request
                }
                Err(Unread::Later(reason)) => {
                    let name = self.way.name();
                    tracing::warn!("{name}: a queued request cannot be read yet: {reason}");
                    self.pause(UNREAD).await;
                    return false;
                }
                Err(Unread::Lost(reason)) => {
                    // The next start puts what is left of it into quarantine.
                    let name = self.way.name();
                    tracing::error!("{name}: {} queued items are lost: {reason}", queued.items);
                    queued.reject(queued.items);
                    return true;
                }
            },
        };
        let waiter = queued.waiter.take();
        let outcome = self.deliver(queued, request.clone()).await;
        if let Some(waiter) = waiter {
            // Who does not wait any more was told that it is not known.
            let _ = waiter.send(outcome.map(|delivered| delivered.answer));
            return true;
        }
        let on_disk = matches!(queued.held, Held::Disk(_));
        let (rejected, why) = match outcome {
            Ok(Delivered { answer, kept }) => {
                let rejected = usize::try_from(answer.rejected().unwrap_or(0));
                let rejected = rejected.unwrap_or(usize::MAX).min(queued.items);
                // What is kept already need not be kept again.
                let by_backend = rejected.saturating_sub(kept);
                let why = (by_backend > 0).then(|| {
                    let why = answer.message();
                    format!("the backend rejected {by_backend} of these: {why}")
                });
                (rejected, why)
            }
            Err(refusal) if on_disk && refusal.is_retryable() => return false,
            Err(refusal) => {
                if refusal.is_retryable() && self.stop.is_cancelled() {
                    self.gave_up.store(true, Ordering::Relaxed);
                }
                (queued.items, Some(refusal.to_string()))
            }
        };
        if let Some(why) = why
            && !self.keep_elsewhere(queued, request, why).await
        {
            return false;
        }
        queued.reject(rejected);
        if let (Held::Disk(entry), Some(journal)) = (&queued.held, &self.journal) {
            crash::at(Point::Delivered);
            journal.remove(entry);
        }
        true
    }

    async fn deliver(&self, queued: &Queued, request: Bytes) -> Result<Delivered, Refusal> {
        let end = self.waiting.end();
        let patience = match (&queued.held, end) {
            (_, Some(end)) => Patience::Until(end),
            (Held::Memory(_), None) => Patience::Configured,
            (Held::Disk(_), None) => Patience::Endless,
        };
        let onward = Onward::default();
        let origin = Origin {
            client: &queued.client,
            // Its trace is over by now.
            onward: &onward,
            departure: &queued.departure,
        };
        let (signal, kept) = (queued.signal, Oversize::Kept);
        let delivery = self
            .way
            .deliver(signal, request.clone(), origin, patience, kept);
        // A consumer that ended here would leave the queue with one less.
        let panics = &self.counters.panics;
        let what = || format!("the exporter {} ({signal})", self.way.name());
        let delivery = panics.guard(what, Some(&request), delivery);
        tokio::select! {
            outcome = delivery => outcome,
            () = self.waiting.ended() => Err(self.refusal("slimspan stops")),
        }
    }

    /// Whether what is left is not tried any more.
    fn is_over(&self) -> bool {
        let end = self.waiting.end();
        end.is_some_and(|end| Instant::now() >= end) || self.gave_up.load(Ordering::Relaxed)
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Keeps what cannot be delivered as a dead letter; returns whether it may be forgotten. On disk
    /// it is as safe where it is, and nobody else has it.
    async fn keep_elsewhere(&self, queued: &Queued, request: Bytes, why: String) -> bool {
        let name = self.way.name();
        let letter = Letter {
            signal: queued.signal,
            request,
            why,
        };
        loop {
            match self.way.dead_letters().keep(letter.clone()).await {
                Ok(path) => {
                    self.way.counts().gave_up(1, 0);
                    let (path, why) = (path.display(), &letter.why);
                    tracing::warn!("{name}: {why}; the request is kept in {path}");
                    return true;
                }
                Err(error) if !error.is_wanted() || matches!(queued.held, Held::Memory(_)) => {
                    self.way.counts().gave_up(0, 1);
                    let (items, why) = (queued.items, &letter.why);
                    tracing::error!("{name}: {items} items are lost: {why}; {error}");
                    return true;
                }
                Err(error) => tracing::error!("{name}: the queue waits: {}; {error}", letter.why),
            }
            self.pause(STUCK).await;
            if self.stop.is_cancelled() {
                return false;
            }
        }
    }

    /// Keeps all that still waits in memory.
    pub(super) async fn keep_rest(&self) {
        let rest = self.waiting.take_rest();
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

    pub(super) async fn read(&self, entry: &Entry) -> Result<Stands, Unread> {
        let Some(journal) = &self.journal else {
            return Err(Unread::Lost("there is no journal".to_owned()));
        };
        // What is read takes memory like what comes in.
        let lease = self.budget.lease_to_send_again(entry.len()).await;
        let lease = lease.map_err(|refusal| Unread::Later(refusal.to_string()))?;
        let record = journal.read(entry).await.map_err(|error| match error {
            ReadError::Io { .. } => Unread::Later(error.to_string()),
            _ => Unread::Lost(error.to_string()),
        })?;
        let record = lease.hold(record);
        let stands = || {
            Some(Stands {
                request: record::request(&record)?,
                client: record::client(&record)?,
                // For what is to be told of it no request is lost.
                notices: record::notices(&record).unwrap_or_default(),
            })
        };
        stands().ok_or_else(|| Unread::Lost("it is no request".to_owned()))
    }
}

/// A request as it stands on disk.
#[derive(Debug)]
pub(super) struct Stands {
    pub(super) request: Bytes,
    /// What is known of its sender.
    client: Client,
    /// What is to be told of it.
    notices: Vec<Notice>,
}

/// Why a request could not be read from disk.
#[derive(Debug)]
pub(super) enum Unread {
    /// Another time it may be.
    Later(String),
    /// It is damaged.
    Lost(String),
}
