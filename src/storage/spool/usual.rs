//! How many uploads a second are usual, and how many there are right after an outage: who was away has others that
//! come back to it, too.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// So long after an outage what waits is not made up for at full speed.
const EASED: Duration = Duration::from_secs(5);

/// What is usual then, and half as much again of what waits.
const MORE: f64 = 1.5;

/// As many uploads in a second are never a crowd.
const LEAST: f64 = 8.0;

/// What is usual shows in this time.
const SEEN: Duration = Duration::from_secs(10);

/// A store that ends nothing for so long, though there is more than one to end, is away. One alone may just be slow.
const AWAY: Duration = Duration::from_secs(2);

/// The uploads of a spool.
#[derive(Debug)]
pub(super) struct Usual {
    /// When some ended well, in order, and how many in the second from then on.
    stored: VecDeque<(Instant, u32)>,
    /// When the last one did.
    last: Option<Instant>,
    under_way: usize,
    /// Since when none has ended well of what was under way.
    quiet_since: Instant,
    eased: Option<Eased>,
}

/// The time right after an outage.
#[derive(Debug)]
struct Eased {
    since: Instant,
    a_second: f64,
    begun: u32,
}

impl Usual {
    /// Nothing was uploaded yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            stored: VecDeque::new(),
            last: None,
            under_way: 0,
            quiet_since: now,
            eased: None,
        }
    }

    /// When the next may begin, if not now.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let Eased {
            since,
            a_second,
            begun,
        } = self.eased.as_ref()?;
        let over = *since + EASED;
        let due = *since + Duration::from_secs_f64(f64::from(*begun) / a_second);
        (now < over && now < due).then(|| due.min(over))
    }

    /// One begins.
    pub(super) fn began(&mut self, now: Instant) {
        if self.under_way == 0 {
            self.quiet_since = now;
        }
        self.under_way += 1;
        if let Some(eased) = &mut self.eased {
            eased.begun = eased.begun.saturating_add(1);
        }
    }

    /// One has ended, well or not; `was_failing` if it is the first for which the store did not fail.
    pub(super) fn ended(&mut self, is_stored: bool, was_failing: bool, now: Instant) {
        let were = self.under_way;
        self.under_way = were.saturating_sub(1);
        if !is_stored {
            return;
        }
        let quiet = now.duration_since(self.quiet_since);
        if was_failing || (were > 1 && quiet >= AWAY) {
            self.works_again(now);
        }
        self.quiet_since = now;
        self.last = Some(now);
        match self.stored.back_mut() {
            Some((since, count)) if now.duration_since(*since) < Duration::from_secs(1) => {
                *count = count.saturating_add(1);
            }
            _ => self.stored.push_back((now, 1)),
        }
        let is_old = |(since, _): &(Instant, u32)| now.duration_since(*since) > SEEN;
        while self.stored.front().is_some_and(is_old) {
            self.stored.pop_front();
        }
    }

    /// What was usual before holds for a while, unless nobody knows what that is.
    fn works_again(&mut self, now: Instant) {
        let is_over = |eased: &Eased| now >= eased.since + EASED;
        if let Some(a_second) = self.a_second()
            && self.eased.as_ref().is_none_or(is_over)
        {
            self.eased = Some(Eased {
                since: now,
                a_second: (a_second * MORE).max(LEAST),
                begun: 0,
            });
        }
    }

    /// How many there were in a second.
    fn a_second(&self) -> Option<f64> {
        let ((first, _), last) = (self.stored.front()?, self.last?);
        let time = last.duration_since(*first).max(Duration::from_secs(1));
        let all: u32 = self.stored.iter().map(|(_, count)| count).sum();
        Some(f64::from(all) / time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One after the other, as soon as it may be, until then; how many there are.
    fn upload(usual: &mut Usual, from: Instant, until: Instant, takes: Duration) -> u32 {
        let (mut now, mut count) = (from, 0);
        while now < until {
            if let Some(due) = usual.due(now) {
                assert!(due > now);
                now = due;
                continue;
            }
            usual.began(now);
            now += takes;
            usual.ended(true, false, now);
            count += 1;
        }
        count
    }

    #[test]
    fn after_an_outage_there_are_hardly_more_than_before() {
        let begun = Instant::now();
        for was_failing in [true, false] {
            let mut usual = Usual::new(begun);
            let away = begun + Duration::from_secs(20);
            let fifty_ms = Duration::from_millis(50);
            let before = upload(&mut usual, begun, away, fifty_ms);
            assert_eq!(before, 400, "as fast as it goes");
            usual.began(away);
            usual.began(away);
            let back = away + Duration::from_mins(5);
            if was_failing {
                usual.ended(false, false, away + fifty_ms);
                usual.began(back - fifty_ms);
            }
            usual.ended(true, was_failing, back);
            // A hundred times as fast as before.
            let quick = Duration::from_micros(500);
            let eased = upload(&mut usual, back, back + EASED, quick);
            assert!((140..=160).contains(&eased), "{eased} of 100 before");
            let full = back + EASED;
            let after = upload(&mut usual, full, full + EASED, quick);
            assert!(after > 9_900, "{after}");
        }
    }

    #[test]
    fn one_that_is_slow_alone_is_no_outage() {
        let begun = Instant::now();
        let mut usual = Usual::new(begun);
        let slow = begun + Duration::from_secs(1);
        upload(&mut usual, begun, slow, Duration::from_millis(50));
        usual.began(slow);
        let ended = slow + AWAY * 2;
        usual.ended(true, false, ended);
        let quick = Duration::from_millis(1);
        let after = upload(&mut usual, ended, ended + Duration::from_secs(1), quick);
        assert_eq!(after, 1_000, "as fast as it goes");
    }

    #[test]
    fn what_is_rare_is_no_crowd_and_what_nobody_knows_has_no_limit() {
        let begun = Instant::now();
        let mut usual = Usual::new(begun);
        let back = begun + Duration::from_mins(1);
        usual.began(begun);
        usual.ended(true, true, back);
        assert_eq!(usual.due(back), None);
        let again = back + Duration::from_mins(1);
        usual.began(back);
        usual.ended(true, true, again);
        let quick = Duration::from_millis(1);
        let eased = upload(&mut usual, again, again + EASED, quick);
        assert!((38..=42).contains(&eased), "{eased}");
    }
}
