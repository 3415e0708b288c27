use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use object_store::path::Path as Key;

use super::{Common, Store};
use crate::storage::error::{Action, StoreError};
use crate::storage::leftovers::{self, Swept};
use crate::storage::s3::{EVERY, MOST, Uploads};
use crate::telemetry::Action as Asked;
use crate::tenant::TenantId;

impl Store {
    /// Removes in the background what a process that was killed left unfinished: files in a folder now, and
    /// in a bucket on S3 uploads in parts, as long as the store is open. Google has rules for them, and Azure
    /// forgets them by itself.
    pub fn sweep_leftovers(&self) {
        match &self.shared.common.folder {
            Some(folder) => Self::sweep_files(folder.clone()),
            None => self.sweep_uploads(),
        }
    }

    fn sweep_uploads(&self) {
        let common = Arc::downgrade(&self.shared.common);
        let Some(uploads) = Uploads::to(&self.shared.common.config) else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            while let Some(common) = common.upgrade() {
                abort_old(&uploads, &common).await;
                drop(common);
                tokio::time::sleep(EVERY).await;
            }
        });
    }

    fn sweep_files(folder: PathBuf) {
        // A thread of its own does not hold up the end of the process.
        let sweep = move || {
            for tenant in tenants_in(&folder) {
                let root = folder.join(tenant.as_str()).join("sha256");
                match leftovers::sweep(&root, SystemTime::now()) {
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
        };
        let thread = std::thread::Builder::new().name("leftovers".to_owned());
        if let Err(error) = thread.spawn(sweep) {
            tracing::warn!("no thread to look for unfinished files: {error}");
        }
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
