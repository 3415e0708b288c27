//! What stands around a slimspan that is killed: where its files go, a backend that believes nothing, and
//! what has to be true when everything has come to rest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use slimspan_artifact::Digest;
use tempfile::TempDir;

use super::life::Subject;
use super::ways::{SPOOL, Way};
use crate::support::arrivals::File;
use crate::support::catalogued::{catalogued, objects_in};
use crate::support::checker::{Checked, Scenario};
use crate::support::config;
use crate::support::conservation::conserved;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::ledger::Ledger;
use crate::support::references::files;
use crate::support::slimspan::Ended;
use crate::support::spool::{is_empty, stored_or_spooled};
use crate::support::verifying::{Fetch, Reaction, Receipt, Verdict, Verifying, in_folder};

/// Those that send to it, one request at a time each.
pub(super) const SENDERS: u64 = 8;

/// What goes wrong in a bucket that is down altogether.
pub(super) const DOWN: &[(Fault, usize)] = &[(Fault::Error, 1000)];

/// Where a slimspan keeps its part of the catalog, from the folder that it runs in.
const CATALOG: &str = "catalog";

/// What stands behind the collector, as far as it has to come to rest.
#[derive(Default)]
pub(super) struct Behind<'a> {
    backend: Option<&'a Verifying>,
    pub(super) spool: Option<Spool<'a>>,
}

/// A spool in front of a bucket.
pub(super) struct Spool<'a> {
    folder: PathBuf,
    pub(super) bucket: &'a FaultStore,
    /// What goes wrong in the bucket while it is not down altogether.
    pub(super) faults: &'a [(Fault, usize)],
}

impl Behind<'_> {
    /// Waits until all that was acknowledged is where it belongs.
    pub(super) async fn rests(&self, ledger: &Ledger) {
        let Some(backend) = self.backend else { return };
        // What waits in a queue has time to arrive.
        let entries = ledger.entries();
        let acknowledged = entries.iter().filter(|entry| entry.is_acknowledged());
        let items = acknowledged.flat_map(|entry| &entry.items);
        backend.has_all(items.map(|item| item.id).collect()).await;
        if let Some(Spool { folder, bucket, .. }) = &self.spool {
            // And what waits in a spool to be uploaded.
            bucket.heal();
            is_empty(folder).await;
        }
    }
}

/// All that stands around it in one way to deliver.
pub(super) struct Surroundings<'w> {
    way: &'w Way,
    /// It runs in there, over and over.
    pub(super) folder: Arc<TempDir>,
    bucket: FaultStore,
    backend: Verifying,
    fetch: Fetch,
    pub(super) subject: Subject,
}

impl<'w> Surroundings<'w> {
    pub(super) async fn of(way: &'w Way, seed: u64) -> Self {
        Self::changed(way, seed, |_| ()).await
    }

    /// The same with more that differs in the configuration.
    pub(super) async fn changed(way: &'w Way, seed: u64, change: impl FnOnce(&mut Value)) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let bucket = FaultStore::start(seed, way.bucket.unwrap_or_default()).await;
        let fetch = match way.bucket {
            Some(_) => bucket.fetch(),
            None => in_folder(folder.path().join("artifacts")),
        };
        let fetch_meanwhile = if way.spool {
            stored_or_spooled(Arc::clone(&fetch), folder.path().join(SPOOL))
        } else {
            Arc::clone(&fetch)
        };
        let is_queued = way.queue;
        let backend = Verifying::reacting(fetch_meanwhile, move |request| {
            if is_queued && request % 2 == 0 {
                Reaction::Unavailable(Duration::from_millis(20))
            } else {
                Reaction::Accept
            }
        })
        .await;
        let mut config = match way.bucket {
            Some(_) => config::with_s3(backend.address, bucket.address),
            None => config::standard(backend.address),
        };
        config["extensions"]["artifact_store"]["catalog"] =
            json!({ "directory": CATALOG, "interval": "100ms" });
        (way.change)(&mut config);
        change(&mut config);
        Self {
            way,
            subject: Subject::slimspan(&folder, &config),
            folder,
            bucket,
            backend,
            fetch,
        }
    }

    /// What has to come to rest.
    pub(super) fn behind(&self) -> Behind<'_> {
        Behind {
            backend: Some(&self.backend),
            spool: self.way.spool.then(|| Spool {
                folder: self.folder.path().join(SPOOL),
                bucket: &self.bucket,
                faults: self.way.bucket.unwrap_or_default(),
            }),
        }
    }

    /// Holds what senders were told against what there is; the test fails with all that is wrong. The last
    /// slimspan `ended` as an operator ends it. Tells how many files were left half-written, too.
    pub(super) fn check(&self, ledger: &Ledger, ended: &Ended) -> (Checked, usize) {
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        // Of what the others got only the last one can say what became of it.
        conserved(&ended.stderr);
        let (mut objects, half_written) = objects(&self.folder.path().join("artifacts/default"));
        objects.extend(self.bucket.objects());
        let checked = Scenario {
            entries: &ledger.entries(),
            receipts: &self.backend.receipts(),
            fetch: &self.fetch,
            objects: &objects,
            rules: self.way.rules,
        }
        .assert();
        (checked, half_written)
    }

    /// How many of the files to which something refers that the backend took are in the catalog, and those that
    /// are not.
    pub(super) fn catalogued(&self) -> (usize, Vec<Digest>) {
        let listed = match self.way.bucket {
            Some(_) => self.bucket.catalog(),
            None => objects_in(&self.folder.path().join("artifacts")),
        };
        let listed = catalogued(&listed, &self.folder.path().join(CATALOG));
        let referred = referred(&self.backend.receipts());
        let missing = referred.difference(&listed).copied().collect();
        (referred.intersection(&listed).count(), missing)
    }
}

/// The files to which something refers that the backend took.
fn referred(receipts: &[Receipt]) -> BTreeSet<Digest> {
    let taken = receipts
        .iter()
        .filter(|one| one.verdict != Verdict::Refused);
    let files = taken.flat_map(|one| &one.item.files);
    let moved = files.filter(|file| matches!(file, File::Moved(_)));
    moved.map(|file| *file.digest()).collect()
}

/// The names of the objects in a folder, and how many files there are beside them that a kill
/// left half-written.
pub(super) fn objects(folder: &Path) -> (Vec<String>, usize) {
    let names = files(folder).into_iter();
    let names = names.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let (half, whole): (Vec<_>, Vec<_>) = names.partition(|name| name.contains('#'));
    (whole, half.len())
}
