//! P8: a full disk is a reason to wait, not to crash or to lose; room heals it without a restart.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;

use super::conserved::conserved;
use super::load::Load;
use crate::support::checker::{Rules, Scenario};
use crate::support::config;
use crate::support::insistent::PATIENCE;
use crate::support::ledger::Outcome;
use crate::support::measured::{bound, measured, seconds};
use crate::support::mounted::Mounted;
use crate::support::references::files;
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::verifying::{Verifying, in_folder};
use crate::support::workload::Workload;

const DISK: usize = 8 << 20;

/// What takes all the room that is left.
const FILLER: &str = "filler";

fn fill(disk: &Path) {
    let mut filler = File::create(disk.join(FILLER)).unwrap();
    let chunk = vec![1; 4096];
    while filler.write_all(&chunk).is_ok() {}
}

fn free(disk: &Path) {
    std::fs::remove_file(disk.join(FILLER)).unwrap();
}

/// Files that are all moved, and of which hundreds fit on the disk.
pub(super) fn load(seed: u64, requests: usize) -> Load {
    Load {
        senders: 4,
        requests,
        workload: Workload {
            seed,
            smallest: 8 << 10,
            largest: 12 << 10,
        },
    }
}

/// With `refuse` senders are asked to come back as long as there is no room, twice over, and
/// nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_makes_senders_wait() {
    let seed = Seed::any();
    let Some(disk) = Mounted::memory(DISK) else {
        return;
    };
    let artifacts = disk.path().join("artifacts");
    let fetch = in_folder(artifacts.clone());
    let backend = Verifying::start(fetch.clone()).await;
    let mut config = config_for(&backend, &artifacts);
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
    let slimspan = Slimspan::start(&config).await;

    fill(disk.path());
    let (_here, whereabouts) = watch::channel(Some(slimspan.place()));
    let held = seconds("SLIMSPAN_FULL_SECONDS", Duration::ZERO);
    let patience = PATIENCE + 2 * held;
    let sending = load(seed.number(), 40).begin_patiently(&whereabouts, patience);
    let mut healed = Duration::ZERO;
    for round in 0..2 {
        let ledger = &sending.ledger;
        let before = ledger.postponed();
        let refused = |ledger: &_| postponed_since(ledger, before);
        ledger
            .until("a sender is asked to come back", refused)
            .await;
        // It stays full for long: what is no fault of the disk's must not become one.
        tokio::time::sleep(held).await;
        let acknowledged = ledger.acknowledged();
        let freed = Instant::now();
        free(disk.path());
        let more = acknowledged + 5;
        ledger
            .until("requests pass again", |ledger| {
                ledger.acknowledged() >= more
            })
            .await;
        healed = healed.max(freed.elapsed());
        if round == 0 {
            fill(disk.path());
        }
    }
    let entries = sending.rest().await.entries();
    conserved(&entries, &slimspan.stop().await);
    let told: Vec<_> = entries.iter().flat_map(|entry| &entry.attempts).collect();
    let refused = |one: &&&Outcome| matches!(one, Outcome::Refused { .. } | Outcome::Unanswered);
    assert_eq!(told.iter().find(refused), None);
    let paths = files(&artifacts);
    let names = paths
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let objects: Vec<_> = names.collect();
    let half_written: Vec<_> = objects.iter().filter(|name| name.contains('#')).collect();
    assert!(half_written.is_empty(), "{half_written:?}");
    let checked = Scenario {
        entries: &entries,
        receipts: &backend.receipts(),
        fetch: &fetch,
        objects: &objects,
        rules: Rules::STRICT,
    }
    .assert();
    let most = Duration::from_secs(bound(2, 15));
    assert!(healed < most, "{healed:?}");
    measured(
        "P8",
        "delivery::full_disk, refuse",
        "0 lost, all refusals retryable, serving 2 s after freeing, nothing half-written",
        format_args!(
            "0 lost, full for {held:?}, twice: {} refusals, all retryable, 5 requests served {healed:.1?} after \
             freeing: {checked}",
            told.len() - entries.len()
        ),
    );
}

/// With `forward` nobody waits: requests go on as they came, and slim again when there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_lets_requests_go_on_as_they_came() {
    let seed = Seed::any();
    let Some(disk) = Mounted::memory(DISK) else {
        return;
    };
    let artifacts = disk.path().join("artifacts");
    let fetch = in_folder(artifacts.clone());
    let backend = Verifying::start(fetch.clone()).await;
    let slimspan = Slimspan::start(&config_for(&backend, &artifacts)).await;
    let (mut moved, mut all) = (Vec::new(), Vec::new());
    for (room, seed) in [(false, seed.number()), (true, !seed.number())] {
        if room {
            free(disk.path());
        } else {
            fill(disk.path());
        }
        let before = backend.receipts().len();
        let entries = load(seed, 5).send(slimspan.addresses[0]).await.entries();
        for entry in &entries {
            assert_eq!(entry.attempts, [Outcome::Accepted { rejected: 0 }]);
        }
        let receipts = backend.receipts().split_off(before);
        let rules = if room {
            Rules::STRICT
        } else {
            Rules::FORWARDED
        };
        let scenario = Scenario {
            entries: &entries,
            receipts: &receipts,
            fetch: &fetch,
            objects: &[],
            rules,
        };
        moved.push(scenario.assert().references);
        all.extend(entries);
    }
    conserved(&all, &slimspan.stop().await);
    assert_eq!(moved[0], 0);
    assert!(moved[1] > 0);
    measured(
        "P8",
        "delivery::full_disk, forward",
        "0 errors, slim again after freeing",
        format_args!(
            "0 errors; {} references after freeing, none before",
            moved[1]
        ),
    );
}

pub(super) fn config_for(backend: &Verifying, artifacts: &Path) -> serde_json::Value {
    let mut config = config::standard(backend.address);
    config["extensions"]["artifact_store"]["url"] = json!(artifacts);
    config
}

fn postponed_since(ledger: &crate::support::ledger::Ledger, before: usize) -> bool {
    ledger.postponed() > before
}
