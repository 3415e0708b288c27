//! Connections of a listener: how many there may be at a time, of strangers too, how long one may be there without
//! a request, and how it ends. Which protocol they speak is the receiver's affair.

mod accept;
mod cut;
mod life;
mod requests;
mod slots;
mod standing;
mod vouched;

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use self::accept::accept;
use self::life::live;
use crate::peer::Remote;
use crate::sockets::{Listening, Plain};
use crate::telemetry::{Counters, Seldom};
use crate::tls::{Accepted, ServerTls, Terms};

pub(super) use self::life::{ON_THE_WAY, Times, UNREAD};
pub(super) use self::requests::{Requests, Stalled};
pub(super) use self::slots::{Introduction, Limits};
pub(super) use self::standing::{Answering, Service};
pub use self::standing::{Standing, Standings};

/// The bytes of a connection: as they came, or decrypted.
pub(super) type Stream = Either<Plain, Accepted<Plain>>;

/// Accepts until `stop`, and answers with `service`. Each connection is served by what `speak` makes of it, which
/// tells the connection's [`Requests`] of every request, and answers by [`Answering`]; with `tls`, once keys are
/// agreed on. Also before that it has its place among the limits.
///
/// Returns when the last connection has ended. Where they stay for another service, it returns when all requests
/// under way are answered: those that come later wait for that service.
pub(super) async fn serve<C>(
    listener: impl Into<Listening>,
    standing: Arc<Standing>,
    tls: Option<Arc<ServerTls>>,
    counters: &Counters,
    stop: CancellationToken,
    service: Service,
    speak: impl Fn(TokioIo<Stream>, Requests, Answering) -> C + Send + Sync + 'static,
) where
    C: GracefulConnection<Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let (listener, speak) = (listener.into(), Arc::new(speak));
    // The one before may still end.
    let mut connections = standing.connections.lock().await;
    let on_duty = standing.begin(service);
    let times = standing.slots.times();
    let terms = || {
        let terms = tls.as_deref().map(ServerTls::terms);
        if let Some(terms) = &terms {
            standing.vouched.come_by(terms.authorities());
        }
        terms
    };
    // Before any connection: whether they stay may be decided before the first comes.
    terms();
    let (mut failures, mut refusals) = (Seldom::default(), Seldom::default());
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &mut failures) => accepted,
        };
        // What is left of those that have ended meanwhile.
        while connections.try_join_next().is_some() {}
        let slot = match standing.slots.take(peer) {
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
        if let Either::Left(stream) = &stream
            && let Err(error) = stream.set_nodelay(true)
        {
            tracing::debug!(%peer, "cannot set TCP_NODELAY: {error}");
        }
        // Without the rest of `tls`: who looks at its files ends with who accepts, while connections stay.
        let terms = terms();
        let speak = Arc::clone(&speak);
        let (end, answering) = (
            standing.end.clone(),
            standing.answering(slot.introduction()),
        );
        let open = counters.connection();
        connections.spawn(async move {
            let cut = match protect(stream, terms, &end).await {
                Ok(Some(stream)) => {
                    let requests = Requests::default();
                    let connection = speak(TokioIo::new(stream), requests.clone(), answering);
                    live(connection, &requests, times, &end).await
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
    if standing.stays() {
        on_duty.finish().await;
    } else {
        standing.close(&mut connections).await;
    }
}

/// Where requests come from over this, if that is still known; who comes over a Unix socket is of this machine.
pub(super) fn remote(stream: &Stream) -> Option<Remote> {
    let plain = match stream {
        Either::Left(plain) => plain,
        Either::Right(accepted) => accepted.get_ref().0,
    };
    let address = match plain {
        Either::Left(tcp) => tcp.peer_addr().ok()?.ip(),
        Either::Right(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    Some(Remote(address))
}

/// Agrees on keys, where there is TLS; none where connections are to end meanwhile.
async fn protect(
    stream: Plain,
    terms: Option<Arc<Terms>>,
    end: &CancellationToken,
) -> io::Result<Option<Stream>> {
    let Some(terms) = terms else {
        return Ok(Some(Either::Left(stream)));
    };
    tokio::select! {
        () = end.cancelled() => Ok(None),
        accepted = terms.accept(stream) => {
            let accepted = accepted
                .inspect_err(|error| tracing::debug!("a connection failed: {error}"))?;
            Ok(Some(Either::Right(accepted)))
        }
    }
}

#[cfg(test)]
mod tests;
