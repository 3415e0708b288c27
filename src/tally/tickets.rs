//! What a queue holds of a request, until that is delivered or left to whoever comes next.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use slimspan_proto::Signal;

use super::add;
use super::shares::{Share, Whose, without};
use crate::panics::Failed;
use crate::telemetry::Counters;

/// The items of one request for as long as queues hold it: every queue that takes it, or a part of it,
/// keeps a ticket until it is done with it. They count as queued until the last one is.
#[derive(Debug)]
pub struct Ticket {
    counters: Arc<Counters>,
    signal: Signal,
    is_queued: AtomicBool,
    /// The tenants that stand beside it in a queue on disk that has it still, and lets go of it.
    left: OnceLock<Vec<String>>,
    /// Those that were accepted.
    items: AtomicU64,
    rejected: AtomicU64,
    whose: Whose,
    /// Those that were accepted, of each tenant.
    shares: OnceLock<Vec<Share>>,
    failed: Failed,
}

/// The tickets of all requests that travel as one, in their order there.
#[derive(Debug, Clone)]
pub struct Tickets(Arc<[(Arc<Ticket>, usize)]>);

impl Tickets {
    /// Those of requests that have as many items each.
    pub fn of(tickets: impl IntoIterator<Item = (Arc<Ticket>, usize)>) -> Self {
        Self(tickets.into_iter().collect())
    }

    /// Those of several groups, of which each has as many items.
    pub fn joined<'t>(groups: impl IntoIterator<Item = (&'t Self, usize)>) -> Self {
        Self::of(groups.into_iter().flat_map(|(group, items)| {
            let tickets = group.0.iter();
            tickets.map(move |(ticket, most)| (Arc::clone(ticket), items.min(*most)))
        }))
    }

    /// Where slimspan has failed at the only request, if it is one.
    pub fn failed(&self) -> Option<&Failed> {
        match &*self.0 {
            [(only, _)] => Some(&only.failed),
            _ => None,
        }
    }

    /// The only request is these tenants'; of several it was said before.
    pub fn belong_to(&self, shares: Vec<Share>) {
        if let [(only, _)] = &*self.0 {
            only.whose.is(shares);
        }
    }

    /// A queue holds them, or a part of them.
    pub fn queue(&self) {
        for (ticket, _) in &*self.0 {
            ticket.queue();
        }
    }

    /// A queue on disk lets go of them, and they stay there, beside these tenants.
    pub fn leave(&self, tenants: &[String]) {
        for (ticket, _) in &*self.0 {
            ticket.left.get_or_init(|| tenants.to_vec());
        }
    }

    /// No backend takes as many of their items. Which ones those are is not known, so that the first
    /// requests have them: together it is right.
    pub fn reject(&self, mut items: usize) {
        for (ticket, most) in &*self.0 {
            let of_this = items.min(*most);
            ticket.reject(of_this);
            items -= of_this;
        }
    }
}

impl From<Arc<Ticket>> for Tickets {
    fn from(ticket: Arc<Ticket>) -> Self {
        Self::of([(ticket, usize::MAX)])
    }
}

impl Ticket {
    /// A ticket for a request that no queue holds yet.
    pub fn new(counters: Arc<Counters>, signal: Signal) -> Arc<Self> {
        Arc::new(Self {
            counters,
            signal,
            is_queued: AtomicBool::new(false),
            left: OnceLock::new(),
            items: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            whose: Whose::default(),
            shares: OnceLock::new(),
            failed: Failed::default(),
        })
    }

    /// A ticket for items that an earlier life of this process, or the collector before, left in a queue, beside
    /// these tenants.
    pub fn found(
        counters: Arc<Counters>,
        signal: Signal,
        items: usize,
        tenants: &[String],
    ) -> Arc<Self> {
        let ticket = Self::new(counters, signal);
        let counters = &ticket.counters;
        let (tally, items) = (counters.items.of(signal), items as u64);
        let new = items - tally.take_left(items);
        add(&tally.received, new);
        add(&tally.queued, new);
        let mut shares = counters.items.left.found(signal, tenants, items);
        let known: u64 = shares.iter().map(Share::items).sum();
        // Of what a process before this one has left only one tenant alone is known to have it.
        if let [only] = tenants
            && known < items
        {
            let rest = Share::of(counters.tenant(only), signal, (items - known) as usize);
            add(&rest.tally().received, rest.items());
            add(&rest.tally().queued, rest.items());
            shares.push(rest);
        }
        let _ = ticket.shares.set(shares);
        ticket.queue();
        ticket.items.store(items, Ordering::Relaxed);
        ticket
    }

    /// Where it stands whose it is.
    pub(super) fn whose(&self) -> Whose {
        self.whose.clone()
    }

    /// A queue holds the request, or a part of it.
    pub(super) fn queue(&self) {
        self.is_queued.store(true, Ordering::Relaxed);
    }

    /// No backend takes as many of its items.
    pub(super) fn reject(&self, items: usize) {
        add(&self.rejected, items as u64);
    }

    /// The request is acknowledged but for what its sender was told.
    pub(super) fn accept(&self, items: u64, shares: Vec<Share>) {
        let is_queued = self.is_queued.load(Ordering::Relaxed);
        let all = self.counters.items.of(self.signal);
        let each = shares.iter().map(|share| (share.tally(), share.items()));
        for (tally, items) in each.chain([(all, items)]) {
            let fate = if is_queued {
                &tally.queued
            } else {
                &tally.delivered
            };
            add(fate, items);
        }
        if is_queued {
            self.items.store(items, Ordering::Relaxed);
            let _ = self.shares.set(shares);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let items = *self.items.get_mut();
        // Two exporters may have rejected the same ones.
        let rejected = (*self.rejected.get_mut()).min(items);
        let shares = self.shares.take().unwrap_or_default();
        let tallies = &self.counters.items;
        let tally = tallies.of(self.signal);
        if let Some(tenants) = self.left.take() {
            add(&tally.left, items);
            tallies.left.put(self.signal, tenants, shares);
        } else {
            tally.unqueue(items, rejected);
            for (share, rejected) in without(&shares, rejected) {
                share.tally().unqueue(share.items(), rejected);
            }
        }
    }
}
