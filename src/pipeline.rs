//! The path of a request: sift, extract, store, export.
//!
//! The sender's pending call is the acknowledgement: it ends well only when every artifact is
//! durable and every exporter's backend has accepted the request. Only an exporter that was given a
//! queue in memory acknowledges what lives in this process alone.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use slimspan_artifact::{Extraction, Policy, extract, extract_recalling};
use slimspan_proto::{OnMalformed, Signal, ValueKind, Walk, walk};
use tokio::time::{Instant, timeout_at};

use crate::answer::Answer;
use crate::client::Client;
use crate::compute;
use crate::config::{Delivery, OnStoreFailure, PipelineId};
use crate::dry_run::DryRun;
use crate::exporters::{Exporter, Oversize, Terms};
use crate::isolation::send_apart;
use crate::refusal::{Culprit, Refusal};
use crate::sift::{Sifted, sift};
use crate::storage::Store;
use crate::tally::{Ticket, UnderWay};
use crate::telemetry::Counters;

/// More than this is decoded and hashed on threads for such work: a mebibyte takes most of a
/// millisecond, in which other requests would wait.
const INLINE: usize = 128 * 1024;

/// Larger requests are not even walked elsewhere than on such a thread.
const WALKED: usize = 256 * 1024;

/// What the requests of a receiver go through, by signal.
#[derive(Debug)]
pub struct Pipelines {
    max_items: usize,
    counters: Arc<Counters>,
    by_signal: BTreeMap<Signal, Vec<Arc<Pipeline>>>,
}

/// The processors and exporters of one pipeline.
#[derive(Debug)]
pub struct Pipeline {
    /// Its id in the configuration.
    pub id: PipelineId,
    /// The `artifact` processor, if it has one.
    pub artifacts: Option<Artifacts>,
    /// Where its requests go; at least one.
    pub exporters: Vec<Arc<Exporter>>,
    /// What is counted on the way.
    pub counters: Arc<Counters>,
}

/// The `artifact` processor: what it takes out, and what becomes of that.
#[derive(Debug)]
pub struct Artifacts {
    /// What is taken out.
    pub policy: Policy,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of the files in a request.
#[derive(Debug)]
pub enum Fate {
    /// They are taken out and kept.
    Kept {
        /// Where they are kept.
        store: Store,
        /// Whether the answer waits until the store has them.
        delivery: Delivery,
        /// What becomes of a request whose artifacts cannot be kept.
        on_failure: OnStoreFailure,
    },
    /// They stay, and are counted.
    Counted(Arc<DryRun>),
}

impl Pipelines {
    /// None yet. Requests may have `max_items` entries.
    pub fn new(max_items: usize, counters: Arc<Counters>) -> Self {
        Self {
            max_items,
            counters,
            by_signal: BTreeMap::new(),
        }
    }

    /// Adds a pipeline to those of its signal.
    pub fn add(&mut self, pipeline: Arc<Pipeline>) {
        let signal = pipeline.id.signal;
        self.by_signal.entry(signal).or_default().push(pipeline);
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
        request: Bytes,
        client: Arc<Client>,
        deadline: Instant,
    ) -> Result<Answer, Refusal> {
        let mut under_way = self.counters.items.begin(signal, &request);
        let terms = Terms {
            client,
            deadline,
            oversize: Oversize::Kept,
            ticket: Ticket::new(Arc::clone(&self.counters), signal),
        };
        let outcome = self.sift_and_pass(signal, request, &terms, &mut under_way);
        let outcome = outcome.await;
        under_way.ended(&outcome, terms.ticket);
        outcome
    }

    async fn sift_and_pass(
        &self,
        signal: Signal,
        request: Bytes,
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
        let sifted = match sift(signal, &request, self.max_items).await {
            Ok(sifted) => sifted,
            Err(unfit) => {
                under_way.counted(unfit.count);
                return Err(unfit.refusal);
            }
        };
        under_way.counted(sifted.count);
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
            Some(rejected) => answer.and(Answer::rejecting(rejected.count, &rejected.reason)),
        })
    }
}

impl Pipeline {
    async fn consume(&self, sifted: &Sifted, terms: &Terms) -> Result<Answer, Refusal> {
        let (request, isolated) = (&sifted.request, &sifted.isolated);
        self.counters.received(request.len());
        let export = |request| self.export(request, isolated, terms);
        let Some(artifacts) = &self.artifacts else {
            return export(request.clone()).await;
        };
        let kept = match &artifacts.fate {
            Fate::Kept {
                store,
                delivery,
                on_failure,
            } => (store, *delivery, *on_failure),
            Fate::Counted(dry_run) => {
                self.count(&artifacts.policy, dry_run, request).await;
                return export(request.clone()).await;
            }
        };
        let policy = &artifacts.policy;
        let processed = self.process(policy, kept, request, terms.deadline);
        match processed.await? {
            Processed::Safe(slim) => export(slim).await,
            Processed::NotStored => {
                let terms = Terms {
                    oversize: Oversize::Refused,
                    ..terms.clone()
                };
                let outcome = self.export(request.clone(), isolated, &terms).await;
                if outcome.is_ok() {
                    self.counters.forwarded();
                }
                // Too large for the backend as it is, but not once the store is back.
                outcome.map_err(|refusal| {
                    if refusal.is_for_size() {
                        Refusal::unavailable(Culprit::Store, refusal.to_string())
                    } else {
                        refusal
                    }
                })
            }
        }
    }

    async fn process(
        &self,
        policy: &Policy,
        (store, delivery, on_failure): (&Store, Delivery, OnStoreFailure),
        request: &Bytes,
        deadline: Instant,
    ) -> Result<Processed, Refusal> {
        let signal = self.id.signal;
        let mut extraction = run_extract(signal, request, policy, Some(store)).await?;
        if !store.has_all(&extraction.recalled, delivery) {
            // Stored so long ago that it may be gone by now, or only in the spool, and this sender
            // waits for the store: it is decoded to be stored.
            extraction = run_extract(signal, request, policy, None).await?;
        }
        self.counters.left_alone(&extraction);
        if extraction.artifacts.is_empty() {
            self.counters.extracted(&extraction, 0);
            return Ok(Processed::Safe(extraction.request));
        }
        // Half of the time that is left is the backend's.
        let now = Instant::now();
        let until = now + deadline.saturating_duration_since(now) / 2;
        let keep = store.keep_all(&extraction.artifacts, delivery);
        let failure = match timeout_at(until, keep).await {
            Ok(Ok(kept)) => {
                self.counters.extracted(&extraction, kept.stored);
                self.counters.spooled(kept.spooled);
                store.remember(&extraction);
                return Ok(Processed::Safe(extraction.request));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "{} did not take {} artifacts in half of the time that the sender waits, {:?}",
                store.keeper(delivery),
                extraction.artifacts.len(),
                until - now
            ),
        };
        tracing::warn!(pipeline = %self.id, "{failure}");
        match on_failure {
            OnStoreFailure::Forward => Ok(Processed::NotStored),
            OnStoreFailure::Refuse => Err(Refusal::unavailable(Culprit::Store, failure)),
            OnStoreFailure::Drop => {
                let dropped = extraction.artifacts.iter().map(|artifact| artifact.digest);
                let policy = Policy {
                    dropped: dropped.chain(extraction.recalled).collect(),
                    ..policy.clone()
                };
                let marked = run_extract(signal, request, &policy, Some(store)).await?;
                self.counters.extracted(&marked, 0);
                Ok(Processed::Safe(marked.request))
            }
        }
    }

    /// Counts what would be moved, for a request that goes on as it came.
    async fn count(&self, policy: &Policy, dry_run: &DryRun, request: &Bytes) {
        match run_extract(self.id.signal, request, policy, None).await {
            Ok(extraction) => dry_run.add(&extraction, request.len()),
            Err(refusal) => {
                tracing::warn!(pipeline = %self.id, "not in a dry run, refused: {refusal}");
            }
        }
    }

    /// Sends a request to every exporter, with the `isolated` items of it apart.
    async fn export(
        &self,
        request: Bytes,
        isolated: &[Range<usize>],
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        let signal = self.id.signal;
        let len = request.len();
        let send = |exporter: &Arc<Exporter>, request| {
            let exporter = Arc::clone(exporter);
            let send = move |part| {
                let exporter = Arc::clone(&exporter);
                async move { exporter.export(signal, part, terms).await }
            };
            send_apart(signal, request, isolated, terms.deadline, send)
        };
        let outcome = if let [exporter] = self.exporters.as_slice() {
            send(exporter, request).await
        } else {
            let exporters = self.exporters.iter();
            let outcomes = exporters.map(|exporter| send(exporter, request.clone()));
            Answer::worst(join_all(outcomes).await)
        };
        if outcome.is_ok() {
            self.counters.sent(len);
        }
        outcome
    }
}

/// What the artifact processor makes of a request.
enum Processed {
    /// It may leave: whatever it refers to is stored, or marked as given up.
    Safe(Bytes),
    /// Its artifacts could not be stored, and it is to go on as it came.
    NotStored,
}

/// Extracts where it does no harm to other requests, and decodes no values that `store` remembers, if
/// there is one.
async fn run_extract(
    signal: Signal,
    request: &Bytes,
    policy: &Policy,
    store: Option<&Store>,
) -> Result<Extraction, Refusal> {
    let extract = move |request: &Bytes, policy: &Policy, store: Option<&Store>| match store {
        Some(store) => extract_recalling(signal, request, policy, store.recall()),
        None => extract(signal, request, policy),
    };
    // A request cannot hold more than it has, so a small one need not be asked.
    if request.len() <= INLINE
        || request.len() <= WALKED && large_values(signal, request, policy.smallest()) <= INLINE
    {
        return Ok(extract(request, policy, store)?);
    }
    let (request, policy, store) = (request.clone(), policy.clone(), store.cloned());
    let work = move || extract(&request, &policy, store.as_ref());
    let extraction = compute::run(work).await.map_err(|error| {
        tracing::error!("the extractor failed: {error}");
        Refusal::unavailable(Culprit::Slimspan, "the extractor failed")
    })?;
    Ok(extraction?)
}

/// The bytes that extraction may have to decode and hash. To look costs next to nothing.
fn large_values(signal: Signal, request: &[u8], threshold: usize) -> usize {
    let mut bytes = 0;
    let large = Walk {
        min_len: threshold,
        on_malformed: OnMalformed::StepOver,
    };
    // A request that is too odd to be walked is told so by the extractor.
    let _ = walk(signal, request, large, |value, _| {
        if matches!(value.kind, ValueKind::String | ValueKind::Bytes) {
            bytes += value.content.len();
        }
    });
    bytes
}
