use std::path::Path;
use std::time::SystemTime;

use super::Store;
use crate::storage::leftovers::{self, Swept};
use crate::tenant::TenantId;

impl Store {
    /// Removes in the background what a process that was killed left unfinished in a folder. Other
    /// stores have no such files.
    pub fn sweep_leftovers(&self) {
        let Some(folder) = &self.shared.common.folder else {
            return;
        };
        let folder = folder.clone();
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
