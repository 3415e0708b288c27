//! A sender that gives nothing up, as SDKs with a retry queue do, and keeps a ledger.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slimspan_proto::Signal;
use tokio::sync::watch;
use tonic::Status;
use tonic::transport::{Certificate, ClientTlsConfig};

use super::http::HttpSender;
use super::ledger::{Ledger, Outcome, Page};
use super::sender::Sender;
use super::workload::{Numbered, Workload};

/// Where slimspan listens now, if it does: it may be killed and come back elsewhere.
pub(crate) type Whereabouts = watch::Receiver<Option<Place>>;

/// Where somebody listens, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Grpc(SocketAddr),
    Http(SocketAddr),
    /// gRPC over TLS, and the certificate of who vouches for it, in PEM.
    GrpcOverTls(SocketAddr, &'static str),
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::Grpc(address)
    }
}

/// A connection to such a place.
#[derive(Clone)]
enum Connection {
    Grpc(Sender),
    Http(HttpSender),
}

impl Connection {
    /// None where nobody listens.
    async fn to(place: Place) -> Option<Self> {
        match place {
            Place::Grpc(address) => Sender::try_connect(address).await.ok().map(Self::Grpc),
            Place::Http(address) => {
                let sender = HttpSender::try_connect(address).await;
                sender.ok().map(Self::Http)
            }
            Place::GrpcOverTls(address, authority) => {
                let authority = Certificate::from_pem(authority);
                let tls = ClientTlsConfig::new().ca_certificate(authority);
                let sender = Sender::try_connect_tls(address, tls).await;
                sender.ok().map(Self::Grpc)
            }
        }
    }

    async fn send(&self, signal: Signal, request: &Bytes) -> Result<Bytes, Status> {
        match self {
            Self::Grpc(sender) => sender.send(signal, request).await,
            Self::Http(sender) => sender.send(signal, request).await,
        }
    }
}

/// After a refusal that names no delay, and after a connection that ended.
const FIRST_DELAY: Duration = Duration::from_millis(20);
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// What is not taken by then never is, unless a test knows better: it fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// One sender with one request in flight.
pub(crate) struct Insistent {
    number: u64,
    workload: Workload,
    ledger: Ledger,
    whereabouts: Whereabouts,
    patience: Duration,
    connection: Option<(Place, Connection)>,
    /// How many requests it has had.
    requests: usize,
    /// Of the items to come.
    next: u64,
}

impl Insistent {
    pub(crate) fn new(
        number: u64,
        workload: Workload,
        ledger: Ledger,
        whereabouts: Whereabouts,
        patience: Duration,
    ) -> Self {
        Self {
            number,
            workload,
            ledger,
            whereabouts,
            patience,
            connection: None,
            requests: 0,
            next: 0,
        }
    }

    /// Sends its next request as often as it takes; returns what it was told in the end.
    pub(crate) async fn send_next(&mut self) -> Outcome {
        let request = self.workload.request(self.number, self.next);
        self.next += request.items.len() as u64;
        let page = self.ledger.open(&request);
        let begun = Instant::now();
        let mut delay = FIRST_DELAY;
        loop {
            let mut told = None;
            if let Some((outcome, took)) = self.attempt(&request, &page).await {
                page.note(outcome.clone(), took);
                match outcome {
                    Outcome::Accepted { .. } | Outcome::Refused { .. } => return outcome,
                    Outcome::Postponed { delay, .. } => told = delay,
                    Outcome::Unanswered => self.connection = None,
                }
            }
            assert!(
                begun.elapsed() < self.patience,
                "request {}/{} is not taken: {:?}",
                self.number,
                self.next,
                page.last()
            );
            // What an SDK does, but for one that comes back elsewhere nobody has to wait.
            tokio::select! {
                () = tokio::time::sleep(told.unwrap_or(delay)) => {}
                Ok(()) = self.whereabouts.changed() => {}
            }
            delay = (delay * 2).min(LONGEST_DELAY);
        }
    }

    /// Sends the request once; nothing comes of it where nobody listens.
    async fn attempt(&mut self, request: &Numbered, page: &Page) -> Option<(Outcome, Duration)> {
        let place = self.whereabouts.wait_for(Option::is_some).await;
        // Nobody tells it any more: the test is over, or has failed.
        let Some(place) = place.ok().and_then(|place| *place) else {
            std::future::pending().await
        };
        if self.connection.as_ref().is_none_or(|(to, _)| *to != place) {
            self.connection = Some((place, Connection::to(place).await?));
            self.requests = 0;
        }
        let (_, connection) = self.connection.as_ref()?;
        self.requests += 1;
        let begun = Instant::now();
        let answer = connection.send(request.signal, &request.message).await;
        let took = begun.elapsed();
        let why = answer.as_ref().err().map(chain);
        let outcome = Outcome::of(answer);
        if let (Outcome::Unanswered, Some(why)) = (&outcome, why) {
            let (number, requests) = (self.number, self.requests);
            page.note_unanswered(format!(
                "sender {number}, request {requests} of its connection, after {took:?}: {why}"
            ));
        }
        Some((outcome, took))
    }
}

/// An error and all that led to it.
fn chain(status: &Status) -> String {
    let first: &(dyn Error + 'static) = status;
    let errors = std::iter::successors(Some(first), |&error| error.source());
    let errors: Vec<String> = errors.map(ToString::to_string).collect();
    errors.join(": ")
}
