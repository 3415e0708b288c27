//! The memory of requests that become whole, and whose it is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::admission::{Budget, Lease, Share};

/// Of the memory for requests those that become whole have one part in so many together: senders need the rest.
const SHARE: u64 = 2;

/// And of that one who asks has one part in so many, while a request comes and while it is taken. Who is slow
/// leaves the others theirs.
const OF_ONE: u64 = 2;

/// The memory of all of them.
#[derive(Debug)]
pub(in crate::server) struct Rooms {
    budget: Budget,
    limit: u64,
    all: Arc<Share>,
    /// What those have who have something.
    own: Mutex<HashMap<String, Weak<Share>>>,
}

/// What one of them may have.
#[derive(Debug, Clone)]
pub(super) struct Room {
    budget: Budget,
    /// The most that one may take, in bytes.
    pub(super) limit: u64,
    /// And of that the most while it comes, and while it is taken.
    pub(super) of_one: u64,
    all: Arc<Share>,
    /// The part of who asks.
    pub(super) own: Arc<Share>,
}

impl Rooms {
    pub(in crate::server) fn of(budget: Budget) -> Self {
        let limit = budget.limit() / SHARE;
        let told = format!(
            "the {} MiB that requests to restore have together, half of what memory_limiter.limit_mib leaves \
             for requests",
            limit >> 20
        );
        Self {
            budget,
            limit,
            all: Arc::new(Share::new(limit, told)),
            own: Mutex::default(),
        }
    }

    /// What a request of `who` may have.
    pub(super) fn one(&self, who: &str) -> Room {
        Room {
            budget: self.budget.clone(),
            limit: self.limit,
            of_one: self.limit / OF_ONE,
            all: Arc::clone(&self.all),
            own: self.own(who),
        }
    }

    fn own(&self, who: &str) -> Arc<Share> {
        let mut shares = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(who).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let limit = self.limit / OF_ONE;
        let told = format!(
            "the {} MiB that requests to restore of one tenant, user, token or address have while they come and \
             while they are taken, a quarter of what memory_limiter.limit_mib leaves for requests",
            limit >> 20
        );
        let share = Arc::new(Share::new(limit, told));
        shares.insert(who.to_owned(), Arc::downgrade(&share));
        share
    }
}

impl Room {
    /// For a request that comes. What is made of it has leases of its own.
    pub(super) fn coming(&self) -> Lease {
        let mut lease = self.budget.lease().of(&self.own).of(&self.all);
        lease.is_compressed();
        lease
    }

    /// For what it is, once it is read.
    pub(super) fn read(&self) -> Lease {
        let lease = self.budget.lease_for_copy();
        lease.of(&self.own).of(&self.all)
    }

    /// For what is made of it while it has its turn, which is there twice.
    pub(super) fn made(&self) -> Lease {
        self.budget.lease_for_more().of(&self.all)
    }

    /// The same for what is there once.
    pub(super) fn fetched(&self) -> Lease {
        self.budget.lease_for_copy().of(&self.all)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::admission::Limits;

    const MIB: usize = 1 << 20;

    /// 48 MiB for requests.
    fn rooms() -> Rooms {
        Rooms::of(Budget::new(Limits {
            limit_mib: 64,
            spike_mib: 16,
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_leaves_the_others_theirs_and_all_leave_senders_theirs() {
        let rooms = rooms();
        let mut slow = Vec::new();
        for who in ["a", "b"] {
            let mut lease = rooms.one(who).coming();
            lease.charge(8 * MIB).await.unwrap();
            // The rest of what one has is an answer that nobody takes.
            let mut answer = rooms.one(who).made();
            answer.charge_ahead(2 * MIB).await.unwrap();
            answer.settle(4 * MIB);
            answer.enter(&rooms.one(who).own).await.unwrap();
            let told = rooms.one(who).read().charge(1).await.unwrap_err();
            assert!(told.is_retryable());
            assert!(told.to_string().contains("12 MiB"), "{told}");
            slow.push((lease, answer));
        }
        let told = rooms.one("c").coming().charge(MIB).await.unwrap_err();
        assert!(told.to_string().contains("24 MiB"), "{told}");
        let mut sender = rooms.budget.lease();
        sender.charge(5 * MIB).await.unwrap();
        slow.pop();
        rooms.one("c").made().charge_ahead(6 * MIB).await.unwrap();
    }

    #[test]
    fn who_has_nothing_is_not_remembered() {
        let rooms = rooms();
        let _kept = rooms.one("a");
        for name in 0..1000 {
            rooms.one(&name.to_string());
        }
        let own = rooms.own.lock().unwrap();
        assert!(own.len() <= 2 && own.contains_key("a"));
    }
}
