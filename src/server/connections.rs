//! Connections that are open: how many there may be, and which of them goes for another.
//!
//! Whoever connects needs no credential for that. So one host has half of the places at most, and a connection on
//! which nothing is asked for or answered keeps its place only as long as nobody else needs it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use crate::peer::host;

/// Nothing is asked for: what came so far is no request, and what was answered has left.
const IDLE: u8 = 0;

/// There is a request, and its answer has not come to its end.
const ASKED: u8 = 1;

/// All of the answer is there, and may wait to be taken.
const ANSWERED: u8 = 2;

/// What a connection does.
#[derive(Debug, Default)]
pub(super) struct Doing {
    now: AtomicU8,
    /// Told when it does nothing any more.
    idle: Arc<Notify>,
}

/// An answer that has not come to its end.
#[derive(Debug)]
pub(super) struct Answering(Arc<Doing>);

impl Doing {
    /// A request has come. What is returned lasts as long as its answer.
    pub(super) fn asked(self: &Arc<Self>) -> Answering {
        self.now.store(ASKED, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// Everything that was to be sent has left.
    pub(super) fn sent(&self) {
        if self.turns(ANSWERED, IDLE) {
            self.idle.notify_one();
        }
    }

    /// Whether nothing is asked for, and nothing of what was answered is left.
    pub(super) fn is_idle(&self) -> bool {
        self.now.load(Ordering::Relaxed) == IDLE
    }

    fn turns(&self, from: u8, to: u8) -> bool {
        let turned = (self.now).compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        turned.is_ok()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.turns(ASKED, ANSWERED);
    }
}

/// The connections of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    /// Those that have a place, the oldest first.
    open: VecDeque<Open>,
    /// How many may.
    most: usize,
    idle: Arc<Notify>,
}

#[derive(Debug)]
struct Open {
    host: IpAddr,
    doing: Arc<Doing>,
    task: AbortHandle,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self {
            tasks: JoinSet::new(),
            open: VecDeque::new(),
            most,
            idle: Arc::default(),
        }
    }

    /// Makes room for a connection of `peer`; false where its host has all the places that it may have, and asks
    /// for something on each. Where all places of all are taken like that, it waits.
    pub(super) async fn make_room(&mut self, peer: IpAddr) -> bool {
        let host = host(peer);
        self.forget_ended();
        let of_host = self.open.iter().filter(|open| open.host == host).count();
        if of_host >= self.most.div_ceil(2) && !self.close_idle(|open| open.host == host) {
            return false;
        }
        while self.open.len() >= self.most && !self.close_idle(|_| true) {
            tokio::select! {
                _ = self.tasks.join_next() => {}
                () = self.idle.notified() => {}
            }
            self.forget_ended();
        }
        true
    }

    /// Speaks on a connection of `peer`, for which there is room.
    pub(super) fn open<F>(&mut self, peer: IpAddr, speak: impl FnOnce(Arc<Doing>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let doing = Arc::new(Doing {
            idle: Arc::clone(&self.idle),
            ..Doing::default()
        });
        let task = self.tasks.spawn(speak(Arc::clone(&doing)));
        self.open.push_back(Open {
            host: host(peer),
            doing,
            task,
        });
    }

    /// Waits until all have ended.
    pub(super) async fn ended(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn forget_ended(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|open| !open.task.is_finished());
    }

    /// Closes the oldest of these connections that does nothing; whether there is one.
    fn close_idle(&mut self, is_one: impl Fn(&Open) -> bool) -> bool {
        let is_idle = |open: &Open| open.doing.now.load(Ordering::Relaxed) == IDLE;
        let oldest = self
            .open
            .iter()
            .position(|open| is_idle(open) && is_one(open));
        let closed = oldest.and_then(|oldest| self.open.remove(oldest));
        if let Some(closed) = &closed {
            tracing::debug!(host = %closed.host, "a connection without a request goes for another");
            closed.task.abort();
        }
        closed.is_some()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio::sync::Semaphore;
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    use super::super::listener::Listener;
    use super::super::no_http::Lines;
    use super::*;

    /// For a machine that is busy; what is silent is closed after less.
    const SOON: Duration = Duration::from_secs(8);

    /// All places.
    const MOST: usize = 8;

    /// Those of one host.
    const OF_ONE: usize = 4;

    /// A listener whose answers wait until they are let go, and tell when they are asked for.
    struct Served {
        address: SocketAddr,
        asked: Arc<Semaphore>,
        answers: Arc<Semaphore>,
    }

    async fn served() -> Served {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut listener = Listener::on(socket, None).unwrap();
        listener.most = MOST;
        let address = listener.address();
        let (asked, answers) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (asks, waits) = (Arc::clone(&asked), Arc::clone(&answers));
        let slow = move || async move {
            asks.add_permits(1);
            let _answer = waits.acquire().await;
            "told"
        };
        let pages = Router::new()
            .route("/", get(|| async { "told" }))
            .route("/slow", get(slow));
        let stop = CancellationToken::new();
        tokio::spawn(listener.serve(pages, Lines::default(), stop));
        Served {
            address,
            asked,
            answers,
        }
    }

    impl Served {
        /// A connection from another address of this machine.
        async fn connect(&self, host: u8) -> TcpStream {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 0, host], 0).into()).unwrap();
            let connecting = timeout(SOON, socket.connect(self.address));
            connecting.await.unwrap().unwrap()
        }

        async fn ask(&self, host: u8, path: &str) -> TcpStream {
            let mut connection = self.connect(host).await;
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            // Who is refused may be so before it is sent.
            let _ = connection.write_all(request.as_bytes()).await;
            connection
        }

        /// Requests that are answered as long as the test wants.
        async fn busy(&self, host: u8, count: usize) -> Vec<TcpStream> {
            let mut connections = Vec::new();
            for _ in 0..count {
                connections.push(self.ask(host, "/slow").await);
                let asked = timeout(SOON, self.asked.acquire()).await;
                asked.unwrap().unwrap().forget();
            }
            connections
        }
    }

    /// Whether an answer comes, and not the end of the connection.
    async fn is_answered(connection: &mut TcpStream) -> bool {
        let mut answer = Vec::new();
        let reading = async {
            while !answer.ends_with(b"told") {
                match connection.read_buf(&mut answer).await {
                    Ok(0) | Err(_) => return false,
                    Ok(_) => {}
                }
            }
            true
        };
        timeout(SOON, reading).await.unwrap()
    }

    /// Whether it is closed without a word.
    async fn is_closed(connection: &mut TcpStream) -> bool {
        let read = timeout(SOON, connection.read_u8()).await;
        read.is_ok_and(|read| read.is_err())
    }

    #[tokio::test]
    async fn silent_connections_keep_nobody_waiting() {
        let served = served().await;
        let mut silent = Vec::new();
        for _ in 0..2 * MOST {
            silent.push(served.connect(1).await);
        }
        // The same host, and another.
        for host in [1, 2] {
            assert!(
                is_answered(&mut served.ask(host, "/").await).await,
                "{host}"
            );
        }
        assert!(is_closed(&mut silent[0]).await, "the oldest is open");
    }

    #[tokio::test]
    async fn one_host_leaves_the_others_half_of_the_places() {
        let served = served().await;
        let mut busy = served.busy(1, OF_ONE).await;
        assert!(
            is_closed(&mut served.connect(1).await).await,
            "one too many"
        );
        assert!(is_answered(&mut served.ask(2, "/").await).await);
        // Nothing that is asked for is cut.
        served.answers.add_permits(OF_ONE);
        for connection in &mut busy {
            assert!(is_answered(connection).await);
        }
        // What was answered makes room.
        assert!(is_answered(&mut served.ask(1, "/").await).await);
        assert!(is_closed(&mut busy[0]).await, "the oldest is open");
    }

    #[tokio::test]
    async fn who_asks_for_something_stays_where_all_places_are_taken() {
        let served = served().await;
        let mut first = served.busy(1, OF_ONE).await;
        let mut silent = served.connect(2).await;
        let mut second = served.busy(2, OF_ONE - 1).await;
        // All places are taken, and one of them by who does nothing.
        let mut third = served.busy(3, 1).await;
        assert!(is_closed(&mut silent).await, "the silent one is open");
        // Now nobody does nothing, so who comes waits until somebody has an answer.
        let mut last = served.ask(4, "/").await;
        let waited = timeout(Duration::from_millis(50), last.read_u8()).await;
        assert!(waited.is_err(), "{waited:?}");
        served.answers.add_permits(MOST);
        for connection in first.iter_mut().chain(&mut second).chain(&mut third) {
            assert!(is_answered(connection).await);
        }
        assert!(is_answered(&mut last).await);
    }
}
