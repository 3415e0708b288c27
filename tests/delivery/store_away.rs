//! P5 for the store: with `delivery: background` nobody waits for it until the spool is full. Then
//! senders are asked to come back, and nothing that is in the spool makes room. When the store is
//! back it gets all of it, oldest first and as fast as ever.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;

use super::backend_away::{
    PATIENCE, away, counted, drained_at_least, is_full, told_to_come_back, told_within,
};
use super::conserved::conserved;
use super::load::Load;
use crate::support::checker::{Rules, Scenario};
use crate::support::config;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::ledger::Entry;
use crate::support::measured::{bound, measured};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::spool::{is_empty, stored_or_spooled};
use crate::support::verifying::Verifying;
use crate::support::workload::Workload;

/// What the store takes for a file: less than senders send meanwhile.
const WORKING: &[(Fault, usize)] = &[(Fault::Delay(Duration::from_millis(10)), 1000)];
const DOWN: &[(Fault, usize)] = &[(Fault::Error, 1000)];

/// So many files come before those that tell how fast it goes.
const BEFORE: usize = 20;

/// The one that shows that the store is back overtakes those before it, which are the more the longer it was away.
fn late_at_most() -> usize {
    bound(32, 64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_that_is_full_waits_for_the_store() {
    let (mib, smallest) = bound((64, 64 << 10), (2, 8 << 10));
    let seed = Seed::any();
    let bucket = FaultStore::start(seed.number(), WORKING).await;
    let spool = tempfile::tempdir().unwrap();
    let fetch = stored_or_spooled(bucket.fetch(), spool.path().to_owned());
    let backend = Verifying::start(fetch).await;
    let mut config = config::with_s3(backend.address, bucket.address);
    config::limit_requests(&mut config, 1);
    config["processors"]["artifact"]["delivery"] = json!("background");
    config["extensions"]["artifact_store"]["max_concurrent_puts"] = json!(1);
    config["extensions"]["artifact_store"]["spool"] =
        json!({ "directory": spool.path(), "max_bytes": format!("{mib}MiB"), "on_full": "refuse" });
    let slimspan = Slimspan::start(&config).await;
    let (_here, whereabouts) = watch::channel(Some(slimspan.place()));
    let load = Load {
        senders: 8,
        requests: usize::MAX,
        workload: Workload {
            seed: seed.number(),
            smallest,
            largest: smallest * 3 / 2,
        },
    };
    let sending = load.begin_patiently(&whereabouts, away() + PATIENCE);
    bucket.stored(BEFORE + counted()).await;
    bucket.set(DOWN);
    let unhindered = rate(&bucket.order()[BEFORE..]);

    let ledger = sending.ledger.clone();
    is_full(&ledger).await;
    tokio::time::sleep(away()).await;
    let before = bucket.order().len();
    let backlog = moved(&ledger.entries()).len() - before;
    let healed = Instant::now();
    bucket.set(WORKING);
    bucket.stored(before + backlog).await;
    let drained = bucket.order().split_off(before);
    let entries = sending.stop().await.entries();
    is_empty(spool.path()).await;
    let ended = slimspan.stop().await;
    conserved(&entries, &ended);

    let first = drained[0].1 - healed;
    // The last of them are those that have a pause of their own.
    let drained_at = rate(&drained[..backlog * 9 / 10]);
    let late = overtaken(&entries, &drained);
    assert!(
        late <= late_at_most(),
        "{late} of {} were overtaken",
        drained.len()
    );
    let checked = Scenario {
        entries: &entries,
        receipts: &backend.receipts(),
        fetch: &bucket.fetch(),
        objects: &bucket.objects(),
        rules: Rules::STRICT,
    }
    .assert();
    let refusals = told_to_come_back(&entries, "spool.max_bytes");
    let slowest = ledger.slowest_refusal();
    assert!(slowest < told_within(), "{slowest:?}");
    let ratio = drained_at / unhindered;
    assert!(
        ratio >= drained_at_least(),
        "{drained_at:.1}/s, {unhindered:.1}/s before"
    );
    measured(
        "P5",
        "delivery::store_away, spool.max_bytes",
        "0 dropped, senders told within 1 s, oldest first but for 32 at most, drained at >= 80 %",
        format_args!(
            "0 dropped with {mib} MiB at most: {checked}; {refusals} refusals, the slowest after {slowest:.1?}; away for \
             {:?}, taken up after {first:.1?}; {backlog} files drained, {late} overtaken, at {:.0} \
             % ({drained_at:.0} files a second of {unhindered:.0})",
            away(),
            100.0 * ratio,
        ),
    );
}

/// The files of acknowledged items.
fn moved(entries: &[Entry]) -> BTreeSet<String> {
    let acknowledged = entries.iter().filter(|entry| entry.is_acknowledged());
    let items = acknowledged.flat_map(|entry| &entry.items);
    let blobs = items.flat_map(|item| &item.blobs);
    blobs.map(ToString::to_string).collect()
}

/// Files in a second.
fn rate(stored: &[(String, Instant)]) -> f64 {
    let time = stored[stored.len() - 1].1 - stored[0].1;
    (stored.len() - 1) as f64 / time.as_secs_f64()
}

/// How many files came after one that their sender sent with a later request. Those that several
/// senders share say nothing.
fn overtaken(entries: &[Entry], stored: &[(String, Instant)]) -> usize {
    // The sender of each file, and the first item of its request.
    let mut sent: HashMap<String, Option<(u64, u64)>> = HashMap::new();
    for entry in entries {
        let first = entry.items[0].id;
        for digest in entry.items.iter().flat_map(|item| &item.blobs) {
            let sender = sent
                .entry(digest.to_string())
                .or_insert(Some((first.sender, first.number)));
            if sender.is_some_and(|(sender, _)| sender != first.sender) {
                *sender = None;
            }
        }
    }
    let mut newest: HashMap<u64, u64> = HashMap::new();
    let mut overtaken = 0;
    for (name, _) in stored {
        let Some(Some((sender, number))) = sent.get(name) else {
            continue;
        };
        let newest = newest.entry(*sender).or_default();
        overtaken += usize::from(number < newest);
        *newest = (*newest).max(*number);
    }
    overtaken
}
