//! The path of a request: sift, extract, store, export.
//!
//! The sender's pending call is the acknowledgement: it ends well only when every artifact is
//! durable and every exporter's backend has accepted the request. Only an exporter that was given a
//! queue in memory acknowledges what lives in this process alone.

mod artifacts;
mod batch;
mod fan_out;
mod limiters;
mod passing;
mod processors;
mod tenancy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::HeaderMap;
use slimspan_artifact::Policy;
use slimspan_proto::{Signal, count};
use tokio::time::Instant;

use crate::admission::{Budget, Share};
use crate::answer::Answer;
use crate::client::Client;
use crate::config::{BatchConfig, PipelineId};
use crate::exporters::{Departure, Divided, Oversize, Terms};
use crate::panics::Panics;
use crate::refusal::Refusal;
use crate::sift::{EntryLimit, Rejected, sift};
use crate::tally::{Ticket, UnderWay};
use crate::telemetry::traces::{Onward, RequestSpan, Trace, Tracer};
use crate::telemetry::{
    BatchCounts, Counters, LimiterCounts, PipelineCounts, ProcessorCounts, ReceiverCounts, Spelling,
};
use artifacts::Artifacts;
pub use artifacts::{Fate, Keeping};
use batch::Batch;
use fan_out::FanOut;
pub use fan_out::{Destination, Wanted};
use limiters::Limiters;
use processors::Processors;
pub use tenancy::Tenancy;

/// What the requests of a receiver go through, by signal.
#[derive(Debug, Clone)]
pub struct Pipelines {
    entries: EntryLimit,
    budget: Budget,
    counters: Arc<Counters>,
    /// Where these requests come in.
    by: Arc<ReceiverCounts>,
    tracer: Tracer,
    by_signal: BTreeMap<Signal, Vec<Arc<Pipeline>>>,
}

/// A request as its receiver hands it over.
#[derive(Debug)]
pub struct Received {
    /// The message.
    pub message: Bytes,
    /// Items that it had and that could not be written down as a message, or a warning where there are
    /// none.
    pub unread: Option<Rejected>,
}

impl From<Bytes> for Received {
    fn from(message: Bytes) -> Self {
        Self {
            message,
            unread: None,
        }
    }
}

/// The processors of one pipeline, and what it leads to.
#[derive(Debug)]
pub struct Pipeline {
    id: PipelineId,
    artifacts: Option<Artifacts>,
    exporters: Arc<FanOut>,
    budget: Budget,
    /// What its requests may take together with those that wait for the same backends.
    share: Option<Arc<Share>>,
    batch: Option<Batch>,
    counters: Arc<Counters>,
    counts: Arc<PipelineCounts>,
    processors: Processors,
    limiters: Limiters,
}

impl Pipelines {
    /// None yet.
    pub fn new(entries: EntryLimit, budget: Budget, counters: Arc<Counters>) -> Self {
        Self {
            entries,
            budget,
            counters,
            by: Arc::default(),
            tracer: Tracer::default(),
            by_signal: BTreeMap::new(),
        }
    }

    /// The same for requests that come in there.
    #[must_use]
    pub fn counted(&self, by: Arc<ReceiverCounts>) -> Self {
        Self { by, ..self.clone() }
    }

    /// The same with spans about requests.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// A span about a request that comes in here now, with these headers.
    pub fn begin(&self, signal: Signal, headers: &HeaderMap) -> RequestSpan {
        self.tracer.begin(headers, &self.by, signal)
    }

    /// The name of the receiver, for people.
    pub fn receiver(&self) -> &str {
        &self.by.receiver
    }

    /// Takes note of how a request was answered that came in here, and of how long that took.
    pub fn answered(&self, signal: Signal, took: Duration, refused: Option<&Refusal>) {
        self.counters.answered(&self.by, signal, took, refused);
    }

    /// Takes note of members of a request in JSON that OTLP does not have.
    pub fn ignored(&self, signal: Signal, spelling: Spelling, members: usize) {
        self.counters.ignored.add(signal, spelling, members);
    }

    /// Adds a pipeline to those of its signal.
    pub fn add(&mut self, pipeline: Arc<Pipeline>) {
        let signal = pipeline.id.signal;
        self.by_signal.entry(signal).or_default().push(pipeline);
    }

    /// The entries that a request may have.
    pub fn entries(&self) -> &EntryLimit {
        &self.entries
    }

    /// Where it is told that slimspan failed at a request.
    pub fn panics(&self) -> &Panics {
        &self.counters.panics
    }

    /// Whether no signal has a pipeline.
    pub fn is_empty(&self) -> bool {
        self.by_signal.is_empty()
    }

    /// Takes an OTLP request of `client` through every pipeline of its signal; returns the OTLP
    /// response. At `deadline` its sender stops waiting.
    pub async fn consume(
        &self,
        signal: Signal,
        request: impl Into<Received>,
        client: Arc<Client>,
        deadline: Instant,
        trace: Trace,
    ) -> Result<Answer, Refusal> {
        let Received {
            message: request,
            unread,
        } = request.into();
        let items_unread = unread.as_ref().map_or(0, |unread| unread.count);
        let ticket = Ticket::new(Arc::clone(&self.counters), signal);
        let under_way = self.counters.items.begin(signal, &request, items_unread);
        let mut under_way = under_way.by(&self.by, trace.clone()).with(&ticket);
        if let Some(unread) = &unread
            && items_unread > 0
            && count(signal, &request) == 0
        {
            // OTLP calls it a partial success where a part is accepted.
            return Err(Refusal::malformed(unread.reason.as_str()));
        }
        self.by.sizes.add(request.len());
        let terms = Terms {
            client,
            tenants: Arc::default(),
            alone: false,
            deadline,
            oversize: Oversize::Kept,
            divided: Divided::Never,
            tickets: Arc::clone(&ticket).into(),
            trace,
            onward: Onward::default(),
            departure: Departure::default(),
        };
        let passed = self.sift_and_pass(signal, &request, &terms, &mut under_way);
        let what = || format!("a processor after {} ({signal})", self.receiver());
        let passed = self.panics().guard(what, Some(&request), passed);
        let mut outcome = passed.await;
        if let Some(unread) = unread {
            let told = Answer::rejecting(unread.count, &unread.reason);
            outcome = outcome.map(|answer| answer.and(told));
        }
        // Who holds it still, does so in a queue.
        drop(terms);
        under_way.ended(&outcome, ticket);
        outcome
    }

    async fn sift_and_pass(
        &self,
        signal: Signal,
        request: &Bytes,
        terms: &Terms,
        under_way: &mut UnderWay<'_>,
    ) -> Result<Answer, Refusal> {
        let Some(pipelines) = self.by_signal.get(&signal) else {
            return Err(Refusal::unimplemented(format!(
                "no pipeline takes {signal} from this receiver; see service.pipelines"
            )));
        };
        if request.is_empty() {
            // Nothing to lose, nothing to forward: a success (OTLP specification).
            return Ok(Answer::success());
        }
        let sifted = match sift(signal, request, &self.entries, &self.budget).await {
            Ok(sifted) => sifted,
            Err(unfit) => {
                under_way.counted(unfit.count);
                for pipeline in pipelines {
                    let limiters = &pipeline.limiters;
                    limiters.refused(signal, unfit.count, &unfit.refusal);
                }
                return Err(unfit.refusal);
            }
        };
        under_way.counted(sifted.count);
        let unfit = sifted.rejected.as_ref().map_or(0, |of| of.count);
        under_way.passed_on(unfit);
        self.counters.indices(sifted.indices);
        // Those that take the same request have the same, if any has one.
        let share = pipelines.iter().find_map(|of| of.share.as_ref());
        let taken = share.map(|of| of.take(request.len())).transpose();
        let _taken = taken.inspect_err(|refusal| {
            for pipeline in pipelines {
                let limiters = &pipeline.limiters;
                limiters.refused(signal, sifted.count.saturating_sub(unfit), refusal);
            }
        })?;
        let answer = if let [pipeline] = pipelines.as_slice() {
            pipeline.consume(&sifted, terms).await?
        } else {
            let outcomes = pipelines
                .iter()
                .map(|pipeline| pipeline.consume(&sifted, terms));
            Answer::worst(join_all(outcomes).await)?
        };
        Ok(match sifted.rejected {
            None => answer,
            Some(rejected) => answer.and(rejected.into()),
        })
    }
}

impl Pipeline {
    /// A pipeline with the policy of its `artifact` processor and what becomes of the files, if it
    /// has one; it has at least one destination. What it copies is charged to the `budget`.
    pub fn new(
        id: PipelineId,
        artifacts: Option<(Policy, Fate)>,
        destinations: Vec<Destination>,
        budget: Budget,
        counters: Arc<Counters>,
    ) -> Self {
        let usual = artifacts.as_ref().map(|(policy, _)| Wanted::of(policy));
        let exporters = Arc::new(FanOut::new(
            destinations,
            usual.unwrap_or_default(),
            budget.clone(),
            Arc::clone(&counters.panics),
        ));
        let counts = counters.pipeline(&id.to_string());
        Self {
            id,
            counts,
            artifacts: artifacts.map(|(policy, fate)| {
                Artifacts::new(&policy, exporters.forms(), fate, budget.clone())
            }),
            exporters,
            budget,
            share: None,
            batch: None,
            counters,
            processors: Processors::default(),
            limiters: Limiters::default(),
        }
    }

    /// Counts what goes through the processors, of which `before` come before the `artifact`
    /// processor.
    #[must_use]
    pub fn counted(self, processors: Vec<Arc<ProcessorCounts>>, before: usize) -> Self {
        Self {
            processors: Processors::new(processors, before),
            ..self
        }
    }

    /// Counts what comes through the `memory_limiter` processors.
    #[must_use]
    pub fn limited(self, limiters: Vec<Arc<LimiterCounts>>) -> Self {
        Self {
            limiters: Limiters::new(limiters),
            ..self
        }
    }

    /// The same where its requests take no more than this share of the budget, if there is one, together with all
    /// that wait for the same backends.
    #[must_use]
    pub fn within(self, share: Option<Arc<Share>>) -> Self {
        Self { share, ..self }
    }

    /// The same with a `batch` processor at its end.
    #[must_use]
    pub fn with_batch(self, batch: BatchConfig, counts: Arc<BatchCounts>) -> Self {
        let (exporters, budget) = (Arc::clone(&self.exporters), self.budget.clone());
        Self {
            batch: Some(Batch::new(batch, self.id.signal, exporters, budget, counts)),
            ..self
        }
    }
}

#[cfg(test)]
mod departures;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
