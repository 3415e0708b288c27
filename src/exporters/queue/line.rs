//! What waits in a queue, in order, and what of it goes as one.

use std::collections::{HashMap, VecDeque, hash_map};
use std::time::Duration;

use tokio::time::Instant;

use super::config::BatchSizer;
use super::partition::Partition;
use crate::journal::Entry;

/// What can wait for others.
pub(super) trait Waits {
    /// What it has in common with those that it may go with; none where it goes alone.
    fn partition(&self) -> Option<Partition>;

    /// How much it adds to a batch.
    fn size(&self, sizer: BatchSizer) -> u64;

    /// When its sender stops waiting, if it waits.
    fn deadline(&self) -> Option<Instant>;

    /// Its place on disk, which no other has: those of older ones are smaller. What is in memory has none.
    fn place(&self) -> Entry;
}

/// How much goes as one, and how long that is waited for.
#[derive(Debug, Clone)]
pub(super) struct Batches {
    pub(super) flush_timeout: Duration,
    pub(super) min_size: u64,
    pub(super) max_size: u64,
    pub(super) sizer: BatchSizer,
    /// What is larger goes in parts, and need not be joined.
    pub(super) max_bytes: u64,
}

/// Requests in the order in which they came, each with those that it may go with.
#[derive(Debug)]
pub(super) struct Line<T> {
    batches: Option<Batches>,
    /// By what those of a lane have in common. Those of the one without that go alone.
    lanes: HashMap<Option<Partition>, Lane<T>>,
    len: usize,
    /// The numbers of the first one and of the next one to come.
    numbers: (i64, i64),
    /// The number of the first one that may wait for more.
    unhurried: i64,
}

#[derive(Debug)]
struct Lane<T> {
    places: VecDeque<Place<T>>,
    size: u64,
    bytes: u64,
    /// When they have waited long enough, without those behind which somebody is due sooner: these times never
    /// fall, and the first is the soonest of all. Each comes and goes once, so that what is taken one by one takes no
    /// longer the more there is behind it.
    soonest: VecDeque<Instant>,
}

#[derive(Debug)]
struct Place<T> {
    /// The older, the smaller.
    number: i64,
    due: Instant,
    one: T,
}

impl<T: Waits> Line<T> {
    /// An empty one. Without `batches` each goes alone, in order.
    pub(super) fn new(batches: Option<Batches>) -> Self {
        Self {
            batches,
            lanes: HashMap::new(),
            len: 0,
            numbers: (0, 0),
            unhurried: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// One comes.
    pub(super) fn push_back(&mut self, one: T) {
        let number = self.numbers.1;
        self.numbers.1 += 1;
        let now = Instant::now();
        let partition = self.partition(&one);
        let batches = partition.as_ref().and(self.batches.as_ref());
        let due = batches.map_or(now, |of| {
            // The rest of a sender's time is the backend's.
            let left = one.deadline();
            let left = left.map(|deadline| deadline.saturating_duration_since(now) / 2);
            now + left.unwrap_or(of.flush_timeout).min(of.flush_timeout)
        });
        let lane = self.lanes.entry(partition).or_default();
        lane.push_back(Place { number, due, one }, self.batches.as_ref());
        self.len += 1;
    }

    /// One is there again, before all others. It has waited already.
    pub(super) fn push_front(&mut self, one: T) {
        self.numbers.0 -= 1;
        let number = self.numbers.0;
        let due = Instant::now();
        let partition = self.partition(&one);
        let lane = self.lanes.entry(partition).or_default();
        lane.push_front(Place { number, due, one }, self.batches.as_ref());
        self.len += 1;
    }

    /// Nothing that is there waits for more, whatever of it goes first.
    pub(super) fn hurry(&mut self) {
        self.unhurried = self.numbers.1;
    }

    /// What is to go now, the oldest first: one, or several as one. Where nothing is, the time at which
    /// something will be, if anything waits. Where `all` is to go, nothing waits for more.
    pub(super) fn take(&mut self, now: Instant, all: bool) -> Result<Vec<T>, Option<Instant>> {
        let (partition, _) = self.ready(now, all)?;
        let partition = partition.clone();
        let (of_batches, go_alone) = (self.batches.as_ref(), partition.is_none());
        let mut taken = Vec::new();
        if let hash_map::Entry::Occupied(mut lane) = self.lanes.entry(partition) {
            taken = lane.get_mut().take(of_batches, go_alone);
            if lane.get().places.is_empty() {
                lane.remove();
            }
        }
        self.len -= taken.len();
        Ok(taken)
    }

    /// The place on disk of what is to go now, without taking it.
    pub(super) fn first(&self, now: Instant, all: bool) -> Result<Entry, Option<Instant>> {
        let (_, lane) = self.ready(now, all)?;
        let first = lane.places.front();
        first.map(|first| first.one.place()).ok_or(None)
    }

    /// The lane that is to go now, with what those in it have in common.
    fn ready(
        &self,
        now: Instant,
        all: bool,
    ) -> Result<(&Option<Partition>, &Lane<T>), Option<Instant>> {
        let (of_batches, unhurried) = (self.batches.as_ref(), self.unhurried);
        let lanes = self.lanes.iter();
        let ready = lanes.filter(|(partition, lane)| {
            let first = lane.places.front();
            let is_hurried = || first.is_some_and(|first| first.number < unhurried);
            all || partition.is_none() || is_hurried() || lane.is_ready(of_batches, now)
        });
        let oldest = ready.min_by_key(|(_, lane)| lane.places.front().map(|first| first.number));
        oldest.ok_or_else(|| {
            let soonest = self.lanes.values().filter_map(Lane::due);
            soonest.min()
        })
    }

    /// All of it, in order.
    pub(super) fn take_rest(&mut self) -> Vec<T> {
        let lanes = std::mem::take(&mut self.lanes);
        let mut rest: Vec<_> = lanes.into_values().flat_map(|lane| lane.places).collect();
        rest.sort_by_key(|place| place.number);
        self.len = 0;
        rest.into_iter().map(|place| place.one).collect()
    }

    /// Where nothing is joined, it need not be known.
    fn partition(&self, one: &T) -> Option<Partition> {
        self.batches.as_ref().and_then(|_| one.partition())
    }
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self {
            places: VecDeque::new(),
            size: 0,
            bytes: 0,
            soonest: VecDeque::new(),
        }
    }
}

impl<T: Waits> Lane<T> {
    fn push_back(&mut self, place: Place<T>, batches: Option<&Batches>) {
        // What nobody joins waits for no time.
        if let Some(batches) = batches {
            self.add(&place.one, batches);
            while self.soonest.back().is_some_and(|last| *last > place.due) {
                self.soonest.pop_back();
            }
            self.soonest.push_back(place.due);
        }
        self.places.push_back(place);
    }

    fn push_front(&mut self, place: Place<T>, batches: Option<&Batches>) {
        if let Some(batches) = batches {
            self.add(&place.one, batches);
            if self.due().is_none_or(|due| place.due <= due) {
                self.soonest.push_front(place.due);
            }
        }
        self.places.push_front(place);
    }

    fn add(&mut self, one: &T, batches: &Batches) {
        self.size += one.size(batches.sizer);
        self.bytes += one.size(BatchSizer::Bytes);
    }

    /// When the first of them has waited long enough. Where senders wait, another one may have less time than the
    /// one that came first.
    fn due(&self) -> Option<Instant> {
        self.soonest.front().copied()
    }

    /// Whether there is enough of it, or it has waited long enough.
    fn is_ready(&self, batches: Option<&Batches>, now: Instant) -> bool {
        batches.is_none_or(|of| self.size >= of.min_size || self.bytes >= of.max_bytes)
            || self.due().is_some_and(|due| due <= now)
    }

    /// The first, with as many after it as may go with it unless they `go_alone`.
    fn take(&mut self, batches: Option<&Batches>, go_alone: bool) -> Vec<T> {
        let mut taken = Vec::new();
        let (mut size, mut bytes) = (0, 0);
        while let Some(next) = self.places.front() {
            if let Some(batches) = batches {
                size += next.one.size(batches.sizer);
                bytes += next.one.size(BatchSizer::Bytes);
            }
            let fits = batches.is_some_and(|of| size <= of.max_size && bytes <= of.max_bytes);
            if !taken.is_empty() && (go_alone || !fits) {
                break;
            }
            let Some(place) = self.places.pop_front() else {
                break;
            };
            if let Some(batches) = batches {
                self.size -= place.one.size(batches.sizer);
                self.bytes -= place.one.size(BatchSizer::Bytes);
            }
            // Where it is not the soonest, somebody behind it is, and it was not noted.
            if self.due() == Some(place.due) {
                self.soonest.pop_front();
            }
            taken.push(place.one);
        }
        taken
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use slimspan_proto::Signal;
    use tokio::time::advance;

    use super::super::partition::Sender;
    use super::*;

    /// One that goes alone.
    impl Waits for i32 {
        fn partition(&self) -> Option<Partition> {
            None
        }

        fn size(&self, _: BatchSizer) -> u64 {
            1
        }

        fn deadline(&self) -> Option<Instant> {
            None
        }

        fn place(&self) -> Entry {
            Entry::numbered(u64::try_from(*self).unwrap(), 0)
        }
    }

    /// So many items of ten bytes each.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct One {
        of: &'static str,
        items: u64,
        deadline: Option<Instant>,
    }

    impl Waits for One {
        fn partition(&self) -> Option<Partition> {
            let sender = Sender {
                tenants: vec![self.of.to_owned()],
                alone: self.of == "alone",
                ..Sender::default()
            };
            Partition::of(Signal::Traces, &sender)
        }

        fn size(&self, sizer: BatchSizer) -> u64 {
            match sizer {
                BatchSizer::Items => self.items,
                BatchSizer::Bytes => 10 * self.items,
            }
        }

        fn deadline(&self) -> Option<Instant> {
            self.deadline
        }

        fn place(&self) -> Entry {
            Entry::nowhere()
        }
    }

    const TIMEOUT: Duration = Duration::from_secs(1);

    const NOTHING: [(&str, u64); 0] = [];

    fn one(of: &'static str, items: u64) -> One {
        One {
            of,
            items,
            deadline: None,
        }
    }

    fn batches(min_size: u64, max_size: u64) -> Batches {
        Batches {
            flush_timeout: TIMEOUT,
            min_size,
            max_size,
            sizer: BatchSizer::Items,
            max_bytes: 1_000,
        }
    }

    /// How many items of each go now.
    fn go(line: &mut Line<One>) -> Vec<(&'static str, u64)> {
        let taken = line.take(Instant::now(), false).unwrap_or_default();
        taken.iter().map(|one| (one.of, one.items)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_alike_goes_as_one_when_there_is_enough_of_it() {
        let mut line = Line::new(Some(batches(4, 5)));
        line.push_back(one("a", 3));
        line.push_back(one("b", 1));
        assert_eq!(go(&mut line), NOTHING);
        line.push_back(one("a", 2));
        line.push_back(one("a", 1));
        assert_eq!(line.len(), 4);
        assert_eq!(go(&mut line), [("a", 3), ("a", 2)]);
        assert_eq!(go(&mut line), NOTHING, "one of each is left");
        assert_eq!(line.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn time_lets_it_go_however_little_it_is() {
        let mut line = Line::new(Some(batches(4, 5)));
        let begun = Instant::now();
        line.push_back(one("a", 1));
        advance(TIMEOUT / 2).await;
        line.push_back(one("b", 1));
        line.push_back(one("a", 1));
        let due = line.take(Instant::now(), false).unwrap_err();
        assert_eq!(due, Some(begun + TIMEOUT));
        advance(TIMEOUT / 2).await;
        assert_eq!(go(&mut line), [("a", 1), ("a", 1)]);
        assert_eq!(go(&mut line), NOTHING);
        advance(TIMEOUT / 2).await;
        assert_eq!(go(&mut line), [("b", 1)]);
        assert_eq!(line.take(Instant::now(), false), Err(None));
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_time_of_who_waits_is_enough() {
        let mut line = Line::new(Some(batches(4, 5)));
        let begun = Instant::now();
        line.push_back(One {
            deadline: Some(begun + 10 * TIMEOUT),
            ..one("a", 3)
        });
        line.push_back(One {
            deadline: Some(begun + 10 * TIMEOUT),
            ..one("a", 2)
        });
        line.push_back(One {
            deadline: Some(begun + TIMEOUT),
            ..one("a", 1)
        });
        // The last one is still waited for when the first two have gone.
        assert_eq!(go(&mut line), [("a", 3), ("a", 2)]);
        let due = line.take(Instant::now(), false).unwrap_err();
        assert_eq!(due, Some(begun + TIMEOUT / 2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_backend_takes_at_once_is_enough() {
        let mut line = Line::new(Some(batches(1_000, 1_000)));
        for _ in 0..3 {
            line.push_back(one("a", 40));
        }
        assert_eq!(go(&mut line), [("a", 40), ("a", 40)]);
        line.push_back(one("b", 100));
        line.push_back(one("b", 1));
        assert_eq!(go(&mut line), [("b", 100)], "as large as it may be");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_hurried_waits_for_no_more() {
        let mut line = Line::new(Some(batches(4, 5)));
        line.push_back(one("a", 1));
        line.push_back(one("b", 1));
        line.hurry();
        assert_eq!(go(&mut line), [("a", 1)]);
        assert_eq!(go(&mut line), [("b", 1)]);
        line.push_back(one("a", 1));
        assert_eq!(go(&mut line), NOTHING, "what comes later does");
        // Nor does what is left of them when some have gone.
        for _ in 0..3 {
            line.push_back(one("b", 3));
        }
        line.hurry();
        assert_eq!(go(&mut line), [("a", 1)]);
        for _ in 0..3 {
            assert_eq!(go(&mut line), [("b", 3)]);
        }
        assert_eq!(line.len(), 0);
    }

    /// Whatever comes and goes in which order.
    #[tokio::test(start_paused = true)]
    async fn the_soonest_of_all_is_known_without_a_look_at_each() {
        let begun = Instant::now();
        let mut line = Line::new(Some(Batches {
            flush_timeout: 1_000 * TIMEOUT,
            ..batches(3, 3)
        }));
        let mut expected: VecDeque<Instant> = VecDeque::new();
        let mut random: u64 = 1;
        for _ in 0..10_000 {
            // Knuth's numbers.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let (what, time) = (random >> 60, (random >> 32) as u32 % 100 + 1);
            match what {
                0..10 => {
                    line.push_back(One {
                        deadline: Some(begun + 2 * time * TIMEOUT),
                        ..one("a", 1)
                    });
                    expected.push_back(begun + time * TIMEOUT);
                }
                10..12 => {
                    line.push_front(one("a", 1));
                    expected.push_front(begun);
                }
                _ => {
                    let taken = line.take(begun, false).unwrap_or_default();
                    expected.drain(..taken.len());
                }
            }
            let of_all = line.lanes.values().next();
            let noted = of_all.map_or(0, |of_all| of_all.soonest.len());
            assert!(noted <= expected.len(), "{noted}");
            let due = of_all.and_then(Lane::due);
            assert_eq!(due, expected.iter().min().copied());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_alone_waits_for_nobody() {
        let mut line = Line::new(Some(batches(4, 5)));
        line.push_back(one("a", 1));
        line.push_back(one("alone", 1));
        line.push_back(one("alone", 9));
        assert_eq!(go(&mut line), [("alone", 1)]);
        assert_eq!(go(&mut line), [("alone", 9)]);
        assert_eq!(go(&mut line), NOTHING);
        let all = line.take(Instant::now(), true).unwrap();
        assert_eq!(all, [one("a", 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_back_is_the_first_to_go_and_waits_no_more() {
        let mut line = Line::new(Some(batches(4, 5)));
        line.push_back(one("b", 5));
        line.push_back(one("a", 1));
        line.push_front(one("a", 2));
        line.push_front(one("a", 3));
        assert_eq!(go(&mut line), [("a", 3), ("a", 2)]);
        line.push_front(one("c", 1));
        assert_eq!(go(&mut line), [("c", 1)]);
        line.push_front(one("a", 3));
        line.push_front(one("b", 1));
        let rest = [one("b", 1), one("a", 3), one("b", 5), one("a", 1)];
        assert_eq!(line.take_rest(), rest);
        assert_eq!(line.len(), 0);
    }
}
