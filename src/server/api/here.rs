//! What is here already, so that its bytes need not be sent again.
//!
//! It counts for as long as it does for telemetry, which stores again what it stored longer ago than `refresh`,
//! and what a deletion has named since. So whoever is told that an artifact is here has it as safely as if it had
//! just stored it: what expires, and what goes with a trace, was stored longer ago than that.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use slimspan_artifact::Digest;

use super::answer::ApiError;
use crate::server::Server;
use crate::server::address::Address;
use crate::storage::{Store, StoreError};

/// What was stored so soon after a deletion began may go with it: a clock of a store may be ahead of ours.
const CLOCKS: SignedDuration = SignedDuration::from_secs(5);

/// Stores tell in seconds when something was stored.
const PRECISION: SignedDuration = SignedDuration::from_secs(1);

/// For so long after it was sent an artifact is finalized also where nothing counts as stored for longer.
const JUST: Duration = Duration::from_mins(10);

/// An artifact that is here already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) size: u64,
    /// Whether it waits here for the store.
    pub(super) is_spooled: bool,
    /// How long ago it was stored.
    age: Duration,
    /// How long after the last deletion that names it, if there was one.
    after_deletion: Option<SignedDuration>,
}

impl Stored {
    /// Whether it is as good as stored now, for whoever can send its bytes.
    pub(super) fn counts(&self, refresh: Duration) -> bool {
        let after = self.after_deletion;
        self.is_spooled || self.age < refresh && after.is_none_or(|after| after > CLOCKS)
    }

    /// The same for whoever says that they were sent, also right after a deletion.
    pub(super) fn was_sent(&self, refresh: Duration) -> bool {
        let after = self.after_deletion;
        self.is_spooled
            || self.age < refresh.max(JUST) && after.is_none_or(|after| after > -PRECISION)
    }
}

impl Server {
    /// What there is of an artifact. What waits in the spool is held there from now on: an earlier deletion that
    /// is noticed later does not give it up.
    pub(super) async fn stored(
        &self,
        store: &Store,
        address: &Address,
    ) -> Result<Option<Stored>, StoreError> {
        let digest = &address.digest;
        if let Some(size) = store.spooled_size(digest).await?
            && store.relies_on_spool(digest)
        {
            return Ok(Some(Stored {
                size,
                is_spooled: true,
                age: Duration::ZERO,
                after_deletion: None,
            }));
        }
        let facts = match store.facts(digest).await {
            Ok(facts) => facts,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let age = Timestamp::now().duration_since(facts.stored_at);
        let deleted = self.deleted(address).await;
        Ok(Some(Stored {
            size: facts.size,
            is_spooled: false,
            age: Duration::try_from(age).unwrap_or_default(),
            after_deletion: deleted.map(|deleted| facts.stored_at.duration_since(deleted)),
        }))
    }

    /// The same for whoever says that all bytes were sent: it has to be safe from now on.
    pub(super) async fn sent(&self, store: &Store, address: &Address) -> Result<Stored, ApiError> {
        let stored = self.stored(store, address).await?;
        let stored = stored.ok_or_else(ApiError::nothing)?;
        if stored.was_sent(store.refresh()) {
            return Ok(stored);
        }
        Err(ApiError::wanted_again(&address.digest))
    }
}

impl ApiError {
    /// It is here, and may go at any time.
    fn wanted_again(digest: &Digest) -> Self {
        let told = format!(
            "the artifact {digest} was stored too long ago, or before it was deleted, and may go at any time: \
             register it once more (POST /v1/artifacts) and send its bytes"
        );
        Self::Told(http::StatusCode::CONFLICT, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_or_was_deleted_since_does_not_count() {
        const REFRESH: Duration = Duration::from_hours(24);
        let hour = Duration::from_hours(1);
        for (age, after_deletion, counts, was_sent) in [
            (Duration::ZERO, None, true, true),
            (Duration::from_hours(23), None, true, true),
            (REFRESH, None, false, false),
            (hour, Some(6_000), true, true),
            // It may go with that deletion still; but whoever has just sent it has.
            (hour, Some(4_000), false, true),
            (hour, Some(-500), false, true),
            (hour, Some(-1_000), false, false),
        ] {
            let mut stored = Stored {
                size: 1,
                is_spooled: false,
                age,
                after_deletion: after_deletion.map(SignedDuration::from_millis),
            };
            let found = (stored.counts(REFRESH), stored.was_sent(REFRESH));
            assert_eq!(found, (counts, was_sent), "{stored:?}");
            stored.is_spooled = true;
            assert!(stored.counts(REFRESH) && stored.was_sent(REFRESH));
        }
        let just = Stored {
            size: 1,
            is_spooled: false,
            age: Duration::from_mins(1),
            after_deletion: None,
        };
        assert!(!just.counts(Duration::ZERO));
        assert!(just.was_sent(Duration::ZERO));
    }
}
