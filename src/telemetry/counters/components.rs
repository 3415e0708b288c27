//! What is counted for each component, which is made when somebody first asks for it.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use slimspan_proto::Signal;

use super::Counters;
use crate::telemetry::passing::{OTHER_TENANTS, TENANTS, TENANTS_TOLD};
use crate::telemetry::{
    BatchCounts, ExporterCounts, LimiterCounts, PipelineCounts, ProcessorCounts, ReceiverCounts,
    ServerCounts, StoreCounts, TenantCounts,
};

/// What is counted for each component. A component of a later configuration that has the name of an
/// earlier one goes on with its numbers.
#[derive(Debug, Default)]
pub(super) struct Components {
    receivers: BTreeMap<(String, &'static str), Arc<ReceiverCounts>>,
    processors: BTreeMap<String, Arc<ProcessorCounts>>,
    exporters: BTreeMap<String, Arc<ExporterCounts>>,
    stores: BTreeMap<String, Arc<StoreCounts>>,
    servers: BTreeMap<String, Arc<ServerCounts>>,
    batches: BTreeMap<String, Arc<BatchCounts>>,
    limiters: BTreeMap<String, Arc<LimiterCounts>>,
    pipelines: BTreeMap<String, Arc<PipelineCounts>>,
    tenants: BTreeMap<String, Arc<TenantCounts>>,
}

impl Counters {
    /// What is counted of a listener of a receiver.
    pub fn receiver(&self, id: &str, transport: &'static str) -> Arc<ReceiverCounts> {
        let mut components = self.components();
        let counts = components.receivers.entry((id.to_owned(), transport));
        Arc::clone(counts.or_insert_with(|| Arc::new(ReceiverCounts::of(id, transport))))
    }

    /// What is counted of a processor.
    pub fn processor(&self, id: &str) -> Arc<ProcessorCounts> {
        let mut components = self.components();
        let counts = components.processors.entry(id.to_owned());
        let new = || ProcessorCounts {
            processor: id.to_owned(),
            ..ProcessorCounts::default()
        };
        Arc::clone(counts.or_insert_with(|| Arc::new(new())))
    }

    /// What is counted of an exporter.
    pub fn exporter(&self, id: &str) -> Arc<ExporterCounts> {
        let mut components = self.components();
        let counts = components.exporters.entry(id.to_owned());
        let new = || ExporterCounts::of(id);
        Arc::clone(counts.or_insert_with(|| Arc::new(new())))
    }

    /// What is counted of a store.
    pub fn store(&self, id: &str) -> Arc<StoreCounts> {
        let mut components = self.components();
        let counts = components.stores.entry(id.to_owned());
        let new = || StoreCounts::of(id);
        Arc::clone(counts.or_insert_with(|| Arc::new(new())))
    }

    /// What is counted of an artifact server.
    pub fn server(&self, id: &str) -> Arc<ServerCounts> {
        let mut components = self.components();
        let counts = components.servers.entry(id.to_owned());
        Arc::clone(counts.or_insert_with(|| Arc::new(ServerCounts::of(id))))
    }

    /// What is counted of a `batch` processor.
    pub fn batch(&self, id: &str) -> Arc<BatchCounts> {
        let mut components = self.components();
        let counts = components.batches.entry(id.to_owned());
        Arc::clone(counts.or_insert_with(|| Arc::new(BatchCounts::of(id))))
    }

    /// What is counted of a `memory_limiter` processor.
    pub fn limiter(&self, id: &str) -> Arc<LimiterCounts> {
        let mut components = self.components();
        let counts = components.limiters.entry(id.to_owned());
        let new = || LimiterCounts {
            processor: id.to_owned(),
            ..LimiterCounts::default()
        };
        Arc::clone(counts.or_insert_with(|| Arc::new(new())))
    }

    /// What is counted of a pipeline.
    pub fn pipeline(&self, id: &str) -> Arc<PipelineCounts> {
        let mut components = self.components();
        let counts = components.pipelines.entry(id.to_owned());
        let new = || PipelineCounts {
            pipeline: id.to_owned(),
            ..PipelineCounts::default()
        };
        Arc::clone(counts.or_insert_with(|| Arc::new(new())))
    }

    /// What is counted of a tenant.
    pub fn tenant(&self, name: &str) -> Arc<TenantCounts> {
        let mut components = self.components();
        let tenants = &mut components.tenants;
        let is_told_apart = tenants.len() < TENANTS || tenants.contains_key(name);
        let name = if is_told_apart { name } else { OTHER_TENANTS };
        let new = || TenantCounts {
            tenant: name.to_owned(),
            ..TenantCounts::default()
        };
        let counts = tenants.entry(name.to_owned());
        Arc::clone(counts.or_insert_with(|| Arc::new(new())))
    }

    /// A line for each signal of each tenant of whom something came, for the end, of so many tenants at most.
    pub(crate) fn tenant_lines(&self) -> Vec<String> {
        let mut tenants = self.tenants();
        tenants.retain(|tenant| Signal::ALL.iter().any(|of| tenant.has_sent(*of)));
        let more = tenants.len().saturating_sub(TENANTS_TOLD);
        tenants.truncate(TENANTS_TOLD);
        let mut lines = Vec::new();
        for tenant in tenants {
            for signal in Signal::ALL {
                if tenant.has_sent(signal) {
                    let (name, items) = (&tenant.tenant, tenant.items.of(signal));
                    lines.push(format!("{signal} of {name}: {items}"));
                }
            }
        }
        if more > 0 {
            lines.push(format!("and {more} more tenants"));
        }
        lines
    }

    pub(crate) fn batches(&self) -> Vec<Arc<BatchCounts>> {
        self.components().batches.values().cloned().collect()
    }

    pub(crate) fn limiters(&self) -> Vec<Arc<LimiterCounts>> {
        self.components().limiters.values().cloned().collect()
    }

    pub(crate) fn pipelines(&self) -> Vec<Arc<PipelineCounts>> {
        self.components().pipelines.values().cloned().collect()
    }

    pub(crate) fn tenants(&self) -> Vec<Arc<TenantCounts>> {
        self.components().tenants.values().cloned().collect()
    }

    pub(crate) fn receivers(&self) -> Vec<Arc<ReceiverCounts>> {
        self.components().receivers.values().cloned().collect()
    }

    pub(crate) fn processors(&self) -> Vec<Arc<ProcessorCounts>> {
        self.components().processors.values().cloned().collect()
    }

    pub(crate) fn exporters(&self) -> Vec<Arc<ExporterCounts>> {
        self.components().exporters.values().cloned().collect()
    }

    pub(crate) fn stores(&self) -> Vec<Arc<StoreCounts>> {
        self.components().stores.values().cloned().collect()
    }

    pub(crate) fn servers(&self) -> Vec<Arc<ServerCounts>> {
        self.components().servers.values().cloned().collect()
    }

    fn components(&self) -> MutexGuard<'_, Components> {
        self.components
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
