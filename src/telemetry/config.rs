//! `service.telemetry`: how slimspan tells of itself.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::logs::config::LogsConfig;
use super::traces::config::TracesConfig;
use super::views::Selection;
use crate::config::HostPort;

pub use super::readers::{Periodic, PeriodicExporter, Prometheus, Pull, PullExporter, Reader};
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
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
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

/// Attributes of this process, beside or instead of those that it has by itself. Null takes one away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Resource(pub BTreeMap<String, Option<String>>);

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

impl Resource {
    /// What is wrong with it.
    pub fn mistake(&self) -> Option<&'static str> {
        let is_nameless = self.0.contains_key("");
        is_nameless.then_some("a key is empty, and Prometheus reads no label without a name")
    }

    /// The attributes of this process.
    pub fn attributes(&self) -> BTreeMap<String, String> {
        static INSTANCE: OnceLock<String> = OnceLock::new();
        let instance = INSTANCE.get_or_init(|| {
            let random: u128 = rand::random();
            // As the Collector has it: a UUID of version 4.
            let id = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
            let hex = format!("{id:032x}");
            let parts = [
                &hex[..8],
                &hex[8..12],
                &hex[12..16],
                &hex[16..20],
                &hex[20..],
            ];
            parts.join("-")
        });
        let own = [
            ("service.name", "slimspan"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", instance),
        ];
        let own = own.map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
        let mut all = BTreeMap::from(own);
        all.extend(self.0.clone());
        let some = |(key, value): (String, Option<String>)| Some((key, value?));
        all.into_iter().filter_map(some).collect()
    }

    /// The attributes as labels.
    pub fn labels(&self) -> Vec<(String, String)> {
        let label = |(key, value): (String, String)| {
            let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let key: String = key.chars().map(word).collect();
            let digit = key.starts_with(|c: char| c.is_ascii_digit());
            (if digit { format!("_{key}") } else { key }, value)
        };
        let labels: BTreeMap<_, _> = self.attributes().into_iter().map(label).collect();
        labels.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_what_the_process_is_unless_it_is_told_otherwise() {
        let resource = Resource(BTreeMap::from([
            ("service.name".to_owned(), Some("edge".to_owned())),
            ("service.version".to_owned(), None),
            ("2 words".to_owned(), Some("x".to_owned())),
        ]));
        let labels = resource.labels();
        let keys: Vec<_> = labels.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["_2_words", "service_instance_id", "service_name"]);
        assert_eq!(labels[2].1, "edge");
        let (id, again) = (&labels[1].1, &resource.labels()[1].1);
        assert_eq!(id, again);
        assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
    }
}
