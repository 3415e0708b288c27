//! P5: what was accepted is delivered however long the backend is away. A queue that is full makes
//! senders wait, and nothing in it makes room for anything. When the backend is back it gets all of
//! it, oldest first and as fast as ever.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;
use tonic::Code;

use super::conserved::conserved;
use super::load::Load;
use crate::support::checker::{Rules, Scenario};
use crate::support::config;
use crate::support::ledger::{Entry, Ledger, Outcome};
use crate::support::measured::{bound, measured, seconds};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::verifying::{Reaction, Receipt, Verifying, in_folder};
use crate::support::workload::{ItemId, Workload};

/// The files that are moved have so many KiB and more, and every second one has less. With larger ones
/// few requests take much room.
const SMALL: usize = 8;
const LARGE: usize = 128;

/// How many requests tell how fast it goes, after so many others.
const BEFORE: usize = 20;
pub(super) fn counted() -> usize {
    bound(150, 60)
}

/// How soon a sender is told that there is no room.
pub(super) fn told_within() -> Duration {
    Duration::from_secs(bound(1, 3))
}

/// How fast the backlog goes, of the rate before. A machine that has more to do by then than before
/// lowers it.
pub(super) fn drained_at_least() -> f64 {
    bound(0.8, 0.1)
}

/// Who is away comes back after this, counted from when everything was full.
pub(super) fn away() -> Duration {
    seconds("SLIMSPAN_AWAY_SECONDS", Duration::from_secs(2))
}

/// Senders that wait for as long as that takes.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_full_waits_for_the_backend() {
    is_away("sending_queue.queue_size", bound(300, 120), 64, SMALL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_may_take_no_more_of_the_disk_waits_for_the_backend() {
    let (mib, threshold) = bound((64, LARGE), (1, SMALL));
    is_away("file_storage.max_bytes", 1_000_000, mib, threshold).await;
}

/// With a queue of so many requests in so many MiB, and files that are moved from so many KiB on.
async fn is_away(cap: &str, queue_size: usize, mib: usize, threshold: usize) {
    // What the backend takes for a request: less than senders send meanwhile.
    let service = Duration::from_millis(if threshold > SMALL { 20 } else { 10 });
    let threshold = threshold << 10;
    let seed = Seed::any();
    let artifacts = tempfile::tempdir().unwrap();
    let fetch = in_folder(artifacts.path().to_owned());
    let slow = move |_: usize| Reaction::Slow(service);
    let before = Verifying::reacting(Arc::clone(&fetch), slow).await;
    let address = before.address;
    let mut config = config::standard(address);
    config["extensions"]["artifact_store"]["url"] = json!(artifacts.path());
    config["extensions"]["file_storage"] = json!({ "max_bytes": format!("{mib}MiB") });
    config["processors"]["artifact"]["threshold"] = json!(format!("{threshold}B"));
    config["service"]["extensions"] = json!(["artifact_store", "file_storage"]);
    config["exporters"]["otlp_grpc"]["sending_queue"] =
        json!({ "storage": "file_storage", "queue_size": queue_size, "num_consumers": 1 });
    config["exporters"]["otlp_grpc"]["retry_on_failure"] =
        json!({ "initial_interval": "100ms", "max_interval": "500ms" });
    let slimspan = Slimspan::start(&config).await;
    let (_here, whereabouts) = watch::channel(Some(slimspan.place()));
    let load = Load {
        senders: 8,
        requests: usize::MAX,
        workload: Workload {
            seed: seed.number(),
            // Half of the files are small enough to stay, so that the disk is full soon.
            smallest: threshold / 4,
            largest: threshold * 4,
        },
    };
    let sending = load.begin_patiently(&whereabouts, away() + PATIENCE);
    for part in 0..=3 {
        before.requests(BEFORE + counted() * part / 3).await;
    }
    let (mut receipts, nobody) = before.kill().await;
    let unhindered = rate(&receipts, BEFORE);

    let ledger = sending.ledger.clone();
    is_full(&ledger).await;
    let backlog = waiting(&ledger.entries(), &receipts);
    tokio::time::sleep(away()).await;
    drop(nobody);
    let after = Verifying::reacting_at(address, Arc::clone(&fetch), slow).await;
    after.has_all(backlog.clone()).await;
    let drained = after.receipts();
    let entries = sending.stop().await.entries();
    after.has_all(waiting(&entries, &receipts)).await;
    let ended = slimspan.stop().await;
    conserved(&entries, &ended);

    let position = drained
        .iter()
        .rposition(|one| backlog.contains(&one.item.id));
    let drained = &drained[..=position.unwrap()];
    let drained_at = rate(drained, 0);
    let newer = drained.iter().find(|one| !backlog.contains(&one.item.id));
    assert!(
        newer.is_none_or(|one| receipts.iter().any(|of| of.item.id == one.item.id)),
        "what came later overtook it: {newer:?}"
    );
    in_order(&after.receipts());
    receipts.extend(after.receipts());
    let checked = Scenario {
        entries: &entries,
        receipts: &receipts,
        fetch: &fetch,
        objects: &[],
        rules: Rules {
            threshold,
            sent_again: true,
            ..Rules::STRICT
        },
    }
    .assert();
    let refusals = told_to_come_back(&entries, cap);
    let slowest = ledger.slowest_refusal();
    assert!(slowest < told_within(), "{slowest:?}");
    let ratio = drained_at / unhindered;
    assert!(
        ratio >= drained_at_least(),
        "{drained_at:.1}/s, {unhindered:.1}/s before"
    );
    measured(
        "P5",
        &format!("delivery::backend_away, {cap}"),
        "0 dropped, senders told within 1 s, oldest first, drained at >= 80 %",
        format_args!(
            "0 dropped with {mib} MiB and {queue_size} requests at most: {checked}; {refusals} refusals, the slowest after {slowest:.1?}; away for \
             {:?}; {} items drained in order at {:.0} % ({drained_at:.0} requests a second of \
             {unhindered:.0})",
            away(),
            backlog.len(),
            100.0 * ratio,
        ),
    );
}

/// Waits until senders are asked to come back, one after the other.
pub(super) async fn is_full(ledger: &Ledger) {
    let before = ledger.postponed();
    let full = |ledger: &Ledger| ledger.postponed() >= before + 10;
    let begun = Instant::now();
    // It takes its time until much is full, but meanwhile requests pass.
    while !full(ledger) {
        assert!(begun.elapsed() < 3 * PATIENCE, "there is no end");
        let passed = ledger.acknowledged();
        let goes_on = |ledger: &Ledger| full(ledger) || ledger.acknowledged() >= passed + 10;
        ledger
            .until("senders are asked to come back", goes_on)
            .await;
    }
}

/// How often a sender was asked to come back: with a delay, because of this, and nothing else ever
/// went wrong for anyone.
pub(super) fn told_to_come_back(entries: &[Entry], cap: &str) -> usize {
    let attempts = entries.iter().flat_map(|entry| &entry.attempts);
    let others = attempts.filter(|one| !matches!(one, Outcome::Accepted { rejected: 0 }));
    let refusals = others.map(|one| match one {
        Outcome::Postponed {
            code: Code::Unavailable,
            delay: Some(_),
            message,
        } => assert!(message.contains(cap), "{message}"),
        other => panic!("{other:?}"),
    });
    refusals.count()
}

/// What was acknowledged and has not arrived.
fn waiting(entries: &[Entry], receipts: &[Receipt]) -> BTreeSet<ItemId> {
    let acknowledged = entries.iter().filter(|entry| entry.is_acknowledged());
    let items = acknowledged.flat_map(|entry| &entry.items);
    let mut ids: BTreeSet<_> = items.map(|item| item.id).collect();
    for receipt in receipts {
        ids.remove(&receipt.item.id);
    }
    ids
}

/// Requests in a second, without the first ones.
fn rate(receipts: &[Receipt], without: usize) -> f64 {
    let mut counted = receipts.iter().filter(|one| one.request >= without);
    let first = counted.next().unwrap();
    let last = counted.next_back().unwrap();
    (last.request - first.request) as f64 / (last.at - first.at).as_secs_f64()
}

/// What a sender sent first arrives first.
fn in_order(receipts: &[Receipt]) {
    let mut last: HashMap<u64, u64> = HashMap::new();
    for receipt in receipts {
        let ItemId { sender, number } = receipt.item.id;
        if let Some(before) = last.insert(sender, number) {
            assert!(before < number, "{sender}/{number} after {sender}/{before}");
        }
    }
}
