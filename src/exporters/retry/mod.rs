//! Sends again what a backend could not take.

pub mod config;

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::refusal::Refusal;
use config::RetryConfig;

/// How long a request may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As long as its sender waits, and `max_elapsed_time` allows.
    Until(Instant),
    /// As long as `max_elapsed_time` allows: nobody waits.
    Configured,
    /// Not at all: it is kept on disk, and who took it from there comes back with it.
    Once {
        /// Whether it was tried before.
        is_repeat: bool,
    },
}

impl Patience {
    /// When its sender stops waiting, if there is one who waits.
    pub fn until(self) -> Option<Instant> {
        match self {
            Self::Until(deadline) => Some(deadline),
            Self::Configured | Self::Once { .. } => None,
        }
    }

    /// What is left of a sender's time.
    pub fn left(self) -> Option<Duration> {
        let until = self.until()?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Whether its first attempt repeats another one.
    pub fn is_repeat(self) -> bool {
        matches!(self, Self::Once { is_repeat: true })
    }

    fn end(self, config: &RetryConfig, start: Instant) -> Option<Instant> {
        let longest = config.max_elapsed_time;
        // So far away that no clock gets there is never.
        let given_up = (!longest.is_zero())
            .then(|| start.checked_add(longest))
            .flatten();
        match self {
            Self::Until(deadline) => {
                Some(given_up.map_or(deadline, |given_up| given_up.min(deadline)))
            }
            Self::Configured | Self::Once { .. } => given_up,
        }
    }
}

/// The longest wait that a backend is granted: what asks for more is a mistake, or malice.
const LONGEST: Duration = Duration::from_mins(5);

/// How long a backend asks to be left alone with a request.
pub(super) fn asked(refusal: &Refusal) -> Duration {
    refusal.asked_delay().unwrap_or(Duration::ZERO).min(LONGEST)
}

/// Makes attempts until one succeeds, is refused for good, or would come too late. The last
/// refusal is the answer. Between attempts it waits as long as the backend asks for, and at least
/// as long as the backoff says, but not beyond `stop`.
///
/// Where others find that the backend `works_again`, it waits only for as long as it was asked to, and for the first
/// interval.
///
/// What is kept on disk, and nowhere else, has one attempt: its memory is not held while it waits. Its queue repeats
/// it even where retries are switched off, for there is nobody to do it instead.
pub async fn retry<T, F>(
    config: &RetryConfig,
    patience: Patience,
    stop: &CancellationToken,
    works_again: &Notify,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Refusal>>,
{
    let start = Instant::now();
    let end = patience.end(config, start);
    let backoff = config.backoff();
    let mut times = 0;
    let repeats = config.enabled && !matches!(patience, Patience::Once { .. });
    loop {
        let refusal = match attempt().await {
            Err(refusal) if repeats && refusal.is_retryable() => refusal,
            outcome => return outcome,
        };
        let asked = asked(&refusal);
        let wait = backoff.wait(times).max(asked);
        let (since, least) = (Instant::now(), asked.max(backoff.first).min(wait));
        let woken = works_again.notified();
        let woken = async {
            woken.await;
            sleep(least.saturating_sub(since.elapsed())).await;
        };
        times += 1;
        if end.is_some_and(|end| end.saturating_duration_since(Instant::now()) <= wait) {
            return Err(refusal);
        }
        tracing::debug!("trying again in {wait:?}: {}", refusal.in_log());
        tokio::select! {
            () = sleep(wait) => {}
            () = woken => {}
            () = stop.cancelled() => return Err(refusal),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::refusal::Culprit;
    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt as _};

    fn config() -> RetryConfig {
        RetryConfig {
            randomization_factor: 0.0,
            ..RetryConfig::default()
        }
    }

    fn down() -> Refusal {
        Refusal::unavailable(Culprit::Backend, "down")
    }

    /// When the attempts were made, and what came of them, if the backend is back after `failures`.
    async fn attempts(
        config: &RetryConfig,
        patience: Patience,
        failures: usize,
        refusal: Refusal,
    ) -> (Vec<u64>, Result<(), Refusal>) {
        let start = Instant::now();
        let mut made = Vec::new();
        let (stop, works_again) = (CancellationToken::new(), Notify::new());
        let outcome = retry(config, patience, &stop, &works_again, || {
            made.push(start.elapsed().as_secs());
            std::future::ready(if made.len() > failures {
                Ok(())
            } else {
                Err(refusal.clone())
            })
        });
        let outcome = outcome.await;
        (made, outcome)
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_up_to_the_longest_and_end_with_the_time() {
        let (made, outcome) = attempts(&config(), Patience::Configured, 5, down()).await;
        assert_eq!((made, outcome), (vec![0, 5, 12, 23, 40, 65], Ok(())));
        let (made, outcome) = attempts(&config(), Patience::Configured, 99, down()).await;
        assert_eq!(made.last(), Some(&275), "the next would come at 305");
        assert_eq!(outcome, Err(down()));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_tried_that_the_sender_would_not_hear_of() {
        let start = Instant::now();
        let patience = Patience::Until(start + Duration::from_secs(10));
        let (made, outcome) = attempts(&config(), patience, 99, down()).await;
        assert_eq!((made, outcome), (vec![0, 5], Err(down())));
        assert_eq!(start.elapsed().as_secs(), 5, "it does not wait for the end");
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_end_it_is_tried_for_ever() {
        let mut for_ever = config();
        for_ever.max_elapsed_time = Duration::ZERO;
        let (made, _) = attempts(&for_ever, Patience::Configured, 1_000, down()).await;
        assert_eq!(made.len(), 1_001);
    }

    #[tokio::test(start_paused = true)]
    async fn the_backends_delay_counts_where_it_is_longer() {
        let asking = |seconds| {
            let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(seconds)));
            let status = Status::with_error_details(Code::ResourceExhausted, "busy", details);
            Refusal::of_backend("otlp_grpc", &status)
        };
        let (made, _) = attempts(&config(), Patience::Configured, 1, asking(42)).await;
        assert_eq!(made, [0, 42]);
        let (made, _) = attempts(&config(), Patience::Configured, 1, asking(1)).await;
        assert_eq!(made, [0, 5]);
        for patience in [
            Patience::Configured,
            Patience::Until(Instant::now() + 3 * LONGEST),
        ] {
            let mut unlimited = config();
            unlimited.max_elapsed_time = Duration::ZERO;
            let (made, outcome) = attempts(&unlimited, patience, 1, asking(i64::MAX as u64)).await;
            assert_eq!((made, outcome), (vec![0, LONGEST.as_secs()], Ok(())));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_final_or_switched_off_is_tried_once() {
        let last = Refusal::malformed("no");
        let (made, outcome) = attempts(&config(), Patience::Configured, 9, last.clone()).await;
        assert_eq!((made, outcome), (vec![0], Err(last)));
        let off = RetryConfig {
            enabled: false,
            ..config()
        };
        let (made, outcome) = attempts(&off, Patience::Configured, 9, down()).await;
        assert_eq!((made, outcome.unwrap_err()), (vec![0], down()));
        for is_repeat in [false, true] {
            let once = Patience::Once { is_repeat };
            let (made, outcome) = attempts(&config(), once, 2, down()).await;
            assert_eq!((made, outcome.unwrap_err()), (vec![0], down()));
        }
    }

    /// But not before it was asked to come, and not at once: whoever is refused alone would never wait.
    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_when_others_find_that_the_backend_works() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(9)));
        let status = Status::with_error_details(Code::Unavailable, "busy", details);
        for (refusal, last) in [
            (down(), 20),
            (Refusal::of_backend("otlp_grpc", &status), 27),
        ] {
            let start = Instant::now();
            let (stop, works_again) = (CancellationToken::new(), Notify::new());
            let (config, mut made) = (config(), Vec::new());
            let attempt = || {
                made.push(start.elapsed().as_secs());
                let is_back = start.elapsed() >= Duration::from_secs(20);
                std::future::ready(if is_back {
                    Ok(())
                } else {
                    Err(refusal.clone())
                })
            };
            let retries = retry(&config, Patience::Configured, &stop, &works_again, attempt);
            let (outcome, ()) = tokio::join!(retries, async {
                sleep(Duration::from_secs(20)).await;
                works_again.notify_waiters();
            });
            assert_eq!((outcome, made.last()), (Ok(()), Some(&last)), "{made:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait() {
        let start = Instant::now();
        let (mut config, stop) = (config(), CancellationToken::new());
        config.max_elapsed_time = Duration::ZERO;
        let attempt = || std::future::ready(Err::<(), _>(down()));
        let nobody = Notify::new();
        let retries = retry(&config, Patience::Configured, &stop, &nobody, attempt);
        let (outcome, ()) = tokio::join!(retries, async {
            sleep(Duration::from_secs(6)).await;
            stop.cancel();
        });
        assert_eq!((outcome, start.elapsed().as_secs()), (Err(down()), 6));
    }
}
