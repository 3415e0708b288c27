use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use object_store::path::Path as Key;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{Common, Store};
use crate::storage::error::{Action, StoreError};
use crate::storage::leftovers::{self, Swept};
use crate::storage::s3::{EVERY, MOST, Uploads};
use crate::telemetry::Action as Asked;
use crate::tenant::TenantId;

/// How often unfinished files are looked for in a folder: what a crash left just before a start is old by then.
const FILES_EVERY: Duration = Duration::from_hours(1);

impl Store {
    /// Removes in the background what a process that was killed left unfinished, files in a folder, and
    /// in a bucket on S3 uploads in parts: now, and again and again as long as the store is open. Google has
    /// rules for uploads, and Azure forgets them by itself.
    pub fn sweep_leftovers(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        match &self.shared.common.folder {
            Some(folder) => {
                let common = Arc::downgrade(&self.shared.common);
                runtime.spawn(sweep_files(common, folder.clone(), SystemTime::now));
            }
            None => self.sweep_uploads(&runtime),
        }
    }

    fn sweep_uploads(&self, runtime: &Handle) {
        let common = Arc::downgrade(&self.shared.common);
        runtime.spawn(async move {
            while let Some(common) = common.upgrade() {
                let Some(uploads) = Uploads::to(&common.config) else {
                    return;
                };
                abort_old(&uploads, &common).await;
                // Its client has connections of its own, which a store that is closed is not to leave open.
                drop((uploads, common));
                tokio::time::sleep(EVERY).await;
            }
        });
    }
}

/// Removes unfinished files as long as somebody has the store open. What is old is so by this clock.
async fn sweep_files(
    common: Weak<Common>,
    folder: PathBuf,
    now: impl Fn() -> SystemTime + Send + 'static,
) {
    while common.strong_count() > 0 {
        let (ended, swept) = oneshot::channel();
        let (folder, now) = (folder.clone(), now());
        let sweep = move || {
            remove_old(&folder, now);
            // Nobody waits where the runtime has ended.
            let _ = ended.send(());
        };
        if let Err(error) = in_a_thread(sweep) {
            tracing::warn!("no thread to look for unfinished files: {error}");
        }
        // Where there is no thread, this ends at once.
        let _ = swept.await;
        tokio::time::sleep(FILES_EVERY).await;
    }
}

/// A thread of its own does not hold up the end of the process.
fn in_a_thread(sweep: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("leftovers".to_owned());
    thread.spawn(sweep).map(drop)
}

/// Removes the unfinished files of all tenants and of the catalog that are old at `now`, and tells of them.
fn remove_old(folder: &Path, now: SystemTime) {
    for tenant in tenants_in(folder) {
        let root = folder.join(tenant.as_str()).join("sha256");
        tell(&root, leftovers::sweep(&root, now));
    }
    let catalog = folder.join("catalog");
    tell(&catalog, leftovers::sweep_catalog(&catalog, now));
}

fn tell(root: &Path, swept: io::Result<Swept>) {
    match swept {
        Ok(Swept { files: 0, .. }) => {}
        Ok(Swept { files, bytes }) => tracing::info!(
            "{}: removed {files} unfinished files of {bytes} bytes that a killed \
             process left",
            root.display()
        ),
        Err(error) => tracing::warn!(
            "{}: cannot look for unfinished files: {error}",
            root.display()
        ),
    }
}

/// Gives up uploads of artifacts that have been unfinished for a day, and tells what became of them.
async fn abort_old(uploads: &Uploads, common: &Common) {
    let place = &common.place;
    let listed = match uploads.list(common.root.prefix()).await {
        Ok(listed) => listed,
        // Who uploads to no artifact server needs no permission for that.
        Err(why) => {
            tracing::info!(
                "{place} did not say which uploads are unfinished: {why}. What a killed process left of \
                 them stays until a rule of the bucket removes it (see slimspan doctor)"
            );
            return;
        }
    };
    let mut given_up = 0_usize;
    for upload in listed.old {
        let artifact = Key::parse(&upload.key).ok();
        // What others upload to the bucket is theirs.
        let Some(digest) = artifact.and_then(|key| common.root.artifact(&key)) else {
            continue;
        };
        match uploads.abort(&upload).await {
            Ok(()) => given_up += 1,
            Err(error) => {
                let place = Arc::clone(place);
                let error = StoreError::from_client(place, Action::Put, digest, error);
                common.counts.failed(Asked::Abort, error.reason());
                tracing::warn!(
                    "an upload that nobody finished within a day cannot be given up: {error}"
                );
            }
        }
    }
    if given_up > 0 {
        tracing::info!("{place}: gave up {given_up} uploads that nobody finished within a day");
    }
    if listed.is_cut {
        tracing::warn!(
            "{place} has more unfinished uploads than are looked at each time, {MOST}: what a killed process left \
             may be behind them, and stays until they are finished or given up, or a rule of the bucket removes \
             it (see slimspan doctor)"
        );
    }
}

/// The tenants that have artifacts in a folder.
fn tenants_in(folder: &Path) -> Vec<TenantId> {
    let Ok(entries) = folder.read_dir() else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;

    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::*;
    use crate::storage::StoreConfig;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// A folder with an unfinished file that is as young as can be, and who looks for it on a clock that the
    /// test moves.
    fn beside_a_young_file() -> (tempfile::TempDir, Store, PathBuf, JoinHandle<()>) {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::new(home.path().to_str().unwrap())).unwrap();
        let shard = home.path().join("acme/sha256/ba");
        fs::create_dir_all(&shard).unwrap();
        let file = shard.join(format!("{DIGEST}#1"));
        fs::write(&file, b"half").unwrap();
        let (begun, then) = (Instant::now(), SystemTime::now());
        let common = Arc::downgrade(&store.shared.common);
        let now = move || then + begun.elapsed();
        let sweeping = tokio::spawn(sweep_files(common, home.path().to_owned(), now));
        (home, store, file, sweeping)
    }

    /// Moves the clock on until it is so, but for no longer than a slow machine takes.
    async fn until(is_so: impl Fn() -> bool) {
        let begun = std::time::Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it never is");
            tokio::time::sleep(FILES_EVERY).await;
        }
    }

    /// A process that comes back at once finds what the crash left too young, and does not start again.
    #[tokio::test(start_paused = true)]
    async fn what_was_young_at_the_start_is_removed_later() {
        let (_home, _store, file, _sweeping) = beside_a_young_file();
        tokio::time::sleep(FILES_EVERY / 2).await;
        assert!(file.exists(), "it may be another process's work");
        until(|| !file.exists()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_sweeps_a_folder_for_a_store_that_is_closed() {
        let (_home, store, _file, sweeping) = beside_a_young_file();
        drop(store);
        until(|| sweeping.is_finished()).await;
    }
}
