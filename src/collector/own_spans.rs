//! Where slimspan's own spans go: past all pipelines, so that they never make spans themselves.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message as _;
use slimspan_proto::Signal;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::error::StartError;
use super::own_backend;
use crate::config::Config;
use crate::exporters::Delivery;
use crate::telemetry::traces::config::BatchSpans;
use crate::telemetry::traces::{Span, SpanCounts, Tracer};
use crate::telemetry::{Counters, Seldom};

/// What makes spans, and what sends them.
#[derive(Debug, Default)]
pub(super) struct OwnSpans {
    tracer: Tracer,
    senders: Vec<Sending>,
}

/// What sends spans to one backend.
#[derive(Debug)]
struct Sending {
    spans: mpsc::Receiver<Span>,
    batch: BatchSpans,
    delivery: Delivery,
    resource: Resource,
    schema_url: String,
    counts: Arc<SpanCounts>,
    /// Where it is configured.
    path: String,
    failures: Seldom,
    /// Spans of which nobody knows yet what becomes of them.
    under_way: usize,
}

impl OwnSpans {
    /// As `service.telemetry.traces` says.
    pub(super) fn set_up(
        config: &Config,
        counters: &Counters,
        summary: &mut Vec<(String, String)>,
    ) -> Result<Self, StartError> {
        let telemetry = &config.service.telemetry;
        let counts = Arc::clone(&counters.own_spans);
        let (mut outlets, mut senders) = (Vec::new(), Vec::new());
        for (index, processor) in telemetry.traces.batches().iter().enumerate() {
            let batch = &processor.batch;
            let path = path(index);
            let delivery = own_backend::delivery(&path, &batch.exporter.otlp, Signal::Traces)?;
            summary.push(("traces".to_owned(), format!("own spans by {delivery}")));
            let (outlet, spans) = mpsc::channel(batch.max_queue_size as usize);
            outlets.push(outlet);
            senders.push(Sending {
                spans,
                batch: batch.clone(),
                delivery,
                resource: own_backend::resource(&telemetry.resource),
                schema_url: telemetry.resource.schema_url.clone().unwrap_or_default(),
                counts: Arc::clone(&counts),
                path,
                failures: Seldom::default(),
                under_way: 0,
            });
        }
        let tracer = Tracer::new(&telemetry.traces, outlets, counts);
        Ok(Self { tracer, senders })
    }

    /// Finds out what would keep spans from being sent.
    pub(super) fn try_out(config: &Config) -> Result<(), StartError> {
        let batches = config.service.telemetry.traces.batches().iter();
        for (index, processor) in batches.enumerate() {
            let otlp = &processor.batch.exporter.otlp;
            own_backend::try_out(&path(index), otlp, Signal::Traces)?;
        }
        Ok(())
    }

    /// What makes them.
    pub(super) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Sends them, and after `last` what is left of them.
    pub(super) fn send(self, last: &CancellationToken, sending: &mut JoinSet<()>) {
        for sender in self.senders {
            sending.spawn(sender.run(last.clone()));
        }
    }
}

impl Sending {
    async fn run(mut self, last: CancellationToken) {
        let most = self.batch.max_export_batch_size as usize;
        loop {
            let mut spans = Vec::new();
            tokio::select! {
                // Whoever has spans to give gives them before the end.
                () = last.cancelled() => {
                    self.spans.close();
                    while let Ok(span) = self.spans.try_recv() {
                        spans.push(span);
                    }
                    self.under_way = spans.len();
                    for spans in spans.chunks(most) {
                        self.export(spans.to_vec()).await;
                    }
                    return;
                }
                received = self.spans.recv_many(&mut spans, most) => {
                    if received == 0 {
                        return;
                    }
                    self.under_way = received;
                }
            }
            let due = Instant::now() + self.batch.delay();
            while spans.len() < most && !last.is_cancelled() {
                let left = most - spans.len();
                let more = tokio::select! {
                    () = last.cancelled() => break,
                    more = timeout_at(due, self.spans.recv_many(&mut spans, left)) => more,
                };
                if !matches!(more, Ok(1..)) {
                    break;
                }
                self.under_way = spans.len();
            }
            self.under_way = spans.len();
            self.export(spans).await;
        }
    }

    async fn export(&mut self, spans: Vec<Span>) {
        let count = spans.len();
        if count == 0 {
            return;
        }
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(own_backend::scope()),
                    spans,
                    ..ScopeSpans::default()
                }],
                schema_url: self.schema_url.clone(),
            }],
        };
        let terms = own_backend::terms(Instant::now() + self.batch.patience());
        let request = Bytes::from(request.encode_to_vec());
        let outcome = self.delivery.deliver(Signal::Traces, request, &terms).await;
        self.under_way -= count;
        let refused = match outcome {
            Ok(answer) => {
                let rejected = answer.rejected().unwrap_or(0);
                let rejected = usize::try_from(rejected).unwrap_or(count).min(count);
                self.counts.sent(count - rejected);
                self.counts.dropped(rejected);
                return;
            }
            Err(refusal) => refusal,
        };
        self.counts.dropped(count);
        if let Some(times) = self.failures.occurred() {
            tracing::warn!(
                "{}: {count} own spans are dropped ({times} times such): {refused}",
                self.path
            );
        }
    }
}

impl Drop for Sending {
    /// What nobody has sent is given up.
    fn drop(&mut self) {
        self.spans.close();
        while self.spans.try_recv().is_ok() {
            self.under_way += 1;
        }
        self.counts.dropped(self.under_way);
    }
}

fn path(index: usize) -> String {
    format!("service.telemetry.traces.processors[{index}].batch.exporter.otlp")
}
