//! P2: after an OK, a power cut loses neither span nor file.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::local::LocalFileSystem;
use object_store::{ObjectStoreExt as _, PutPayload};
use serde_json::{Value, json};
use slimspan::storage::{Store, StoreConfig};
use slimspan_artifact::{Artifact, Digest};
use slimspan_generators::Random;
use tokio::sync::watch;

use super::load::Load;
use super::ways::{BACKGROUND, BACKGROUND_WITH_QUEUE, QUEUE_ON_DISK, SYNC, Way};
use crate::support::checker::{Checked, Scenario};
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::ledger::{Entry, Ledger};
use crate::support::measured::{measured, number};
use crate::support::mounted::{Disk, Mounted};
use crate::support::references::files;
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::spool::{is_empty, stored_or_spooled};
use crate::support::verifying::{Fetch, Reaction, Receipt, Verdict, Verifying, in_folder};
use crate::support::workload::{ItemId, Workload};
use crate::support::{config, otlp};

const DISK: usize = 256 << 20;

/// After so many a new disk comes, before it is full: a release build fills half of it in that time.
const CUTS_OF_A_DISK: usize = 10;

/// What is on the disk whose power goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Artifacts.
    Store,
    /// Artifacts, and requests that wait for the backend.
    Queue,
    /// Artifacts that wait for a bucket elsewhere.
    Spool,
    /// The same, and requests that wait for the backend.
    SpoolAndQueue,
}

impl Kept {
    fn name(self) -> &'static str {
        match self {
            Self::Store => "sync",
            Self::Queue => "sending_queue in file_storage",
            Self::Spool => "background, the spool",
            Self::SpoolAndQueue => "background, the spool and sending_queue in file_storage",
        }
    }

    fn way(self) -> &'static Way {
        match self {
            Self::Store => &SYNC,
            Self::Queue => &QUEUE_ON_DISK,
            Self::Spool => &BACKGROUND,
            Self::SpoolAndQueue => &BACKGROUND_WITH_QUEUE,
        }
    }

    /// Whether artifacts wait for a bucket.
    fn is_spooled(self) -> bool {
        self.way().spool
    }

    /// Whether requests wait for the backend.
    fn is_queued(self) -> bool {
        self.way().queue
    }

    /// A slimspan that keeps everything on this disk.
    fn config(self, disk: &Path, backend: SocketAddr, bucket: SocketAddr) -> Value {
        let mut config = if self.is_spooled() {
            config::with_s3(backend, bucket)
        } else {
            config::standard(backend)
        };
        (self.way().change)(&mut config);
        let extensions = &mut config["extensions"];
        if self.is_spooled() {
            extensions["artifact_store"]["spool"]["directory"] = json!(spool(disk));
        } else {
            extensions["artifact_store"]["url"] = json!(artifacts(disk));
        }
        if self.is_queued() {
            extensions["file_storage"]["directory"] = json!(disk.join("queue"));
        }
        // Who is stopped for long finds that the store did not answer.
        config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
        config
    }

    /// Where files are, past slimspan.
    fn fetch(self, disk: &Path, bucket: &FaultStore) -> Fetch {
        if self.is_spooled() {
            stored_or_spooled(bucket.fetch(), spool(disk))
        } else {
            in_folder(artifacts(disk))
        }
    }
}

fn artifacts(disk: &Path) -> PathBuf {
    disk.join("artifacts")
}

fn spool(disk: &Path) -> PathBuf {
    disk.join("spool")
}

/// The power goes again and again while senders send. Whatever was acknowledged by then is on the
/// disk that is left, and slimspan goes on with that: it starts on every one of them, sends what waits
/// there, and takes more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes root and a minute: make soak"]
async fn what_was_acknowledged_survives_a_power_cut() {
    let disks = [Kept::Store, Kept::Queue, Kept::Spool, Kept::SpoolAndQueue];
    let cuts = number("SLIMSPAN_CUTS", 12).div_ceil(disks.len());
    for kept in disks {
        let seed = Seed::any();
        let mut random = seed.random();
        let (mut left, mut all) = (cuts, Cuts::default());
        while left > 0 {
            let of_this_disk = left.min(CUTS_OF_A_DISK);
            let Some(some) = cut(kept, of_this_disk, &mut random).await else {
                return;
            };
            all.checked += some.checked;
            all.waiting += some.waiting;
            left -= of_this_disk;
        }
        let Cuts { checked, waiting } = all;
        assert!(
            checked.references > 0,
            "nothing was acknowledged before a cut"
        );
        assert!(waiting > 0 || kept == Kept::Store, "nothing waited");
        measured(
            "P2",
            &format!("delivery::power_cut, {}", kept.name()),
            "0 acknowledged lost; slimspan goes on with each disk that is left",
            format_args!(
                "0 lost in {cuts} cuts and as many starts on what was left. By the last cut of each disk {} \
                 requests with {} references were acknowledged; {waiting} items or files waited at all cuts",
                checked.requests, checked.references
            ),
        );
    }
}

/// What cuts came to.
#[derive(Default)]
struct Cuts {
    /// What was there at the last one of a disk.
    checked: Checked,
    /// Items in the queue or files in the spool, at all of them.
    waiting: usize,
}

/// Cuts the power of a new disk, over and over.
async fn cut(kept: Kept, cuts: usize, random: &mut Random) -> Option<Cuts> {
    let disk = Disk::new(DISK)?;
    // It takes its time, so that files wait for it.
    let slow = [(Fault::Delay(Duration::from_millis(50)), 1000)];
    let bucket = FaultStore::start(0, &slow).await;
    let is_queued = kept.is_queued();
    let backend = Verifying::reacting(kept.fetch(disk.path(), &bucket), move |request| {
        // And so does this, so that requests wait.
        if is_queued && request % 2 == 0 {
            Reaction::Unavailable(Duration::from_millis(20))
        } else {
            Reaction::Accept
        }
    })
    .await;
    let config = kept.config(disk.path(), backend.address, bucket.address);
    let slimspan = Slimspan::start(&config).await;
    let here = Some(slimspan.place());
    let (announce, whereabouts) = watch::channel(here);
    let load = Load {
        senders: 8,
        requests: usize::MAX,
        workload: Workload {
            seed: random.number(),
            smallest: 4 << 10,
            largest: 32 << 10,
        },
    };
    let sending = load.begin(&whereabouts);
    let mut all = Cuts::default();
    for _ in 0..cuts {
        announce.send_replace(here);
        let more = sending.ledger.acknowledged() + 1;
        let is_used = |ledger: &Ledger| ledger.acknowledged() >= more;
        sending.ledger.until("a request passes", is_used).await;
        // The moment of the cut.
        tokio::time::sleep(Duration::from_millis(random.below(400) as u64)).await;
        slimspan.signal("STOP");
        let entries = sending.ledger.entries();
        let mut receipts = backend.receipts();
        let stored = bucket.objects();
        let left = disk.cut();
        slimspan.signal("CONT");
        // Or the disk is full before everything is checked.
        announce.send_replace(None);

        let acknowledged: Vec<Entry> = entries
            .iter()
            .filter(|entry| entry.is_acknowledged())
            .cloned()
            .collect();
        let items = acknowledged.iter().flat_map(|entry| &entry.items);
        let ids: BTreeSet<_> = items.clone().map(|item| item.id).collect();
        let mut wait = ids.clone();
        for one in &receipts {
            if one.verdict == Verdict::Taken {
                wait.remove(&one.item.id);
            }
        }
        all.waiting += wait.len();
        if kept.is_spooled() {
            let files = items.flat_map(|item| &item.blobs);
            let moved: BTreeSet<_> = files.map(ToString::to_string).collect();
            let missing = |name: &&String| !stored.contains(name);
            all.waiting += moved.iter().filter(missing).count();
        }
        receipts.extend(goes_on_with(kept, &left, &bucket, wait).await);
        receipts.retain(|one| ids.contains(&one.item.id));
        all.checked = Scenario {
            entries: &acknowledged,
            receipts: &receipts,
            fetch: &kept.fetch(left.path(), &bucket),
            objects: &[],
            rules: kept.way().rules,
        }
        .assert();
    }
    announce.send_replace(here);
    sending.stop().await;
    slimspan.stop_well().await;
    Some(all)
}

/// Starts on the disk that is left; returns what the backend got then. What waited there has arrived by
/// then, and the files are in the store.
async fn goes_on_with(
    kept: Kept,
    left: &Mounted,
    bucket: &FaultStore,
    wait: BTreeSet<ItemId>,
) -> Vec<Receipt> {
    let fetch = kept.fetch(left.path(), bucket);
    let backend = Verifying::start(Arc::clone(&fetch)).await;
    let config = kept.config(left.path(), backend.address, bucket.address);
    let slimspan = Slimspan::start(&config).await;
    backend.has_all(wait).await;
    let receipts = backend.receipts();
    // Others have the same numbers.
    let more = Load::small(!0, 1, 8).send(slimspan.place()).await;
    let items = more.entries().into_iter().flat_map(|entry| entry.items);
    let files: Vec<_> = items.flat_map(|item| item.blobs).collect();
    if kept.is_spooled() {
        is_empty(&spool(left.path())).await;
        let fetch = bucket.fetch();
        let moved = files.iter().filter(|file| fetch(file).is_some());
        assert!(moved.count() > 0, "none of {files:?} is in the bucket");
    } else {
        assert!(files.iter().any(|file| fetch(file).is_some()), "{files:?}");
    }
    slimspan.stop_well().await;
    receipts
}

/// The rig sees what a disk loses: of files that nobody synced next to nothing is left, of those
/// that the store wrote everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes root: make soak"]
async fn what_is_not_synced_does_not_survive_a_power_cut() {
    const FILES: usize = 50;
    let Some(disk) = Disk::new(DISK) else {
        return;
    };
    let made: Vec<_> = (0..FILES)
        .map(|number| otlp::photo(number as u64, 64 << 10))
        .map(|bytes| Artifact {
            digest: Digest::of(&bytes),
            media_type: "image/png".to_owned(),
            bytes: bytes.into(),
        })
        .collect();
    let (synced, unsynced) = (disk.path().join("synced"), disk.path().join("unsynced"));
    let store = Store::open(&StoreConfig::new(synced.to_str().unwrap())).unwrap();
    store.put_all(&made).await.unwrap();
    std::fs::create_dir(&unsynced).unwrap();
    let client = LocalFileSystem::new_with_prefix(&unsynced).unwrap();
    for one in &made {
        let name = object_store::path::Path::from(one.digest.to_string());
        let bytes = PutPayload::from(one.bytes.clone());
        client.put(&name, bytes).await.unwrap();
    }

    let left = disk.cut();
    let whole = |folder: &str| {
        let paths = files(&left.path().join(folder)).into_iter();
        let whole = paths.filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            Digest::of(&std::fs::read(path).unwrap()).to_string() == name
        });
        whole.count()
    };
    assert_eq!(whole("synced"), FILES);
    let unsynced = whole("unsynced");
    assert!(unsynced < FILES / 2, "{unsynced} of {FILES} survived");
    measured(
        "P2",
        "delivery::power_cut, the control",
        "files that are not synced are lost",
        format_args!("{unsynced} of {FILES} left without fsync, {FILES} of {FILES} by the store"),
    );
}
