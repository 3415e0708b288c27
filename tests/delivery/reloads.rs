//! SIGHUP under load: one configuration takes over from another, and neither a request under way nor one
//! that waits in a queue or a spool is lost by that. Senders do not notice: every request is answered.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use slimspan_artifact::Digest;
use tokio::sync::watch;

use super::load::Load;
use super::ways::{BACKGROUND_WITH_QUEUE, SPOOL};
use crate::support::arrivals::File;
use crate::support::checker::{Rules, Scenario};
use crate::support::config;
use crate::support::conservation::conserved;
use crate::support::fault_store::FaultStore;
use crate::support::ledger::Outcome;
use crate::support::measured::{measured, number};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::spool::{is_empty, stored_or_spooled};
use crate::support::verifying::{Reaction, Verifying};

const SENDERS: u64 = 8;

/// What is acknowledged between two signals, at least.
const MEANWHILE: usize = 20;

/// The same with another threshold and another name of the exporter, and so with another queue.
fn other(config: &Value) -> Value {
    let mut other = config.clone();
    other["processors"]["artifact"]["threshold"] = json!("2KiB");
    let exporter = other["exporters"]["otlp_grpc"].take();
    other["exporters"] = json!({ "otlp_grpc/other": exporter });
    for signal in ["traces", "logs", "metrics"] {
        other["service"]["pipelines"][signal]["exporters"] = json!(["otlp_grpc/other"]);
    }
    other
}

/// Both exporters, so that what waits for either is delivered.
fn both(config: &Value) -> Value {
    let mut both = config.clone();
    both["exporters"]["otlp_grpc/other"] = config["exporters"]["otlp_grpc"].clone();
    both["service"]["pipelines"]["metrics"]["exporters"] = json!(["otlp_grpc", "otlp_grpc/other"]);
    both
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_a_reload_under_load() {
    reload_under_load("over gRPC", |_| ()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_a_reload_under_load_over_http() {
    reload_under_load("over HTTP", config::http_only).await;
}

async fn reload_under_load(how: &str, change: fn(&mut Value)) {
    let seed = Seed::any();
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let bucket = FaultStore::start(seed.number(), &[]).await;
    let fetch = bucket.fetch();
    let spool = folder.path().join(SPOOL);
    // The queue has something to wait for.
    let backend = Verifying::reacting(stored_or_spooled(Arc::clone(&fetch), spool.clone()), |at| {
        if at % 2 == 0 {
            Reaction::Unavailable(Duration::from_millis(20))
        } else {
            Reaction::Accept
        }
    })
    .await;
    let mut config = config::with_s3(backend.address, bucket.address);
    (BACKGROUND_WITH_QUEUE.change)(&mut config);
    change(&mut config);
    let mut slimspan = Slimspan::spawn(Arc::clone(&folder), &config.to_string());
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let (_here, whereabouts) = watch::channel(Some(slimspan.place()));
    let load = Load {
        requests: usize::MAX,
        ..Load::small(seed.number(), SENDERS, 0)
    };
    let sending = load.begin(&whereabouts);
    let ledger = sending.ledger.clone();
    let more = async || {
        let before = ledger.acknowledged();
        let enough =
            |ledger: &crate::support::ledger::Ledger| ledger.acknowledged() >= before + MEANWHILE;
        ledger.until("senders go on", enough).await;
    };

    let reloads = number("SLIMSPAN_RELOADS", 6);
    let other = other(&config);
    for round in 1..=reloads {
        more().await;
        if round % 3 == 0 {
            slimspan.write("exporters: {otlp_grpc: {endpiont: x}}");
            slimspan.signal("HUP");
            slimspan
                .logs_times("has invalid keys: endpiont", round / 3)
                .await;
            more().await;
        }
        let next = if round % 2 == 0 { &config } else { &other };
        slimspan.write(&next.to_string());
        slimspan.signal("HUP");
        slimspan
            .logs_times("reloaded the configuration", round)
            .await;
    }
    more().await;
    let ledger = sending.stop().await;
    slimspan.write(&both(&config).to_string());
    slimspan.signal("HUP");
    slimspan
        .logs_times("reloaded the configuration", reloads + 1)
        .await;
    let entries = ledger.entries();
    let acknowledged = entries.iter().filter(|entry| entry.is_acknowledged());
    let items = acknowledged.flat_map(|entry| &entry.items);
    backend.has_all(items.map(|item| item.id).collect()).await;
    is_empty(&spool).await;

    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("cannot run"), "{}", ended.stderr);
    conserved(&ended.stderr);
    let attempts = || entries.iter().flat_map(|entry| &entry.attempts);
    let refused = attempts().find(|one| matches!(one, Outcome::Refused { .. }));
    assert_eq!(refused, None);
    let unanswered = ledger.unanswered();
    assert!(unanswered.is_empty(), "without an answer: {unanswered:#?}");
    let checked = Scenario {
        entries: &entries,
        receipts: &backend.receipts(),
        fetch: &fetch,
        objects: &bucket.objects(),
        rules: Rules {
            orphans: true,
            ..BACKGROUND_WITH_QUEUE.rules
        },
    }
    .assert();
    // What was sent again may have met the other threshold then, and its file stays in it.
    let receipts = backend.receipts();
    let arrived = receipts.iter().flat_map(|receipt| &receipt.item.files);
    let moved = arrived.filter(|file| matches!(file, File::Moved(_)));
    let referred: HashSet<String> = moved.map(|file| file.digest().to_string()).collect();
    let sent_again = entries.iter().filter(|entry| entry.attempts.len() > 1);
    let items = sent_again.flat_map(|entry| &entry.items);
    let of_them: HashSet<String> = items
        .flat_map(|item| item.blobs.iter().map(Digest::to_string))
        .collect();
    let mut orphans = bucket.objects();
    orphans.retain(|object| !referred.contains(object) && !of_them.contains(object));
    assert_eq!(orphans, [] as [String; 0], "nothing refers to them");
    assert!(checked.references > 0, "{checked}");
    measured(
        "reload",
        "delivery::reloads",
        "0 lost, whatever waits or is under way; 0 without an answer",
        format_args!(
            "{how}: 0 lost by {reloads} reloads: {checked}, {} without an answer",
            unanswered.len()
        ),
    );
}
