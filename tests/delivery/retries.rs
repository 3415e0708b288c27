//! P4: repeating a request after any failure is safe.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::conserved::conserved;
use super::load::Load;
use crate::support::checker::{Rules, Scenario};
use crate::support::config;
use crate::support::fault_store::FaultStore;
use crate::support::measured::{measured, number, strict};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::verifying::{Reaction, Verifying};

/// A backend that refuses, or takes a request and does not say so: everything arrives, no file is
/// stored twice, and nothing arrives again but for an answer that was not given. That holds whether
/// senders repeat or the exporter does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_repeated_makes_no_second_file_and_few_duplicates() {
    let off = json!({ "enabled": false });
    let on = json!({ "initial_interval": "10ms", "max_interval": "100ms" });
    let [senders, exporter] = [("senders repeat", off), ("the exporter repeats", on)];
    let (without, with) = if strict() {
        let without = attempts(senders.0, senders.1).await;
        (without, attempts(exporter.0, exporter.1).await)
    } else {
        // Most of the time they wait.
        tokio::join!(
            attempts(senders.0, senders.1),
            attempts(exporter.0, exporter.1)
        )
    };
    assert!(without > 0, "the backend never refused");
    assert_eq!(with, 0, "the exporter has all the time that it needs");
}

/// How many attempts of senders came to nothing with these `retry_on_failure`.
async fn attempts(who: &str, retries: Value) -> usize {
    let seed = Seed::any();
    let store = FaultStore::start(seed.number(), &[]).await;
    let random = Arc::new(std::sync::Mutex::new(seed.random()));
    let soon = Duration::from_millis(10);
    let backend = Verifying::reacting(store.fetch(), move |_| {
        match random.lock().unwrap().below(20) {
            0 => Reaction::Reset,
            1 => Reaction::Garbage,
            2 | 3 => Reaction::Unavailable(soon),
            4 => Reaction::Exhausted(Some(soon)),
            5 => Reaction::Warn,
            _ => Reaction::Accept,
        }
    })
    .await;
    let mut config = config::with_s3(backend.address, store.address);
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
    config["exporters"]["otlp_grpc"]["retry_on_failure"] = retries;
    // A put that the machine delays is not to be repeated.
    config["extensions"]["artifact_store"]["timeout"] = json!("20s");
    let slimspan = Slimspan::start(&config).await;
    let requests = number("SLIMSPAN_REQUESTS", 160) / 8;
    let load = Load::small(seed.number(), 8, requests);
    let ledger = load.send(slimspan.addresses[0]).await;
    let (entries, receipts) = (ledger.entries(), backend.receipts());
    let checked = Scenario {
        entries: &entries,
        receipts: &receipts,
        fetch: &store.fetch(),
        objects: &store.objects(),
        rules: Rules::STRICT,
    }
    .assert();
    conserved(&entries, &slimspan.stop().await);
    let attempts: usize = entries.iter().map(|entry| entry.attempts.len()).sum();
    // Nothing was wrong with the store.
    assert_eq!(store.puts(), store.objects().len());
    measured(
        "P4",
        &format!("delivery::retries, {who}"),
        "1 put a file, no duplicate without an answer that was lost",
        format_args!("{checked}, {attempts} attempts, {} puts", store.puts()),
    );
    attempts - entries.len()
}
