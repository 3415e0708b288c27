//! Requests of several senders that go on as one.
//!
//! OTLP requests are joined by writing one behind the other, so that nothing is decoded. Each sender
//! waits for what becomes of the batch: unlike the Collector's, this processor acknowledges nothing
//! that is still to be sent.

mod part;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use http::{HeaderMap, HeaderName, HeaderValue};
use slimspan_proto::Signal;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};

pub(super) use self::part::Held;
use self::part::{Group, Part, divided, joined};
use super::fan_out::{FanOut, Outgoing};
use super::passing::Carried;
use crate::admission::{Budget, Lease};
use crate::answer::Answer;
use crate::client::Client;
use crate::config::BatchConfig;
use crate::exporters::{Departure, Oversize, Terms};
use crate::joining::shares;
use crate::refusal::{Culprit, Refusal};
use crate::tally::Tickets;
use crate::telemetry::BatchCounts;
use crate::telemetry::traces::{Onward, Trace};
use crate::tenant::TenantId;

/// The `batch` processor of a pipeline.
#[derive(Debug)]
pub(super) struct Batch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: BatchConfig,
    signal: Signal,
    exporters: Arc<FanOut>,
    budget: Budget,
    counts: Arc<BatchCounts>,
    waiting: Mutex<Waiting>,
}

/// By what requests are told apart: the values of their metadata, and whose they are. What a backend says
/// of one tenant's request is not for another one.
type Key = (Vec<Vec<HeaderValue>>, Vec<TenantId>);

#[derive(Debug, Default)]
struct Waiting {
    by_key: HashMap<Key, Gathering>,
    /// How many batches there were.
    begun: u64,
}

/// A batch that is not full yet.
#[derive(Debug)]
struct Gathering {
    number: u64,
    parts: Vec<Part>,
    items: usize,
    sent_at: Instant,
}

impl Batch {
    pub(super) fn new(
        config: BatchConfig,
        signal: Signal,
        exporters: Arc<FanOut>,
        budget: Budget,
        counts: Arc<BatchCounts>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                signal,
                exporters,
                budget,
                counts,
                waiting: Mutex::default(),
            }),
        }
    }

    /// A lease for what goes on of a request that came, unless that is the same bytes.
    pub(super) fn lease(
        &self,
        outgoing: &Outgoing,
        came: &Bytes,
    ) -> Result<Option<Lease>, Refusal> {
        if outgoing.is(came) {
            return Ok(None);
        }
        let mut lease = self.shared.budget.lease_for_more();
        lease.try_charge(outgoing.len_of_all())?;
        Ok(Some(lease))
    }

    /// Sends a request of so many items with others, and tells what became of it.
    pub(super) async fn send(
        &self,
        outgoing: Outgoing,
        items: usize,
        held: Held,
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        let (reply, answer) = oneshot::channel();
        let (metadata, client) = self.shared.of_client(&terms.client);
        let key = (metadata, held.tenants.clone());
        let part = Part {
            outgoing,
            items,
            terms: Terms {
                client: Arc::new(client),
                ..terms.clone()
            },
            reply,
            _held: held,
        };
        self.shared.gather(key, part)?;
        let unavailable = |why| {
            // Nobody knows how far it has got, or will.
            terms.departure.note();
            Err(Refusal::unavailable(Culprit::Slimspan, why))
        };
        match timeout_at(terms.deadline, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => unavailable("the batch was cut off by the shutdown"),
            Err(_) => unavailable("the batch was not answered in time"),
        }
    }
}

impl Shared {
    /// By what a request is told apart, and what is known of the senders of all those like it.
    fn of_client(&self, client: &Client) -> (Vec<Vec<HeaderValue>>, Client) {
        let mut common = HeaderMap::new();
        let mut key = Vec::new();
        for name in &self.config.metadata_keys {
            let values: Vec<HeaderValue> = client.metadata(name).cloned().collect();
            if let Ok(name) = HeaderName::try_from(name) {
                for value in &values {
                    common.append(name.clone(), value.clone());
                }
            }
            key.push(values);
        }
        (key, Client::unknown().with_metadata(common))
    }

    fn gather(self: &Arc<Self>, key: Key, part: Part) -> Result<(), Refusal> {
        let now = Instant::now();
        // The rest of a sender's time is the backend's.
        let left = part.terms.deadline.saturating_duration_since(now);
        let sent_at = now + self.config.timeout.min(left / 2);
        let mut waiting = self.lock();
        let limit = self.config.metadata_cardinality_limit;
        if waiting.by_key.len() >= limit && !waiting.by_key.contains_key(&key) {
            return Err(Refusal::unavailable(
                Culprit::Slimspan,
                format!(
                    "{limit} batches with other metadata wait already; see \
                     batch.metadata_cardinality_limit"
                ),
            ));
        }
        let Waiting { by_key, begun } = &mut *waiting;
        let mut is_sooner = false;
        let gathering = by_key.entry(key.clone()).or_insert_with(|| {
            *begun += 1;
            is_sooner = true;
            self.counts.combinations.fetch_add(1, Ordering::Relaxed);
            Gathering {
                number: *begun,
                parts: Vec::new(),
                items: 0,
                sent_at,
            }
        });
        is_sooner |= sent_at < gathering.sent_at;
        gathering.sent_at = gathering.sent_at.min(sent_at);
        gathering.items += part.items;
        gathering.parts.push(part);
        let (number, items) = (gathering.number, gathering.items);
        if self.config.goes_at_once(items) {
            if let Some(full) = waiting.by_key.remove(&key) {
                self.counts.combinations.fetch_sub(1, Ordering::Relaxed);
                self.counts.full.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(Arc::clone(self).send(full.parts));
            }
        } else if is_sooner {
            tokio::spawn(Arc::clone(self).send_at(sent_at, key, number));
        }
        Ok(())
    }

    async fn send_at(self: Arc<Self>, at: Instant, key: Key, number: u64) {
        sleep_until(at).await;
        let parts = {
            let mut waiting = self.lock();
            // It may have been full, or another timer was sooner.
            let is_it = waiting
                .by_key
                .get(&key)
                .is_some_and(|of| of.number == number);
            let due = is_it.then(|| waiting.by_key.remove(&key)).flatten();
            if due.is_some() {
                self.counts.combinations.fetch_sub(1, Ordering::Relaxed);
                self.counts.due.fetch_add(1, Ordering::Relaxed);
            }
            due.map(|gathering| gathering.parts).unwrap_or_default()
        };
        self.send(parts).await;
    }

    async fn send(self: Arc<Self>, parts: Vec<Part>) {
        let groups = self.groups(parts).into_iter();
        let delivered = groups.map(async |Group { parts, lease }| {
            let items = parts.iter().map(|part| part.items);
            self.counts.items.add(items.sum());
            let bytes = parts.iter().map(|part| part.outgoing.len());
            self.counts.bytes.add(bytes.sum());
            self.deliver(parts).await;
            drop(lease);
        });
        join_all(delivered).await;
    }

    /// Requests that go together: as many as may. To join them takes as much memory again; where there
    /// is none, each goes alone.
    fn groups(&self, parts: Vec<Part>) -> Vec<Group> {
        let most = match self.config.send_batch_max_size {
            0 => usize::MAX,
            most => most,
        };
        let mut groups: Vec<Group> = Vec::new();
        let mut items = 0;
        for part in parts {
            items += part.items;
            if let Some(group) = groups.last_mut()
                && items <= most
                && group.has_memory_for(&part)
            {
                group.parts.push(part);
                continue;
            }
            items = part.items;
            groups.push(Group {
                parts: vec![part],
                lease: self.budget.lease_for_more(),
            });
        }
        groups
    }

    /// Sends a group to all exporters, and tells each sender what became of its request.
    async fn deliver(&self, group: Vec<Part>) {
        let (exporters, parts) = (0..self.exporters.len(), group.as_slice());
        // All of them have one copy, which is what the lease is for. It goes when the last one needs it no more.
        let whole = joined(parts);
        let outcomes = exporters.map(move |exporter| self.export(exporter, parts, whole.clone()));
        let mut outcomes: Vec<_> = join_all(outcomes)
            .await
            .into_iter()
            .map(Vec::into_iter)
            .collect();
        for part in group {
            let of_part = outcomes.iter_mut().filter_map(Iterator::next);
            // Who does not wait any more was told that it is not known.
            let _ = part.reply.send(Answer::worst(of_part));
        }
    }

    /// Sends a group, which is joined already, to one exporter, in halves where the backend says that there is
    /// something wrong in it: the request of one sender takes no other's along. Returns what became of each.
    fn export<'a>(
        &'a self,
        exporter: usize,
        group: &'a [Part],
        whole: Outgoing,
    ) -> BoxFuture<'a, Vec<Result<Answer, Refusal>>> {
        async move {
            match self.send_group(exporter, group, whole).await {
                Ok(answer) => {
                    let items: Vec<_> = group.iter().map(|part| part.items).collect();
                    shares(&items, &answer).into_iter().map(Ok).collect()
                }
                Err(refusal) if divided(group).goes_again(&refusal) => {
                    let (first, second) = group.split_at(group.len() / 2);
                    let mut outcomes = self.export(exporter, first, joined(first)).await;
                    outcomes.extend(self.export(exporter, second, joined(second)).await);
                    outcomes
                }
                Err(refusal) => group.iter().map(|_| Err(refusal.clone())).collect(),
            }
        }
        .boxed()
    }

    async fn send_group(
        &self,
        exporter: usize,
        group: &[Part],
        whole: Outgoing,
    ) -> Result<Answer, Refusal> {
        let Some(first) = group.first() else {
            return Ok(Answer::success());
        };
        let deadlines = group.iter().map(|part| part.terms.deadline);
        let tickets = group.iter().map(|part| (&part.terms.tickets, part.items));
        let departures = group.iter().map(|part| &part.terms.departure);
        let terms = Terms {
            client: Arc::clone(&first.terms.client),
            tenants: Arc::clone(&first.terms.tenants),
            alone: false,
            deadline: deadlines.max().unwrap_or(first.terms.deadline),
            oversize: Oversize::Kept,
            divided: divided(group),
            tickets: Tickets::joined(tickets),
            // A batch is of many traces; each tells how long it waited for it.
            trace: Trace::default(),
            onward: Onward::default(),
            departure: Departure::joined(departures),
        };
        if let [only] = group {
            return self.send_one(exporter, only, &terms).await;
        }
        let carried = Carried::default();
        let sent = self
            .exporters
            .send_to(exporter, self.signal, &whole, &[], &terms, &carried);
        sent.await
    }

    /// Sends one sender's request, in several where it alone is too large for a batch.
    async fn send_one(
        &self,
        exporter: usize,
        part: &Part,
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        let most = self.config.send_batch_max_size;
        // All that it has with it is held until its sender is answered.
        let carried = Carried::default();
        let send = async |outgoing: &Outgoing| {
            let sent =
                self.exporters
                    .send_to(exporter, self.signal, outgoing, &[], terms, &carried);
            sent.await
        };
        if most == 0 || part.items <= most {
            return send(&part.outgoing).await;
        }
        let pieces = match part.outgoing.pieces(self.signal, most) {
            Ok(pieces) => pieces,
            Err(malformed) => return Err(malformed.into()),
        };
        let mut answer = Answer::success();
        let (mut accepted, mut refused) = (false, None);
        let mut left = part.items;
        for piece in pieces {
            let items = piece.count(self.signal);
            left = left.saturating_sub(items);
            match send(&piece).await {
                Ok(of_piece) => {
                    accepted = true;
                    answer = answer.and(of_piece);
                }
                // All of it can be delivered later. That some is delivered twice is less than a loss.
                Err(refusal) if refusal.is_retryable() => {
                    self.exporters.not_sent(exporter, self.signal, left);
                    return Err(refusal);
                }
                Err(refusal) => {
                    answer = answer.and(Answer::rejecting(items, &refusal.to_string()));
                    refused = refused.or(Some(refusal));
                }
            }
        }
        match refused {
            Some(refusal) if !accepted => Err(refusal),
            _ => Ok(answer),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
