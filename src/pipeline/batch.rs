//! Requests of several senders that go on as one.
//!
//! OTLP requests are joined by writing one behind the other, so that nothing is decoded. Each sender
//! waits for what becomes of the batch: unlike the Collector's, this processor acknowledges nothing
//! that is still to be sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, join, join_all};
use http::{HeaderMap, HeaderName, HeaderValue};
use slimspan_proto::Signal;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::fan_out::{FanOut, Outgoing};
use crate::admission::{Budget, Lease};
use crate::answer::Answer;
use crate::client::Client;
use crate::config::BatchConfig;
use crate::exporters::{Oversize, Terms};
use crate::refusal::{Culprit, Refusal};
use crate::tally::Tickets;

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
    waiting: Mutex<Waiting>,
}

/// The values of the metadata by which requests are told apart.
type Key = Vec<Vec<HeaderValue>>;

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

/// The request of one sender.
#[derive(Debug)]
struct Part {
    outgoing: Outgoing,
    items: usize,
    /// With what is known of the sender that all of a batch have in common.
    terms: Terms,
    reply: oneshot::Sender<Result<Answer, Refusal>>,
}

/// Requests that go as one.
struct Group {
    parts: Vec<Part>,
    /// For the copy that joins them.
    lease: Lease,
}

impl Group {
    /// Whether it may be written with this one, too. One that goes alone is not copied.
    fn has_memory_for(&mut self, part: &Part) -> bool {
        let first = match self.parts.as_slice() {
            [first] => first.outgoing.len_of_all(),
            _ => 0,
        };
        let more = first + part.outgoing.len_of_all();
        self.lease.try_charge(more).is_ok()
    }
}

impl Batch {
    pub(super) fn new(
        config: BatchConfig,
        signal: Signal,
        exporters: Arc<FanOut>,
        budget: Budget,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                signal,
                exporters,
                budget,
                waiting: Mutex::default(),
            }),
        }
    }

    /// Sends a request of so many items with others, and tells what became of it.
    pub(super) async fn send(
        &self,
        outgoing: Outgoing,
        items: usize,
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        let (reply, answer) = oneshot::channel();
        let (key, client) = self.shared.of_client(&terms.client);
        let part = Part {
            outgoing,
            items,
            terms: Terms {
                client: Arc::new(client),
                ..terms.clone()
            },
            reply,
        };
        self.shared.gather(key, part)?;
        let unavailable = |why| Err(Refusal::unavailable(Culprit::Slimspan, why));
        match timeout_at(terms.deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => unavailable("the batch was cut off by the shutdown"),
            Err(_) => unavailable("the batch was not answered in time"),
        }
    }
}

impl Shared {
    /// By what a request is told apart, and what is known of the senders of all those like it.
    fn of_client(&self, client: &Client) -> (Key, Client) {
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
        let size = self.config.send_batch_size;
        if self.config.timeout.is_zero() || size > 0 && items >= size {
            if let Some(full) = waiting.by_key.remove(&key) {
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
            due.map(|gathering| gathering.parts).unwrap_or_default()
        };
        self.send(parts).await;
    }

    async fn send(self: Arc<Self>, parts: Vec<Part>) {
        let groups = self.groups(parts).into_iter();
        let delivered = groups.map(async |Group { parts, lease }| {
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

    /// Sends a group, in halves where the backend refuses it for good: the request of one sender takes
    /// no other's along.
    fn deliver(&self, mut group: Vec<Part>) -> BoxFuture<'_, ()> {
        async move {
            match self.export(&group).await {
                Ok(answer) => tell(group, &answer),
                Err(refusal) if group.len() > 1 && refusal.may_be_for_a_part() => {
                    let other = group.split_off(group.len() / 2);
                    join(self.deliver(group), self.deliver(other)).await;
                }
                Err(refusal) => {
                    for part in group {
                        // Who does not wait any more was told that it is not known.
                        let _ = part.reply.send(Err(refusal.clone()));
                    }
                }
            }
        }
        .boxed()
    }

    async fn export(&self, group: &[Part]) -> Result<Answer, Refusal> {
        let Some(first) = group.first() else {
            return Ok(Answer::success());
        };
        let tickets = group.iter().map(|part| (&part.terms.tickets, part.items));
        let terms = Terms {
            client: Arc::clone(&first.terms.client),
            deadline: group
                .iter()
                .map(|part| part.terms.deadline)
                .max()
                .unwrap_or(first.terms.deadline),
            oversize: Oversize::Kept,
            tickets: Tickets::joined(tickets),
        };
        if let [only] = group {
            return self.export_one(only, &terms).await;
        }
        let joined = Outgoing::joined(group.iter().map(|part| part.outgoing.clone()));
        self.exporters.send(self.signal, &joined, &[], &terms).await
    }

    /// Sends one sender's request, in several where it alone is too large for a batch.
    async fn export_one(&self, part: &Part, terms: &Terms) -> Result<Answer, Refusal> {
        let most = self.config.send_batch_max_size;
        let send = async |outgoing: &Outgoing| {
            self.exporters.send(self.signal, outgoing, &[], terms).await
        };
        if most == 0 || part.items <= most {
            return send(&part.outgoing).await;
        }
        let mut answer = Answer::success();
        for piece in part.outgoing.pieces(self.signal, most)? {
            answer = answer.and(send(&piece).await?);
        }
        Ok(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells each sender its part of the answer. Which items the backend rejected is not known, so the first
/// senders are told of them: together it is right, and nobody repeats what was accepted.
fn tell(group: Vec<Part>, answer: &Answer) {
    let is_alone = group.len() == 1;
    let mut rejected = match answer.rejected() {
        Some(rejected) if rejected > 0 && !is_alone => {
            usize::try_from(rejected).unwrap_or(usize::MAX)
        }
        _ => {
            for part in group {
                let _ = part.reply.send(Ok(answer.clone()));
            }
            return;
        }
    };
    let why = format!(
        "of a batch with requests of other senders {rejected} items were rejected: {}",
        answer.message()
    );
    for part in group {
        let of_this = rejected.min(part.items);
        rejected -= of_this;
        let _ = part.reply.send(Ok(if of_this > 0 {
            Answer::rejecting(of_this, &why)
        } else {
            Answer::success()
        }));
    }
}
