//! Whose turn it is, of what waits in a queue.
//!
//! What a backend refuses for now makes way: it goes to its place on disk, its memory is free, and its consumer
//! takes another request. Where nothing is taken at all, one request at a time shows whether that is still so.

use tokio::time::Instant;

use super::line::{Batches, Line, Waits};
use super::outlook::{Failing, Outlook};
use super::resting::Resting;
use super::tries::{Later, Tries};
use crate::backoff::Backoff;
use crate::journal::Entry;

/// What waits, and what is known of the backend that it waits for.
#[derive(Debug)]
pub(super) struct Turns<T> {
    line: Line<T>,
    resting: Resting<T>,
    outlook: Outlook,
    /// Those under way that are refused again and again, and how many they may be: they may take long.
    stubborn: usize,
    most_stubborn: usize,
    /// Whether one of those had the last turn.
    was_stubborn: bool,
    /// The one that is under way to show whether the backend works, as these are counted.
    probe: Option<u64>,
    probes: u64,
}

/// What goes as one.
#[derive(Debug)]
pub(super) struct Turn<T> {
    pub(super) ones: Vec<T>,
    pub(super) went: Went,
}

/// How it came to its turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Went {
    tries: Tries,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Usual,
    /// It is refused again and again while others are taken.
    Stubborn,
    /// It shows whether the backend works, unless another one of a later number does by now.
    Probe(u64),
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Ended<T> {
    /// Whether the backend took some of it, or refused some for good.
    pub(super) is_answered: bool,
    /// Those that go again at once.
    pub(super) again: Vec<T>,
    /// Those that could not be read.
    pub(super) left: Vec<T>,
    /// Those that were refused for now.
    pub(super) refused: Vec<T>,
    /// What was said of them.
    pub(super) later: Option<Later>,
}

/// Where the next one is.
enum Place {
    Line,
    Resting(Entry),
}

impl Went {
    /// Whether it was tried before.
    pub(super) fn is_repeat(&self) -> bool {
        self.tries.all() > 0
    }
}

impl<T: Waits> Turns<T> {
    /// For so many consumers.
    pub(super) fn new(batches: Option<Batches>, backoff: Backoff, consumers: usize) -> Self {
        Self {
            line: Line::new(batches),
            resting: Resting::new(),
            outlook: Outlook::new(backoff),
            stubborn: 0,
            most_stubborn: (consumers / 2).max(1),
            was_stubborn: false,
            probe: None,
            probes: 0,
        }
    }

    pub(super) fn line(&mut self) -> &mut Line<T> {
        &mut self.line
    }

    pub(super) fn len(&self) -> usize {
        self.line.len() + self.resting.len()
    }

    /// All of it, in order.
    pub(super) fn take_rest(&mut self) -> Vec<T> {
        let mut rest = self.resting.take_rest();
        rest.extend(self.line.take_rest());
        rest
    }

    /// What is to go now. Where nothing is, the time at which something will be, if that is a matter of time.
    /// Where `all` is to go, nothing waits for more.
    pub(super) fn take(&mut self, now: Instant, all: bool) -> Result<Turn<T>, Option<Instant>> {
        match self.outlook.failing() {
            Some(failing) => self.take_probe(failing, now, all),
            None if self.resting.is_empty() => self.take_from(&Place::Line, Kind::Usual, now, all),
            None => self.take_usual(now, all),
        }
    }

    /// One at a time, when its time has come.
    fn take_probe(
        &mut self,
        failing: Failing,
        now: Instant,
        all: bool,
    ) -> Result<Turn<T>, Option<Instant>> {
        if self.probe.is_some() {
            return Err(None);
        }
        if now < failing.until {
            return Err(Some(failing.until));
        }
        let line = self.line.first(now, all);
        let resting = self.resting.probe(failing.is_reached, now);
        let place = match (line, resting) {
            // Who is in the line was never tried.
            (Ok(first), Ok(other)) if failing.is_reached || first < other => Place::Line,
            (_, Ok(other)) => Place::Resting(other),
            (Ok(_), Err(_)) => Place::Line,
            (Err(one), Err(other)) => return Err(sooner(one, other)),
        };
        let number = self.probes + 1;
        let turn = self.take_from(&place, Kind::Probe(number), now, all)?;
        self.probes = number;
        self.probe = Some(number);
        Ok(turn)
    }

    /// The oldest; but those that are refused again and again have a turn only if there is nothing else, or none
    /// of them is under way and somebody else had a turn since.
    fn take_usual(&mut self, now: Instant, all: bool) -> Result<Turn<T>, Option<Instant>> {
        self.resting.ripen(now);
        let line = self.line.first(now, all);
        let place = match (line, self.resting.first(false)) {
            (Ok(first), Some(other)) if first < other => Some(Place::Line),
            (_, Some(other)) => Some(Place::Resting(other)),
            (Ok(_), None) => Some(Place::Line),
            (Err(_), None) => None,
        };
        if let Some(stubborn) = self.resting.first(true) {
            let is_its_turn = self.stubborn == 0 && !self.was_stubborn;
            if is_its_turn || place.is_none() && self.stubborn < self.most_stubborn {
                let place = Place::Resting(stubborn);
                let turn = self.take_from(&place, Kind::Stubborn, now, all)?;
                self.stubborn += 1;
                self.was_stubborn = true;
                return Ok(turn);
            }
        }
        let Some(place) = place else {
            let due = line.err().flatten();
            return Err(sooner(due, self.resting.next_due()));
        };
        self.was_stubborn = false;
        self.take_from(&place, Kind::Usual, now, all)
    }

    fn take_from(
        &mut self,
        place: &Place,
        kind: Kind,
        now: Instant,
        all: bool,
    ) -> Result<Turn<T>, Option<Instant>> {
        let (ones, tries) = match place {
            Place::Line => (self.line.take(now, all)?, Tries::none(now)),
            Place::Resting(place) => self.resting.take(*place).ok_or(Some(now))?,
        };
        let went = Went { tries, kind };
        Ok(Turn { ones, went })
    }

    /// The backend took a request, or said what is wrong with it.
    pub(super) fn answered(&mut self) {
        if self.outlook.answered() {
            // Who has shown it may be busy for long, and shows nothing more.
            self.probe = None;
            self.resting.works_again(Instant::now());
        }
    }

    /// It shows nothing of the backend, and may be busy for long: another one may show it.
    pub(super) fn shows_nothing(&mut self, went: &Went) {
        if self.is_probe(went.kind) {
            self.probe = None;
        }
    }

    /// Whether it is this one that shows whether the backend works.
    fn is_probe(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Probe(number) if self.probe == Some(number))
    }

    /// What became of what had its turn.
    pub(super) fn ended(&mut self, went: Went, ended: Ended<T>) {
        let Went { tries, kind } = went;
        let Ended {
            is_answered,
            again,
            left,
            refused,
            later,
        } = ended;
        let (now, is_probe) = (Instant::now(), self.is_probe(kind));
        match kind {
            Kind::Stubborn => self.stubborn = self.stubborn.saturating_sub(1),
            Kind::Probe(_) if is_probe => self.probe = None,
            Kind::Usual | Kind::Probe(_) => {}
        }
        let failed = later.map(|later| {
            let backoff = *self.outlook.backoff();
            tries.failed(later, self.outlook.row(), &backoff, now)
        });
        if is_answered {
            self.answered();
        } else if let (Some(later), Some(failed)) = (later, failed) {
            self.outlook.failed(later, failed.is_known(), is_probe, now);
        }
        self.rest(refused, failed.unwrap_or(tries));
        self.rest(left, tries.unread(now));
        if tries.all() > 0 {
            self.rest(again, tries.at_once(now));
        } else {
            // To the front, where they came from.
            for one in again.into_iter().rev() {
                self.line.push_front(one);
            }
        }
    }

    fn rest(&mut self, ones: Vec<T>, tries: Tries) {
        if let Some(place) = ones.iter().map(Waits::place).min() {
            self.resting.push(place, ones, tries);
        }
    }
}

/// The first of two times, of which there may be one or none.
fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use tokio::time::{advance, sleep_until};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The numbers below this one wait, for so many consumers.
    fn turns(consumers: usize, below: i32) -> Turns<i32> {
        let backoff = Backoff {
            spread: 0.0,
            multiplier: 1.5,
            ..Backoff::doubling(5 * SECOND, 30 * SECOND)
        };
        let mut turns = Turns::new(None, backoff, consumers);
        for one in 0..below {
            turns.line().push_back(one);
        }
        turns
    }

    fn take(turns: &mut Turns<i32>) -> Result<Turn<i32>, Option<Instant>> {
        turns.take(Instant::now(), false)
    }

    fn taken(turn: Turn<i32>) -> Ended<i32> {
        drop(turn);
        Ended {
            is_answered: true,
            again: Vec::new(),
            left: Vec::new(),
            refused: Vec::new(),
            later: None,
        }
    }

    fn refused(turn: Turn<i32>, asked: u64, is_reached: bool) -> Ended<i32> {
        Ended {
            is_answered: false,
            again: Vec::new(),
            left: Vec::new(),
            refused: turn.ones,
            later: Some(Later {
                asked: Duration::from_secs(asked),
                is_reached,
            }),
        }
    }

    /// The next one, when its time has come.
    async fn next(turns: &mut Turns<i32>) -> Turn<i32> {
        loop {
            match take(turns) {
                Ok(turn) => return turn,
                Err(due) => sleep_until(due.unwrap()).await,
            }
        }
    }

    /// What those are that go, one after the other, with a backend that takes some of them.
    async fn go(turns: &mut Turns<i32>, times: usize, takes: impl Fn(i32) -> bool) -> Vec<i32> {
        let mut went = Vec::new();
        for _ in 0..times {
            let turn = next(turns).await;
            let one = turn.ones[0];
            let of = turn.went;
            let ended = if takes(one) {
                taken(turn)
            } else {
                refused(turn, 0, true)
            };
            turns.ended(of, ended);
            went.push(one);
        }
        went
    }

    /// Ten consumers find out that nobody is there. Then only the oldest asks, as `retry_on_failure` says.
    #[tokio::test(start_paused = true)]
    async fn where_nobody_is_there_the_oldest_asks_alone() {
        let mut turns = turns(10, 1_000);
        let begun = Instant::now();
        let under_way: Vec<_> = (0..10).map(|_| take(&mut turns).unwrap()).collect();
        for turn in under_way.into_iter().rev() {
            let went = turn.went;
            turns.ended(went, refused(turn, 1, false));
        }
        let mut asked = Vec::new();
        for _ in 0..6 {
            let turn = next(&mut turns).await;
            assert_eq!(take(&mut turns).unwrap_err(), None, "one at a time");
            assert_eq!(turn.ones, [0], "it is about nobody's request");
            asked.push(begun.elapsed().as_secs());
            let went = turn.went;
            turns.ended(went, refused(turn, 1, false));
        }
        assert_eq!(asked, [5, 12, 23, 40, 65, 95]);
        assert_eq!(turns.len(), 1_000);
        // And when somebody is there again, nobody waits any more.
        next(&mut turns).await;
        turns.answered();
        let back = Instant::now();
        let rest: Vec<_> = (1..1_000).map(|_| take(&mut turns).unwrap().ones).collect();
        let in_order: Vec<_> = (1..1_000).map(|one| vec![one]).collect();
        assert!(rest == in_order && Instant::now() == back);
    }

    /// One that was under way all the time is answered.
    #[tokio::test(start_paused = true)]
    async fn when_one_is_answered_nobody_waits_any_more() {
        let mut turns = turns(4, 5);
        let begun = Instant::now();
        let under_way: Vec<_> = (0..4).map(|_| take(&mut turns).unwrap()).collect();
        let mut under_way = under_way.into_iter();
        let first = under_way.next().unwrap();
        for turn in under_way {
            let went = turn.went;
            turns.ended(went, refused(turn, 0, false));
        }
        assert!(take(&mut turns).is_err(), "nobody is there");
        let went = first.went;
        turns.ended(went, taken(first));
        assert_eq!(go(&mut turns, 4, |_| true).await, [1, 2, 3, 4]);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    /// A proxy may refuse these and no others.
    #[tokio::test(start_paused = true)]
    async fn where_somebody_refuses_each_is_asked_for_once() {
        let mut turns = turns(1, 100);
        let turn = next(&mut turns).await;
        let went = turn.went;
        turns.ended(went, refused(turn, 0, true));
        advance(5 * SECOND).await;
        // Of those that wait nobody was tried more often than another one.
        let mut went = go(&mut turns, 99, |_| false).await;
        went.sort_unstable();
        went.dedup();
        assert!(went.len() >= 98, "{went:?}");
        let all = go(&mut turns, 100, |_| true).await;
        let later: Vec<_> = all[1..].to_vec();
        assert!(later.is_sorted(), "the oldest first: {later:?}");
        assert_eq!(turns.len(), 0);
    }

    /// Whatever some are told, others are taken at once, and both go on.
    #[tokio::test(start_paused = true)]
    async fn what_is_refused_makes_way_for_others_and_has_turns_of_its_own() {
        const BAD: i32 = 500;
        let mut turns = turns(1, 1_000);
        let begun = Instant::now();
        let went = go(&mut turns, 1_000, |one| one >= BAD).await;
        assert!((0..1_000).eq(went));
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(turns.len(), 500);
        // As long as others come these have every second turn at most, and not none.
        go(&mut turns, 3 * 500, |one| one >= BAD).await;
        for one in 1_000..1_100 {
            turns.line().push_back(one);
        }
        advance(60 * SECOND).await;
        let went = go(&mut turns, 100, |one| one >= BAD).await;
        let others = went.iter().filter(|one| **one >= BAD).count();
        assert!((50..=51).contains(&others), "{others}");
    }

    /// They may take as long as an attempt may, and nobody waits for them then.
    #[tokio::test(start_paused = true)]
    async fn what_is_refused_again_and_again_leaves_others_half_of_the_consumers() {
        let mut turns = turns(10, 100);
        go(&mut turns, 100, |one| one == 99).await;
        go(&mut turns, 3 * 99, |_| false).await;
        turns.line().push_back(100);
        go(&mut turns, 1, |one| one == 100).await;
        advance(60 * SECOND).await;
        let mut under_way = 0;
        while take(&mut turns).is_ok() {
            under_way += 1;
        }
        assert!(under_way <= 5, "{under_way}");
    }

    /// What three consumers find out, one of which is asked for again when it is time.
    async fn away() -> (Turns<i32>, Turn<i32>) {
        let mut turns = turns(3, 5);
        let under_way: Vec<_> = (0..3).map(|_| take(&mut turns).unwrap()).collect();
        for turn in under_way {
            let went = turn.went;
            turns.ended(went, refused(turn, 0, false));
        }
        let probe = next(&mut turns).await;
        assert_eq!(probe.ones, [0]);
        (turns, probe)
    }

    /// Its disk does not give the oldest one, and the backend is back.
    #[tokio::test(start_paused = true)]
    async fn where_one_cannot_be_read_another_one_asks() {
        let (mut turns, probe) = away().await;
        let begun = Instant::now();
        let unread = |turn: Turn<i32>| Ended {
            is_answered: false,
            left: turn.ones.clone(),
            ..taken(turn)
        };
        let went = probe.went;
        turns.ended(went, unread(probe));
        assert_eq!(go(&mut turns, 4, |_| true).await, [1, 2, 3, 4]);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        // Nor does one hold up others that was never tried.
        for one in 5..7 {
            turns.line().push_back(one);
        }
        let turn = next(&mut turns).await;
        let went = turn.went;
        turns.ended(went, unread(turn));
        assert_eq!(go(&mut turns, 1, |_| true).await, [6]);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(go(&mut turns, 2, |_| true).await, [0, 5]);
        assert_eq!(begun.elapsed(), SECOND);
    }

    /// It may be busy with a dead letter for long.
    #[tokio::test(start_paused = true)]
    async fn who_shows_nothing_lets_another_one_ask_and_does_not_end_its_turn() {
        let (mut turns, probe) = away().await;
        assert_eq!(take(&mut turns).unwrap_err(), None, "one at a time");
        turns.shows_nothing(&probe.went);
        let other = take(&mut turns).unwrap();
        assert_eq!(other.ones, [1]);
        turns.shows_nothing(&probe.went);
        assert_eq!(take(&mut turns).unwrap_err(), None, "one at a time");
        let went = probe.went;
        let ended = Ended {
            is_answered: false,
            again: probe.ones.clone(),
            ..taken(probe)
        };
        turns.ended(went, ended);
        assert_eq!(take(&mut turns).unwrap_err(), None, "one at a time");
        let went = other.went;
        turns.ended(went, taken(other));
        assert_eq!(go(&mut turns, 4, |_| true).await, [0, 2, 3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_was_told_is_kept_where_others_are_woken() {
        let mut turns = turns(4, 5);
        let begun = Instant::now();
        let under_way: Vec<_> = (0..4).map(|_| take(&mut turns).unwrap()).collect();
        for (turn, asked) in under_way.into_iter().zip([300, 0, 0, 0]) {
            let went = turn.went;
            turns.ended(went, refused(turn, asked, false));
        }
        let woken = go(&mut turns, 4, |_| true).await;
        assert_eq!(woken, [1, 2, 3, 4]);
        assert_eq!(begun.elapsed().as_secs(), 5);
        assert_eq!(go(&mut turns, 1, |_| true).await, [0]);
        assert_eq!(begun.elapsed().as_secs(), 300);
    }
}
