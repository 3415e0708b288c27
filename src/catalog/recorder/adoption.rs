//! Journals that other processes of this machine left. A disk may not answer for ever, and nothing of this process
//! waits for it.

use std::future::pending;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::Shared;
use super::journals::{Left, left_in};

/// How often they are looked for.
const PAUSE: Duration = Duration::from_secs(30);

/// When it is looked for them next, and what is being found.
pub(super) struct Adoption {
    due: Instant,
    looking: Option<JoinHandle<Vec<Left>>>,
}

impl Adoption {
    pub(super) fn new() -> Self {
        Self {
            due: Instant::now() + PAUSE,
            looking: None,
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Begins to look for them, unless it looks still.
    pub(super) fn look(&mut self, shared: &Shared) {
        self.due = Instant::now() + PAUSE;
        if self.looking.is_some() || shared.journals().own().is_none() {
            return;
        }
        // Not the whole of what is shared: what hangs would keep that, and with it what is in memory.
        let (folder, config) = (shared.folder.clone(), shared.config.clone());
        let has = shared.journals().numbers();
        let look = move || left_in(&folder, &config, &has);
        self.looking = Some(spawn_blocking(look));
    }

    /// Ends when some were looked for, and has taken up what is in them.
    pub(super) async fn found(&mut self, shared: &Shared) {
        let Some(looking) = &mut self.looking else {
            return pending().await;
        };
        let left = looking.await.unwrap_or_default();
        self.looking = None;
        let mut found = Vec::new();
        for one in left {
            found.extend(shared.journals().add(one));
        }
        shared.take_up(found);
    }
}
