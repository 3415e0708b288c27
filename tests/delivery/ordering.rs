//! P3: a reference never reaches the backend before its file is durable and readable.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use super::conserved::conserved;
use super::load::Load;
use crate::support::checker::{Checked, Complaint, Rules, Scenario};
use crate::support::config;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::measured::{measured, number, strict};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::verifying::Verifying;

/// A bad day: one request in four meets something.
const FAULTS: [(Fault, usize); 8] = [
    (Fault::Error, 50),
    (Fault::ErrorAfter, 50),
    (Fault::HangAfter, 10),
    (Fault::Hang, 10),
    (Fault::Conflict, 30),
    (Fault::SlowDown, 30),
    (Fault::Reset, 30),
    (Fault::Delay(Duration::from_millis(30)), 50),
];

/// Sends a load through a store with these faults.
async fn through(
    seed: &Seed,
    faults: &[(Fault, usize)],
    policy: &str,
    rules: Rules,
) -> Result<Checked, Vec<Complaint>> {
    let store = FaultStore::start(seed.number(), faults).await;
    let backend = Verifying::start(store.fetch()).await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "300ms".into();
    config["processors"]["artifact"]["on_store_failure"] = json!(policy);
    let slimspan = Slimspan::start(&config).await;
    let requests = number("SLIMSPAN_REQUESTS", 160) / 8;
    let load = Load::small(seed.number(), 8, requests);
    let ledger = load.send(slimspan.addresses[0]).await;
    let (entries, receipts) = (ledger.entries(), backend.receipts());
    conserved(&entries, &slimspan.stop().await);
    let scenario = Scenario {
        entries: &entries,
        receipts: &receipts,
        fetch: &store.fetch(),
        objects: &store.objects(),
        rules,
    };
    match scenario.complaints() {
        found if found.is_empty() => Ok(scenario.assert()),
        found => Err(found),
    }
}

/// Whatever the store does, and whatever becomes of requests whose files it does not take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reference_arrives_before_its_file() {
    let seed = Seed::any();
    let policies = [("refuse", Rules::STRICT), ("forward", Rules::FORWARDED)];
    let runs = policies.map(async |(policy, rules)| {
        let checked = through(&seed, &FAULTS, policy, rules).await.unwrap();
        assert!(checked.references > 0, "{checked}");
        measured(
            "P3",
            &format!("delivery::ordering, {policy}"),
            "0 early references",
            format_args!("0 early: {checked}; one store request in four met a fault"),
        );
    });
    if strict() {
        for run in runs {
            run.await;
        }
    } else {
        // Most of the time they wait.
        join_all(runs).await;
    }
}

/// A store that says OK and keeps nothing cannot be seen from where slimspan stands; from where the
/// backend stands it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backend_sees_a_store_that_lies() {
    let seed = Seed::any();
    let lies = [(Fault::Lie, 200)];
    let found = through(&seed, &lies, "refuse", Rules::STRICT).await;
    let found = found.unwrap_err();
    let early = found
        .iter()
        .filter(|one| matches!(one, Complaint::Early(..)));
    assert!(early.count() > 0, "{found:?}");
}
