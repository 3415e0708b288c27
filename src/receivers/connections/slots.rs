//! How many connections there may be at a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::life::Times;
use crate::peer::host;

/// The limits, as they are configured.
#[derive(Debug, Clone, Copy)]
pub(in crate::receivers) struct Limits {
    total: u32,
    per_address: u32,
    times: Times,
}

/// Where connections have their places.
#[derive(Debug)]
pub(super) struct Slots {
    limits: Limits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// The place of one connection; free again when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    address: IpAddr,
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("{0} are open, and max_connections allows no more")]
    Total(u32),
    #[error(
        "{0} are open from there, and max_connections_per_address allows no more (a quarter of \
         max_connections unless it is given): raise it where many senders have one address"
    )]
    Address(u32),
}

impl Limits {
    /// So many connections in `total`, and so many from each address: a quarter of them unless it is given,
    /// so that nobody alone can take the places of all.
    pub(in crate::receivers) fn new(total: u32, per_address: Option<u32>, times: Times) -> Self {
        Self {
            total,
            per_address: per_address.unwrap_or_else(|| total.div_ceil(4)),
            times,
        }
    }
}

impl Slots {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            taken: Mutex::default(),
        })
    }

    /// When the connections end that have a place.
    pub(super) fn times(&self) -> Times {
        self.limits.times
    }

    /// A place for a connection from `peer`.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Result<Slot, Full> {
        let address = host(peer);
        let mut taken = self.taken();
        if taken.total >= self.limits.total {
            return Err(Full::Total(taken.total));
        }
        let open = taken.by_address.get(&address).copied().unwrap_or_default();
        if open >= self.limits.per_address {
            return Err(Full::Address(open));
        }
        taken.by_address.insert(address, open + 1);
        taken.total += 1;
        Ok(Slot {
            slots: Arc::clone(self),
            address,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing in here panics with the lock held.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        taken.total -= 1;
        if let Some(open) = taken.by_address.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn slots(total: u32, per_address: Option<u32>) -> Arc<Slots> {
        Slots::new(Limits::new(total, per_address, Times::default()))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn all_together_are_limited() {
        let slots = slots(2, Some(2));
        let first = slots.take(ip("10.0.0.1")).unwrap();
        let _second = slots.take(ip("10.0.0.1")).unwrap();
        assert_eq!(slots.take(ip("10.0.0.2")).unwrap_err(), Full::Total(2));
        drop(first);
        let _third = slots.take(ip("10.0.0.2")).unwrap();
        assert_eq!(slots.take(ip("10.0.0.3")).unwrap_err(), Full::Total(2));
    }

    #[test]
    fn an_address_has_its_own_limit() {
        let slots = slots(10, Some(1));
        let first = slots.take(ip("10.0.0.1")).unwrap();
        assert_eq!(slots.take(ip("10.0.0.1")).unwrap_err(), Full::Address(1));
        // The same host on a listener for both protocols.
        let mapped = ip("::ffff:10.0.0.1");
        assert_eq!(slots.take(mapped).unwrap_err(), Full::Address(1));
        let _other = slots.take(ip("10.0.0.2")).unwrap();
        drop(first);
        let _again = slots.take(ip("10.0.0.1")).unwrap();
    }

    #[test]
    fn an_address_has_a_quarter_of_all_unless_it_is_given() {
        for (total, of_one) in [(1, 1), (2, 1), (4, 1), (5, 2), (100, 25), (1000, 250)] {
            let slots = slots(total, None);
            let greedy = (0..of_one).map(|_| slots.take(ip("10.0.0.1")).unwrap());
            let _taken: Vec<_> = greedy.collect();
            assert!(slots.take(ip("10.0.0.1")).is_err(), "{total}");
            // Of one place nobody can have a part.
            let other = slots.take(ip("10.0.0.2"));
            assert_eq!(other.is_ok(), total > 1, "{total}");
        }
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let slots = slots(10, Some(1));
        let _first = slots.take(ip("2001:db8:0:1::1")).unwrap();
        let neighbour = ip("2001:db8:0:1:ffff::2");
        assert_eq!(slots.take(neighbour).unwrap_err(), Full::Address(1));
        let _elsewhere = slots.take(ip("2001:db8:0:2::1")).unwrap();
    }

    #[test]
    fn nothing_is_remembered_of_those_that_are_gone() {
        let slots = slots(10, Some(5));
        let open = [1, 2, 2, 3].map(|host| slots.take(ip(&format!("10.0.0.{host}"))).unwrap());
        drop(open);
        let taken = slots.taken();
        assert_eq!((taken.total, taken.by_address.len()), (0, 0));
    }
}
