//! Who writes into a folder: exporters may share one, and together they must not exceed its limit.

use std::path::{Path, PathBuf, absolute};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// One at a time writes into a folder. Clones are of the same folder.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<AsyncMutex<()>>);

/// The turn of one, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _guard: OwnedMutexGuard<()>,
}

/// Those of all folders into which somebody may write.
static FOLDERS: Mutex<Vec<(PathBuf, Weak<AsyncMutex<()>>)>> = Mutex::new(Vec::new());

/// The turns of a folder, whoever writes into it.
pub(super) fn turns(folder: &Path) -> Turns {
    let folder = absolute(folder).unwrap_or_else(|_| folder.to_owned());
    // It is replaced in whole entries.
    let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    folders.retain(|(_, turns)| turns.strong_count() > 0);
    let mut known = folders.iter().filter(|(path, _)| *path == folder);
    if let Some(turns) = known.find_map(|(_, turns)| turns.upgrade()) {
        return Turns(turns);
    }
    let turns = Arc::default();
    folders.push((folder, Arc::downgrade(&turns)));
    Turns(turns)
}

impl Turns {
    /// Waits for a turn, in the order in which they are asked for.
    pub(super) async fn next(&self) -> Turn {
        Turn {
            _guard: Arc::clone(&self.0).lock_owned().await,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_folder_has_a_turn_at_a_time_whoever_asks() {
        let home = tempfile::tempdir().unwrap();
        let (here, there) = (home.path().join("a"), home.path().join("b"));
        let (one, same, other) = (turns(&here), turns(&here.join("")), turns(&there));
        let turn = one.next().now_or_never().unwrap();
        assert!(same.next().now_or_never().is_none());
        assert!(other.next().now_or_never().is_some());
        drop(turn);
        assert!(same.next().now_or_never().is_some());
    }
}
