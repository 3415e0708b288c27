//! Pipelines that connectors join: where a request comes from and goes to that passes through one.

use std::collections::BTreeSet;

use super::Config;
use super::id::{ComponentId, PipelineId};
use super::service::PipelineConfig;

/// A pipeline to which a connector leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next<'c> {
    /// By which connector.
    pub(crate) by: &'c ComponentId,
    /// The pipeline.
    pub(crate) to: &'c PipelineId,
}

impl Config {
    /// Where connectors lead from a pipeline, in the order of its exporters.
    pub(crate) fn next_of(&self, from: &PipelineId) -> Vec<Next<'_>> {
        let pipelines = &self.service.pipelines;
        let exporters = pipelines.get(from).map(|of| of.exporters.as_slice());
        let mut next = Vec::new();
        for by in exporters.unwrap_or_default() {
            let Some((by, _)) = self.connectors.get_key_value(by) else {
                continue;
            };
            let behind = pipelines
                .iter()
                .filter(|(id, of)| id.signal == from.signal && of.receivers.contains(by));
            next.extend(behind.map(|(to, _)| Next { by, to }));
        }
        next
    }

    /// The pipelines from which requests may come to this one, whatever number of connectors is between.
    pub(crate) fn all_before(&self, id: &PipelineId) -> BTreeSet<&PipelineId> {
        let all = self.service.pipelines.keys();
        let mut before = BTreeSet::new();
        // Each round goes one connector further.
        loop {
            let known = before.len();
            for other in all.clone() {
                let mut next = self.next_of(other).into_iter();
                if next.any(|next| next.to == id || before.contains(next.to)) {
                    before.insert(other);
                }
            }
            if before.len() == known {
                return before;
            }
        }
    }

    /// The pipelines, each of them behind all that it leads to.
    pub(crate) fn last_first(&self) -> Vec<(&PipelineId, &PipelineConfig)> {
        let mut left: Vec<_> = self.service.pipelines.iter().collect();
        let mut ordered = Vec::new();
        while !left.is_empty() {
            let waiting: BTreeSet<_> = left.iter().map(|(id, _)| *id).collect();
            let is_ready = |id: &PipelineId| {
                let mut next = self.next_of(id).into_iter();
                !next.any(|next| waiting.contains(next.to))
            };
            let (ready, others): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|(id, _)| is_ready(id));
            if ready.is_empty() {
                // The configuration has no circle.
                break;
            }
            ordered.extend(ready);
            left = others;
        }
        ordered
    }

    /// A pipeline with what is at the ends of its connectors in their place: the receivers by which requests
    /// come, and the exporters to which they go.
    pub(crate) fn end_to_end(&self, id: &PipelineId, pipeline: &PipelineConfig) -> PipelineConfig {
        let pipelines = &self.service.pipelines;
        let before = self.all_before(id);
        let before = before.into_iter().filter_map(|id| pipelines.get(id));
        let behind = pipelines
            .iter()
            .filter(|(other, _)| self.all_before(other).contains(id));
        let behind = behind.map(|(_, of)| of);
        let receivers = before.flat_map(|of| &of.receivers);
        let exporters = behind.flat_map(|of| &of.exporters);
        PipelineConfig {
            receivers: self.without_connectors(pipeline.receivers.iter().chain(receivers)),
            processors: pipeline.processors.clone(),
            exporters: self.without_connectors(pipeline.exporters.iter().chain(exporters)),
        }
    }

    /// Each of the others once.
    fn without_connectors<'c>(
        &self,
        ids: impl Iterator<Item = &'c ComponentId>,
    ) -> Vec<ComponentId> {
        let mut others: Vec<ComponentId> = Vec::new();
        for id in ids {
            if !self.connectors.contains_key(id) && !others.contains(id) {
                others.push(id.clone());
            }
        }
        others
    }
}
