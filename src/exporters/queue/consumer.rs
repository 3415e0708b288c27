//! What empties a queue.

mod elsewhere;
mod said;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use tokio::time::Instant;

use super::line::Waits as _;
use super::turns::{Ended, Turn, Went};
use super::{Held, Queued, Sender, Shared, record};
use crate::answer::Answer;
use crate::crash::{self, Point};
use crate::exporters::delivery::{Delivered, Origin};
use crate::exporters::departure::{Departure, Notice};
use crate::exporters::retry::Patience;
use crate::exporters::terms::Oversize;
use crate::joining::{join, may_be_about_one, shares};
use crate::journal::{Entry, ReadError};
use crate::refusal::Refusal;
use crate::telemetry::Lately;
use crate::telemetry::traces::Onward;
use elsewhere::Reason;
use said::Said;

/// A request that is there to be sent.
#[derive(Debug)]
struct Part {
    queued: Queued,
    request: Bytes,
    /// What the backend said of it, if it said something.
    said: Option<Said>,
}

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
            && let Some(Turn { ones, went }) = self.waiting.next(self.journal.is_some()).await
        {
            let ended = self.finish(ones, went).await;
            self.waiting.ended(went, ended);
        }
    }

    /// Delivers requests as one, or keeps them elsewhere; returns those for which neither was possible and
    /// which stay on disk.
    pub(super) async fn finish(&self, batch: Vec<Queued>, went: Went) -> Ended<Queued> {
        let (mut parts, mut left, mut crowded) = (Vec::new(), Vec::new(), Vec::new());
        let mut untold = Vec::new();
        for (index, mut queued) in batch.into_iter().enumerate() {
            match self.load(&mut queued, index == 0).await {
                Ok((request, notices)) => {
                    untold.extend(notices);
                    parts.push(Part {
                        queued,
                        request,
                        said: None,
                    });
                }
                // There is some when these are gone.
                Err(Unread::NoMemory(_)) if !parts.is_empty() => crowded.push(queued),
                Err(Unread::Later(reason) | Unread::NoMemory(reason)) => {
                    self.tell_unread(&reason);
                    // The others go without it.
                    left.push(queued);
                }
                Err(Unread::Lost(reason)) => {
                    // The next start puts what is left of it into quarantine.
                    let name = self.way.name();
                    tracing::error!("{name}: {} queued items are lost: {reason}", queued.items);
                    queued.reject(queued.items);
                    self.count(&queued, queued.items);
                    self.done_with(&mut queued);
                }
            }
        }
        // Before they leave: what they refer to is to be known then.
        let told = untold.into_iter().map(|notice| self.herald.tell(notice));
        join_all(told).await;
        self.settle(&mut parts, went).await;
        let mut ended = Ended {
            is_answered: false,
            again: Vec::new(),
            left,
            refused: Vec::new(),
            later: None,
        };
        for Part { queued, said, .. } in parts {
            ended.is_answered |= matches!(said, Some(Said::Answered));
            match said {
                _ if queued.is_done => {}
                Some(Said::Later(later)) => {
                    ended.refused.push(queued);
                    let others = ended.later.unwrap_or(later);
                    ended.later = Some(others.and(later));
                }
                _ => ended.again.push(queued),
            }
        }
        ended.again.extend(crowded);
        ended
    }

    /// A request as it is sent, with what is to be told of it before. The first one of a batch waits for memory,
    /// the others take what there is.
    async fn load(
        &self,
        queued: &mut Queued,
        is_first: bool,
    ) -> Result<(Bytes, Vec<Notice>), Unread> {
        match &queued.held {
            Held::Memory(request) => Ok((request.clone(), Vec::new())),
            Held::Disk(entry) => {
                let stands = self.read(entry, is_first).await?;
                queued.sender = stands.sender;
                // Of what came in this life who brought it tells.
                let is_found = std::mem::take(&mut queued.is_found);
                let untold = is_found.then_some(stands.notices);
                Ok((stands.request, untold.unwrap_or_default()))
            }
        }
    }

    /// Sends requests as one, in halves where one of them may be what is refused: none takes another one
    /// along. Where there is no memory to join them, each goes alone.
    fn settle<'a>(&'a self, parts: &'a mut [Part], went: Went) -> BoxFuture<'a, ()> {
        async move {
            if parts.is_empty() {
                return;
            }
            let Some(request) = self.join(parts) else {
                for alone in parts.chunks_mut(1) {
                    self.settle(alone, went).await;
                }
                return;
            };
            match self.deliver(parts, request.clone(), went.is_repeat()).await {
                Err(refusal) if parts.len() > 1 && may_be_about_one(&refusal) => {
                    drop(request);
                    let (first, second) = parts.split_at_mut(parts.len() / 2);
                    self.settle(first, went).await;
                    self.settle(second, went).await;
                }
                outcome => self.end(parts, request, outcome, went).await,
            }
        }
        .boxed()
    }

    /// The requests as one, unless there is no memory for that. One alone is as it was.
    fn join(&self, parts: &[Part]) -> Option<Bytes> {
        if let [only] = parts {
            return Some(only.request.clone());
        }
        let requests: Vec<_> = parts.iter().map(|part| part.request.clone()).collect();
        let mut lease = self.budget.lease_for_copy();
        let len: usize = requests.iter().map(Bytes::len).sum();
        lease.try_charge(len).ok()?;
        Some(lease.hold(join(requests)))
    }

    /// Tells what became of requests that went as one, or keeps what was not taken.
    async fn end(
        &self,
        parts: &mut [Part],
        request: Bytes,
        outcome: Result<Delivered, Refusal>,
        went: Went,
    ) {
        let items: Vec<_> = parts.iter().map(|part| part.queued.items).collect();
        let said = Said::of(&outcome);
        for part in &mut *parts {
            part.said = Some(said);
        }
        // Before this one waits for anything: others go on.
        match said {
            Said::Answered if self.journal.is_some() => self.waiting.answered(),
            Said::Nothing => self.waiting.shows_nothing(&went),
            _ => {}
        }
        if self.config.wait_for_result {
            let answers: Vec<Result<Answer, Refusal>> = match outcome {
                Ok(delivered) => shares(&items, &delivered.answer)
                    .into_iter()
                    .map(Ok)
                    .collect(),
                Err(refusal) => vec![Err(refusal); items.len()],
            };
            for (Part { queued, .. }, answer) in parts.iter_mut().zip(answers) {
                // Before somebody hears of it.
                self.count_answer(queued, &answer);
                if let Some(waiter) = queued.waiter.take() {
                    // Who does not wait any more was told that it is not known.
                    let _ = waiter.send(answer);
                }
                self.done_with(queued);
            }
            return;
        }
        let all: usize = items.iter().sum();
        let (mut rejected, why) = match outcome {
            Ok(Delivered { answer, kept }) => {
                let rejected = usize::try_from(answer.rejected().unwrap_or(0));
                let rejected = rejected.unwrap_or(usize::MAX).min(all);
                // What is kept already need not be kept again.
                let by_backend = rejected.saturating_sub(kept);
                let why = (by_backend > 0).then(|| Reason::rejected(by_backend, &answer));
                (rejected, why)
            }
            Err(refusal) if self.journal.is_some() && refusal.is_retryable() => return,
            Err(refusal) => {
                if refusal.is_retryable() && self.stop.is_cancelled() {
                    self.gave_up.store(true, Ordering::Relaxed);
                }
                (all, Some(Reason::refused(&refusal)))
            }
        };
        if let Some(why) = why
            && !self.keep_elsewhere(parts, request, why).await
        {
            return;
        }
        for Part { queued, .. } in parts {
            // Which ones those are is not known, so that the first requests have them: together it is right.
            let of_this = rejected.min(queued.items);
            rejected -= of_this;
            queued.reject(of_this);
            self.count(queued, of_this);
            if let (Held::Disk(entry), Some(journal)) = (&queued.held, &self.journal) {
                crash::at(Point::Delivered);
                journal.remove(entry);
            }
            self.done_with(queued);
        }
    }

    /// All of its items were sent but so many, which were given up or handed back.
    fn count(&self, queued: &Queued, failed: usize) {
        let counts = self.way.counts();
        counts.ended(queued.signal, queued.items, failed);
    }

    /// Counts what somebody is told who waits. What is refused may come again in parts, and counts then.
    fn count_answer(&self, queued: &Queued, answer: &Result<Answer, Refusal>) {
        let failed = match answer {
            Ok(answer) => {
                let rejected = usize::try_from(answer.rejected().unwrap_or(0));
                rejected.unwrap_or(usize::MAX)
            }
            Err(refusal) => {
                let waiter = queued.waiter.as_ref();
                let is_told = waiter.is_some_and(|waiter| !waiter.is_closed());
                if is_told && queued.divided.goes_again(refusal) {
                    return;
                }
                queued.items
            }
        };
        self.count(queued, failed);
    }

    /// Nothing is left to be done with it.
    fn done_with(&self, queued: &mut Queued) {
        queued.is_done = true;
        self.room.give_back(queued.size);
    }

    async fn deliver(
        &self,
        parts: &[Part],
        request: Bytes,
        is_repeat: bool,
    ) -> Result<Delivered, Refusal> {
        let Some(Part { queued: first, .. }) = parts.first() else {
            return Err(self.refusal("nothing was to be sent"));
        };
        if self.config.batch.is_some() && !is_repeat {
            let items = parts.iter().map(|part| part.queued.items);
            self.way.counts().batched(items.sum(), request.len());
        }
        let end = self.waiting.end();
        let patience = match (&first.held, end) {
            (_, Some(end)) => Patience::Until(end),
            (Held::Memory(_), None) => Patience::Configured,
            (Held::Disk(_), None) => Patience::Once { is_repeat },
        };
        let of = parts.iter().map(|part| part.queued.place());
        first.heard.begin(of.collect());
        let onward = Onward::default();
        let departures = parts.iter().map(|part| &part.queued.departure);
        let departure = Departure::joined(departures);
        let origin = Origin {
            // All have the same headers that are passed on.
            client: &first.sender.client,
            // Its trace is over by now.
            onward: &onward,
            departure: &departure,
            // In memory it is tried until it has an end.
            heard: self.journal.is_some().then_some(&first.heard),
        };
        // What is in memory has no better place than a dead letter.
        let oversize = if self.journal.is_some() {
            Oversize::Left
        } else {
            Oversize::Kept
        };
        let signal = first.signal;
        // What is refused may be halved, or stay on disk: what became of it is counted at the end.
        let _in_flight = self.way.counts().begin_uncounted(signal);
        let delivery = self
            .way
            .deliver(signal, request.clone(), origin, patience, oversize);
        // A consumer that ended here would leave the queue with one less.
        let panics = &self.counters.panics;
        let what = || format!("the exporter {} ({signal})", self.way.name());
        let delivery = panics.guard(what, Some(&request), delivery);
        tokio::select! {
            outcome = delivery => outcome,
            () = self.waiting.over() => Err(self.refusal("slimspan stops")),
        }
    }

    /// Whether what is left is not tried any more.
    fn is_over(&self) -> bool {
        let end = self.waiting.end();
        end.is_some_and(|end| Instant::now() >= end) || self.gave_up.load(Ordering::Relaxed)
    }

    /// Seldom: it is asked for again and again.
    fn tell_unread(&self, reason: &str) {
        let mut told = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.holds() {
            *told = Lately::now();
            let name = self.way.name();
            tracing::warn!("{name}: a queued request cannot be read yet: {reason}");
        }
    }

    pub(super) async fn read(&self, entry: &Entry, is_first: bool) -> Result<Stands, Unread> {
        let Some(journal) = &self.journal else {
            return Err(Unread::Lost("there is no journal".to_owned()));
        };
        // What is read takes memory like what comes in. What holds some already waits for no more: others
        // may wait for this.
        let lease = if is_first {
            self.budget.lease_to_send_again(entry.len()).await
        } else {
            let mut lease = self.budget.lease();
            lease.try_charge(entry.len()).map(|()| lease)
        };
        let lease = lease.map_err(|refusal| Unread::NoMemory(refusal.to_string()))?;
        let record = journal.read(entry).await.map_err(|error| match error {
            ReadError::Io { .. } => Unread::Later(error.to_string()),
            _ => Unread::Lost(error.to_string()),
        })?;
        let record = lease.hold(record);
        let stands = || {
            Some(Stands {
                request: record::request(&record)?,
                sender: record::sender(&record)?,
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
    sender: Sender,
    /// What is to be told of it.
    notices: Vec<Notice>,
}

/// Why a request could not be read from disk.
#[derive(Debug)]
pub(super) enum Unread {
    /// Another time it may be.
    Later(String),
    /// It may be when others give some back.
    NoMemory(String),
    /// It is damaged.
    Lost(String),
}
