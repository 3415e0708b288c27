//! P9: a sender never gets an error for what could go on as it came.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use super::conserved::conserved;
use super::load::Load;
use crate::support::checker::{Rules, Scenario};
use crate::support::config;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::ledger::Outcome;
use crate::support::measured::{measured, number};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::verifying::Verifying;

const FAULTS: [Fault; 12] = [
    Fault::Error,
    Fault::ErrorAfter,
    Fault::Hang,
    Fault::HangAfter,
    Fault::Conflict,
    Fault::SlowDown,
    Fault::Forbidden,
    Fault::Skewed,
    Fault::ErrorInBody,
    Fault::WrongEtag,
    Fault::Reset,
    Fault::Lie,
];

/// A sender that says nothing else waits so long.
const DEADLINE: Duration = Duration::from_secs(10);

/// However a store fails, and it fails every time: each request is answered with OK at the first
/// attempt, in time, and arrives whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_the_store_is_an_error_for_the_sender() {
    let seed = Seed::any();
    let requests = number("SLIMSPAN_FAULT_REQUESTS", 16);
    join_all(FAULTS.map(|fault| with(&seed, fault, requests))).await;
}

async fn with(seed: &Seed, fault: Fault, requests: usize) {
    let store = FaultStore::start(seed.number(), &[(fault, 1000)]).await;
    // Nobody here can see that it lied: what it said it has counts as there, and nothing else does.
    let fetch = store.fetch_as_told();
    let backend = Verifying::start(Arc::clone(&fetch)).await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "500ms".into();
    config["processors"]["artifact"]["on_store_failure"] = json!("forward");
    let slimspan = Slimspan::start(&config).await;
    let load = Load::small(seed.number(), 8, requests.div_ceil(8));
    let ledger = load.send(slimspan.addresses[0]).await;
    let entries = ledger.entries();
    for entry in &entries {
        let told = &entry.attempts;
        assert_eq!(*told, [Outcome::Accepted { rejected: 0 }], "{fault:?}");
    }
    let checked = Scenario {
        entries: &entries,
        receipts: &backend.receipts(),
        fetch: &fetch,
        objects: &store.objects(),
        rules: Rules::FORWARDED,
    }
    .assert();
    conserved(&entries, &slimspan.stop().await);
    assert!(store.puts() > 0, "{fault:?}: the store was never asked");
    let has_lied = store.lies() > 0;
    assert_eq!(has_lied, fault == Fault::Lie, "{fault:?}: {checked}");
    let slowest = ledger.slowest();
    assert!(slowest < DEADLINE, "{fault:?}: {slowest:?}");
    measured(
        "P9",
        &format!("delivery::store_faults, {fault:?}"),
        "0 errors, each reply within the deadline",
        format_args!("0 errors, slowest reply {slowest:.1?}: {checked}"),
    );
}
