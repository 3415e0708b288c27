//! The stores and processors of artifacts.

use std::collections::BTreeMap;
use std::sync::Arc;

use slimspan_artifact::{Location, Policy};

use super::error::StartError;
use super::spools::{tell_orphans, tell_unattended};
use crate::catalog::Recorder;
use crate::config::{ComponentId, Config, ExtensionConfig, PipelineConfig};
use crate::dry_run::DryRun;
use crate::pipeline::{Fate, Keeping, Tenancy};
use crate::storage::config::StoreConfig;
use crate::storage::{OpenError, Spool, Store};
use crate::telemetry::Counters;
use crate::tenant::TenantId;

/// The stores that run: a dry run needs none.
pub(super) fn open_stores(
    config: &Config,
    counters: &Counters,
) -> Result<BTreeMap<ComponentId, Store>, StartError> {
    let mut stores = BTreeMap::new();
    for id in &config.service.extensions {
        if !is_needed(config, id) {
            continue;
        }
        if let Some(ExtensionConfig::ArtifactStore(store)) = config.extensions.get(id) {
            let opened =
                open_store(config, id, store, counters).map_err(|reason| not_opened(id, reason))?;
            opened.sweep_leftovers();
            opened.look_at_rules(format!("extensions.{id}"));
            stores.insert(id.clone(), opened);
        }
    }
    tell_orphans(config, &stores);
    tell_unattended(config, &stores);
    Ok(stores)
}

/// Whether a store has to run: a dry run needs none.
pub(super) fn is_needed(config: &Config, id: &ComponentId) -> bool {
    let wirings = config.service.pipelines.values();
    let mut users = wirings
        .filter_map(|wiring| config.artifact_processor(wiring))
        .filter(|(_, processor)| processor.store == *id)
        .peekable();
    users.peek().is_none() || !users.all(|(_, processor)| processor.dry_run)
}

/// Whether a store that runs has its spool open: something is or may be in there, and for no other store.
pub(super) fn has_spool(config: &Config, id: &ComponentId, of: &StoreConfig) -> bool {
    let directory = &of.spool.directory;
    let is_mine = config
        .artifact_stores()
        .all(|(other, other_store)| other == id || other_store.spool.directory != *directory);
    // What an earlier run left there has references that lead to the store.
    config.fills_spool_of(id) || (is_mine && directory.is_dir())
}

/// A store, and its spool if something is or may be in there.
fn open_store(
    config: &Config,
    id: &ComponentId,
    of: &StoreConfig,
    counters: &Counters,
) -> Result<Store, OpenError> {
    let store = Store::open_counted(of, counters.store(&id.to_string()))?;
    if has_spool(config, id, of) {
        let spool = Spool::open(&of.spool, format!("extensions.{id}.spool"), &store)?;
        counters.damage_given_up(spool.given_up());
        return Ok(store.with_spool(spool));
    }
    Ok(store)
}

fn not_opened(id: &ComponentId, reason: OpenError) -> StartError {
    StartError::Store {
        id: id.clone(),
        reason,
    }
}

/// Who writes down what refers to the artifacts of these stores.
pub(super) fn open_recorders(
    config: &Config,
    stores: &BTreeMap<ComponentId, Store>,
    counters: &Counters,
) -> BTreeMap<ComponentId, Recorder> {
    let configured = config.artifact_stores();
    let wanted = configured.filter(|(_, of)| of.catalog.enabled);
    let opened = wanted.filter_map(|(id, of)| {
        let store = stores.get(id)?;
        let counts = counters.store(&id.to_string());
        Some((id.clone(), Recorder::open(&of.catalog, store, counts)))
    });
    opened.collect()
}

/// What the `artifact` processor of a pipeline takes out, and what becomes of it.
pub(super) fn artifacts(
    config: &Config,
    wiring: &PipelineConfig,
    stores: &BTreeMap<ComponentId, Store>,
    recorders: &BTreeMap<ComponentId, Recorder>,
    dry_runs: &mut BTreeMap<ComponentId, Arc<DryRun>>,
) -> Result<Option<(Policy, Fate)>, StartError> {
    let Some((id, processor)) = config.artifact_processor(wiring) else {
        return Ok(None);
    };
    let Some(ExtensionConfig::ArtifactStore(of_store)) = config.extensions.get(&processor.store)
    else {
        return Ok(None);
    };
    let policy = processor.policy(location(&processor.store, of_store)?);
    if processor.dry_run {
        // Pipelines of one processor have one report.
        let dry_run = dry_runs
            .entry(id.clone())
            .or_insert_with(|| Arc::new(DryRun::new(id.clone())));
        let fate = Fate::Counted(Arc::clone(dry_run));
        return Ok(Some((policy, fate)));
    }
    Ok(stores.get(&processor.store).map(|store| {
        let keeping = Keeping {
            store: store.clone(),
            delivery: processor.delivery,
            on_failure: if processor.is_in_background() {
                of_store.spool.on_full
            } else {
                processor.on_store_failure
            },
            tenancy: processor.tenant.clone().map(|tenant| {
                let key = format!("processors.{id}.tenant");
                Arc::new(Tenancy::new(tenant, key))
            }),
            recorder: recorders.get(&processor.store).cloned(),
        };
        (policy, Fate::Kept(Box::new(keeping)))
    }))
}

/// Where references to the artifacts of the extension `id` lead.
pub(super) fn location(id: &ComponentId, store: &StoreConfig) -> Result<Location, StartError> {
    Store::location_of(store, &TenantId::default()).map_err(|reason| not_opened(id, reason))
}
