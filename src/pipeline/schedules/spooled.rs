//! A spool on a disk of which a schedule decides when it does what it was asked.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};

use tempfile::TempDir;
use tokio::task::unconstrained;
use tokio_util::sync::CancellationToken;

use super::plan::Surroundings;
use crate::storage::spool::config::SpoolConfig;
use crate::storage::spool::{FaultyDisk, HeldSyncs};
use crate::storage::{Spool, Store};

/// A spool and its disk.
pub(super) struct Spooled {
    pub(super) spool: Spool,
    pub(super) disk: FaultyDisk,
    _folder: TempDir,
}

impl Spooled {
    /// The disk may say that it syncs, and not do it.
    pub(super) fn new(disk_lies: bool) -> Self {
        let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
        let config = SpoolConfig {
            directory: folder.path().to_owned(),
            ..SpoolConfig::default()
        };
        let spool = Spool::open_on(&disk, &config).unwrap();
        if disk_lies {
            disk.lie();
        }
        Self {
            spool,
            disk,
            _folder: folder,
        }
    }

    /// Uploads what waits, until the runtime ends.
    pub(super) fn upload(&self, store: Store, surroundings: &Surroundings) {
        let (spool, budget) = (self.spool.clone(), surroundings.budget.clone());
        let counters = Arc::clone(&surroundings.counters);
        tokio::spawn(async move {
            let drain = CancellationToken::new();
            spool.upload(&store, &budget, &counters, drain).await;
        });
    }

    /// All that was asked of the disk is done, or none of it. Nothing else goes on meanwhile, however long the thread
    /// of the journal takes.
    pub(super) fn sync<'s>(&'s self, fails: bool, held: Option<HeldSyncs<'s>>) -> HeldSyncs<'s> {
        // However many of those that wait share a sync. It is known before the first of them goes on.
        self.disk.fail_syncs(if fails { usize::MAX } else { 0 });
        drop(held);
        wait_here(self.spool.settle());
        self.disk.fail_syncs(0);
        self.disk.hold_syncs()
    }
}

/// Waits, and lets no task of this thread go on.
fn wait_here(work: impl Future<Output = ()>) {
    struct Here(Thread);

    impl Wake for Here {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Here(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut work = pin!(unconstrained(work));
    while work.as_mut().poll(&mut context).is_pending() {
        thread::park();
    }
}
