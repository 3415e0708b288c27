//! What connectors join, and what may not be joined.

use std::collections::BTreeSet;

use slimspan_proto::Signal;

use super::Check;
use crate::config::Config;
use crate::config::components::ProcessorConfig;
use crate::config::connected::Next;
use crate::config::id::{ComponentId, PipelineId};
use crate::config::path::KeyPath;
use crate::config::service::PipelineConfig;

/// An end of a connector, which is the other one to a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UsedAs {
    Exporter,
    Receiver,
}

impl UsedAs {
    fn name(self) -> &'static str {
        match self {
            Self::Exporter => "exporter",
            Self::Receiver => "receiver",
        }
    }

    /// The key of a pipeline.
    fn key(self) -> &'static str {
        match self {
            Self::Exporter => "exporters",
            Self::Receiver => "receivers",
        }
    }

    fn list(self, pipeline: &PipelineConfig) -> &[ComponentId] {
        match self {
            Self::Exporter => &pipeline.exporters,
            Self::Receiver => &pipeline.receivers,
        }
    }
}

impl Check<'_> {
    pub(super) fn connectors(&mut self) {
        let config = self.config;
        for id in config.connectors.keys() {
            for signal in Signal::ALL {
                self.both_ends(id, signal, UsedAs::Exporter, UsedAs::Receiver);
                self.both_ends(id, signal, UsedAs::Receiver, UsedAs::Exporter);
            }
        }
        if !self.circles() {
            for (id, pipeline) in &config.service.pipelines {
                self.processors_on_the_way(id, pipeline);
            }
        }
    }

    /// A connector that pipelines of this signal have at one end has to be at the other end of some.
    fn both_ends(&mut self, id: &ComponentId, signal: Signal, one: UsedAs, other: UsedAs) {
        let pipelines = self.config.service.pipelines.iter();
        let mut here = Vec::new();
        for (pipeline, of) in pipelines.filter(|(pipeline, _)| pipeline.signal == signal) {
            if other.list(of).contains(id) {
                return;
            }
            if let Some(index) = one.list(of).iter().position(|listed| listed == id) {
                here.push((pipeline, index));
            }
        }
        let Some((first, index)) = here.first() else {
            return;
        };
        let names: Vec<String> = here.iter().map(|(of, _)| of.to_string()).collect();
        // In the words of the Collector.
        let message = format!(
            "connector \"{id}\" used as {} in [{}] pipeline but not used in any supported {} pipeline: name it \
             among the {} of another pipeline of {signal}, or remove it here",
            one.name(),
            names.join(" "),
            other.name(),
            other.key()
        );
        self.report_item(&pipeline_path(first), one.key(), *index, message);
    }

    /// No request may come to where it was. True where one would.
    fn circles(&mut self) -> bool {
        let config = self.config;
        let mut told: BTreeSet<&PipelineId> = BTreeSet::new();
        for start in config.service.pipelines.keys() {
            if told.contains(start) || !config.all_before(start).contains(start) {
                continue;
            }
            let circle = circle(config, start);
            let Some(first) = circle.first() else {
                continue;
            };
            let exporters = config.service.pipelines.get(start);
            let exporters = exporters.map(|of| of.exporters.as_slice());
            let index = exporters
                .unwrap_or_default()
                .iter()
                .position(|id| id == first.by);
            told.extend(circle.iter().map(|next| next.to));
            // In the words of the Collector.
            let mut parts = Vec::new();
            let connector =
                |id: &ComponentId| format!("connector \"{id}\" ({0} to {0})", start.signal);
            for Next { by, to } in &circle {
                parts.push(connector(by));
                let processors = config.service.pipelines.get(*to).map(|of| &of.processors);
                let processors = processors.into_iter().flatten();
                parts.extend(
                    processors.map(|id| format!("processor \"{id}\" in pipeline \"{to}\"")),
                );
            }
            parts.push(connector(first.by));
            let message = format!(
                "cycle detected: {}: let one of these pipelines lead to an exporter instead",
                parts.join(" -> ")
            );
            self.report_item(
                &pipeline_path(start),
                "exporters",
                index.unwrap_or_default(),
                message,
            );
        }
        !told.is_empty()
    }

    /// A request goes through one `artifact` and one `batch` processor at most, in this order, whatever pipelines
    /// it goes through.
    fn processors_on_the_way(&mut self, id: &PipelineId, pipeline: &PipelineConfig) {
        let config = self.config;
        let (mut artifact, mut batch) = (None, None);
        for before in config.all_before(id) {
            let Some(of) = config.service.pipelines.get(before) else {
                continue;
            };
            let named = |processor: &ComponentId| (before.clone(), processor.clone());
            let found = config.artifact_processor(of);
            artifact = artifact.or_else(|| found.map(|(processor, _)| named(processor)));
            let found = config.batch_processor(of);
            batch = batch.or_else(|| found.map(|(processor, _)| named(processor)));
        }
        for (index, processor) in pipeline.processors.iter().enumerate() {
            let message = match config.processors.get(processor) {
                Some(ProcessorConfig::Artifact(_)) => {
                    if let Some((before, other)) = &artifact {
                        format!(
                            "requests that come from the pipeline \"{before}\" have been through \"{other}\" there, \
                             and a request goes through one artifact processor: remove one of them"
                        )
                    } else if let Some((before, other)) = &batch {
                        format!(
                            "\"{other}\" of the pipeline \"{before}\", from which requests come, must come after \
                             \"{processor}\", so that slim requests are joined and not large ones: move it behind \
                             \"{processor}\""
                        )
                    } else {
                        continue;
                    }
                }
                Some(ProcessorConfig::Batch(_)) => match &batch {
                    Some((before, other)) => format!(
                        "requests that come from the pipeline \"{before}\" have been through \"{other}\" there, and a \
                         request goes through one batch processor: remove one of them"
                    ),
                    None => continue,
                },
                _ => continue,
            };
            self.report_item(&pipeline_path(id), "processors", index, message);
        }
    }
}

/// The shortest way from a pipeline back to it.
fn circle<'c>(config: &'c Config, start: &PipelineId) -> Vec<Next<'c>> {
    let mut ways: Vec<Vec<Next<'c>>> = vec![Vec::new()];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = way.last().map_or(start, |next| next.to);
            for next in config.next_of(last) {
                let mut way = way.clone();
                way.push(next);
                if next.to == start {
                    return way;
                }
                if seen.insert(next.to) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    Vec::new()
}

fn pipeline_path(id: &PipelineId) -> KeyPath {
    KeyPath::of(["service", "pipelines"]).key(id)
}
