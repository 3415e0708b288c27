//! Connections of those who read, and how slow one may be.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::connections::{Connections, Doing};
use super::kept::keep;
use super::no_http::{Headed, Lines};
use crate::peer::Remote;
use crate::tls::{Accepted, ServerTls};

/// What is spoken over TLS: a request at a time, so that a slow reader holds up nobody but itself.
pub(super) const ALPN: &[&str] = &["http/1.1"];

/// Connections that may be open at a time.
const CONNECTIONS: usize = 1024;

/// How long the headers of a request may take, and how long a connection may be without one.
const HEADERS: Duration = Duration::from_secs(10);

/// Room for the headers of a request.
const BUFFER: usize = 64 << 10;

/// What somebody has to take in each [`WINDOW`] in which there is something to take.
const PACE: usize = 64 << 10;

/// See [`PACE`].
const WINDOW: Duration = Duration::from_secs(30);

/// How long nothing is accepted after the system could not.
const PAUSE: Duration = Duration::from_millis(200);

/// A listener that is bound and does not answer yet.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerTls>>,
    /// How many connections may be open at a time.
    pub(super) most: usize,
}

impl Listener {
    pub(super) fn on(socket: TcpListener, tls: Option<Arc<ServerTls>>) -> io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            tls,
            most: CONNECTIONS,
        })
    }

    /// Where it listens: the port is real even where port 0 was configured.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers by `routes` until `stop` is cancelled, and ends when what is answered then is sent. What is no HTTP
    /// is answered with these headers.
    pub(super) async fn serve(self, routes: Router, unasked: Lines, stop: CancellationToken) {
        let mut connections = Connections::new(self.most);
        tokio::select! {
            // Who connects now is for somebody else.
            biased;
            () = stop.cancelled() => {}
            () = self.accept(routes, unasked, &stop, &mut connections) => {}
        }
        drop(self.socket);
        connections.ended().await;
    }

    async fn accept(
        &self,
        routes: Router,
        unasked: Lines,
        stop: &CancellationToken,
        connections: &mut Connections,
    ) {
        loop {
            let Ok((stream, peer)) = self.socket.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            if !connections.make_room(peer.ip()).await {
                tracing::debug!(%peer, "its host has half of all connections, and asks on each");
                continue;
            }
            let (tls, routes, stop) = (self.tls.clone(), routes.clone(), stop.clone());
            let unasked = unasked.clone();
            connections.open(peer.ip(), |doing| {
                speak(stream, peer, tls, routes, unasked, stop, doing)
            });
        }
    }
}

async fn speak(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerTls>>,
    routes: Router,
    unasked: Lines,
    stop: CancellationToken,
    doing: Arc<Doing>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, "cannot set TCP_NODELAY: {error}");
    }
    let stream: Either<TcpStream, Accepted<TcpStream>> = match tls {
        None => Either::Left(stream),
        Some(tls) => match tls.accept(stream).await {
            Ok(accepted) => Either::Right(accepted),
            Err(error) => {
                tracing::debug!(%peer, "a connection of a reader failed: {error}");
                return;
            }
        },
    };
    let paced = Paced::new(stream, Arc::clone(&doing));
    let headed = Headed::new(paced, Arc::clone(&doing), unasked);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let answering = doing.asked();
        request.extensions_mut().insert(Remote(peer.ip()));
        let answer = routes.clone().call(request);
        async move {
            let answer = answer.await.unwrap_or_else(|never| match never {});
            Ok::<_, Infallible>(answer.map(|body| keep(body, answering)))
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(headed), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            // After the answer to what it asked for before.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, "a connection of a reader failed: {error}");
    }
}

/// A connection that is cut where nobody takes what is written to it.
struct Paced<S> {
    stream: S,
    /// Since when something waits to be taken, and how much was taken since.
    window: Option<(Pin<Box<Sleep>>, usize)>,
    doing: Arc<Doing>,
}

impl<S> Paced<S> {
    fn new(stream: S, doing: Arc<Doing>) -> Self {
        Self {
            stream,
            window: None,
            doing,
        }
    }

    /// A write that went on, or waits.
    fn judge(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match (&written, &mut self.window) {
            (Poll::Ready(Ok(count)), Some((_, taken))) => {
                *taken = taken.saturating_add(*count);
                if *taken >= PACE {
                    self.window = None;
                }
            }
            (Poll::Pending, None) => {
                let end = Box::pin(sleep_until(Instant::now() + WINDOW));
                self.window = Some((end, 0));
            }
            (Poll::Ready(_), _) | (Poll::Pending, Some(_)) => {}
        }
        if written.is_ready() {
            return written;
        }
        if let Some((end, _)) = &mut self.window {
            ready!(end.as_mut().poll(context));
            let reason = format!("less than {PACE} bytes were taken in {WINDOW:?}");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if let Poll::Ready(Ok(())) = &flushed {
            self.doing.sent();
            // All was taken, however little that was: what comes later has a time of its own.
            self.window = None;
        }
        let flushed = flushed.map_ok(|()| 0);
        self.judge(flushed, context).map_ok(drop)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut() {
        let (near, _far) = duplex(1024);
        let begun = Instant::now();
        let mut near = Paced::new(near, Arc::default());
        let error = near.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), WINDOW.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_next_to_nothing_is_cut() {
        let (near, mut far) = duplex(1024);
        let reading = tokio::spawn(async move {
            let mut byte = [0];
            while far.read_exact(&mut byte).await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let mut near = Paced::new(near, Arc::default());
        let error = near.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(near);
        reading.await.unwrap();
    }

    /// What was taken long ago says nothing of what comes now.
    #[tokio::test(start_paused = true)]
    async fn who_has_taken_everything_has_all_the_time_again() {
        let (near, mut far) = duplex(1024);
        let reading = tokio::spawn(async move {
            let mut some = [0; 4096];
            for _ in 0..3 {
                sleep(WINDOW / 2).await;
                far.read_exact(&mut some).await.unwrap();
            }
        });
        let mut near = Paced::new(near, Arc::default());
        for _ in 0..3 {
            near.write_all(&[0; 4096]).await.unwrap();
            near.flush().await.unwrap();
        }
        reading.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_but_not_too_slow_gets_everything() {
        let (near, mut far) = duplex(32 << 10);
        let writing = tokio::spawn(async move {
            let mut near = Paced::new(near, Arc::default());
            near.write_all(&vec![7; 1 << 20]).await.unwrap();
            near.shutdown().await.unwrap();
        });
        let (mut taken, mut some) = (0, vec![0; 32 << 10]);
        loop {
            let count = far.read(&mut some).await.unwrap();
            if count == 0 {
                break;
            }
            taken += count;
            sleep(Duration::from_secs(10)).await;
        }
        assert_eq!(taken, 1 << 20);
        writing.await.unwrap();
    }
}
