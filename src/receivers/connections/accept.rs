//! Accepting, also where the system has nothing to accept with.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::time::sleep;

use crate::peer::Peer;
use crate::sockets::{Listening, Plain};
use crate::telemetry::Seldom;

/// How long nothing is accepted after the system could not. A connection that waits makes the
/// listener ready all the while, so trying again at once would keep a core busy.
const PAUSE: Duration = Duration::from_millis(200);

/// The next connection, whatever goes wrong before it comes.
pub(super) async fn accept(listener: &Listening, failures: &mut Seldom) -> (Plain, Peer) {
    persist(failures, || listener.accept()).await
}

async fn persist<T, F>(failures: &mut Seldom, mut accept: impl FnMut() -> F) -> T
where
    F: Future<Output = io::Result<T>>,
{
    loop {
        let error = match accept().await {
            Ok(accepted) => return accepted,
            Err(error) => error,
        };
        if is_gone(&error) {
            continue;
        }
        if let Some(times) = failures.occurred() {
            tracing::error!(
                "cannot accept connections ({times} times): {error}; if files are what is \
                 missing, raise the limit of open files (ulimit -n) or lower max_connections"
            );
        }
        sleep(PAUSE).await;
    }
}

/// Whether it is only that a peer has gone away before it was accepted.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    /// The error of a process that may open no more files.
    fn no_more_files() -> io::Error {
        io::Error::from_raw_os_error(24)
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_accept_does_not_keep_a_core_busy() {
        let hour = Duration::from_hours(1);
        let most = hour.as_millis() / PAUSE.as_millis() + 1;
        let mut tried = 0;
        let failing = || {
            tried += 1;
            assert!(tried <= most, "it spins");
            std::future::ready(Err::<(), _>(no_more_files()))
        };
        let mut failures = Seldom::default();
        let accepting = timeout(hour, persist(&mut failures, failing)).await;
        accepting.unwrap_err();
        assert!(tried > 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_when_the_system_can_again() {
        let begun = Instant::now();
        let able = begun + Duration::from_mins(1);
        let accept = || {
            let outcome = if Instant::now() < able {
                Err(no_more_files())
            } else {
                Ok("peer")
            };
            std::future::ready(outcome)
        };
        assert_eq!(persist(&mut Seldom::default(), accept).await, "peer");
        assert!(able.elapsed() <= PAUSE, "{:?}", able.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_early_holds_up_nobody() {
        let begun = Instant::now();
        let mut gone = [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset].into_iter();
        let accept = || std::future::ready(gone.next().map_or(Ok(()), |kind| Err(kind.into())));
        persist(&mut Seldom::default(), accept).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
