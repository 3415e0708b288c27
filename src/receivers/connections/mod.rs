//! Connections of a listener: how many there may be at a time, how long one may be there without a
//! request, and how it ends. Which protocol they speak is the receiver's affair.

mod accept;
mod life;
mod requests;
mod slots;

use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::accept::accept;
use self::life::live;
use self::slots::Slots;
use crate::telemetry::{Counters, Seldom};

pub(super) use self::requests::Requests;
pub(super) use self::slots::Limits;

/// Accepts until `stop`, and returns when the last connection has ended. Each is served by what
/// `speak` makes of it, which tells the connection's [`Requests`] of every request.
pub(super) async fn serve<C>(
    listener: TcpListener,
    limits: Limits,
    counters: &Counters,
    stop: CancellationToken,
    speak: impl Fn(TokioIo<TcpStream>, Requests) -> C,
) where
    C: GracefulConnection<Error: std::fmt::Display> + Send + 'static,
{
    let slots = Slots::new(limits);
    let mut connections = JoinSet::new();
    let (mut failures, mut refusals) = (Seldom::default(), Seldom::default());
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &mut failures) => accepted,
        };
        // What is left of those that have ended meanwhile.
        while connections.try_join_next().is_some() {}
        let slot = match slots.take(peer.ip()) {
            Ok(slot) => slot,
            Err(full) => {
                // Closed rather than left waiting: its sender tries again, perhaps elsewhere.
                drop(stream);
                counters.connection_refused();
                if let Some(times) = refusals.occurred() {
                    tracing::warn!("refused {times} connections, the last from {peer}: {full}");
                }
                continue;
            }
        };
        // Answers are small and awaited: they do not wait for more to send.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, "cannot set TCP_NODELAY: {error}");
        }
        let requests = Requests::default();
        let connection = speak(TokioIo::new(stream), requests.clone());
        let stop = stop.clone();
        connections.spawn(async move {
            live(connection, &requests, &stop).await;
            drop(slot);
        });
    }
    // Whoever connects now is to be told at once that nobody is here.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;
