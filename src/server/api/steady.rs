//! Bytes of an upload, as long as they come fast enough: who sends next to nothing keeps a place from others.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};

use super::answer::ApiError;

/// What has to come in each [`WINDOW`].
const PACE: u64 = 64 << 10;

/// See [`PACE`].
const WINDOW: Duration = Duration::from_secs(30);

/// What has to come in a second, taken over all of it, beside [`GRACE`].
const STEADY: u64 = 64 << 10;

/// See [`STEADY`].
const GRACE: Duration = Duration::from_mins(1);

/// What somebody sends. The time in which it is waited for is its sender's, and all other time the store's.
pub(super) struct Steady {
    body: Body,
    /// How much has come.
    size: u64,
    /// How long it was waited for.
    waited: Duration,
    /// As much of that had passed when the window began, and so much has come since.
    window: (Duration, u64),
}

impl Steady {
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            size: 0,
            waited: Duration::ZERO,
            window: (Duration::ZERO, 0),
        }
    }

    /// What comes next; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let longest = GRACE + Duration::from_secs(self.size / STEADY);
            let end = self.window.0 + WINDOW;
            let begun = Instant::now();
            let left = end.min(longest).saturating_sub(self.waited);
            let frame = timeout(left, self.body.frame()).await;
            self.waited += begun.elapsed();
            let is_over = self.waited >= end;
            if self.waited >= longest || is_over && self.window.1 < PACE {
                let told = "the bytes come too slowly".to_owned();
                return Err(ApiError::Told(StatusCode::REQUEST_TIMEOUT, told));
            }
            if is_over {
                self.window = (self.waited, 0);
            }
            let Ok(frame) = frame else { continue };
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame
                .map_err(|error| ApiError::bad(format!("the bytes did not arrive: {error}")))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.size += data.len() as u64;
            self.window.1 += data.len() as u64;
            return Ok(Some(data));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A body of pieces of so many bytes, each after a pause.
    fn body(pieces: u64, size: usize, pause: Duration) -> Body {
        Body::from_stream(stream::unfold(0, move |piece| async move {
            sleep(pause).await;
            let bytes = Ok::<_, Infallible>(Bytes::from(vec![7; size]));
            (piece < pieces).then_some((bytes, piece + 1))
        }))
    }

    /// How many bytes come, and how it ends.
    async fn read(body: Body, store: Duration) -> (usize, Result<(), ApiError>) {
        let (mut steady, mut size) = (Steady::new(body), 0);
        loop {
            match steady.next().await {
                Ok(Some(bytes)) => size += bytes.len(),
                Ok(None) => return (size, Ok(())),
                Err(error) => return (size, Err(error)),
            }
            sleep(store).await;
        }
    }

    fn is_slow(outcome: &Result<(), ApiError>) -> bool {
        let slow = StatusCode::REQUEST_TIMEOUT;
        matches!(outcome, Err(ApiError::Told(status, _)) if *status == slow)
    }

    /// As much as keeps the connection alive, which would take days for what may be sent.
    #[tokio::test(start_paused = true)]
    async fn who_trickles_is_cut_after_a_while() {
        for (size, longest) in [(1, 31_u32), (4 << 10, 66), (60 << 10, 1000)] {
            let begun = Instant::now();
            let (came, outcome) = read(body(1 << 20, size, SECOND), Duration::ZERO).await;
            assert!(is_slow(&outcome), "{outcome:?}: {came} in pieces of {size}");
            let took = begun.elapsed();
            assert!(
                took <= longest * SECOND,
                "{took:?}: {came} in pieces of {size}"
            );
        }
    }

    /// Who was fast does not keep the place with what that has earned.
    #[tokio::test(start_paused = true)]
    async fn who_stops_is_cut() {
        let fast = body(100, 1 << 20, Duration::ZERO);
        let stopped = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let both = fast.into_data_stream();
        let both = futures::StreamExt::chain(both, stopped.into_data_stream());
        let begun = Instant::now();
        let (came, outcome) = read(Body::from_stream(both), Duration::ZERO).await;
        assert!(is_slow(&outcome), "{outcome:?}");
        assert_eq!(came, 100 << 20);
        let took = begun.elapsed();
        assert!(took <= 2 * WINDOW + SECOND, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_but_not_too_slow_sends_everything() {
        let (came, outcome) = read(body(1000, 65 << 10, SECOND), Duration::ZERO).await;
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(came, 1000 * (65 << 10));
        // Neither is the store's time the sender's.
        let (came, outcome) = read(body(10, 1, Duration::ZERO), 100 * SECOND).await;
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(came, 10);
    }
}
