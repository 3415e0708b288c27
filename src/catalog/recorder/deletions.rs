use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::super::follower::read_tombstones;
use super::super::layout;
use super::super::tombstone::Deleted;
use super::Shared;
use crate::storage::{BucketError, Store};

/// How often it is looked for what others deleted.
const POLL: Duration = Duration::from_secs(5);

/// How far back before the last time that it worked: the name of an object is of the clock of whoever
/// deleted something, and older than the object is.
const RECENT: SignedDuration = SignedDuration::from_hours(3);

/// What was deleted by whomever since this process began. An artifact that this process stored does not count
/// as stored then, so it is stored again when it comes again.
pub(super) struct Deletions {
    /// When it worked last; at first, when this process began.
    looked: Timestamp,
    seen: Vec<String>,
    due: Instant,
}

impl Deletions {
    pub(super) fn new() -> Self {
        Self {
            looked: Timestamp::now(),
            seen: Vec::new(),
            due: Instant::now() + POLL,
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Looks, if it is time.
    pub(super) async fn look(&mut self, shared: &Shared, store: &Store) {
        if Instant::now() < self.due {
            return;
        }
        if let Err(error) = self.forget(shared, store).await {
            shared.warn(&format!(
                "what others delete is not noticed, and counts as stored for a while: {error}"
            ));
        }
        self.due = Instant::now() + POLL;
    }

    async fn forget(&mut self, shared: &Shared, store: &Store) -> Result<(), BucketError> {
        let now = Timestamp::now();
        let since = self.looked - RECENT;
        let after = format!("{}/{}", layout::TOMBSTONES, layout::stamp(since));
        let listed = shared.bucket.list(layout::TOMBSTONES, Some(&after)).await?;
        let keys: Vec<String> = listed.into_iter().map(|object| object.key).collect();
        for key in &keys {
            if self.seen.contains(key) {
                continue;
            }
            let body = shared.bucket.get(key).await?.unwrap_or_default();
            let (tombstones, _) = read_tombstones(&body);
            for tombstone in tombstones {
                let of_tenant = store.of_tenant(&tombstone.tenant);
                let ago = Timestamp::now().duration_since(tombstone.time);
                let ago = Duration::try_from(ago).unwrap_or_default();
                match tombstone.deleted {
                    Deleted::Artifact { digest } => of_tenant.forget(&digest, ago),
                    Deleted::Tenant => of_tenant.forget_all(),
                    // Its artifacts that are gone have tombstones of their own.
                    Deleted::Trace { .. } => {}
                }
            }
        }
        self.seen = keys;
        self.looked = now;
        Ok(())
    }
}
