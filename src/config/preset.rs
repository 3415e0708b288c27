//! What backends take and show, so that nobody has to look it up.
//!
//! A preset gives keys their values where nobody wrote any. It is applied to the tree of nodes, before
//! that is read: what it sets is read, checked and shown like what people write.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node::{Entry, Node, Value};
use super::path::KeyPath;
use super::scalar::{Origin, Scalar};

/// `preset`: the name of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are the names of backends")]
pub enum Preset {
    Otlp,
    Tempo,
    Jaeger,
    Datadog,
    Newrelic,
    Honeycomb,
    Phoenix,
    Langfuse,
    Opik,
    Logfire,
}

/// What a preset sets. `None` leaves the default.
#[derive(Debug, PartialEq, Eq)]
pub struct Values {
    /// Of its exporter.
    pub max_request_bytes: Option<&'static str>,
    /// Of its exporter and of the `artifact` processor.
    pub reference: Option<&'static str>,
    /// Of the `artifact` processor.
    pub threshold: Option<&'static str>,
    /// Of the `artifact` processor.
    pub text_threshold: Option<&'static str>,
    /// Why, for the documentation.
    pub because: &'static str,
    /// Where that is written, for the documentation.
    pub source: &'static str,
    /// What is only believed, for the documentation.
    pub unconfirmed: Option<&'static str>,
}

/// Nothing set.
const DEFAULTS: Values = Values {
    max_request_bytes: None,
    reference: None,
    threshold: None,
    text_threshold: None,
    because: "",
    source: "",
    unconfirmed: None,
};

/// A backend that has a table of attributes beside its traces, where a link is of use.
const SEMCONV: Option<&str> = Some("semconv");

/// A backend that shows links in message parts.
const NATIVE: Option<&str> = Some("native");

impl Preset {
    /// All there are, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Otlp,
        Self::Tempo,
        Self::Jaeger,
        Self::Datadog,
        Self::Newrelic,
        Self::Honeycomb,
        Self::Phoenix,
        Self::Langfuse,
        Self::Opik,
        Self::Logfire,
    ];

    /// What it sets.
    pub const fn values(self) -> Values {
        match self {
            Self::Otlp => Values {
                because: "the defaults are the limits that OTLP recommends",
                source: "[specification](https://opentelemetry.io/docs/specs/otlp/)",
                ..DEFAULTS
            },
            Self::Tempo => Values {
                reference: SEMCONV,
                threshold: Some("1KiB"),
                text_threshold: Some("2KiB"),
                because: "attributes are cut after 2,048 bytes (`max_attribute_bytes`); base64 of 1 KiB \
                          fits",
                source: "[documentation](https://grafana.com/docs/tempo/latest/troubleshooting/out-of-memory-errors/)",
                ..DEFAULTS
            },
            Self::Jaeger => Values {
                reference: SEMCONV,
                text_threshold: Some("32000"),
                because: "in Elasticsearch a value has 32,766 bytes at most, or its span is refused",
                source: "Lucene's `MAX_TERM_LENGTH`, in the words of \
                         [elasticsearch#99802](https://github.com/elastic/elasticsearch/issues/99802); how Jaeger \
                         maps values: [jaeger#1761](https://github.com/jaegertracing/jaeger/issues/1761)",
                unconfirmed: Some(
                    "that Jaeger's own mapping refuses it: values of more than 256 characters are not indexed \
                     there",
                ),
                ..DEFAULTS
            },
            Self::Datadog => Values {
                reference: SEMCONV,
                text_threshold: Some("24000"),
                because: "the agent cuts values after 25,000 characters",
                source: "code of the agent: `MaxMetaValLen`",
                ..DEFAULTS
            },
            Self::Newrelic => Values {
                max_request_bytes: Some("1000000"),
                reference: SEMCONV,
                threshold: Some("2KiB"),
                text_threshold: Some("4000"),
                because: "a request has 1 MB at most; values are cut after 4,095 characters, and base64 \
                          of 2 KiB fits",
                source: "documentation: \
                         [endpoint](https://docs.newrelic.com/docs/opentelemetry/best-practices/opentelemetry-otlp/), \
                         [attributes](https://docs.newrelic.com/docs/opentelemetry/best-practices/opentelemetry-best-practices-attributes/)",
                unconfirmed: Some("whether the 1 MB are counted before compression; here they are"),
            },
            Self::Honeycomb => Values {
                reference: SEMCONV,
                text_threshold: Some("60000"),
                because: "values of more than 64 KB are refused",
                source: "none",
                unconfirmed: Some(
                    "the 64 KB: no documentation of it was at hand, nor of the size of events",
                ),
                ..DEFAULTS
            },
            Self::Phoenix => Values {
                reference: NATIVE,
                because: "pictures show by their links in message parts; a span with a bytes value is lost, \
                          also with one below `threshold`, which stays one; over gRPC a request has 4 MiB \
                          at most, the default",
                source: "its code: `SpanImage.tsx`, and a gRPC server that is given no limit",
                ..DEFAULTS
            },
            Self::Langfuse => Values {
                reference: NATIVE,
                because: "links that end in a media extension show, if there is a `public_url`",
                source: "its code: `mediaUtils.ts`",
                ..DEFAULTS
            },
            Self::Opik => Values {
                reference: NATIVE,
                because: "links that end in the extension of a picture show, if there is a `public_url`; \
                          a request may have 50 MB, compressed, and so far more than the default",
                source: "its code: `lib/images.ts`; \
                         [opik#7468](https://github.com/comet-ml/opik/issues/7468)",
                ..DEFAULTS
            },
            Self::Logfire => Values {
                reference: NATIVE,
                because: "links in message parts show; a request may have 100 MB, far more than the \
                          default, and a record 10 MB",
                source: "documentation in the repository of its SDK: `docs/reference/limits.md`, \
                         `docs/guides/web-ui/llm-panels.md`",
                unconfirmed: Some(
                    "whether it shows form `logfire`, which its SDK has on a branch: then write \
                     `reference: logfire`",
                ),
                ..DEFAULTS
            },
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|preset| preset.to_string() == name)
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Otlp => "otlp",
            Self::Tempo => "tempo",
            Self::Jaeger => "jaeger",
            Self::Datadog => "datadog",
            Self::Newrelic => "newrelic",
            Self::Honeycomb => "honeycomb",
            Self::Phoenix => "phoenix",
            Self::Langfuse => "langfuse",
            Self::Opik => "opik",
            Self::Logfire => "logfire",
        })
    }
}

/// A key that has its value from a preset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresetValue {
    /// The key, from the top.
    pub path: String,
    /// What it is set to.
    pub value: &'static str,
    /// By which preset.
    pub preset: Preset,
}

/// As a person would write it.
impl fmt::Display for PresetValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            value,
            preset,
        } = self;
        write!(f, "{path}: {value} (preset {preset})")
    }
}

const EXPORTERS: &str = "exporters";
const PROCESSORS: &str = "processors";

/// Sets what presets say, and tells what that was.
pub(super) fn apply(root: &mut Node) -> Vec<PresetValue> {
    let mut set = Vec::new();
    let wirings = wirings(root);
    for id in ids(
        root,
        EXPORTERS,
        &["otlp_grpc", "otlp", "otlp_http", "otlphttp"],
    ) {
        let Some(preset) = preset_of(root, EXPORTERS, &id) else {
            continue;
        };
        let values = preset.values();
        // What somebody wrote counts more than what a preset says of the same.
        let is_written = wirings
            .iter()
            .filter(|wiring| wiring.exporters.contains(&id))
            .flat_map(|wiring| &wiring.processors)
            .any(|processor| has(root, PROCESSORS, processor, "reference"));
        let reference = values.reference.filter(|_| !is_written);
        for (key, value) in [
            ("max_request_bytes", values.max_request_bytes),
            ("reference", reference),
        ] {
            set.extend(set_default(root, [EXPORTERS, &id, key], value, preset));
        }
    }
    for id in ids(root, PROCESSORS, &["artifact"]) {
        let own = preset_of(root, PROCESSORS, &id);
        let Some(preset) = own.or_else(|| preset_behind(root, &wirings, &id)) else {
            continue;
        };
        let values = preset.values();
        for (key, value) in [
            ("threshold", values.threshold),
            ("text_threshold", values.text_threshold),
            // Exporters have it by themselves.
            ("reference", values.reference.filter(|_| own.is_some())),
        ] {
            set.extend(set_default(root, [PROCESSORS, &id, key], value, preset));
        }
    }
    set
}

/// What a pipeline is made of.
struct Wiring {
    signal: String,
    receivers: Vec<String>,
    processors: Vec<String>,
    exporters: Vec<String>,
}

fn wirings(root: &Node) -> Vec<Wiring> {
    let service = root.get("service").map(|entry| &entry.value);
    let pipelines = service.and_then(|service| service.get("pipelines"));
    let pipelines = pipelines.map_or(&[][..], |entry| entries(&entry.value));
    let list = |pipeline: &Entry, key| match pipeline.value.get(key).map(|entry| &entry.value.value)
    {
        Some(Value::Sequence(items)) => items.iter().filter_map(text).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let mut wirings: Vec<Wiring> = pipelines
        .iter()
        .map(|pipeline| Wiring {
            signal: component_type(&pipeline.key).to_owned(),
            receivers: list(pipeline, "receivers"),
            processors: list(pipeline, PROCESSORS),
            exporters: list(pipeline, EXPORTERS),
        })
        .collect();
    lead_on(root, &mut wirings);
    wirings
}

/// Gives pipelines what is behind their connectors: the exporters of those that the connectors lead to.
fn lead_on(root: &Node, wirings: &mut [Wiring]) {
    let connectors = root
        .get("connectors")
        .map(|entry| entries(&entry.value))
        .unwrap_or_default();
    // Each time one connector further, and there are fewer of them in a row than pipelines.
    for _ in 0..wirings.len() {
        let ends: Vec<(String, Vec<String>, Vec<String>)> = wirings
            .iter()
            .map(|of| {
                (
                    of.signal.clone(),
                    of.receivers.clone(),
                    of.exporters.clone(),
                )
            })
            .collect();
        for wiring in &mut *wirings {
            let mut behind: Vec<String> = Vec::new();
            for (signal, receivers, exporters) in &ends {
                let leads_there = |id: &&String| {
                    receivers.contains(id) && connectors.iter().any(|of| of.key == **id)
                };
                if *signal == wiring.signal && wiring.exporters.iter().any(|id| leads_there(&id)) {
                    behind.extend(exporters.iter().cloned());
                }
            }
            behind.retain(|id| !wiring.exporters.contains(id));
            wiring.exporters.extend(behind);
        }
    }
    for wiring in wirings {
        wiring
            .exporters
            .retain(|id| !connectors.iter().any(|of| of.key == *id));
    }
}

/// The preset that all backends behind a processor have. What is printed has no limits.
fn preset_behind(root: &Node, wirings: &[Wiring], processor: &str) -> Option<Preset> {
    let wirings = wirings
        .iter()
        .filter(|wiring| wiring.processors.iter().any(|id| id == processor));
    let mut presets = wirings
        .flat_map(|wiring| &wiring.exporters)
        .filter(|id| component_type(id) != "debug")
        .map(|id| preset_of(root, EXPORTERS, id));
    let first = presets.next()??;
    presets.all(|preset| preset == Some(first)).then_some(first)
}

fn ids(root: &Node, section: &str, types: &[&str]) -> Vec<String> {
    let section = root.get(section).map(|entry| entries(&entry.value));
    let ids = section.unwrap_or_default().iter().map(|entry| &entry.key);
    ids.filter(|id| types.contains(&component_type(id)))
        .cloned()
        .collect()
}

fn component_type(id: &str) -> &str {
    id.split('/').next().unwrap_or_default().trim()
}

fn component<'n>(root: &'n Node, section: &str, id: &str) -> Option<&'n Node> {
    Some(&root.get(section)?.value.get(id)?.value)
}

fn has(root: &Node, section: &str, id: &str, key: &str) -> bool {
    component(root, section, id).is_some_and(|component| component.get(key).is_some())
}

/// What is no preset is told when the component is read.
fn preset_of(root: &Node, section: &str, id: &str) -> Option<Preset> {
    let preset = component(root, section, id)?.get("preset")?;
    Preset::named(text(&preset.value)?)
}

fn set_default(
    root: &mut Node,
    path: [&str; 3],
    value: Option<&'static str>,
    preset: Preset,
) -> Option<PresetValue> {
    let value = value?;
    let [section, id, key] = path;
    let entries = [section, id].into_iter().try_fold(root, |node, key| {
        let entries = entries_mut(node)?;
        let entry = entries.iter_mut().find(|entry| entry.key == key)?;
        Some(&mut entry.value)
    });
    let entries = entries_mut(entries?)?;
    if entries.iter().any(|entry| entry.key == key) {
        return None;
    }
    // It stands where the preset does, or in the place of the component.
    let preset_entry = entries.iter().find(|entry| entry.key == "preset");
    let mut entry = preset_entry.or_else(|| entries.first())?.clone();
    key.clone_into(&mut entry.key);
    entry.value.value = Value::Scalar(Scalar {
        text: value.to_owned(),
        origin: Origin::Plain,
    });
    entries.push(entry);
    Some(PresetValue {
        path: KeyPath::of(path).to_string(),
        value,
        preset,
    })
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Mapping(entries) => entries,
        Value::Scalar(_) | Value::Sequence(_) => &[],
    }
}

fn entries_mut(node: &mut Node) -> Option<&mut Vec<Entry>> {
    match &mut node.value {
        Value::Mapping(entries) => Some(entries),
        Value::Scalar(_) | Value::Sequence(_) => None,
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(scalar) => scalar.text(),
        Value::Sequence(_) | Value::Mapping(_) => None,
    }
}
