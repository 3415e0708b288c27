//! What becomes of a request, whatever protocol it came by: the same limits, patience and end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use slimspan_proto::Signal;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::admission::{Budget, Lease};
use crate::answer::Answer;
use crate::auth::Gate;
use crate::client::Client;
use crate::compression::Compression;
use crate::compute::Panicked;
use crate::crash::{self, Point};
use crate::expanding::expand;
use crate::panics::Panics;
use crate::pipeline::{Pipelines, Received};
use crate::receivers::connections::Introduction;
use crate::refusal::{Culprit, Refusal};
use crate::sift::EntryLimit;
use crate::telemetry::traces::{RequestSpan, Trace};
use crate::telemetry::{Spelling, Watch};

/// How long SDKs wait for an answer unless they are told otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an answer may take to its sender: one that leaves at the end of its patience is not heard.
/// Of a short patience it is a tenth.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// How long a request that has begun may still arrive after the stop: what is under way through the
/// network is there by then, and a sender that is told early repeats it early.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// The way of a listener's requests to its pipelines.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) pipelines: Arc<Pipelines>,
    pub(super) budget: Budget,
    pub(super) stop: CancellationToken,
    /// The largest request, before and after decompression.
    pub(super) limit: usize,
    /// The key of that limit.
    pub(super) limit_key: &'static str,
    /// Where senders are let in.
    pub(super) gate: Gate,
}

impl Intake {
    /// Takes a request of `client` that `arrival` brings, whole and decompressed, and whose sender
    /// gives it up at some time. With it who sends it is known.
    pub(super) async fn take(
        &self,
        signal: Signal,
        client: Arc<Client>,
        introduction: Option<&Introduction>,
        gives_up: Option<Instant>,
        span: RequestSpan,
        arrival: impl Future<Output = Result<impl Into<Received>, Refusal>>,
    ) -> Result<Answer, Refusal> {
        let watch = Watch::start();
        let trace = span.trace();
        let outcome = self
            .pass(signal, client, introduction, gives_up, trace, arrival)
            .await;
        if outcome.is_ok() {
            crash::at(Point::Answering);
        }
        let refused = outcome.as_ref().err();
        self.pipelines.answered(signal, watch.read(), refused);
        span.ended(refused);
        outcome
    }

    /// A span about a request with these headers, which was let in.
    pub(super) fn begin(&self, signal: Signal, headers: &HeaderMap) -> RequestSpan {
        self.pipelines.begin(signal, headers)
    }

    /// Counts a request that is refused before it is taken.
    pub(super) fn turn_away(&self, signal: Signal, refusal: Refusal) -> Refusal {
        self.pipelines
            .answered(signal, Duration::ZERO, Some(&refusal));
        refusal
    }

    async fn pass(
        &self,
        signal: Signal,
        client: Arc<Client>,
        introduction: Option<&Introduction>,
        gives_up: Option<Instant>,
        trace: Trace,
        arrival: impl Future<Output = Result<impl Into<Received>, Refusal>>,
    ) -> Result<Answer, Refusal> {
        let stage = trace.stage(|| format!("receiver/{}/receive", self.pipelines.receiver()));
        let request: Received = tokio::select! {
            request = arrival => match request {
                Ok(request) => request.into(),
                Err(refusal) => {
                    stage.ended(Some(&refusal));
                    return Err(refusal);
                }
            },
            () = at(gives_up) => return Err(Refusal::too_late()),
            () = self.stopped() => return Err(Refusal::unavailable(
                Culprit::Slimspan,
                "slimspan stops, and the request had not come in time",
            )),
        };
        drop(stage);
        if let Some(introduction) = introduction {
            introduction.make();
        }
        crash::at(Point::Received);
        trace.number("slimspan.request.bytes", request.message.len() as u64);
        let now = Instant::now();
        // From here on all of it is there. Where the sender goes away, this ends at whatever it waits for, so
        // that abandoned requests hold nothing; what is on its way to a store or in a batch goes on, and what
        // may have left is written into the catalog. A sender that comes back finds its files stored.
        let gives_up = gives_up.map_or(now + PATIENCE, |then| then.min(now + PATIENCE));
        let left = gives_up.saturating_duration_since(now);
        if left.is_zero() {
            return Err(Refusal::too_late());
        }
        let on_the_way = (left / 10).min(ON_THE_WAY);
        let deadline = gives_up - on_the_way;
        let consumed = self
            .pipelines
            .consume(signal, request, client, deadline, trace);
        // Whatever is waited for ends by the deadline. What does not, such as a disk that hangs where nobody thought of
        // it, is let go of as where the sender has gone away: it is about to.
        let ended = timeout_at(gives_up - on_the_way / 2, consumed).await;
        ended.unwrap_or_else(|_| {
            Err(Refusal::unavailable(
                Culprit::Slimspan,
                "the request was not done with in the time that its sender waits, and may have arrived",
            ))
        })
    }

    /// Waits until requests that are not there yet are not waited for any more.
    async fn stopped(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(LAST_BYTES).await;
    }

    /// Why a request is not taken that came when one configuration had ended, and that no other took, or that was
    /// under way for too long when it ended.
    pub(super) fn nobody() -> Refusal {
        Refusal::unavailable(
            Culprit::Slimspan,
            "slimspan stops, or had to end this to reload its configuration",
        )
    }

    /// The entries that a request may have.
    pub(super) fn entries(&self) -> &EntryLimit {
        self.pipelines.entries()
    }

    /// Where it is told that slimspan failed at a request.
    pub(super) fn panics(&self) -> &Panics {
        self.pipelines.panics()
    }

    /// Counts members of a request in JSON that OTLP does not have.
    pub(super) fn ignored(&self, signal: Signal, spelling: Spelling, members: usize) {
        self.pipelines.ignored(signal, spelling, members);
    }

    /// The share of the budget that a request has as long as it is in memory.
    pub(super) fn lease(&self) -> Lease {
        self.budget.lease()
    }

    /// The same for what is made of a request that is there.
    pub(super) fn lease_for_more(&self) -> Lease {
        self.budget.lease_for_more()
    }

    /// The request has so many bytes, which is too much.
    pub(super) fn too_large(&self, size: impl fmt::Display) -> Refusal {
        Refusal::too_large(size, self.limit, self.limit_key)
    }

    /// What a request is that came compressed.
    pub(super) async fn decompress(
        &self,
        compression: Compression,
        message: Bytes,
    ) -> Result<Bytes, Refusal> {
        let limit = self.limit;
        let whole = message.clone();
        let expanding = async {
            let too_large = || self.too_large(format_args!("more than {limit}"));
            let lease = self.lease_for_more();
            match expand(compression, message, limit, lease, too_large).await {
                Err(refusal) if refusal.is_fault() => Panicked.go_on(),
                expanded => expanded,
            }
        };
        let what = || "decompression".to_owned();
        let expanded = self.panics().guard(what, Some(&whole), expanding);
        expanded.await
    }
}

/// Waits until then, or for ever.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use slimspan_generators::wire::nested;

    use super::*;
    use crate::admission::Limits;
    use crate::exporters::faulty::{Faulty, HELD};
    use crate::exporters::otlp_grpc::config::OtlpGrpcConfig;
    use crate::exporters::{Delivery, Exporter, Way, Wire};
    use crate::pipeline::{Destination, Pipeline, Wanted};
    use crate::telemetry::Counters;

    /// What leads to an exporter that does not keep to the time of a request with [`HELD`] in it.
    fn intake(counters: &Arc<Counters>) -> Intake {
        let budget = Budget::new(Limits {
            limit_mib: 512,
            spike_mib: 100,
        });
        let config = OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap());
        let wire = Wire::Faulty(Faulty::default());
        let way = Way::new("otlp".to_owned(), wire, None, config.delivery());
        let exporter = Exporter::Otlp(Box::new(Delivery::new(Arc::new(way), None)));
        let entries = EntryLimit {
            most: 1000,
            key: "max_items".to_owned(),
        };
        let mut pipelines = Pipelines::new(entries, budget.clone(), Arc::clone(counters));
        pipelines.add(Arc::new(Pipeline::new(
            "traces".parse().unwrap(),
            None,
            vec![Destination::Exporter(Arc::new(exporter), Wanted::default())],
            budget.clone(),
            Arc::clone(counters),
        )));
        Intake {
            pipelines: Arc::new(pipelines),
            budget,
            stop: CancellationToken::new(),
            limit: 1 << 20,
            limit_key: "max",
            gate: Gate::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_hangs_there_is_an_answer_in_time() {
        for patience in [None, Some(1), Some(5), Some(60)] {
            let counters = Arc::default();
            let intake = intake(&counters);
            let begun = Instant::now();
            let gives_up = patience.map(|seconds| begun + Duration::from_secs(seconds));
            let request = Bytes::from(nested(&[1, 2, 2, 5], HELD));
            let arrival = std::future::ready(Ok(request));
            let taken = intake.take(
                Signal::Traces,
                Arc::new(Client::unknown()),
                None,
                gives_up,
                RequestSpan::default(),
                arrival,
            );
            let refusal = taken.await.unwrap_err();
            assert!(refusal.is_retryable(), "{refusal}");
            let waits = patience.map_or(PATIENCE, Duration::from_secs).min(PATIENCE);
            let took = begun.elapsed();
            assert!((waits * 9 / 10..waits).contains(&took), "{took:?}");
            let sum = counters.items.of(Signal::Traces).read();
            assert!(sum.is_even(), "{sum:?}");
            assert_eq!((sum.received, sum.refused), (1, 1), "{sum:?}");
        }
    }
}
