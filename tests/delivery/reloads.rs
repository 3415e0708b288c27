//! SIGHUP under load: one configuration takes over from another, and neither a request under way nor one
//! that waits in a queue or a spool is lost by that. Senders do not notice: every request is answered.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use slimspan_artifact::Digest;
use tokio::sync::watch;

use super::load::Load;
use super::surroundings::objects;
use super::ways::{BACKGROUND_WITH_QUEUE, SPOOL, SYNC, Way};
use crate::support::arrivals::File;
use crate::support::certificates::Authority;
use crate::support::checker::{Rules, Scenario};
use crate::support::config;
use crate::support::conservation::conserved;
use crate::support::fault_store::FaultStore;
use crate::support::insistent::Place;
use crate::support::ledger::Outcome;
use crate::support::measured::{measured, number};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::spool::{is_empty, stored_or_spooled};
use crate::support::verifying::{Reaction, Verifying, in_folder};

const SENDERS: u64 = 8;

/// What is acknowledged between two signals, at least.
const MEANWHILE: usize = 20;

/// What a hundred reloads may add, in MiB, open files and threads: what comes and goes with the load, and no
/// file or thread with each of them.
const GROWTH: [usize; 3] = [128, 80, 80];

/// How senders send.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Grpc,
    Http,
    /// gRPC, where each reload brings another certificate.
    Tls,
}

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
    reload_under_load(&BACKGROUND_WITH_QUEUE, By::Grpc).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_a_reload_under_load_over_http() {
    reload_under_load(&BACKGROUND_WITH_QUEUE, By::Http).await;
}

/// As slimspan comes: the answer to a sender is the backend's, and nothing waits anywhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_a_reload_under_load_without_a_queue() {
    reload_under_load(&SYNC, By::Grpc).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_a_reload_under_load_over_tls() {
    reload_under_load(&SYNC, By::Tls).await;
}

async fn reload_under_load(way: &Way, by: By) {
    let seed = Seed::any();
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let artifacts = folder.path().join("artifacts");
    let bucket = FaultStore::start(seed.number(), &[]).await;
    let fetch = match way.bucket {
        Some(_) => bucket.fetch(),
        None => in_folder(artifacts.clone()),
    };
    let spool = folder.path().join(SPOOL);
    let fetch_meanwhile = if way.spool {
        stored_or_spooled(Arc::clone(&fetch), spool.clone())
    } else {
        Arc::clone(&fetch)
    };
    // The queue has something to wait for; without one, senders have.
    let some_time = Duration::from_millis(20);
    let is_queued = way.queue;
    let backend = Verifying::reacting(fetch_meanwhile, move |at| match (at % 2, is_queued) {
        (0, true) => Reaction::Unavailable(some_time),
        (0, false) => Reaction::Slow(some_time),
        _ => Reaction::Accept,
    })
    .await;
    let mut config = match way.bucket {
        Some(_) => config::with_s3(backend.address, bucket.address),
        None => config::standard(backend.address),
    };
    (way.change)(&mut config);
    let authority = Authority::new();
    let renew = || authority.issue("127.0.0.1").write(folder.path(), "server");
    match by {
        By::Grpc => {}
        By::Http => config::http_only(&mut config),
        By::Tls => {
            renew();
            let tls = json!({ "cert_file": "server.pem", "key_file": "server.key" });
            config["receivers"]["otlp"]["protocols"]["grpc"]["tls"] = tls;
        }
    }
    let mut slimspan = Slimspan::spawn(Arc::clone(&folder), &config.to_string());
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let place = match by {
        By::Grpc | By::Http => slimspan.place(),
        By::Tls => Place::GrpcOverTls(slimspan.addresses[0], authority.pem().leak()),
    };
    let (_here, whereabouts) = watch::channel(Some(place));
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

    let reloads = number("SLIMSPAN_RELOADS", 4);
    let other = other(&config);
    more().await;
    let (memory, [files, threads]) = (slimspan.memory(), slimspan.open_files_and_threads());
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
        if by == By::Tls {
            renew();
        }
        let next = if round % 2 == 0 { &config } else { &other };
        slimspan.write(&next.to_string());
        slimspan.signal("HUP");
        slimspan
            .logs_times("reloaded the configuration", round)
            .await;
    }
    more().await;
    let grown = [
        (slimspan.memory().saturating_sub(memory) >> 20) as usize,
        slimspan.open_files_and_threads()[0].saturating_sub(files),
        slimspan.open_files_and_threads()[1].saturating_sub(threads),
    ];
    let within = grown.iter().zip(GROWTH).all(|(grown, most)| *grown <= most);
    assert!(within, "MiB, open files and threads more: {grown:?}");
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
    if way.spool {
        is_empty(&spool).await;
    }

    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("cannot run"), "{}", ended.stderr);
    conserved(&ended.stderr);
    let attempts = || entries.iter().flat_map(|entry| &entry.attempts);
    let refused = attempts().find(|one| matches!(one, Outcome::Refused { .. }));
    assert_eq!(refused, None);
    let unanswered = ledger.unanswered();
    assert!(unanswered.is_empty(), "without an answer: {unanswered:#?}");
    let (mut stored, _) = objects(&artifacts);
    stored.extend(bucket.objects());
    let checked = Scenario {
        entries: &entries,
        receipts: &backend.receipts(),
        fetch: &fetch,
        objects: &stored,
        rules: Rules {
            orphans: true,
            ..way.rules
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
    let mut orphans = stored;
    orphans.retain(|object| !referred.contains(object) && !of_them.contains(object));
    assert_eq!(orphans, [] as [String; 0], "nothing refers to them");
    assert!(checked.references > 0, "{checked}");
    measured(
        "reload",
        "delivery::reloads",
        "0 lost, whatever waits or is under way; 0 without an answer; at most 128 MiB, 80 files and 80 threads more",
        format_args!(
            "{by:?}, {}: 0 lost by {reloads} reloads: {checked}, {} without an answer; {} MiB, {} files and {} \
             threads more",
            way.name,
            unanswered.len(),
            grown[0],
            grown[1],
            grown[2],
        ),
    );
}
