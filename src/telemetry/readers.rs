//! `service.telemetry.metrics.readers`, with the keys of the Collector: who reads metrics, or is sent them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::forms::OtlpExporter as PeriodicExporter;
use super::forms::ToPrometheus;
use super::otlp::named;
use crate::config::units::Between;

/// Who reads metrics: one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct Reader {
    /// It comes and asks.
    #[serde(
        default,
        deserialize_with = "named",
        skip_serializing_if = "Option::is_none"
    )]
    pub pull: Option<Pull>,
    /// It is sent them now and then.
    #[serde(
        default,
        deserialize_with = "named",
        skip_serializing_if = "Option::is_none"
    )]
    pub periodic: Option<Periodic>,
}

/// A reader that comes and asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pull {
    /// What it is given.
    pub exporter: PullExporter,
}

/// What a reader is given that asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "ToPrometheus")]
pub struct PullExporter {
    /// The text that Prometheus reads.
    pub prometheus: Prometheus,
}

/// A listener for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prometheus {
    /// The host to listen on.
    pub host: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
    /// Whether the names of counters are without `_total`.
    pub without_type_suffix: bool,
    /// Whether names are without a unit that the Collector only adds for Prometheus.
    pub without_units: bool,
    /// As in the Collector, whose metrics have scopes; here none has one.
    pub without_scope_info: Option<bool>,
}

/// A backend that is sent all metrics now and then. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Periodic {
    /// How long it is from one time to the next.
    #[serde(default = "interval", with = "Between::<1, 86_400_000>")]
    pub interval: u32,
    /// How long it is tried each time.
    #[serde(default = "timeout", with = "Between::<1, 3_600_000>")]
    pub timeout: u32,
    /// Where they are sent.
    pub exporter: PeriodicExporter,
}

fn interval() -> u32 {
    60_000
}

fn timeout() -> u32 {
    30_000
}

/// The one that is there where nobody says anything.
impl Default for Reader {
    fn default() -> Self {
        Self {
            pull: Some(Pull::default()),
            periodic: None,
        }
    }
}

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8888,
            without_type_suffix: false,
            without_units: false,
            without_scope_info: None,
        }
    }
}

impl Reader {
    /// The listener of one that comes and asks.
    pub fn prometheus(&self) -> Option<&Prometheus> {
        Some(&self.pull.as_ref()?.exporter.prometheus)
    }

    /// What is wrong with it: the keys that lead there, and why.
    pub fn mistake(&self) -> Option<(Vec<&'static str>, &'static str)> {
        if self.pull.is_some() == self.periodic.is_some() {
            let why = "takes exactly one of pull and periodic";
            return Some((Vec::new(), why));
        }
        let (key, why) = self.periodic.as_ref()?.exporter.otlp.mistake()?;
        Some((vec!["periodic", "exporter", "otlp", key], why))
    }
}

impl Periodic {
    /// How long it is from one time to the next.
    pub fn every(&self) -> Duration {
        Duration::from_millis(self.interval.into())
    }

    /// How long it is tried each time.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.timeout.into())
    }
}
