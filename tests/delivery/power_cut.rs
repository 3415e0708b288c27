//! P2: after an OK, a power cut loses neither span nor file.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use object_store::local::LocalFileSystem;
use object_store::{ObjectStoreExt as _, PutPayload};
use serde_json::json;
use slimspan::storage::{Store, StoreConfig};
use slimspan_artifact::{Artifact, Digest};
use slimspan_generators::Random;
use slimspan_proto::Signal;
use tokio::sync::watch;

use super::load::Load;
use crate::support::checker::{Checked, Rules, Scenario};
use crate::support::ledger::{Entry, Ledger};
use crate::support::measured::{measured, number};
use crate::support::mounted::{Disk, Mounted};
use crate::support::references::{files, path_in};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::verifying::{Verifying, in_folder};
use crate::support::workload::Workload;
use crate::support::{config, otlp};

const DISK: usize = 256 << 20;

/// After so many a new disk comes, before it is full.
const CUTS_OF_A_DISK: usize = 25;

fn artifacts(disk: &Path) -> std::path::PathBuf {
    disk.join("artifacts")
}

/// The power goes again and again while senders send. Whatever was acknowledged by then is on the
/// disk that is left, and slimspan starts on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes root and a minute: make soak"]
async fn what_was_acknowledged_survives_a_power_cut() {
    let seed = Seed::any();
    let mut random = seed.random();
    let cuts = number("SLIMSPAN_CUTS", 10);
    let (mut left, mut acknowledged, mut references) = (cuts, 0, 0);
    while left > 0 {
        let of_this_disk = left.min(CUTS_OF_A_DISK);
        let Some(checked) = cut(of_this_disk, &mut random).await else {
            return;
        };
        acknowledged += checked.requests;
        references += checked.references;
        left -= of_this_disk;
    }
    assert!(references > 0, "nothing was acknowledged before a cut");
    measured(
        "P2",
        "delivery::power_cut",
        "0 acknowledged lost",
        format_args!(
            "0 lost in {cuts} cuts, by the last of which {acknowledged} requests with {references} \
             references were acknowledged"
        ),
    );
}

/// Cuts the power of a new disk, over and over; returns what was there at the last time.
async fn cut(cuts: usize, random: &mut Random) -> Option<Checked> {
    let disk = Disk::new(DISK)?;
    let backend = Verifying::start(in_folder(artifacts(disk.path()))).await;
    let mut config = config::standard(backend.address);
    config["extensions"]["artifact_store"]["url"] = json!(artifacts(disk.path()));
    // Who is stopped for long finds that the store did not answer.
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
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
    let mut last: Option<(Mounted, Checked)> = None;
    for _ in 0..cuts {
        announce.send_replace(here);
        let more = sending.ledger.acknowledged() + 1;
        let is_used = |ledger: &Ledger| ledger.acknowledged() >= more;
        sending.ledger.until("a request passes", is_used).await;
        // The moment of the cut.
        tokio::time::sleep(Duration::from_millis(random.below(400) as u64)).await;
        slimspan.signal("STOP");
        let mut entries = sending.ledger.entries();
        let receipts = backend.receipts();
        let left = disk.cut();
        slimspan.signal("CONT");
        // Or the disk is full before everything is checked.
        announce.send_replace(None);

        entries.retain(Entry::is_acknowledged);
        let items = entries.iter().flat_map(|entry| &entry.items);
        let ids: BTreeSet<_> = items.map(|item| item.id).collect();
        let of_these = receipts
            .into_iter()
            .filter(|one| ids.contains(&one.item.id));
        let checked = Scenario {
            entries: &entries,
            receipts: &of_these.collect::<Vec<_>>(),
            fetch: &in_folder(artifacts(left.path())),
            objects: &[],
            rules: Rules::STRICT,
        }
        .assert();
        last = Some((left, checked));
    }
    announce.send_replace(here);
    sending.stop().await;
    slimspan.stop().await;

    // It goes on with what is left.
    let (left, checked) = last?;
    config["extensions"]["artifact_store"]["url"] = json!(artifacts(left.path()));
    config["exporters"] = json!({ "debug": {} });
    for signal in ["traces", "logs", "metrics"] {
        config["service"]["pipelines"][signal]["exporters"] = json!(["debug"]);
    }
    let again = Slimspan::start(&config).await;
    let request = otlp::span_with(otlp::PICTURE);
    let sender = again.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    let stored = path_in(
        &artifacts(left.path()),
        &Digest::of(otlp::PICTURE).to_string(),
    );
    assert!(std::fs::read(stored).unwrap() == otlp::PICTURE);
    again.stop().await;
    Some(checked)
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
