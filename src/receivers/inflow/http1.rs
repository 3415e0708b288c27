//! The heads of HTTP/1 requests, as far as time tells.

use std::time::Duration;

use tokio::time::Instant;

use super::http2::Flood;
use crate::receivers::connections::Requests;

/// The bytes that come in over one connection. Whatever comes while no request is under way belongs
/// to the head of the next one.
#[derive(Debug, Clone)]
pub(super) struct Heads {
    requests: Requests,
    /// The time that a head may take.
    whole: Duration,
    /// When the one that is not whole yet has begun, and how many requests there had been by then.
    begun: Option<(Instant, u64)>,
}

impl Heads {
    pub(super) fn new(requests: Requests, whole: Duration) -> Self {
        Self {
            requests,
            whole,
            begun: None,
        }
    }

    /// More bytes have come.
    pub(super) fn add(&mut self, bytes: &[u8], now: Instant) -> Result<(), Flood> {
        if self.due().is_some_and(|due| now >= due) {
            return Err(Flood::Unfinished);
        }
        let (begun, under_way) = self.requests.progress();
        if self.begun.is_none() && under_way == 0 && !bytes.is_empty() {
            self.begun = Some((now, begun));
        }
        Ok(())
    }

    /// When the head that has begun must have become whole.
    pub(super) fn due(&mut self) -> Option<Instant> {
        let (since, before) = self.begun?;
        if self.requests.progress().0 > before {
            self.begun = None;
            return None;
        }
        Some(since + self.whole)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const WHOLE: Duration = Duration::from_secs(10);

    #[test]
    fn a_head_has_its_time_and_a_body_another() {
        let requests = Requests::default();
        let mut heads = Heads::new(requests.clone(), WHOLE);
        let mut now = Instant::now();
        assert_eq!(heads.due(), None);
        for _ in 0..3 {
            let begun = now;
            for _ in 0..9 {
                heads.add(b"x", now).unwrap();
                assert_eq!(heads.due(), Some(begun + WHOLE));
                now += WHOLE / 10;
            }
            // It was the head of a request, whose body takes longer.
            let under_way = requests.begin();
            assert_eq!(heads.due(), None);
            for _ in 0..99 {
                heads.add(b"x", now).unwrap();
                assert_eq!(heads.due(), None);
                now += WHOLE / 10;
            }
            drop(under_way);
            assert_eq!(heads.due(), None, "nothing more has come");
        }
        heads.add(b"x", now).unwrap();
        assert_eq!(heads.add(b"x", now + WHOLE), Err(Flood::Unfinished));
    }

    /// A request and its answer may come and go before anybody looks.
    #[test]
    fn a_request_that_was_quick_leaves_no_time_running() {
        let requests = Requests::default();
        let mut heads = Heads::new(requests.clone(), WHOLE);
        let now = Instant::now();
        heads.add(b"GET / HTTP/1.1", now).unwrap();
        drop(requests.begin());
        assert_eq!(heads.due(), None);
        heads.add(b"GET / HTTP/1.1", now + 9 * WHOLE).unwrap();
        assert_eq!(heads.due(), Some(now + 10 * WHOLE));
    }
}
