//! Where slimspan's own metrics are sent, beside where they are read.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use prost::Message as _;
use slimspan_proto::Signal;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::error::StartError;
use super::own_backend;
use crate::config::Config;
use crate::exporters::Delivery;
use crate::telemetry::Counters;
use crate::telemetry::config::{Periodic, Resource};
use crate::telemetry::metrics::{Period, Reading, families};
use crate::telemetry::views::Selection;

/// What sends metrics.
#[derive(Debug, Default)]
pub(super) struct OwnMetrics {
    senders: Vec<Sending>,
}

/// What sends them to one backend.
#[derive(Debug)]
struct Sending {
    periodic: Periodic,
    delivery: Delivery,
    resource: Resource,
    selection: Selection,
    counters: Arc<Counters>,
    /// Where it is configured.
    path: String,
    /// Whether the last ones were not taken: of several in a row the log tells once.
    is_failing: bool,
}

impl OwnMetrics {
    /// As `service.telemetry.metrics` says.
    pub(super) fn set_up(
        config: &Config,
        counters: &Arc<Counters>,
        summary: &mut Vec<(String, String)>,
    ) -> Result<Self, StartError> {
        let telemetry = &config.service.telemetry;
        let mut senders = Vec::new();
        for (index, periodic) in telemetry.metrics.periodic() {
            let path = path(index);
            let delivery = own_backend::delivery(&path, &periodic.exporter.otlp, Signal::Metrics)?;
            let every = periodic.every();
            let what = format!("own metrics every {every:?} by {delivery}");
            summary.push(("metrics".to_owned(), what));
            senders.push(Sending {
                periodic: periodic.clone(),
                delivery,
                resource: telemetry.resource.clone(),
                selection: telemetry.metrics.selection(),
                counters: Arc::clone(counters),
                path,
                is_failing: false,
            });
        }
        Ok(Self { senders })
    }

    /// Finds out what would keep metrics from being sent.
    pub(super) fn try_out(config: &Config) -> Result<(), StartError> {
        for (index, periodic) in config.service.telemetry.metrics.periodic() {
            own_backend::try_out(&path(index), &periodic.exporter.otlp, Signal::Metrics)?;
        }
        Ok(())
    }

    /// Sends them now and then, and after `last` once more.
    pub(super) fn send(self, last: &CancellationToken, sending: &mut JoinSet<()>) {
        for sender in self.senders {
            sending.spawn(sender.run(last.clone()));
        }
    }
}

impl Sending {
    async fn run(mut self, last: CancellationToken) {
        let every = self.periodic.every();
        let mut due = interval_at(Instant::now() + every, every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let export = async {
                due.tick().await;
                self.export().await;
            };
            tokio::select! {
                // Who is being sent them is sent the last ones, which say all that these do.
                biased;
                () = last.cancelled() => break,
                () = export => {}
            }
        }
        self.export().await;
    }

    async fn export(&mut self) {
        let request = self.request();
        let terms = own_backend::terms(Instant::now() + self.periodic.patience());
        let outcome = self
            .delivery
            .deliver(Signal::Metrics, request, &terms)
            .await;
        let trouble = match outcome {
            Ok(answer) => answer
                .rejected()
                .filter(|rejected| *rejected > 0)
                .map(|rejected| format!("{rejected} data points were rejected")),
            Err(refusal) => Some(refusal.to_string()),
        };
        let was_failing = self.is_failing;
        self.is_failing = trouble.is_some();
        match trouble {
            Some(trouble) if !was_failing => tracing::warn!(
                "{}: own metrics are not taken: {trouble}; all that they say is said again by later ones",
                self.path
            ),
            None if was_failing => tracing::info!("{}: own metrics are taken again", self.path),
            _ => {}
        }
    }

    /// All that there is to tell now.
    fn request(&self) -> Bytes {
        let reading = Reading::of_all(&self.counters, &self.resource);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let period = Period {
            began: u64::try_from(self.counters.began.at.as_nanosecond()).unwrap_or(0),
            now: u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX),
        };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(own_backend::resource(&self.resource)),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(own_backend::scope()),
                    metrics: families(&reading, &self.selection, period),
                    ..ScopeMetrics::default()
                }],
                schema_url: self.resource.schema_url.clone().unwrap_or_default(),
            }],
        };
        request.encode_to_vec().into()
    }
}

fn path(index: usize) -> String {
    format!("service.telemetry.metrics.readers[{index}].periodic.exporter.otlp")
}
