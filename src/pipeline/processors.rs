//! What goes into and comes out of the processors of a pipeline, and how long the `artifact` processor takes.

use std::sync::Arc;
use std::time::Duration;

use slimspan_proto::Signal;

use crate::telemetry::ProcessorCounts;

/// The processors of a pipeline, in their order. Only the `artifact` processor takes anything away.
#[derive(Debug, Default)]
pub(super) struct Processors {
    before: Vec<Arc<ProcessorCounts>>,
    /// The `artifact` processor, if there is one, and what comes behind it.
    others: Vec<Arc<ProcessorCounts>>,
}

impl Processors {
    /// All of them, of which `before` come before the `artifact` processor.
    pub(super) fn new(mut all: Vec<Arc<ProcessorCounts>>, before: usize) -> Self {
        let others = all.split_off(before.min(all.len()));
        Self {
            before: all,
            others,
        }
    }

    /// So many items came in.
    pub(super) fn came(&self, signal: Signal, items: u64) {
        for processor in &self.before {
            processor.incoming.add(signal, items);
            processor.outgoing.add(signal, items);
        }
        for processor in &self.others {
            processor.incoming.add(signal, items);
        }
    }

    /// The `artifact` processor is done with a request.
    pub(super) fn took(&self, signal: Signal, time: Duration) {
        if let Some(artifact) = self.others.first() {
            artifact.took.of(signal).took(time);
        }
    }

    /// So many items are left of those that came in.
    pub(super) fn passed(&self, signal: Signal, items: u64) {
        for processor in &self.others {
            processor.outgoing.add(signal, items);
        }
    }
}
