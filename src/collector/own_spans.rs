//! Where slimspan's own spans go: past all pipelines, so that they never make spans themselves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message as _;
use slimspan_proto::Signal;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::error::StartError;
use crate::client::Client;
use crate::config::{Config, Secret};
use crate::exporters::otlp_grpc::config::{Compression as OverGrpc, OtlpGrpcConfig};
use crate::exporters::otlp_grpc::{Endpoint, OtlpGrpcExporter};
use crate::exporters::otlp_http::config::{Compression as OverHttp, OtlpHttpConfig};
use crate::exporters::otlp_http::{HttpUrl, OtlpHttpExporter};
use crate::exporters::{Delivery, DeliveryConfig, Departure, Divided, Oversize, Terms, Way, Wire};
use crate::tally::Tickets;
use crate::telemetry::config::TelemetryConfig;
use crate::telemetry::traces::config::{BatchSpans, Compression, OtlpSpans, Protocol};
use crate::telemetry::traces::{Context, Onward, Span, SpanCounts, Trace, Tracer};
use crate::telemetry::{Counters, Seldom};
use crate::tls::config::TlsClientConfig;

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
            let way = way(&path, &batch.exporter.otlp)?;
            let delivery = Delivery::new(Arc::new(way), None);
            summary.push(("traces".to_owned(), format!("own spans by {delivery}")));
            let (outlet, spans) = mpsc::channel(batch.max_queue_size as usize);
            outlets.push(outlet);
            senders.push(Sending {
                spans,
                batch: batch.clone(),
                delivery,
                resource: resource(telemetry),
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
            wire(&path(index), &processor.batch.exporter.otlp)?;
        }
        Ok(())
    }

    /// What makes them.
    pub(super) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Sends them, and after `last` what is left of them.
    pub(super) fn send(self, last: &CancellationToken) -> JoinSet<()> {
        let mut sending = JoinSet::new();
        for sender in self.senders {
            sending.spawn(sender.run(last.clone()));
        }
        sending
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
                    scope: Some(InstrumentationScope {
                        name: "slimspan".to_owned(),
                        version: env!("CARGO_PKG_VERSION").to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        let terms = Terms {
            client: Arc::new(Client::unknown()),
            tenants: Arc::default(),
            alone: false,
            deadline: Instant::now() + self.batch.patience(),
            // Nobody looks for dead letters of these.
            oversize: Oversize::Refused,
            divided: Divided::Never,
            tickets: Tickets::of([]),
            trace: Trace::default(),
            onward: Onward::default(),
            departure: Departure::default(),
        };
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

/// The way of spans to their backend. They are not worth as much as what is sent through slimspan: they
/// are tried for a while, and then given up.
fn way(path: &str, otlp: &OtlpSpans) -> Result<Way, StartError> {
    let http = OtlpHttpConfig::default();
    let config = DeliveryConfig {
        retry_on_failure: &http.retry_on_failure,
        sending_queue: &http.sending_queue,
        max_request_bytes: http.max_request_bytes,
        dead_letters: &http.dead_letters,
        tls: &http.tls,
        auth: None,
    };
    Ok(Way::new(path.to_owned(), wire(path, otlp)?, None, config))
}

fn wire(path: &str, otlp: &OtlpSpans) -> Result<Wire, StartError> {
    let failed = |reason: Box<dyn std::error::Error + Send + Sync>| StartError::OwnSpans {
        path: path.to_owned(),
        reason,
    };
    let tls = TlsClientConfig {
        insecure: otlp.insecure,
        ca_file: otlp.certificate.clone(),
        cert_file: otlp.client_certificate.clone(),
        key_file: otlp.client_key.clone(),
        ..TlsClientConfig::default()
    };
    let mut headers = otlp.headers.clone();
    for (name, value) in Context::of_own_spans() {
        headers.insert(name.as_str().to_owned(), Secret::new(value));
    }
    let timeout = Duration::from_millis(otlp.timeout.into());
    match otlp.protocol {
        Protocol::Grpc => {
            let endpoint: Endpoint = otlp
                .endpoint
                .parse()
                .map_err(|error| failed(Box::new(error)))?;
            let config = OtlpGrpcConfig {
                headers,
                timeout,
                tls,
                compression: match otlp.compression {
                    Compression::Gzip => OverGrpc::Gzip,
                    Compression::None => OverGrpc::None,
                },
                ..OtlpGrpcConfig::new(endpoint)
            };
            let grpc = OtlpGrpcExporter::at(path, path, &config);
            Ok(grpc.map_err(|error| failed(Box::new(error)))?.into())
        }
        Protocol::Http => {
            let endpoint: HttpUrl = otlp
                .endpoint
                .parse()
                .map_err(|error| failed(Box::new(error)))?;
            let config = OtlpHttpConfig {
                traces_endpoint: Some(endpoint.or_path("/v1/traces")),
                headers,
                timeout,
                tls,
                compression: match otlp.compression {
                    Compression::Gzip => OverHttp::Gzip,
                    Compression::None => OverHttp::None,
                },
                ..OtlpHttpConfig::default()
            };
            let http = OtlpHttpExporter::at(path, path, &config);
            Ok(http.map_err(|error| failed(Box::new(error)))?.into())
        }
    }
}

fn resource(telemetry: &TelemetryConfig) -> Resource {
    let attributes = telemetry.resource.attributes().into_iter();
    Resource {
        attributes: attributes
            .map(|(key, value)| KeyValue {
                key,
                value: Some(AnyValue {
                    value: Some(Value::StringValue(value)),
                }),
                ..KeyValue::default()
            })
            .collect(),
        ..Resource::default()
    }
}
