//! Connections of a listener: how many there may be at a time, how long one may be there without a
//! request, and how it ends. Which protocol they speak is the receiver's affair.

mod accept;
mod cut;
mod life;
mod requests;
mod slots;

use std::error::Error;
use std::io;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use self::accept::accept;
use self::life::live;
use self::slots::Slots;
use crate::telemetry::{Counters, Seldom};
use crate::tls::{Accepted, ServerTls};

pub(super) use self::life::{Times, UNREAD};
pub(super) use self::requests::Requests;
pub(super) use self::slots::Limits;

/// The bytes of a connection: as they came, or decrypted.
pub(super) type Stream = Either<TcpStream, Accepted>;

/// Accepts until `stop`, and returns when the last connection has ended. Each is served by what
/// `speak` makes of it, which tells the connection's [`Requests`] of every request; with `tls`, once keys
/// are agreed on. Also before that it has its place among the `limits`.
pub(super) async fn serve<C>(
    listener: TcpListener,
    limits: Limits,
    tls: Option<Arc<ServerTls>>,
    counters: &Counters,
    stop: CancellationToken,
    speak: impl Fn(TokioIo<Stream>, Requests) -> C + Send + Sync + 'static,
) where
    C: GracefulConnection<Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let speak = Arc::new(speak);
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
        let (tls, speak, stop) = (tls.clone(), Arc::clone(&speak), stop.clone());
        let open = counters.connection();
        connections.spawn(async move {
            let cut = match protect(stream, tls.as_deref(), &stop).await {
                Ok(Some(stream)) => {
                    let requests = Requests::default();
                    let connection = speak(TokioIo::new(stream), requests.clone());
                    live(connection, &requests, limits.times, &stop).await
                }
                Ok(None) => None,
                Err(error) => cut::why_unprotected(&error),
            };
            if let Some(cut) = cut {
                open.cut(cut);
            }
            drop((slot, open));
        });
    }
    // Whoever connects now is to be told at once that nobody is here.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Agrees on keys, where there is TLS; none where slimspan stops meanwhile.
async fn protect(
    stream: TcpStream,
    tls: Option<&ServerTls>,
    stop: &CancellationToken,
) -> io::Result<Option<Stream>> {
    let Some(tls) = tls else {
        return Ok(Some(Either::Left(stream)));
    };
    tokio::select! {
        () = stop.cancelled() => Ok(None),
        accepted = tls.accept(stream) => {
            let accepted = accepted
                .inspect_err(|error| tracing::debug!("a connection failed: {error}"))?;
            Ok(Some(Either::Right(accepted)))
        }
    }
}

#[cfg(test)]
mod tests;
