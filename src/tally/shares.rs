//! Whose the items of a request are, where there are tenants: of each of them the same sum holds.
//!
//! What is nobody's is in no tenant's sum: items that cannot be read, and requests that are refused before it is
//! known whose they are.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use slimspan_proto::Signal;

use super::{Tally, add};
use crate::telemetry::TenantCounts;

/// The items of one tenant in a request.
#[derive(Debug, Clone)]
pub struct Share {
    tenant: Arc<TenantCounts>,
    signal: Signal,
    items: u64,
}

impl Share {
    /// So many items of this tenant.
    pub fn of(tenant: Arc<TenantCounts>, signal: Signal, items: usize) -> Self {
        Self {
            tenant,
            signal,
            items: items as u64,
        }
    }

    /// How many there are.
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    pub(super) fn tally(&self) -> &Tally {
        self.tenant.items.of(self.signal)
    }
}

/// So many items of all shares are gone. Which ones those are is not known, so that the first tenants have them:
/// together it is right. Each share comes with what is gone of it.
pub(super) fn without(shares: &[Share], gone: u64) -> impl Iterator<Item = (&Share, u64)> {
    let mut left = gone;
    shares.iter().map(move |share| {
        let of_this = left.min(share.items);
        left -= of_this;
        (share, of_this)
    })
}

/// Whose the items of a request are, as soon as that is known. Clones are about the same request.
#[derive(Debug, Clone, Default)]
pub(super) struct Whose(Arc<OnceLock<Vec<Share>>>);

impl Whose {
    /// It is known. Several pipelines may find that out, each by its own rules: the first one says it.
    pub(super) fn is(&self, shares: Vec<Share>) {
        let mut is_new = false;
        let shares = self.0.get_or_init(|| {
            is_new = true;
            shares
        });
        if is_new {
            for share in shares {
                add(&share.tally().received, share.items);
                add(&share.tally().under_way, share.items);
            }
        }
    }

    /// The request of so many items is accepted but for those that are rejected; what is accepted of each tenant.
    pub(super) fn accepted(&self, items: u64, rejected: u64) -> Vec<Share> {
        let shares = self.shares();
        let theirs: u64 = shares.iter().map(Share::items).sum();
        // What is nobody's is rejected in any case.
        let of_theirs = rejected.saturating_sub(items.saturating_sub(theirs));
        let accepted = without(shares, of_theirs).map(|(share, gone)| {
            add(&share.tally().rejected, gone);
            Share {
                items: share.items - gone,
                ..share.clone()
            }
        });
        accepted.collect()
    }

    /// The request is refused.
    pub(super) fn refused(&self) {
        for share in self.shares() {
            add(&share.tally().refused, share.items);
        }
    }

    /// The request has its end.
    pub(super) fn over(&self) {
        for share in self.shares() {
            share.tally().end(share.items);
        }
    }

    fn shares(&self) -> &[Share] {
        self.0.get().map(Vec::as_slice).unwrap_or_default()
    }
}

/// What collectors of this process have left in queues on disk, by whose it is there: it counts as queued until the
/// one that comes after them finds it. Pipelines of a request may each see other tenants in it, so that what a queue
/// has as one tenant's can have shares of others. Here they are by their tenants' names.
#[derive(Debug, Default)]
pub(super) struct Left(Mutex<HashMap<Owners, BTreeMap<String, Share>>>);

/// A signal, and the names of the tenants that stand beside a request in a queue.
type Owners = (Signal, Vec<String>);

impl Left {
    /// A queue lets go of a request with these shares, beside which these tenants stand there.
    pub(super) fn put(&self, signal: Signal, tenants: Vec<String>, mut shares: Vec<Share>) {
        shares.retain(|share| share.items > 0);
        if shares.is_empty() {
            return;
        }
        let mut all = self.lock();
        let left = all.entry((signal, tenants)).or_default();
        for share in shares {
            let name = &share.tenant.tenant;
            match left.get_mut(name) {
                Some(before) => before.items += share.items,
                None => drop(left.insert(name.clone(), share)),
            }
        }
    }

    /// So many items are found in a queue, beside which these tenants stand; the shares of them, as far as they were
    /// left by this process.
    pub(super) fn found(&self, signal: Signal, tenants: &[String], items: u64) -> Vec<Share> {
        let owners = (signal, tenants.to_vec());
        let (mut shares, mut missing) = (Vec::new(), items);
        let mut all = self.lock();
        let Some(left) = all.get_mut(&owners) else {
            return shares;
        };
        // Which request was whose is not known any more: all together it is right.
        while missing > 0
            && let Some(mut first) = left.first_entry()
        {
            let share = first.get_mut();
            let of_this = missing.min(share.items);
            shares.push(Share {
                items: of_this,
                ..share.clone()
            });
            missing -= of_this;
            share.items -= of_this;
            if share.items == 0 {
                first.remove();
            }
        }
        if left.is_empty() {
            all.remove(&owners);
        }
        shares
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owners, BTreeMap<String, Share>>> {
        // Nothing under the lock panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
