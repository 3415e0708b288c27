//! What can be looked at while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::admission::Budget;
use crate::config::ComponentId;
use crate::exporters::Exporter;
use crate::storage::Store;
use crate::telemetry::{MemorySight, QueueSight, Sight, Sights, StoreSight};

/// The components that have something to see.
#[derive(Debug)]
pub(super) struct Running {
    exporters: Vec<(String, Arc<Exporter>)>,
    stores: Vec<(String, Store)>,
    budget: Budget,
}

impl Running {
    pub(super) fn new(
        exporters: &BTreeMap<ComponentId, Arc<Exporter>>,
        stores: &BTreeMap<ComponentId, Store>,
        budget: &Budget,
    ) -> Arc<Self> {
        let exporters = exporters.iter();
        let exporters = exporters.map(|(id, exporter)| (id.to_string(), Arc::clone(exporter)));
        let stores = stores.iter();
        let stores = stores.map(|(id, store)| (id.to_string(), store.clone()));
        Arc::new(Self {
            exporters: exporters.collect(),
            stores: stores.collect(),
            budget: budget.clone(),
        })
    }
}

impl Sights for Running {
    fn look(&self) -> Sight {
        let queues = self.exporters.iter().filter_map(|(id, exporter)| {
            let load = exporter.load()?;
            Some(QueueSight {
                exporter: id.clone(),
                size: load.size,
                capacity: load.capacity,
                is_full: load.is_full,
            })
        });
        let stores = self.stores.iter().map(|(id, store)| StoreSight {
            store: id.clone(),
            failing: store.is_failing(),
            spool: store.spool().map(|spool| spool.sight()),
        });
        Sight {
            queues: queues.collect(),
            stores: stores.collect(),
            memory: MemorySight {
                in_flight: self.budget.in_flight(),
                limit: self.budget.limit(),
            },
        }
    }
}
