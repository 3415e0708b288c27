//! `service.telemetry.metrics.views`, with the keys of the Collector: metrics that are not told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slimspan_artifact::Pattern;

use super::config::{Level, Naming};
use super::metrics::{Kind, Metric};
use crate::config::KeyGlob;

/// What becomes of some metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Of which.
    pub selector: Selector,
    /// What.
    pub stream: Stream,
}

/// Some metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Their names, as they are sent by OTLP: without `_total`. `*` stands for any text, `?` for one character.
    pub instrument_name: KeyGlob,
}

/// What becomes of metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// What is made of their numbers.
    pub aggregation: Aggregation,
}

/// What is made of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aggregation {
    /// Nothing: they are not told.
    pub drop: Dropped,
}

/// Numbers that are not told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dropped {}

/// Which metrics are told.
#[derive(Debug, Clone)]
pub struct Selection {
    level: Level,
    dropped: Vec<KeyGlob>,
}

impl Selection {
    /// Those up to this level, without those that `views` drop.
    pub fn new(level: Level, views: &[View]) -> Self {
        let dropped = views.iter();
        let dropped = dropped.map(|view| view.selector.instrument_name.clone());
        Self {
            level,
            dropped: dropped.collect(),
        }
    }

    /// Whether this one is told.
    pub fn has(&self, metric: &Metric) -> bool {
        if metric.level > self.level {
            return false;
        }
        let is_dropped = || {
            let name = metric.full_name(Naming::otlp());
            let mut dropped = self.dropped.iter();
            dropped.any(|glob| AsRef::<Pattern>::as_ref(glob).matches(&name))
        };
        // What it is that is measured is no measurement.
        metric.kind == Kind::Info || self.dropped.is_empty() || !is_dropped()
    }
}
