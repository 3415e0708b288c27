//! Sets what presets say in the tree of nodes.

use super::super::node::{Entry, Node, Value};
use super::super::path::KeyPath;
use super::super::scalar::{Origin, Scalar};
use super::{Preset, PresetValue};

const EXPORTERS: &str = "exporters";
const PROCESSORS: &str = "processors";

/// A key that a backend loses spans without.
const BYTES_VALUES: &str = "bytes_values";

/// Sets what presets say, and tells what that was.
pub(in crate::config) fn apply(root: &mut Node) -> Vec<PresetValue> {
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
        let is_written = |key| {
            let mut before = wirings
                .iter()
                .filter(|wiring| wiring.exporters.contains(&id))
                .flat_map(|wiring| &wiring.processors);
            before.any(|processor| has(root, PROCESSORS, processor, key))
        };
        let reference = values.reference.filter(|_| !is_written("reference"));
        let bytes_values = values.bytes_values.filter(|_| !is_written(BYTES_VALUES));
        for (key, value) in [
            ("max_request_bytes", values.max_request_bytes),
            ("reference", reference),
            (BYTES_VALUES, bytes_values),
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
            // Exporters have them by themselves.
            ("reference", values.reference.filter(|_| own.is_some())),
            (BYTES_VALUES, values.bytes_values.filter(|_| own.is_some())),
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
    let component = component(root, section, id);
    component.is_some_and(|component| component.get(key).is_some_and(is_said))
}

/// Whether somebody wrote what is to hold: nothing that a preset sets can be lost by a null that only shows
/// the default, where spans would be lost with it.
fn is_said(entry: &Entry) -> bool {
    entry.key != BYTES_VALUES || !entry.value.is_null()
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
    if entries
        .iter()
        .any(|entry| entry.key == key && is_said(entry))
    {
        return None;
    }
    entries.retain(|entry| entry.key != key);
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
