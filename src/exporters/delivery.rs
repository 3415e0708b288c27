//! How requests get to a backend: at once or through a queue, in parts that it takes, again where it
//! could not take them; what it never takes is kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;
use http::{HeaderMap, HeaderName};
use slimspan_proto::{Signal, count};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::dead_letters::config::DeadLetterConfig;
use super::dead_letters::{DeadLetters, Letter, NotKept};
use super::departure::Departure;
use super::fitting::{Largest, Sent, Stuck, send_fitting};
use super::heard::Heard;
use super::queue::config::QueueConfig;
use super::queue::{Load, Queue};
use super::retry::config::RetryConfig;
use super::retry::{Patience, retry};
use super::terms::{Oversize, Terms};
use super::wire::Wire;
use crate::answer::Answer;
use crate::auth::config::AuthConfig;
use crate::auth::{Authorizer, Credentials};
use crate::backoff::Backoff;
use crate::client::Client;
use crate::crash::{self, Point};
use crate::refusal::Refusal;
use crate::telemetry::traces::Onward;
use crate::telemetry::{Attempt, ExporterCounts, Watch};
use crate::tls::config::TlsClientConfig;

/// What delivers the requests of an exporter.
#[derive(Debug)]
pub struct Delivery {
    way: Arc<Way>,
    queue: Option<Queue>,
}

/// An exporter's way to its backend.
#[derive(Debug)]
pub struct Way {
    name: String,
    wire: Wire,
    authorizer: Option<Authorizer>,
    retries: RetryConfig,
    /// What it sends at a time.
    largest: Largest,
    dead_letters: DeadLetters,
    /// Nothing is repeated after it.
    pub(super) stop: CancellationToken,
    counts: Arc<ExporterCounts>,
    /// Who waits to try again is told that others were answered.
    works_again: Notify,
}

/// What all exporters for OTLP have in their configuration.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryConfig<'c> {
    /// How often a request is sent again that the backend could not take.
    pub retry_on_failure: &'c RetryConfig,
    /// Whether requests are acknowledged before the backend has them.
    pub sending_queue: &'c QueueConfig,
    /// The largest request that the backend takes; larger ones go in parts.
    pub max_request_bytes: ByteSize,
    /// Where requests are kept that the backend never takes.
    pub dead_letters: &'c DeadLetterConfig,
    /// How connections to the backend are protected.
    pub tls: &'c TlsClientConfig,
    /// What says to the backend who sends.
    pub auth: Option<&'c AuthConfig>,
}

/// Where a request comes from, as far as its backend is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    /// Who sent it.
    pub(super) client: &'a Client,
    /// What its trace is.
    pub(super) onward: &'a Onward,
    /// Where it is noted that it may have left.
    pub(super) departure: &'a Departure,
    /// What was heard of its parts before, where it goes on after a pause.
    pub(super) heard: Option<&'a Heard>,
}

/// What became of a request on its way.
pub(super) struct Delivered {
    /// What its sender is told.
    pub(super) answer: Answer,
    /// The items that the answer rejects and that are dead letters of their own by now, or lost.
    pub(super) kept: usize,
}

impl Delivery {
    /// Delivers by `way`, through `queue` if there is one.
    pub fn new(way: Arc<Way>, queue: Option<Queue>) -> Self {
        Self { way, queue }
    }

    /// Takes an `Export{Trace,Logs,Metrics}ServiceRequest`; returns the backend's answer, or that of the
    /// queue.
    pub async fn deliver(
        &self,
        signal: Signal,
        request: Bytes,
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        let Terms {
            deadline, oversize, ..
        } = *terms;
        match &self.queue {
            // What may be smaller another time is not for the queue: it would never be.
            Some(queue) if oversize == Oversize::Kept => queue.offer(signal, request, terms).await,
            _ => {
                let patience = Patience::Until(deadline);
                let from = Origin {
                    client: &terms.client,
                    onward: &terms.onward,
                    departure: &terms.departure,
                    heard: None,
                };
                let way = &self.way;
                let in_flight = terms.begin(&way.counts, signal, &request);
                let sent = way.deliver(signal, request, from, patience, oversize);
                let outcome = sent.await.map(|delivered| delivered.answer);
                let rejected = |answer: &Answer| answer.rejected().unwrap_or(0);
                terms.ended(in_flight, outcome.as_ref().map(rejected));
                outcome
            }
        }
    }

    /// So many items of requests that it was not given, or not again, are handed back.
    pub fn not_sent(&self, signal: Signal, items: usize) {
        self.way.counts.ended(signal, items, items);
    }

    /// The exporter's id.
    pub fn id(&self) -> &str {
        self.way.name()
    }

    /// How much is in its queue, and how much can be, if it has one.
    pub fn load(&self) -> Option<Load> {
        self.queue.as_ref().map(Queue::load)
    }

    /// Whether it acknowledges what only this process has then.
    pub fn acknowledges_in_memory(&self) -> bool {
        self.queue.as_ref().is_some_and(Queue::is_in_memory)
    }

    /// Ends by `until`; what is in a queue is delivered or kept.
    pub async fn end(&self, until: Instant) {
        if let Some(queue) = &self.queue {
            queue.drain(until).await;
        }
    }
}

impl Way {
    /// Requests of the exporter `name` go out by `wire`, with what `authorizer` adds to them.
    pub fn new(
        name: String,
        wire: impl Into<Wire>,
        authorizer: Option<Authorizer>,
        config: DeliveryConfig<'_>,
    ) -> Self {
        let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        // A batch may have to be smaller than what the backend takes.
        let batch = config.sending_queue.largest_batch();
        let bytes = config.max_request_bytes.as_u64().min(batch.bytes);
        Self {
            dead_letters: DeadLetters::new(&name, config.dead_letters),
            name,
            wire: wire.into(),
            authorizer,
            retries: config.retry_on_failure.clone(),
            largest: Largest {
                bytes: whole(bytes),
                items: whole(batch.items),
            },
            stop: CancellationToken::new(),
            counts: Arc::default(),
            works_again: Notify::new(),
        }
    }

    /// Counts there what becomes of requests.
    #[must_use]
    pub fn counted(self, counts: Arc<ExporterCounts>) -> Self {
        Self { counts, ..self }
    }

    pub(super) fn counts(&self) -> &ExporterCounts {
        &self.counts
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The pauses between attempts.
    pub(super) fn backoff(&self) -> Backoff {
        self.retries.backoff()
    }

    /// Refuses a client of which nothing could be sent later.
    pub(super) fn check(&self, client: &Client) -> Result<(), Refusal> {
        let authorizer = self.authorizer.as_ref();
        authorizer.map_or(Ok(()), |authorizer| authorizer.check(client))
    }

    /// The most bytes that are sent at a time.
    pub(super) fn max_bytes(&self) -> usize {
        self.largest.bytes
    }

    /// What has to be known of `client` to send its requests later, with the headers that `also` tell them
    /// apart, and no more.
    pub(super) fn remember(&self, client: &Client, also: &[HeaderName]) -> Client {
        let names = self.authorizer.as_ref().map(Authorizer::context);
        let names = names.unwrap_or_default();
        let mut metadata = HeaderMap::new();
        for name in names.iter().chain(also) {
            // One name may be asked for twice.
            if !metadata.contains_key(name) {
                for value in client.metadata(name.as_str()) {
                    metadata.append(name.clone(), value.clone());
                }
            }
        }
        Client::unknown().with_metadata(metadata)
    }

    pub(super) fn dead_letters(&self) -> &DeadLetters {
        &self.dead_letters
    }

    /// Delivers a request; returns the backend's answer. Who calls this counts what became of it.
    pub(super) async fn deliver(
        &self,
        signal: Signal,
        request: Bytes,
        from: Origin<'_>,
        patience: Patience,
        oversize: Oversize,
    ) -> Result<Delivered, Refusal> {
        let mut number = 0;
        let deliver = |part| {
            let known = from.heard.and_then(|heard| heard.of(number));
            number += 1;
            async move {
                if let Some(known) = known {
                    return known;
                }
                let outcome = self.send(signal, part, from, patience).await;
                if let Some(heard) = from.heard {
                    heard.note(&outcome);
                }
                outcome
            }
        };
        let Sent { mut answer, stuck } =
            send_fitting(signal, request, self.largest, oversize, deliver).await?;
        let mut kept = 0;
        for one in stuck {
            // Somebody may send it yet.
            from.departure.note();
            let given_up = self.give_up(signal, &one, patience, oversize).await;
            if !given_up.is_left {
                kept += given_up.items;
            }
            answer = answer.and(given_up.told);
        }
        Ok(Delivered { answer, kept })
    }

    /// Sends a part until it is answered.
    async fn send(
        &self,
        signal: Signal,
        part: Bytes,
        from: Origin<'_>,
        patience: Patience,
    ) -> Result<Answer, Refusal> {
        let prepared = self.wire.prepare(signal, part).await?;
        // With each attempt anew: a token may have changed meanwhile.
        let credentials = Credentials {
            authorizer: self.authorizer.as_ref(),
            client: from.client,
        };
        let (prepared, mut repeats) = (&prepared, patience.is_repeat());
        let attempt = || {
            let (left, is_repeat) = (patience.left(), std::mem::replace(&mut repeats, true));
            async move {
                let watch = Watch::start();
                let leaving = from.departure.begin();
                crash::at(Point::Exporting);
                let outcome = prepared.send(credentials, from.onward, left).await;
                if outcome.is_ok() {
                    crash::at(Point::Exported);
                }
                leaving.ended(&outcome);
                let took = watch.read();
                let what = what_it_shows(&outcome, took, left);
                let was_failing = self.counts.is_failing();
                self.counts.attempted(is_repeat, took, what);
                if was_failing && what == Attempt::Answered {
                    self.works_again.notify_waiters();
                }
                outcome
            }
        };
        let Self {
            retries,
            stop,
            works_again,
            ..
        } = self;
        retry(retries, patience, stop, works_again, attempt).await
    }

    /// Keeps what no backend takes, where that is possible while its sender waits.
    async fn give_up(
        &self,
        signal: Signal,
        stuck: &Stuck,
        patience: Patience,
        oversize: Oversize,
    ) -> GivenUp {
        let (request, refusal) = (stuck.request(), &stuck.refusal);
        let (items, len) = (count(signal, &request), request.len());
        let letter = Letter {
            signal,
            request,
            why: format!("{refusal}\n"),
        };
        let kept = self.dead_letters.keep(letter, patience.until()).await;
        let is_kept = usize::from(kept.is_ok());
        let is_wanted = kept.as_ref().is_err_and(NotKept::is_wanted);
        let is_left = oversize == Oversize::Left && is_wanted;
        if !is_left {
            self.counts.gave_up(is_kept, 1 - is_kept);
        }
        let fate = match kept {
            Ok(path) => format!("it is kept in {}", path.display()),
            Err(error) => error.to_string(),
        };
        let what = match items {
            1 => format!("an item of {len} bytes cannot go"),
            _ => format!("{items} items of {len} bytes, with what stands around them, cannot go"),
        };
        tracing::warn!("{}: {what}: {}; {fate}", self.name, refusal.in_log());
        // The path is not the sender's business.
        let told = Answer::rejecting(items, &format!("{what}: {refusal}"));
        GivenUp {
            items,
            told,
            is_left,
        }
    }
}

/// What became of items that the backend will never take.
struct GivenUp {
    items: usize,
    told: Answer,
    /// They could not be kept, and who has the request keeps them.
    is_left: bool,
}

/// What an attempt shows of the backend, with what was `left` of its sender's time.
fn what_it_shows(
    outcome: &Result<Answer, Refusal>,
    took: Duration,
    left: Option<Duration>,
) -> Attempt {
    /// A backend that works answers sooner.
    const TELLING: Duration = Duration::from_secs(2);
    match outcome {
        Err(refusal) if refusal.is_outage() => {
            if took < TELLING && left.is_some_and(|left| took >= left) {
                Attempt::GivenUp
            } else {
                Attempt::Failed
            }
        }
        _ => Attempt::Answered,
    }
}

/// Where requests go, for people.
impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.way.wire.fmt(f)?;
        match &self.queue {
            Some(queue) => write!(f, ", {queue}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use futures::future::BoxFuture;
    use slimspan_generators::wire::nested;

    use super::*;
    use crate::exporters::Taker;
    use crate::exporters::otlp_grpc::config::OtlpGrpcConfig;
    use crate::journal::FaultyDisk;

    /// A backend for which everything is too large.
    #[derive(Debug)]
    struct Narrow;

    impl Taker for Narrow {
        fn take(
            &self,
            _: Bytes,
            _: Option<Duration>,
        ) -> BoxFuture<'static, Result<Answer, Refusal>> {
            Box::pin(std::future::ready(Err(Refusal::too_costly("too large"))))
        }
    }

    /// And nobody is told that it is kept.
    #[tokio::test]
    async fn a_sender_does_not_wait_for_a_disk_that_hangs() {
        let (home, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
        let dead_letters = DeadLetterConfig {
            directory: Some(home.path().to_owned()),
            ..DeadLetterConfig::default()
        };
        let config = OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap());
        let wire = Wire::Taken(Arc::new(Narrow));
        let way = Way {
            dead_letters: DeadLetters::on(Arc::new(disk.clone()), "otlp", &dead_letters),
            ..Way::new("otlp".to_owned(), wire, None, config.delivery())
        };
        let held = disk.hold_syncs();
        let from = Origin {
            client: &Client::unknown(),
            onward: &Onward::default(),
            departure: &Departure::default(),
            heard: None,
        };
        let request = Bytes::from(nested(&[1, 2, 2, 5], vec![b'x'; 20 << 10]));
        let begun = Instant::now();
        let patience = Patience::Until(begun + Duration::from_millis(50));
        let delivered = way.deliver(Signal::Traces, request, from, patience, Oversize::Kept);
        let delivered = tokio::time::timeout(Duration::from_secs(30), delivered).await;
        drop(held);
        let Delivered { answer, kept } = delivered.unwrap().unwrap();
        assert_eq!((answer.rejected(), kept), (Some(1), 1));
        assert!(!answer.message().contains("kept"), "{}", answer.message());
    }
}
