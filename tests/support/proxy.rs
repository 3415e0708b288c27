//! A network that can be bad: a TCP proxy with latency, little bandwidth, small pieces, silence,
//! resets and connections that end after so many bytes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::soon;

/// What the network is like. The default is a good one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// Each piece is late by this.
    pub(crate) latency: Duration,
    /// In each direction of each connection.
    pub(crate) bytes_per_second: Option<usize>,
    /// The largest piece that comes at a time.
    pub(crate) piece: Option<usize>,
    /// Nothing comes through, and nobody is told.
    pub(crate) silent: bool,
    /// A connection is reset when as many bytes have gone one way.
    pub(crate) reset_after: Option<usize>,
}

/// A running proxy. It ends with the test's runtime.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    conditions: watch::Sender<Conditions>,
    resets: watch::Sender<usize>,
    connections: watch::Receiver<usize>,
    open: watch::Receiver<usize>,
}

/// The most that is read at a time.
const PIECE: usize = 64 << 10;

impl Proxy {
    /// A good network to `upstream`.
    pub(crate) async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (conditions, now) = watch::channel(Conditions::default());
        let (resets, reset) = watch::channel(0);
        let (count, connections) = watch::channel(0);
        let (count_open, open) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((down, _)) = listener.accept().await {
                count.send_modify(|count| *count += 1);
                count_open.send_modify(|open| *open += 1);
                let (joined, count_open) = (
                    join(down, upstream, now.clone(), reset.clone()),
                    count_open.clone(),
                );
                tokio::spawn(async move {
                    joined.await;
                    count_open.send_modify(|open| *open -= 1);
                });
            }
        });
        Self {
            address,
            conditions,
            resets,
            connections,
            open,
        }
    }

    pub(crate) fn set(&self, conditions: Conditions) {
        self.conditions.send_replace(conditions);
    }

    /// Resets all connections that there are.
    pub(crate) fn reset(&self) {
        self.resets.send_modify(|resets| *resets += 1);
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits until there have been as many.
    pub(crate) async fn connected(&self, count: usize) {
        let mut connections = self.connections.clone();
        let connected = connections.wait_for(|connections| *connections >= count);
        soon("a connection", connected).await.unwrap();
    }

    /// Waits until so many are open, neither more nor fewer.
    pub(crate) async fn left_open(&self, count: usize) {
        let mut open = self.open.clone();
        let left = open.wait_for(|open| *open == count);
        soon("connections end", left).await.unwrap();
    }
}

async fn join(
    mut down: TcpStream,
    upstream: SocketAddr,
    conditions: watch::Receiver<Conditions>,
    mut resets: watch::Receiver<usize>,
) {
    // Those before its time do not concern it.
    resets.mark_unchanged();
    let Ok(mut up) = TcpStream::connect(upstream).await else {
        // What is refused there is reset here.
        let _ = down.set_zero_linger();
        return;
    };
    let ended = {
        let _ = (down.set_nodelay(true), up.set_nodelay(true));
        let (from_down, to_down) = down.split();
        let (from_up, to_up) = up.split();
        let both = futures::future::try_join(
            pump(from_down, to_up, conditions.clone()),
            pump(from_up, to_down, conditions),
        );
        tokio::select! {
            ended = both => ended.is_ok(),
            _ = resets.changed() => false,
        }
    };
    if !ended {
        let _ = (down.set_zero_linger(), up.set_zero_linger());
    }
}

/// Passes bytes on until they end, which is passed on, too, or until the connection breaks.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut conditions: watch::Receiver<Conditions>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut passed = 0;
    loop {
        let now = *conditions.borrow_and_update();
        if now.silent {
            // A sender that is gone ends the wait: the test is over.
            conditions
                .wait_for(|now| !now.silent)
                .await
                .map_err(io::Error::other)?;
            continue;
        }
        let left = now
            .reset_after
            .map_or(usize::MAX, |limit| limit - passed.min(limit));
        if left == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let most = now.piece.unwrap_or(PIECE).min(left).min(PIECE);
        let read = tokio::select! {
            read = from.read(&mut buffer[..most]) => read?,
            // It may be that nothing is to be read any more.
            Ok(()) = conditions.changed() => continue,
        };
        if read == 0 {
            return to.shutdown().await;
        }
        let slow = now.bytes_per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(read as f64 / rate as f64)
        });
        tokio::time::sleep(now.latency + slow).await;
        to.write_all(&buffer[..read]).await?;
        passed += read;
    }
}
