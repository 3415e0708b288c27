//! P8: a disk that may only be read (EROFS), or that fails altogether (EIO), is a reason to wait, as a full one
//! is. A store on it serves again when it is well, without a restart, and a queue on it keeps what it took.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use slimspan_artifact::Digest;
use tokio::sync::watch;

use super::conserved::conserved;
use super::full_disk::{config_for, load};
use super::ways::{BACKGROUND, QUEUE_ON_DISK};
use crate::support::backend::Backend;
use crate::support::checker::{Checked, Rules, Scenario};
use crate::support::config;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::insistent::PATIENCE;
use crate::support::ledger::{Entry, Outcome};
use crate::support::measured::{bound, measured, seconds};
use crate::support::mounted::Disk;
use crate::support::references::files;
use crate::support::refusing::Refusing;
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::spool::is_empty;
use crate::support::verifying::{Reaction, Verifying, in_folder};

const DISK: usize = 32 << 20;

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy)]
enum Ill {
    /// The system lets nobody write to it, as after errors.
    ReadOnly,
    /// It has died.
    Dead,
}

const ILLS: [Ill; 2] = [Ill::ReadOnly, Ill::Dead];

impl Ill {
    fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "EROFS",
            Self::Dead => "EIO",
        }
    }

    /// None where the test cannot do that.
    async fn befalls(self, disk: &Disk) -> Option<()> {
        match self {
            Self::ReadOnly => disk.set_read_only(true).await,
            Self::Dead => disk.shut_down()?,
        }
        Some(())
    }

    async fn ends(self, disk: &Disk, slimspan: &Slimspan) {
        match self {
            Self::ReadOnly => disk.set_read_only(false).await,
            Self::Dead => {
                slimspan.signal("STOP");
                disk.mount_again().await;
                slimspan.signal("CONT");
            }
        }
    }
}

/// With `refuse` senders are asked to come back as long as nothing can be written, twice over, and nothing is
/// lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_nothing_makes_senders_wait() {
    join_all(ILLS.map(senders_wait)).await;
}

async fn senders_wait(ill: Ill) -> Option<()> {
    let seed = Seed::any();
    let disk = Disk::new(DISK)?;
    let artifacts = disk.path().join("artifacts");
    let fetch = in_folder(artifacts.clone());
    let backend = Verifying::start(fetch.clone()).await;
    let mut config = config_for(&backend, &artifacts);
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
    let slimspan = Slimspan::start(&config).await;
    let (_here, whereabouts) = watch::channel(Some(slimspan.place()));
    let held = seconds("SLIMSPAN_FULL_SECONDS", Duration::ZERO);
    let (mut healed, mut refusals, mut checked) = (Duration::ZERO, 0, Checked::default());
    let mut all: Vec<Entry> = Vec::new();
    for round in 0..2 {
        let (before, receipts) = (objects(&artifacts), backend.receipts().len());
        ill.befalls(&disk).await?;
        // Each round has files of its own: what is known to be stored is not put.
        let seed = seed.number().rotate_left(13 * round);
        let sending = load(seed, 10).begin_patiently(&whereabouts, PATIENCE + held);
        let ledger = &sending.ledger;
        let refused = "a sender is asked to come back";
        ledger.until(refused, |ledger| ledger.postponed() > 0).await;
        tokio::time::sleep(held).await;
        assert_eq!(ledger.acknowledged(), 0, "nothing can be stored");
        ill.ends(&disk, &slimspan).await;
        let well = Instant::now();
        let pass = "requests pass again";
        ledger
            .until(pass, |ledger| ledger.acknowledged() >= 5)
            .await;
        healed = healed.max(well.elapsed());
        let entries = sending.rest().await.entries();
        refusals += all_retryable(&entries);
        let new: Vec<_> = objects(&artifacts).difference(&before).cloned().collect();
        // One that is half-written is none.
        checked += Scenario {
            entries: &entries,
            receipts: &backend.receipts().split_off(receipts),
            fetch: &fetch,
            objects: &new,
            rules: Rules::STRICT,
        }
        .assert();
        all.extend(entries);
    }
    conserved(&all, &slimspan.stop().await);
    let most = Duration::from_secs(bound(2, 15));
    assert!(healed < most, "{ill:?}: {healed:?}");
    measured(
        "P8",
        &format!("delivery::failing_disk, {}, refuse", ill.name()),
        "0 lost, all refusals retryable, serving 2 s after it is well, nothing half-written",
        format_args!(
            "0 lost, ill for {held:?}, twice: {refusals} refusals, all retryable, 5 requests served {healed:.1?} \
             after it was well: {checked}"
        ),
    );
    Some(())
}

/// With `forward` nobody waits: requests go on as they came, and slim again when the disk is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_nothing_lets_requests_go_on_as_they_came() {
    join_all(ILLS.map(requests_go_on)).await;
}

async fn requests_go_on(ill: Ill) -> Option<()> {
    let seed = Seed::any();
    let disk = Disk::new(DISK)?;
    let artifacts = disk.path().join("artifacts");
    let fetch = in_folder(artifacts.clone());
    let backend = Verifying::start(fetch.clone()).await;
    let slimspan = Slimspan::start(&config_for(&backend, &artifacts)).await;
    let (mut moved, mut all) = (Vec::new(), Vec::new());
    for (is_well, seed) in [(false, seed.number()), (true, !seed.number())] {
        if is_well {
            ill.ends(&disk, &slimspan).await;
        } else {
            ill.befalls(&disk).await?;
        }
        let before = backend.receipts().len();
        let entries = load(seed, 5).send(slimspan.addresses[0]).await.entries();
        for entry in &entries {
            assert_eq!(entry.attempts, [Outcome::Accepted { rejected: 0 }]);
        }
        let rules = if is_well {
            Rules::STRICT
        } else {
            Rules::FORWARDED
        };
        let scenario = Scenario {
            entries: &entries,
            receipts: &backend.receipts().split_off(before),
            fetch: &fetch,
            objects: &[],
            rules,
        };
        moved.push(scenario.assert().references);
        all.extend(entries);
    }
    conserved(&all, &slimspan.stop().await);
    assert_eq!(moved[0], 0, "{ill:?}");
    assert!(moved[1] > 0, "{ill:?}");
    measured(
        "P8",
        &format!("delivery::failing_disk, {}, forward", ill.name()),
        "0 errors, slim again when it is well",
        format_args!(
            "0 errors; {} references when it was well, none before",
            moved[1]
        ),
    );
    Some(())
}

/// The disk of a queue dies while requests are written to it. None is acknowledged that would be lost by that,
/// and all that were are sent when it is mounted again. For that slimspan has to be started again: it has files
/// of the queue open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_on_a_disk_that_dies_keeps_what_it_took() {
    let seed = Seed::any();
    let Some(disk) = Disk::new(DISK) else {
        return;
    };
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let fetch = in_folder(folder.path().join("artifacts"));
    let away = Refusing::start();
    let address = away.address;
    let mut config = config::standard(address);
    (QUEUE_ON_DISK.change)(&mut config);
    config["extensions"]["file_storage"]["directory"] = json!(disk.path().join("queue"));
    let config = config.to_string();
    let mut slimspan = Slimspan::spawn(Arc::clone(&folder), &config);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let (here, whereabouts) = watch::channel(Some(slimspan.place()));
    let held = seconds("SLIMSPAN_FULL_SECONDS", Duration::ZERO);
    let sending = load(seed.number(), 40).begin_patiently(&whereabouts, PATIENCE + held);
    let ledger = &sending.ledger;
    let pass = "requests pass";
    ledger
        .until(pass, |ledger| ledger.acknowledged() >= 10)
        .await;
    if disk.shut_down().is_none() {
        return;
    }
    let refused = "senders are asked to come back";
    ledger.until(refused, |ledger| ledger.postponed() > 8).await;
    tokio::time::sleep(held).await;
    let taken = ledger.acknowledged();
    let refusals = all_retryable(&ledger.entries());

    here.send_replace(None);
    slimspan.kill().await;
    disk.mount_again().await;
    // Its files are looked at when it has ended.
    let mut slimspan = Slimspan::spawn(Arc::clone(&folder), &config);
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    let well = Instant::now();
    here.send_replace(Some(slimspan.place()));
    ledger
        .until("requests pass again", |ledger| {
            ledger.acknowledged() >= taken + 5
        })
        .await;
    let healed = well.elapsed();
    drop(away);
    let backend = Verifying::reacting_at(address, fetch.clone(), |_| Reaction::Accept).await;
    let entries = sending.rest().await.entries();
    let items = entries.iter().flat_map(|entry| &entry.items);
    backend.has_all(items.map(|item| item.id).collect()).await;
    slimspan.stop_well().await;
    let checked = Scenario {
        entries: &entries,
        receipts: &backend.receipts(),
        fetch: &fetch,
        objects: &[],
        rules: Rules {
            // What was written, and could not be synced, may have come to the disk.
            lost_answers: true,
            ..Rules::STRICT
        },
    }
    .assert();
    let most = Duration::from_secs(bound(2, 15));
    assert!(healed < most, "{healed:?}");
    measured(
        "P8",
        "delivery::failing_disk, EIO, sending_queue in file_storage",
        "0 acknowledged lost, all refusals retryable, serving 2 s after a start on it when it is well",
        format_args!(
            "0 of {taken} acknowledged lost, dead for {held:?}: {refusals} refusals, all retryable, 5 requests \
             served {healed:.1?} after the start: {checked}"
        ),
    );
}

/// The same of a spool, whose store is away: what it took is uploaded by the slimspan that is started on the disk when it
/// is mounted again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_on_a_disk_that_dies_keeps_what_it_took() {
    let seed = Seed::any();
    let Some(disk) = Disk::new(DISK) else {
        return;
    };
    let spool = disk.path().join("spool");
    let bucket = FaultStore::start(seed.number(), &[(Fault::Error, 1000)]).await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, bucket.address);
    (BACKGROUND.change)(&mut config);
    config["extensions"]["artifact_store"]["spool"]["directory"] = json!(spool);
    let slimspan = Slimspan::start(&config).await;
    let (here, whereabouts) = watch::channel(Some(slimspan.place()));
    let held = seconds("SLIMSPAN_FULL_SECONDS", Duration::ZERO);
    let sending = load(seed.number(), 20).begin_patiently(&whereabouts, PATIENCE + held);
    let ledger = &sending.ledger;
    let pass = "requests pass";
    ledger
        .until(pass, |ledger| ledger.acknowledged() >= 10)
        .await;
    if disk.shut_down().is_none() {
        return;
    }
    let refused = "senders are asked to come back";
    ledger
        .until(refused, |ledger| ledger.postponed() >= 4)
        .await;
    tokio::time::sleep(held).await;
    let taken = ledger.acknowledged();
    let refusals = all_retryable(&ledger.entries());
    assert_eq!(bucket.objects().len(), 0);

    here.send_replace(None);
    slimspan.kill().await;
    disk.mount_again().await;
    let slimspan = Slimspan::start(&config).await;
    let well = Instant::now();
    here.send_replace(Some(slimspan.place()));
    ledger
        .until("requests pass again", |ledger| {
            ledger.acknowledged() >= taken + 5
        })
        .await;
    let healed = well.elapsed();
    bucket.heal();
    let entries = sending.rest().await.entries();
    is_empty(&spool).await;
    slimspan.stop_well().await;
    let items = entries.iter().flat_map(|entry| &entry.items);
    let files: BTreeSet<Digest> = items.flat_map(|item| item.blobs.clone()).collect();
    let fetch = bucket.fetch();
    let is_lost = |file: &&Digest| fetch(file).is_none_or(|bytes| Digest::of(&bytes) != **file);
    let lost: Vec<_> = files.iter().filter(is_lost).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let most = Duration::from_secs(bound(2, 15));
    assert!(healed < most, "{healed:?}");
    measured(
        "P8",
        "delivery::failing_disk, EIO, background, the spool",
        "0 acknowledged lost, all refusals retryable, serving 2 s after a start on it when it is well",
        format_args!(
            "0 of {} files lost, of which {taken} requests were acknowledged before; dead for {held:?}: {refusals} \
             refusals, all retryable, 5 requests served {healed:.1?} after the start",
            files.len()
        ),
    );
}

/// The names of all objects in a folder.
fn objects(artifacts: &Path) -> BTreeSet<String> {
    let paths = files(artifacts).into_iter();
    let names = paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    names.collect()
}

/// How many attempts were refused, all of them so that they are to be repeated.
fn all_retryable(entries: &[Entry]) -> usize {
    let told = || entries.iter().flat_map(|entry| &entry.attempts);
    let final_one = |one: &&Outcome| matches!(one, Outcome::Refused { .. } | Outcome::Unanswered);
    assert_eq!(told().find(final_one), None);
    let postponed = |one: &&Outcome| matches!(one, Outcome::Postponed { .. });
    told().filter(postponed).count()
}
