//! What the requests of some pipelines may take of the memory, so that those of others have the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use slimspan_proto::Signal;

use crate::admission::{Budget, Share};
use crate::config::{ComponentId, Config, ExporterConfig, PipelineConfig};

/// So much of the budget is for requests that wait for the same backends: where these hang, others have the
/// last quarter.
const OF_ALL: (u64, u64) = (3, 4);

/// The shares of each exporter that has some.
#[derive(Debug, Default)]
pub(super) struct Shares {
    by_exporter: BTreeMap<ComponentId, Both>,
}

/// Requests whose senders wait, and those in queues: one that goes into a queue is both for a moment, and has to find
/// its place there beside the one that it has.
#[derive(Debug, Clone)]
struct Both {
    requests: Arc<Share>,
    queues: Arc<Share>,
}

/// Pipelines whose requests wait for one another: they have an exporter in common, or take the same requests.
#[derive(Debug)]
struct Group<'c> {
    exporters: BTreeSet<&'c ComponentId>,
    sources: BTreeSet<(&'c ComponentId, Signal)>,
}

impl Shares {
    /// None where all requests wait for the same backends: there is nobody to leave anything to.
    pub(super) fn new(config: &Config, budget: &Budget) -> Self {
        let groups = groups(config);
        if groups.len() < 2 {
            return Self::default();
        }
        let (part, whole) = OF_ALL;
        let bytes = budget.limit() / whole * part;
        let by_exporter = groups.into_iter().flat_map(|group| {
            let names: Vec<String> = group.exporters.iter().map(ToString::to_string).collect();
            let told = format!(
                "the {} MiB that requests for {} may take: {part} of {whole} of what memory_limiter.limit_mib \
                 leaves requests, so that those for other exporters have the rest",
                bytes >> 20,
                names.join(", ")
            );
            let shares = Both {
                requests: Arc::new(Share::new(bytes, told.clone())),
                queues: Arc::new(Share::new(bytes, told)),
            };
            let of_each = move |id: &ComponentId| (id.clone(), shares.clone());
            group.exporters.into_iter().map(of_each)
        });
        Self {
            by_exporter: by_exporter.collect(),
        }
    }

    /// That of an exporter's queue.
    pub(super) fn of_queue(&self, exporter: &ComponentId) -> Option<&Arc<Share>> {
        Some(&self.by_exporter.get(exporter)?.queues)
    }

    /// That of a pipeline.
    pub(super) fn of_pipeline(&self, pipeline: &PipelineConfig) -> Option<Arc<Share>> {
        let mut exporters = pipeline.exporters.iter();
        exporters.find_map(|id| Some(Arc::clone(&self.by_exporter.get(id)?.requests)))
    }
}

fn groups(config: &Config) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (id, pipeline) in &config.service.pipelines {
        // Requests wait for what is behind connectors, too; and nobody waits for what only prints.
        let whole = config.end_to_end(id, pipeline);
        let waited_for = whole.exporters.iter().filter_map(|id| {
            let (id, exporter) = config.exporters.get_key_value(id)?;
            (!matches!(exporter, ExporterConfig::Debug(_))).then_some(id)
        });
        let sources = whole
            .receivers
            .iter()
            .filter_map(|id| Some(config.receivers.get_key_value(id)?.0));
        let group = Group {
            exporters: waited_for.collect(),
            sources: sources.map(|receiver| (receiver, id.signal)).collect(),
        };
        if group.exporters.is_empty() {
            continue;
        }
        let (same, others): (Vec<_>, _) = groups.into_iter().partition(|of| of.meets(&group));
        groups = others;
        groups.push(same.into_iter().fold(group, Group::with));
    }
    groups
}

impl Group<'_> {
    fn meets(&self, other: &Self) -> bool {
        !self.exporters.is_disjoint(&other.exporters) || !self.sources.is_disjoint(&other.sources)
    }

    fn with(mut self, other: Self) -> Self {
        self.exporters.extend(other.exporters);
        self.sources.extend(other.sources);
        self
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::admission::Limits;

    const BEGINNING: &str = "\
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0}}}
  otlp/2: {protocols: {grpc: {endpoint: 127.0.0.1:0}}}
exporters:
  debug:
  otlp_grpc/a: {endpoint: a:1}
  otlp_grpc/b: {endpoint: b:1}
  otlp_grpc/c: {endpoint: c:1}
connectors: {forward: }
service:
  pipelines:
";

    /// The exporters that have a share, those that have the same together.
    fn shares(pipelines: &str) -> Vec<String> {
        let (config, _) =
            Config::parse(&format!("{BEGINNING}{pipelines}"), "c.yaml", |_| None).unwrap();
        let budget = Budget::new(Limits {
            limit_mib: 512,
            spike_mib: 100,
        });
        let shares = Shares::new(&config, &budget);
        let mut told: Vec<(Arc<Share>, Vec<String>)> = Vec::new();
        for (
            id,
            Both {
                requests: share, ..
            },
        ) in &shares.by_exporter
        {
            match told.iter_mut().find(|(of, _)| Arc::ptr_eq(of, share)) {
                Some((_, ids)) => ids.push(id.to_string()),
                None => told.push((Arc::clone(share), vec![id.to_string()])),
            }
        }
        told.into_iter().map(|(_, ids)| ids.join(" ")).collect()
    }

    #[test]
    fn who_waits_for_the_same_has_a_share_together() {
        let none: [&str; 0] = [];
        for (pipelines, expected) in [
            (
                "    traces: {receivers: [otlp], exporters: [otlp_grpc/a]}\n    \
                     logs: {receivers: [otlp], exporters: [otlp_grpc/a, debug]}\n",
                &none[..],
            ),
            (
                "    traces: {receivers: [otlp], exporters: [otlp_grpc/a, debug]}\n    \
                     logs: {receivers: [otlp], exporters: [otlp_grpc/b, debug]}\n    \
                     metrics: {receivers: [otlp], exporters: [debug]}\n",
                &["otlp_grpc/a", "otlp_grpc/b"],
            ),
            // They take the same requests.
            (
                "    traces: {receivers: [otlp], exporters: [otlp_grpc/a]}\n    \
                     traces/2: {receivers: [otlp], exporters: [otlp_grpc/b]}\n    \
                     logs: {receivers: [otlp], exporters: [otlp_grpc/c]}\n",
                &["otlp_grpc/a otlp_grpc/b", "otlp_grpc/c"],
            ),
            // Two that have nothing in common, and a third that has something with either.
            (
                "    traces: {receivers: [otlp], exporters: [otlp_grpc/a]}\n    \
                     traces/2: {receivers: [otlp/2], exporters: [otlp_grpc/b]}\n    \
                     metrics: {receivers: [otlp], exporters: [otlp_grpc/c]}\n    \
                     logs: {receivers: [otlp], exporters: [otlp_grpc/a, otlp_grpc/b]}\n",
                &["otlp_grpc/a otlp_grpc/b", "otlp_grpc/c"],
            ),
            // What waits behind a connector waits here.
            (
                "    traces: {receivers: [otlp], exporters: [forward]}\n    \
                     traces/2: {receivers: [forward], exporters: [otlp_grpc/a]}\n    \
                     logs: {receivers: [otlp], exporters: [otlp_grpc/b]}\n",
                &["otlp_grpc/a", "otlp_grpc/b"],
            ),
            (
                "    traces: {receivers: [otlp], exporters: [forward, otlp_grpc/c]}\n    \
                     traces/2: {receivers: [forward], exporters: [otlp_grpc/a]}\n    \
                     logs: {receivers: [otlp], exporters: [otlp_grpc/b]}\n",
                &["otlp_grpc/a otlp_grpc/c", "otlp_grpc/b"],
            ),
        ] {
            assert_eq!(shares(pipelines), expected, "{pipelines}");
        }
    }
}
