//! The path of a request: extract, store, export.
//!
//! The sender's pending call is the acknowledgement: it ends well only when every artifact is
//! durable and every exporter's backend has accepted the request. Nothing is queued in between,
//! so nothing acknowledged lives in this process alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use slimspan_artifact::{Extraction, Policy, extract};
use slimspan_proto::{Fields, OnMalformed, Signal, ValueKind, Walk, walk};

use crate::compute;
use crate::config::{OnStoreFailure, PipelineId};
use crate::exporters::Exporter;
use crate::refusal::{Culprit, Refusal};
use crate::storage::Store;
use crate::telemetry::Counters;

/// More than this is decoded and hashed on threads for such work: a mebibyte takes most of a
/// millisecond, in which other requests would wait.
const INLINE: usize = 128 * 1024;

/// Larger requests are not even walked elsewhere than on such a thread.
const WALKED: usize = 1 << 20;

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

/// The `artifact` processor: what it takes out, and where it keeps that.
#[derive(Debug)]
pub struct Artifacts {
    /// What is taken out.
    pub policy: Policy,
    /// Where it is kept.
    pub store: Store,
    /// What becomes of a request whose artifacts cannot be kept.
    pub on_store_failure: OnStoreFailure,
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

    /// Takes an OTLP request through every pipeline of its signal; returns the OTLP response.
    pub async fn consume(&self, signal: Signal, request: Bytes) -> Result<Bytes, Refusal> {
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
            return pipeline.consume(request).await;
        }
        let outcomes = pipelines
            .iter()
            .map(|pipeline| pipeline.consume(request.clone()));
        worst(join_all(outcomes).await)
    }
}

impl Pipeline {
    async fn consume(&self, request: Bytes) -> Result<Bytes, Refusal> {
        self.counters.received(request.len());
        let slim = if let Some(artifacts) = &self.artifacts {
            self.process(artifacts, request).await?
        } else {
            check(self.id.signal, &request)?;
            request
        };
        self.export(slim).await
    }

    /// The request that may leave: whatever it refers to is stored.
    async fn process(&self, artifacts: &Artifacts, request: Bytes) -> Result<Bytes, Refusal> {
        let signal = self.id.signal;
        let extraction = run_extract(signal, &request, &artifacts.policy).await?;
        if extraction.artifacts.is_empty() {
            return Ok(extraction.request);
        }
        let outcome = artifacts.store.put_all(&extraction.artifacts).await;
        let failed = match outcome {
            Ok(stored) => {
                self.counters.extracted(&extraction, stored.written);
                return Ok(extraction.request);
            }
            Err(failed) => failed,
        };
        tracing::warn!(pipeline = %self.id, "{failed}");
        match artifacts.on_store_failure {
            OnStoreFailure::Forward => {
                self.counters.forwarded();
                Ok(request)
            }
            OnStoreFailure::Refuse => Err(Refusal::unavailable(Culprit::Store, failed.to_string())),
            OnStoreFailure::Drop => {
                let dropped = extraction.artifacts.iter().map(|artifact| artifact.digest);
                let policy = Policy {
                    dropped: dropped.collect(),
                    ..artifacts.policy.clone()
                };
                let marked = run_extract(signal, &request, &policy).await?;
                self.counters.dropped(&marked);
                Ok(marked.request)
            }
        }
    }

    async fn export(&self, request: Bytes) -> Result<Bytes, Refusal> {
        self.counters.sent(request.len());
        let signal = self.id.signal;
        if let [exporter] = self.exporters.as_slice() {
            return exporter.export(signal, request).await;
        }
        let outcomes = self
            .exporters
            .iter()
            .map(|exporter| exporter.export(signal, request.clone()));
        worst(join_all(outcomes).await)
    }
}

/// Extracts where it does no harm to other requests.
async fn run_extract(
    signal: Signal,
    request: &Bytes,
    policy: &Policy,
) -> Result<Extraction, Refusal> {
    if request.len() <= WALKED && large_values(signal, request, policy.threshold) <= INLINE {
        return Ok(extract(signal, request, policy)?);
    }
    let (request, policy) = (request.clone(), policy.clone());
    let work = move || extract(signal, &request, &policy);
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
fn rejected(response: &[u8]) -> (bool, i64) {
    let mut fields = Fields::new(response, 0..response.len()).flatten();
    let Some(partial_success) = fields.find(|field| field.number == 1) else {
        return (false, 0);
    };
    let rejected = Fields::new(response, partial_success.body)
        .flatten()
        .find(|field| field.number == 1)
        .and_then(|field| slimspan_proto::varint(response, field.body.start, field.body.end).ok())
        .map_or(0, |(count, _)| count.cast_signed());
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
    fn an_answer_that_is_no_message_is_a_full_success() {
        for response in [&b""[..], b"\xff", b"\x0a\x05\x08", b"\x08\x01"] {
            rejected(response);
        }
    }
}
