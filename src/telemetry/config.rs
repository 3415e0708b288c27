//! `service.telemetry`: how slimspan tells of itself.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::logs::config::LogsConfig;
use super::traces::config::TracesConfig;
use super::views::Selection;
use crate::config::HostPort;

pub use super::readers::{Periodic, PeriodicExporter, Prometheus, Pull, PullExporter, Reader};
pub use super::resource::{Attribute, AttributeValue, Resource};
pub use super::views::View;

/// The whole section.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// The log.
    pub logs: LogsConfig,
    /// What is counted.
    pub metrics: MetricsConfig,
    /// Spans about requests.
    pub traces: TracesConfig,
    /// Who it is that tells.
    pub resource: Resource,
}

/// What is counted, and where it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// How much of it is told.
    pub level: Level,
    /// Where Prometheus reads it, and where it is sent. Where nobody says it, Prometheus reads it at the usual
    /// place, if that is free.
    pub readers: Option<Vec<Reader>>,
    /// What is not told of it.
    pub views: Vec<View>,
    /// What older versions of the Collector had instead of readers.
    pub address: Option<HostPort>,
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    None,
    /// What everybody needs.
    Basic,
    /// What helps to find out why.
    Normal,
    /// All there is.
    Detailed,
}

/// How the names of metrics end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    /// Counters with `_total`.
    pub type_suffix: bool,
    /// With every unit.
    pub units: bool,
}

/// The names of all levels.
const LEVELS: [&str; 4] = ["none", "basic", "normal", "detailed"];

impl Level {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "basic",
            Self::Normal => "normal",
            Self::Detailed => "detailed",
        }
    }
}

impl<'de> Deserialize<'de> for Level {
    /// In whatever case, as in the Collector.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut all = [Self::None, Self::Basic, Self::Normal, Self::Detailed].into_iter();
        let level = all.find(|level| text.eq_ignore_ascii_case(level.name()));
        level.ok_or_else(|| D::Error::unknown_variant(&text, &LEVELS))
    }
}

impl JsonSchema for Level {
    fn schema_name() -> Cow<'static, str> {
        "Level".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How much is told: nothing, what everybody needs, what helps to find out why, or all.",
            "anyOf": [
                { "enum": LEVELS },
                { "type": "string", "pattern": "^([nN][oO][nN][eE]|[bB][aA][sS][iI][cC]|[nN][oO][rR][mM][aA][lL]|[dD][eE][tT][aA][iI][lL][eE][dD])$" },
            ],
        })
    }
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            level: Level::Normal,
            readers: None,
            views: Vec::new(),
            address: None,
        }
    }
}

impl Default for Naming {
    fn default() -> Self {
        Self {
            type_suffix: true,
            units: true,
        }
    }
}

impl Naming {
    /// As OTLP has them, where type and unit stand beside the name.
    pub fn otlp() -> Self {
        Self {
            type_suffix: false,
            units: false,
        }
    }
}

impl MetricsConfig {
    /// Where metrics can be read, and by which of the `readers`, unless it is the `address`.
    pub fn endpoints(&self) -> Vec<(Option<usize>, HostPort)> {
        if self.level == Level::None {
            return Vec::new();
        }
        if let Some(address) = &self.address {
            return vec![(None, address.clone())];
        }
        let usual = [Reader::default()];
        let readers = self.readers.as_deref().unwrap_or(&usual).iter().enumerate();
        let readers = readers.filter_map(|(index, reader)| {
            let Prometheus { host, port, .. } = reader.prometheus()?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let endpoint = HostPort {
                host: host.to_owned(),
                port: *port,
            };
            Some((Some(index), endpoint))
        });
        readers.collect()
    }

    /// How names end for one of the `readers`, or at the `address`.
    pub fn naming(&self, reader: Option<usize>) -> Naming {
        let mut readers = self.readers.iter().flatten();
        let reader = reader.and_then(|index| readers.nth(index));
        let prometheus = reader.and_then(Reader::prometheus);
        prometheus.map_or_else(Naming::default, |prometheus| Naming {
            type_suffix: !prometheus.without_type_suffix,
            units: !prometheus.without_units,
        })
    }

    /// Who is sent metrics now and then, and by which of the `readers`.
    pub fn periodic(&self) -> impl Iterator<Item = (usize, &Periodic)> {
        let told = self.level != Level::None;
        let readers = self.readers.iter().flatten().enumerate();
        readers
            .filter(move |_| told)
            .filter_map(|(index, reader)| Some((index, reader.periodic.as_ref()?)))
    }

    /// Which metrics are told.
    pub fn selection(&self) -> Selection {
        Selection::new(self.level, &self.views)
    }

    /// Whether nobody said where they can be read.
    pub fn is_default_endpoint(&self) -> bool {
        self.readers.is_none() && self.address.is_none()
    }

    /// What is wrong with the place where metrics are read, and at which key.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let usual = [Reader::default()];
        let readers = self.readers.as_deref();
        if self.address.is_some() && readers.is_some_and(|readers| readers != usual) {
            return Some((
                "address",
                "readers says it, too: remove address, which is the older way".to_owned(),
            ));
        }
        None
    }
}
