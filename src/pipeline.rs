//! The path of a request: extract, store, export.
//!
//! The sender's pending call is the acknowledgement: it ends well only when every artifact is
//! durable and every exporter's backend has accepted the request. Nothing is queued in between,
//! so nothing acknowledged lives in this process alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use slimspan_artifact::{Extraction, Policy, extract, extract_recalling};
use slimspan_proto::{Fields, OnMalformed, Signal, ValueKind, Walk, WireType, varint, walk};

use crate::compute;
use tokio::time::{Instant, timeout_at};

use crate::config::{OnStoreFailure, PipelineId};
use crate::dry_run::DryRun;
use crate::exporters::Exporter;
use crate::refusal::{Culprit, Refusal};
use crate::storage::Store;
use crate::telemetry::Counters;

/// More than this is decoded and hashed on threads for such work: a mebibyte takes most of a
/// millisecond, in which other requests would wait.
const INLINE: usize = 128 * 1024;

/// Larger requests are not even walked elsewhere than on such a thread.
const WALKED: usize = 256 * 1024;

/// Of a request that only passes through, what is shorter is not looked into.
const OUTLINE: usize = 64 * 1024;

/// What the requests of a receiver go through, by signal.
#[derive(Debug, Default)]
pub struct Pipelines {
    pipelines: BTreeMap<Signal, Vec<Arc<Pipeline>>>,
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
        /// What becomes of a request whose artifacts cannot be kept.
        on_failure: OnStoreFailure,
    },
    /// They stay, and are counted.
    Counted(Arc<DryRun>),
}

impl Pipelines {
    /// Adds a pipeline to those of its signal.
    pub fn add(&mut self, pipeline: Arc<Pipeline>) {
        let signal = pipeline.id.signal;
        self.pipelines.entry(signal).or_default().push(pipeline);
    }

    /// Whether no signal has a pipeline.
    pub fn is_empty(&self) -> bool {
        self.pipelines.is_empty()
    }

    /// Takes an OTLP request through every pipeline of its signal; returns the OTLP response. At
    /// `deadline` its sender stops waiting.
    pub async fn consume(
        &self,
        signal: Signal,
        request: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, Refusal> {
        let Some(pipelines) = self.pipelines.get(&signal) else {
            return Err(Refusal::unimplemented(format!(
                "no pipeline takes {signal} from this receiver; see service.pipelines"
            )));
        };
        if request.is_empty() {
            // Nothing to lose, nothing to forward: a success (OTLP specification).
            return Ok(Bytes::new());
        }
        if let [pipeline] = pipelines.as_slice() {
            return pipeline.consume(request, deadline).await;
        }
        let outcomes = pipelines
            .iter()
            .map(|pipeline| pipeline.consume(request.clone(), deadline));
        worst(join_all(outcomes).await)
    }
}

impl Pipeline {
    async fn consume(&self, request: Bytes, deadline: Instant) -> Result<Bytes, Refusal> {
        self.counters.received(request.len());
        let Some(artifacts) = &self.artifacts else {
            check(self.id.signal, &request)?;
            return self.export(request).await;
        };
        let (store, on_failure) = match &artifacts.fate {
            Fate::Kept { store, on_failure } => (store, *on_failure),
            Fate::Counted(dry_run) => {
                self.count(&artifacts.policy, dry_run, &request).await?;
                return self.export(request).await;
            }
        };
        let policy = &artifacts.policy;
        let processed = self.process(policy, store, on_failure, &request, deadline);
        match processed.await? {
            Processed::Safe(slim) => self.export(slim).await,
            Processed::NotStored => {
                let outcome = self.export(request).await;
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
        store: &Store,
        on_failure: OnStoreFailure,
        request: &Bytes,
        deadline: Instant,
    ) -> Result<Processed, Refusal> {
        let signal = self.id.signal;
        let mut extraction = run_extract(signal, request, policy, Some(store)).await?;
        if !store.has_all(&extraction.recalled) {
            // Stored so long ago that it may be gone by now: it is decoded to be stored again.
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
        let stored = timeout_at(until, store.put_all(&extraction.artifacts)).await;
        let failure = match stored {
            Ok(Ok(stored)) => {
                self.counters.extracted(&extraction, stored.written);
                store.remember(&extraction);
                return Ok(Processed::Safe(extraction.request));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "{store} did not store {} artifacts in half of the time that the sender waits, {:?}",
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

    /// Counts what would be moved, for a request that goes on as it came. Only what would be
    /// refused without the processor, too, is refused.
    async fn count(
        &self,
        policy: &Policy,
        dry_run: &DryRun,
        request: &Bytes,
    ) -> Result<(), Refusal> {
        match run_extract(self.id.signal, request, policy, None).await {
            Ok(extraction) => dry_run.add(&extraction, request.len()),
            Err(refusal) => {
                tracing::warn!(pipeline = %self.id, "not in a dry run, refused: {refusal}");
                check(self.id.signal, request)?;
            }
        }
        Ok(())
    }

    async fn export(&self, request: Bytes) -> Result<Bytes, Refusal> {
        let signal = self.id.signal;
        let len = request.len();
        let outcome = if let [exporter] = self.exporters.as_slice() {
            exporter.export(signal, request).await
        } else {
            let outcomes = self
                .exporters
                .iter()
                .map(|exporter| exporter.export(signal, request.clone()));
            worst(join_all(outcomes).await)
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
    if request.len() <= WALKED && large_values(signal, request, policy.smallest()) <= INLINE {
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

/// What a request that is not processed has to be all the same: a message of its signal.
fn check(signal: Signal, request: &[u8]) -> Result<(), Refusal> {
    let outline = Walk {
        min_len: OUTLINE,
        on_malformed: OnMalformed::Fail,
    };
    walk(signal, request, outline, |_, _| {})?;
    Ok(())
}

/// All must accept; the worst answer is the answer.
fn worst(outcomes: Vec<Result<Bytes, Refusal>>) -> Result<Bytes, Refusal> {
    outcomes
        .into_iter()
        .reduce(|one, other| match (one, other) {
            (Err(one), Err(other)) => Err(one.or_worse(other)),
            (Err(refusal), Ok(_)) | (Ok(_), Err(refusal)) => Err(refusal),
            (Ok(one), Ok(other)) if rejected(&one) < rejected(&other) => Ok(other),
            (Ok(one), Ok(_)) => Ok(one),
        })
        .unwrap_or_else(|| Ok(Bytes::new()))
}

/// How bad a response is: whether it tells of a partial success, and how many items it rejects.
fn rejected(response: &[u8]) -> (bool, u64) {
    let field = |range, wire_type| {
        Fields::new(response, range)
            .flatten()
            .find(|field| field.number == 1 && field.wire_type == wire_type)
    };
    let Some(partial_success) = field(0..response.len(), WireType::Len) else {
        return (false, 0);
    };
    let rejected = field(partial_success.body, WireType::Varint)
        .and_then(|count| varint(response, count.body.start, count.body.end).ok())
        .map_or(0, |(count, _)| count);
    (true, rejected)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use prost::Message as _;

    use super::*;

    fn response(rejected_spans: i64, message: &str) -> Bytes {
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: message.to_owned(),
        });
        ExportTraceServiceResponse { partial_success }
            .encode_to_vec()
            .into()
    }

    #[test]
    fn the_worst_answer_is_the_answer() {
        let (full, warning) = (Bytes::new(), response(0, "careful"));
        let (few, many) = (response(2, "two"), response(300, "many"));
        let refused = || Refusal::unavailable(Culprit::Backend, "later");
        let ranked = [full, warning, few, many];
        for (better, one) in ranked.iter().enumerate() {
            for other in &ranked[better..] {
                assert_eq!(
                    worst(vec![Ok(one.clone()), Ok(other.clone())]).unwrap(),
                    other
                );
                assert_eq!(
                    worst(vec![Ok(other.clone()), Ok(one.clone())]).unwrap(),
                    other
                );
            }
            let outcomes = vec![Ok(one.clone()), Err(refused()), Ok(one.clone())];
            assert_eq!(worst(outcomes), Err(refused()));
        }
    }

    #[test]
    fn an_answer_that_is_no_message_rejects_nothing() {
        for response in [&b""[..], b"\xff", b"\x0a\x05\x08", b"\x08\x01", b"\x12\x00"] {
            assert_eq!(
                rejected(response),
                (false, 0),
                "{}",
                response.escape_ascii()
            );
        }
        assert_eq!(rejected(&response(0, "careful")), (true, 0));
        assert_eq!(rejected(&response(300, "")), (true, 300));
    }
}
