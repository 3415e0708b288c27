//! `service.telemetry.traces`, with the keys of the Collector.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::config::Level;
pub use super::super::forms::OtlpExporter as SpanExporter;
use super::super::otlp::named;
use crate::config::units::{Between, Fraction};

/// Spans of slimspan about the requests that it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TracesConfig {
    /// `none` makes no spans; all others are the same.
    pub level: Level,
    /// How senders say which trace a request belongs to.
    pub propagators: Vec<Propagator>,
    /// Which requests have spans. Where nobody says it, those that their senders trace, and those whose
    /// senders say nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<Sampler>,
    /// Where spans go; there are none without it.
    pub processors: Vec<SpanProcessor>,
}

/// How a sender says which trace a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Propagator {
    /// The header `traceparent` of W3C.
    TraceContext,
}

/// Which requests have spans: one of these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct Sampler {
    /// All.
    #[serde(
        default,
        deserialize_with = "named",
        skip_serializing_if = "Option::is_none"
    )]
    pub always_on: Option<Nothing>,
    /// None.
    #[serde(
        default,
        deserialize_with = "named",
        skip_serializing_if = "Option::is_none"
    )]
    pub always_off: Option<Nothing>,
    /// A part of all traces, the same ones everywhere.
    #[serde(
        default,
        deserialize_with = "named",
        skip_serializing_if = "Option::is_none"
    )]
    pub trace_id_ratio_based: Option<TraceIdRatio>,
    /// Those that their senders trace; where they say nothing, as the root has it.
    #[serde(
        default,
        deserialize_with = "named",
        skip_serializing_if = "Option::is_none"
    )]
    pub parent_based: Option<ParentBased>,
}

/// A sampler that needs nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A part of all traces.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceIdRatio {
    /// How much of them, from 0 to 1.
    #[serde(with = "Fraction")]
    pub ratio: f64,
}

/// Traces of senders.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ParentBased {
    /// Which of the requests whose senders say nothing; all where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Box<Sampler>>,
}

/// What becomes of spans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpanProcessor {
    /// They are sent many at a time.
    pub batch: BatchSpans,
}

/// Spans that are sent many at a time. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchSpans {
    /// How long a span waits for others.
    #[serde(default = "schedule_delay", with = "Between::<1, 3_600_000>")]
    pub schedule_delay: u32,
    /// How long a batch is tried to be sent.
    #[serde(default = "export_timeout", with = "Between::<1, 3_600_000>")]
    pub export_timeout: u32,
    /// How many may wait. Where there are more, they are dropped, and counted.
    #[serde(default = "max_queue_size", with = "Between::<1, 1_000_000>")]
    pub max_queue_size: u32,
    /// How many are sent at a time.
    #[serde(default = "max_export_batch_size", with = "Between::<1, 100_000>")]
    pub max_export_batch_size: u32,
    /// Where they are sent.
    pub exporter: SpanExporter,
}

fn schedule_delay() -> u32 {
    5000
}

fn export_timeout() -> u32 {
    30_000
}

fn max_queue_size() -> u32 {
    2048
}

fn max_export_batch_size() -> u32 {
    512
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self {
            level: Level::Normal,
            propagators: vec![Propagator::TraceContext],
            sampler: None,
            processors: Vec::new(),
        }
    }
}

impl BatchSpans {
    /// How long a span waits for others.
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.schedule_delay.into())
    }

    /// How long a batch is tried to be sent.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.export_timeout.into())
    }
}

impl TracesConfig {
    /// Where spans go, if there are any.
    pub fn batches(&self) -> &[SpanProcessor] {
        match self.level {
            Level::None => &[],
            _ => &self.processors,
        }
    }

    /// What is wrong with it: the keys that lead there, and why.
    pub fn mistake(&self) -> Option<(Vec<String>, String)> {
        if let Some(sampler) = &self.sampler {
            let mut keys = vec!["sampler".to_owned()];
            if let Some(why) = sampler.mistake(&mut keys) {
                return Some((keys, why));
            }
        }
        let mut processors = self.processors.iter().enumerate();
        processors.find_map(|(index, SpanProcessor { batch })| {
            let (keys, why) = if batch.max_export_batch_size > batch.max_queue_size {
                let why = format!(
                    "{} is more than the {} of max_queue_size, so that no batch is ever full",
                    batch.max_export_batch_size, batch.max_queue_size
                );
                (vec!["max_export_batch_size"], why)
            } else {
                let (key, why) = batch.exporter.otlp.mistake()?;
                (vec!["exporter", "otlp", key], why.to_owned())
            };
            let path = ["processors", &index.to_string(), "batch"].map(ToOwned::to_owned);
            let keys = keys.into_iter().map(ToOwned::to_owned);
            Some((path.into_iter().chain(keys).collect(), why))
        })
    }
}

impl Sampler {
    fn mistake(&self, keys: &mut Vec<String>) -> Option<String> {
        let given = [
            self.always_on.is_some(),
            self.always_off.is_some(),
            self.trace_id_ratio_based.is_some(),
            self.parent_based.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() != 1 {
            let why = "takes exactly one of always_on, always_off, trace_id_ratio_based and \
                       parent_based, such as trace_id_ratio_based: {ratio: 0.1}";
            return Some(why.to_owned());
        }
        let root = self.parent_based.as_ref()?.root.as_ref()?;
        keys.extend(["parent_based", "root"].map(ToOwned::to_owned));
        root.mistake(keys)
    }
}
