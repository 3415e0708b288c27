//! How many connections there may be at a time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::life::Times;
use crate::peer::Origin;

/// The connections of strangers that there may be from one address unless that is given: as many senders may connect
/// there at once.
const STRANGERS: u32 = 64;

/// The limits, as they are configured.
#[derive(Debug, Clone, Copy)]
pub(in crate::receivers) struct Limits {
    total: u32,
    per_address: u32,
    strangers: u32,
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
    by_address: HashMap<Origin, Host>,
}

/// The connections from one address.
#[derive(Debug, Clone, Copy, Default)]
struct Host {
    open: u32,
    /// Those of them over which no request has come yet.
    strangers: u32,
}

/// The place of one connection; free again when dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<Place>);

#[derive(Debug)]
struct Place {
    slots: Arc<Slots>,
    address: Origin,
    /// Changes while what is taken is locked.
    is_stranger: AtomicBool,
}

/// Stands in the extensions of a request: its connection is that of a stranger until a request was read whole, of
/// somebody who is let in. Clones are of the same connection.
#[derive(Debug, Clone)]
pub(in crate::receivers) struct Introduction(Arc<Place>);

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
    #[error(
        "{0} are open from there that have brought no whole request yet from somebody who is let in, and \
         max_strangers_per_address allows no more: raise it where more senders than that connect at \
         once from one address"
    )]
    Strangers(u32),
}

impl Limits {
    /// So many connections in `total`, and so many from each address: a quarter of them unless it is given,
    /// so that nobody alone can take the places of all. Of these so many may be of `strangers`: 64 unless that
    /// is given. Who gives the number of an address and not this knows that all senders come from there, as behind
    /// a proxy: there all of them may be.
    pub(in crate::receivers) fn new(
        total: u32,
        per_address: Option<u32>,
        strangers: Option<u32>,
        times: Times,
    ) -> Self {
        Self {
            total,
            per_address: per_address.unwrap_or_else(|| total.div_ceil(4)),
            strangers: strangers.or(per_address).unwrap_or(STRANGERS),
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
    pub(super) fn take(self: &Arc<Self>, peer: impl Into<Origin>) -> Result<Slot, Full> {
        let address = peer.into();
        let mut taken = self.taken();
        if taken.total >= self.limits.total {
            return Err(Full::Total(taken.total));
        }
        let there = taken.by_address.get(&address).copied();
        let Host { open, strangers } = there.unwrap_or_default();
        if open >= self.limits.per_address {
            return Err(Full::Address(open));
        }
        if strangers >= self.limits.strangers {
            return Err(Full::Strangers(strangers));
        }
        let host = Host {
            open: open + 1,
            strangers: strangers + 1,
        };
        taken.by_address.insert(address, host);
        taken.total += 1;
        Ok(Slot(Arc::new(Place {
            slots: Arc::clone(self),
            address,
            is_stranger: AtomicBool::new(true),
        })))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing in here panics with the lock held.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// By which its peer becomes known.
    pub(super) fn introduction(&self) -> Introduction {
        Introduction(Arc::clone(&self.0))
    }
}

impl Introduction {
    /// A request of the peer has come whole, and it is one that is let in: from here on it is no stranger.
    pub(in crate::receivers) fn make(&self) {
        // Few requests are the first of their connection.
        if self.0.is_stranger.load(Ordering::Relaxed) {
            self.0.is_known(&mut self.0.slots.taken());
        }
    }
}

impl Place {
    /// It does not count among strangers any more.
    fn is_known(&self, taken: &mut Taken) {
        let was_stranger = self.is_stranger.swap(false, Ordering::Relaxed);
        if was_stranger && let Some(host) = taken.by_address.get_mut(&self.address) {
            host.strangers -= 1;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let place = &self.0;
        let mut taken = place.slots.taken();
        // A request may still be under way when its connection has ended.
        place.is_known(&mut taken);
        taken.total -= 1;
        if let Some(host) = taken.by_address.get_mut(&place.address) {
            host.open -= 1;
            if host.open == 0 {
                taken.by_address.remove(&place.address);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn slots(total: u32, per_address: Option<u32>) -> Arc<Slots> {
        Slots::new(Limits::new(
            total,
            per_address,
            Some(total),
            Times::default(),
        ))
    }

    /// Ten places, five for an address, and two of these for strangers.
    fn slots_with_two_for_strangers() -> Arc<Slots> {
        Slots::new(Limits::new(10, Some(5), Some(2), Times::default()))
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

    /// Behind a proxy all senders have one address, and many may connect before any of them sends.
    #[test]
    fn strangers_have_all_that_an_address_was_given() {
        for (per_address, strangers, expected) in [
            (None, None, 64),
            (Some(500), None, 500),
            (Some(5), None, 5),
            (Some(500), Some(7), 7),
            (None, Some(7), 7),
        ] {
            let limits = Limits::new(1000, per_address, strangers, Times::default());
            let slots = Slots::new(limits);
            let all = (0..expected).map(|_| slots.take(ip("10.0.0.1")).unwrap());
            let _taken: Vec<_> = all.collect();
            let one_more = slots.take(ip("10.0.0.1"));
            assert!(one_more.is_err(), "{per_address:?} {strangers:?}");
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
    fn an_address_has_a_part_of_its_places_for_strangers() {
        let slots = slots_with_two_for_strangers();
        let here = ip("10.0.0.1");
        let [first, second] = [(); 2].map(|()| slots.take(here).unwrap());
        assert_eq!(slots.take(here).unwrap_err(), Full::Strangers(2));
        let _elsewhere = slots.take(ip("10.0.0.2")).unwrap();
        // Once one is known there is a place for another stranger, and only for one.
        for _ in 0..3 {
            first.introduction().make();
        }
        let third = slots.take(here).unwrap();
        assert_eq!(slots.take(here).unwrap_err(), Full::Strangers(2));
        // As where one goes away that never said who it is.
        drop(second);
        let fourth = slots.take(here).unwrap();
        assert_eq!(slots.take(here).unwrap_err(), Full::Strangers(2));
        // Those that are known have the rest of the places of their address.
        for slot in [&third, &fourth] {
            slot.introduction().make();
        }
        let _strangers = [(); 2].map(|()| slots.take(here).unwrap());
        assert_eq!(slots.take(here).unwrap_err(), Full::Address(5));
    }

    /// Its request may be read whole after its connection has ended.
    #[test]
    fn who_is_known_too_late_takes_nothing_from_the_count_of_others() {
        let slots = slots_with_two_for_strangers();
        let here = ip("10.0.0.1");
        let gone = slots.take(here).unwrap();
        let late = gone.introduction();
        drop(gone);
        let _strangers = [(); 2].map(|()| slots.take(here).unwrap());
        late.make();
        assert_eq!(slots.take(here).unwrap_err(), Full::Strangers(2));
    }

    #[test]
    fn nothing_is_remembered_of_those_that_are_gone() {
        let slots = slots(10, Some(5));
        let open = [1, 2, 2, 3].map(|host| slots.take(ip(&format!("10.0.0.{host}"))).unwrap());
        open[1].introduction().make();
        drop(open);
        let taken = slots.taken();
        assert_eq!((taken.total, taken.by_address.len()), (0, 0));
    }
}
