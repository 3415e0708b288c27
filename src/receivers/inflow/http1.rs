//! The heads of HTTP/1 requests: when they have to be whole.

use std::time::Duration;

use tokio::time::Instant;

use super::framing::{Framing, Lost};
use super::http2::Flood;
use crate::receivers::connections::Requests;

/// The bytes that come in over one connection.
#[derive(Debug, Clone)]
pub(super) struct Heads {
    requests: Requests,
    /// The time that a head may take.
    whole: Duration,
    framing: Framing,
    /// When the one that is not whole yet has begun.
    begun: Option<Instant>,
}

impl Heads {
    pub(super) fn new(requests: Requests, whole: Duration) -> Self {
        Self {
            requests,
            whole,
            framing: Framing::new(),
            begun: None,
        }
    }

    /// More bytes have come. Returns how many of them may be read.
    pub(super) fn add(&mut self, bytes: &mut [u8], now: Instant) -> Result<usize, Flood> {
        if self.due(now).is_some_and(|due| now >= due) {
            return Err(Flood::Unfinished);
        }
        let before = self.framing.heads();
        let passed = self.framing.add(bytes).map_err(|Lost| Flood::Lost)?;
        if !self.framing.is_in_head() {
            self.begun = None;
        } else if self.begun.is_none() || self.framing.heads() != before {
            self.begun = Some(now);
        }
        Ok(passed)
    }

    /// When the head that has begun must have become whole. What comes behind a request is not read as
    /// long as that one is under way, so its time begins after that.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        let begun = self.begun?;
        let since = match self.requests.ended() {
            // Looked at again by then.
            None => now,
            Some(None) => begun,
            Some(Some(ended)) => begun.max(ended),
        };
        Some(since + self.whole)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const WHOLE: Duration = Duration::from_secs(10);

    fn add(heads: &mut Heads, bytes: &[u8], now: Instant) -> Result<usize, Flood> {
        heads.add(&mut bytes.to_vec(), now)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_and_a_body_another() {
        let requests = Requests::default();
        let mut heads = Heads::new(requests.clone(), WHOLE);
        assert_eq!(heads.due(Instant::now()), None);
        for _ in 0..3 {
            let begun = Instant::now();
            for byte in b"POST / HTTP/1.1\r\ncontent-length: 99\r\n\r" {
                let now = Instant::now();
                add(&mut heads, &[*byte], now).unwrap();
                assert_eq!(heads.due(now), Some(begun + WHOLE));
                tokio::time::advance(WHOLE / 50).await;
            }
            // It was the head of a request, whose body takes longer.
            add(&mut heads, b"\n", Instant::now()).unwrap();
            let under_way = requests.begin();
            for _ in 0..99 {
                assert_eq!(heads.due(Instant::now()), None);
                add(&mut heads, b"x", Instant::now()).unwrap();
                tokio::time::advance(WHOLE / 10).await;
            }
            drop(under_way);
            assert_eq!(heads.due(Instant::now()), None, "nothing more has come");
            tokio::time::advance(WHOLE * 9).await;
        }
        add(&mut heads, b"x", Instant::now()).unwrap();
        tokio::time::advance(WHOLE).await;
        let late = add(&mut heads, b"x", Instant::now());
        assert_eq!(late, Err(Flood::Unfinished));
    }

    /// A head that comes behind another request, and stops.
    #[tokio::test(start_paused = true)]
    async fn half_a_head_behind_a_request_has_its_time_when_that_one_has_ended() {
        let requests = Requests::default();
        let mut heads = Heads::new(requests.clone(), WHOLE);
        let both = b"GET / HTTP/1.1\r\n\r\nGET / HTT";
        add(&mut heads, both, Instant::now()).unwrap();
        let under_way = requests.begin();
        for _ in 0..99 {
            tokio::time::advance(WHOLE).await;
            let now = Instant::now();
            assert_eq!(heads.due(now), Some(now + WHOLE));
        }
        drop(under_way);
        let ended = Instant::now();
        tokio::time::advance(WHOLE / 2).await;
        assert_eq!(heads.due(Instant::now()), Some(ended + WHOLE));
        add(&mut heads, b"P/1.1\r\n\r\n", Instant::now()).unwrap();
        assert_eq!(heads.due(Instant::now()), None);
    }

    /// A request and its answer may come and go before anybody looks.
    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_quick_leaves_no_time_running() {
        let requests = Requests::default();
        let mut heads = Heads::new(requests.clone(), WHOLE);
        add(&mut heads, b"GET / HTTP/1.1\r\n\r\n", Instant::now()).unwrap();
        drop(requests.begin());
        assert_eq!(heads.due(Instant::now()), None);
        tokio::time::advance(WHOLE * 9).await;
        let now = Instant::now();
        add(&mut heads, b"GET / HTTP/1.1\r\n", now).unwrap();
        assert_eq!(heads.due(now), Some(now + WHOLE));
    }
}
