//! P3: a reference never reaches the backend before its file is durable and readable.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use super::conserved::conserved;
use super::load::Load;
use crate::support::checker::{Checked, Complaint, Rules, Scenario};
use crate::support::config;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::measured::{bound, measured, number, strict};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::verifying::{Fetch, Verifying};

/// A bad day: three requests in ten meet something.
fn faults() -> [(Fault, usize); 9] {
    [
        (Fault::Error, 50),
        (Fault::ErrorAfter, 50),
        // A sender waits for each of these, which everyday is too long for as many.
        (Fault::HangAfter, bound(50, 10)),
        (Fault::Hang, 10),
        (Fault::Conflict, 30),
        (Fault::SlowDown, 30),
        (Fault::Reset, 30),
        (Fault::Delay(Duration::from_millis(30)), 50),
        (Fault::Lie, 10),
    ]
}

/// Sends a load through a store with these faults, of which the backend and the checker see what is looked at. Tells
/// of how many files the store lied, too.
async fn through(
    seed: &Seed,
    faults: &[(Fault, usize)],
    policy: &str,
    rules: Rules,
    looked_at: fn(&FaultStore) -> Fetch,
) -> Result<(Checked, usize), Vec<Complaint>> {
    let store = FaultStore::start(seed.number(), faults).await;
    let fetch = looked_at(&store);
    let backend = Verifying::start(Arc::clone(&fetch)).await;
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
        fetch: &fetch,
        objects: &store.objects(),
        rules,
    };
    match scenario.complaints() {
        found if found.is_empty() => Ok((scenario.assert(), store.lies())),
        found => Err(found),
    }
}

/// Whatever the store does, and whatever becomes of requests whose files it does not take. Nobody here can see that it
/// lied, so what it said it has counts as there, from when it said so: that is all that a lie may cost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reference_arrives_before_its_file() {
    let seed = Seed::any();
    let faults = faults();
    let share: usize = faults.iter().map(|(_, chance)| chance).sum();
    let policies = [("refuse", Rules::STRICT), ("forward", Rules::FORWARDED)];
    let runs = policies.map(async |(policy, rules)| {
        let looked_at = FaultStore::fetch_as_told;
        let found = through(&seed, &faults, policy, rules, looked_at).await;
        let (checked, lies) = found.unwrap();
        assert!(checked.references > 0, "{checked}");
        measured(
            "P3",
            &format!("delivery::ordering, {policy}"),
            "0 early references",
            format_args!(
                "0 early: {checked}; {share} of 1,000 store requests met a fault, and {lies} files that it said it had \
                 were not there"
            ),
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
    let looked_at = FaultStore::fetch;
    let found = through(&seed, &lies, "refuse", Rules::STRICT, looked_at).await;
    let found = found.unwrap_err();
    let early = found
        .iter()
        .filter(|one| matches!(one, Complaint::Early(..)));
    assert!(early.count() > 0, "{found:?}");
}
