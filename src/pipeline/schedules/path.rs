//! The path that requests take: all of it is slimspan's own, but for what stands at its ends.

use std::sync::Arc;

use slimspan_artifact::Policy;

use super::backend::Backend;
use super::plan::{Place, Plan, Surroundings, THRESHOLD};
use crate::config::{BatchConfig, ContextKey, Delivery as When, TenantConfig};
use crate::exporters::otlp_grpc::config::OtlpGrpcConfig;
use crate::exporters::{Delivery, Exporter, Way, Wire};
use crate::pipeline::{Destination, Fate, Keeping, Pipeline, Pipelines, Tenancy, Wanted};
use crate::sift::EntryLimit;
use crate::storage::gated::Gate;
use crate::storage::{Spool, Store, StoreConfig};

/// The header that names the tenant, where there are some.
pub(super) const TENANT: &str = "x-tenant";

/// The path that all requests of the schedule take, and the store at its side.
pub(super) fn pipelines(
    surroundings: &Surroundings,
    plan: &Plan,
    gate: &Gate,
    backend: &Backend,
    spool: Option<&Spool>,
) -> (Pipelines, Store) {
    let config = StoreConfig {
        timeout: plan.timeout,
        max_concurrent_puts: plan.max_concurrent_puts,
        refresh: plan.refresh,
        known_digests: plan.known_digests,
        known_values: 1_000,
        ..StoreConfig::new("memory://")
    };
    let store = Store::open_with(&config, |client| gate.before(client)).unwrap();
    let store = match spool {
        Some(spool) => store.with_spool(spool.clone()),
        None => store,
    };
    let policy = Policy::new(THRESHOLD, store.location());
    let tenancy = plan.has_tenants.then(|| {
        let config = TenantConfig {
            from_context: Some(ContextKey::Metadata(TENANT.to_owned())),
            ..TenantConfig::default()
        };
        Arc::new(Tenancy::new(config, "tenant".to_owned()))
    });
    let keeping = Keeping {
        store: store.clone(),
        delivery: match plan.place {
            Place::Store => When::Sync,
            Place::Spool => When::Background,
        },
        on_failure: plan.on_failure,
        tenancy,
        recorder: None,
    };
    let config = OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap());
    let wire = Wire::Taken(Arc::new(backend.clone()));
    let way = Arc::new(Way::new("otlp".to_owned(), wire, None, config.delivery()));
    let exporter = Exporter::Otlp(Box::new(Delivery::new(way, None)));
    let (budget, counters) = (&surroundings.budget, &surroundings.counters);
    let mut pipeline = Pipeline::new(
        "traces".parse().unwrap(),
        Some((policy, Fate::Kept(Box::new(keeping)))),
        vec![Destination::Exporter(Arc::new(exporter), Wanted::default())],
        budget.clone(),
        Arc::clone(counters),
    );
    if plan.has_batches {
        let batch = BatchConfig {
            send_batch_size: 2,
            ..BatchConfig::default()
        };
        pipeline = pipeline.with_batch(batch, Arc::default());
    }
    let entries = EntryLimit {
        most: 1000,
        key: "max_items".to_owned(),
    };
    let mut pipelines = Pipelines::new(entries, budget.clone(), Arc::clone(counters));
    pipelines.add(Arc::new(pipeline));
    (pipelines, store)
}
