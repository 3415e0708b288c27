//! The life of a connection, from its first byte to its end.

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::cut;
use super::requests::Requests;
use crate::telemetry::Cut;

/// How long a peer has to send the headers of its first request. Whoever has nothing to say takes
/// the place of somebody who has.
pub(super) const FIRST_REQUEST: Duration = Duration::from_secs(10);

/// How old a connection gets, unless it is configured: one that lived for ever would never reach a new
/// replica behind a load balancer.
pub(super) const AGE: Duration = Duration::from_mins(30);

/// How long requests may go on after the peer was told to send no more: longer than one may take to
/// arrive and to be answered.
pub(super) const LAST_REQUESTS: Duration = Duration::from_secs(90);

/// How long a peer that was told to send no more has to say that it knows. What it sent before it
/// was told arrives within this time.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// How long, at a stop, a request may still be on its way over a connection without one, where its peer cannot be
/// told: with HTTP/1 a connection ends without a word, and what meets that is left without an answer.
pub(in crate::receivers) const ON_THE_WAY: Duration = Duration::from_millis(250);

/// How long a peer may leave an answer unread: to keep one costs little, but somebody who never reads has no use
/// for its place.
pub(in crate::receivers) const UNREAD: Duration = Duration::from_secs(30);

/// When connections of a listener end.
#[derive(Debug, Clone, Copy)]
pub(in crate::receivers) struct Times {
    /// How long one may be without a request that had some.
    pub(in crate::receivers) idle: Option<Duration>,
    /// How old one gets.
    pub(in crate::receivers) age: Option<Duration>,
    /// How long the requests of one that is of age may go on.
    pub(in crate::receivers) grace: Duration,
    /// How long a peer may leave an answer unread.
    pub(in crate::receivers) unread: Duration,
    /// How long one without a request waits for one at a stop.
    pub(in crate::receivers) on_the_way: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            idle: None,
            age: Some(AGE),
            grace: LAST_REQUESTS,
            unread: UNREAD,
            on_the_way: Duration::ZERO,
        }
    }
}

/// Serves `connection` until it ends by itself, or has to: because it keeps silent, has been idle or has come
/// of age by the `times`, because one of its requests stopped arriving, or because of `stop`. Then the peer is
/// told, requests under way end, and nothing else is waited for. Returns why it was cut, if it was.
pub(super) async fn live<C>(
    connection: C,
    requests: &Requests,
    times: Times,
    stop: &CancellationToken,
) -> Option<Cut>
where
    C: GracefulConnection<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let mut connection = pin!(connection);
    let (why, cut, longest) = tokio::select! {
        outcome = &mut connection => {
            let error: Option<Box<dyn Error + Send + Sync>> = outcome.err().map(Into::into);
            if let Some(error) = &error {
                tracing::debug!("a connection failed: {error}");
            }
            return requests.cut_for().or_else(|| cut::why(error?.as_ref()));
        }
        () = stopped(requests, times.on_the_way, stop) => ("slimspan stops", None, LAST_REQUESTS),
        () = silence(requests) => ("it has sent no request", Some(Cut::NoRequest), LAST_REQUESTS),
        () = adulthood(times.age) => ("it has come of age", None, times.grace),
        () = requests.stalled() => ("a request stopped arriving", Some(Cut::Stalled), LAST_REQUESTS),
        () = idleness(requests, times.idle) => ("it has been idle", None, LAST_REQUESTS),
        () = unread(requests, times.unread) => {
            tracing::debug!("cutting a connection: its peer does not take its answers");
            return Some(Cut::Unread);
        }
    };
    tracing::debug!("closing a connection: {why}");
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => cut,
        () = requests.quiet_for(FAREWELL) => cut,
        () = sleep(longest) => Some(Cut::Late),
    }
}

/// Waits until a connection has to be told that it ends because of `stop`. A request that is there is told with
/// its answer.
async fn stopped(requests: &Requests, on_the_way: Duration, stop: &CancellationToken) {
    stop.cancelled().await;
    requests.next_within(on_the_way).await;
}

/// Waits until a connection has been without any request for too long; for ever if it has one.
async fn silence(requests: &Requests) {
    tokio::select! {
        () = requests.begun() => std::future::pending().await,
        () = sleep(FIRST_REQUEST) => {}
    }
}

/// Waits until a connection has come of age.
async fn adulthood(age: Option<Duration>) {
    match age {
        Some(age) => sleep(age).await,
        None => std::future::pending().await,
    }
}

/// Waits until a connection that had requests has been without one for so long.
async fn idleness(requests: &Requests, idle: Option<Duration>) {
    let Some(idle) = idle else {
        return std::future::pending().await;
    };
    requests.begun().await;
    requests.quiet_for(idle).await;
}

/// Waits until an answer has been left unread for too long.
async fn unread(requests: &Requests, longest: Duration) {
    loop {
        let left = longest.saturating_sub(requests.unsent_for());
        if left.is_zero() {
            return;
        }
        // Most answers are gone by then, and nobody was woken for them.
        sleep(left.max(longest / 10)).await;
    }
}
