//! A small HTTP server for few who ask.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::either::Either;
use tower::Service as _;

use crate::tls::{Accepted, ServerTls};

/// Connections that may be open at a time. For more the oldest goes: it has nothing to say, or its answer is
/// not read, and an orchestrator that waits behind it would take this process for dead.
const CONNECTIONS: usize = 32;

/// How long a connection may be open: who asks again makes another one.
const AGE: Duration = Duration::from_mins(2);

/// How long the headers of a request may take, from when a connection could have sent them: one that is
/// silent holds a place of another.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// Room for the headers of a request.
const BUFFER: usize = 16 << 10;

/// How long nothing is accepted after the system could not.
const PAUSE: Duration = Duration::from_millis(200);

/// A connection of who asks.
pub(super) type Stream = Either<TcpStream, Accepted<TcpStream>>;

/// A listener that is bound and does not answer yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerTls>>,
}

impl Listener {
    /// Will answer who connects to `listener`.
    pub fn on(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self {
            socket: listener,
            address,
            tls: None,
        })
    }

    /// The same with connections that `tls` protects, if there is any.
    #[must_use]
    pub fn protected(self, tls: Option<ServerTls>) -> Self {
        let tls = tls.map(Arc::new);
        Self { tls, ..self }
    }

    /// Where it listens: the port is real even where port 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers with these pages until it is dropped.
    pub async fn serve(self, pages: Router) {
        let speak = move |stream: Stream| {
            let pages = pages.clone();
            let service = service_fn(move |request: Request<Incoming>| pages.clone().call(request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(SILENCE)
                .max_buf_size(BUFFER)
                .serve_connection(TokioIo::new(stream), service);
            async move {
                let ended = timeout(AGE, connection).await;
                ended.map_or(Ok(()), |ended| ended.map_err(io::Error::other))
            }
        };
        self.speak(speak).await;
    }

    /// Lets `speak` have each connection, until it is dropped.
    pub(super) async fn speak<S, C>(self, speak: S)
    where
        S: Fn(Stream) -> C + Clone + Send + 'static,
        C: Future<Output = io::Result<()>> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        let mut open = VecDeque::<AbortHandle>::new();
        loop {
            let Ok((stream, _)) = self.socket.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            while connections.try_join_next().is_some() {}
            open.retain(|connection| !connection.is_finished());
            if open.len() >= CONNECTIONS
                && let Some(oldest) = open.pop_front()
            {
                oldest.abort();
            }
            let (tls, speak) = (self.tls.clone(), speak.clone());
            let connection = async move {
                let stream = match &tls {
                    None => Either::Left(stream),
                    Some(tls) => Either::Right(tls.accept(stream).await?),
                };
                speak(stream).await
            };
            open.push_back(connections.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!("a connection of somebody who asks failed: {error}");
                }
            }));
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;

    /// A listener with one page.
    fn serving() -> SocketAddr {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let listener = Listener::on(TcpListener::from_std(socket).unwrap()).unwrap();
        let address = listener.address();
        let pages = Router::new().route("/", get(|| async { "told" }));
        tokio::spawn(listener.serve(pages));
        address
    }

    /// Asks for the page over a new connection, which stays open.
    async fn ask(address: SocketAddr) -> TcpStream {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        connection.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"told") {
            assert_ne!(connection.read_buf(&mut answer).await.unwrap(), 0);
        }
        connection
    }

    #[tokio::test]
    async fn silent_connections_keep_nobody_waiting() {
        let address = serving();
        let mut silent = Vec::new();
        for _ in 0..2 * CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let asked = timeout(SILENCE / 2, ask(address)).await;
        assert!(asked.is_ok(), "no answer in {:?}", SILENCE / 2);
        // The oldest made room.
        let closed = timeout(SILENCE / 2, silent.swap_remove(0).read_u8()).await;
        assert!(closed.is_ok_and(|read| read.is_err()), "still open");
    }

    #[tokio::test]
    async fn a_connection_that_is_silent_is_closed_soon() {
        let mut connection = ask(serving()).await;
        tokio::time::pause();
        let since = Instant::now();
        // It may say so before it closes.
        let _ = connection.read_to_end(&mut Vec::new()).await;
        assert!(since.elapsed() < AGE / 2, "{:?}", since.elapsed());
    }
}
