//! A backend that believes nothing: before it answers it fetches every file that a request refers
//! to, past slimspan and past whatever is wrong with the store, and looks at the bytes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use slimspan_artifact::Digest;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::arrivals::{Arrived, File, arrived};
use super::backend::{Backend, Received, Reply};
use super::otlp;
use super::references::path_in;
use super::refusing::Refusing;
use super::workload::ItemId;
use super::{SOON, soon};

/// Fetches a file from where it has to be, by another way than slimspan's.
pub(crate) type Fetch = Arc<dyn Fn(&Digest) -> Option<Bytes> + Send + Sync>;

/// From a folder that slimspan was told to keep artifacts in.
pub(crate) fn in_folder(artifacts: PathBuf) -> Fetch {
    Arc::new(move |digest| {
        let path = path_in(&artifacts, &digest.to_string());
        std::fs::read(path).ok().map(Bytes::from)
    })
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    Accept,
    /// The same, after a while.
    Slow(Duration),
    /// Takes all but so many of its items.
    Reject(usize),
    /// Takes all, and has something to say.
    Warn,
    /// RESOURCE_EXHAUSTED, which is final without a delay.
    Exhausted(Option<Duration>),
    /// UNAVAILABLE, with a delay.
    Unavailable(Duration),
    /// Takes it and never answers.
    Hang,
    /// Takes it and resets the stream.
    Reset,
    /// Takes it and answers what is no gRPC message.
    Garbage,
    /// Takes it and answers without end.
    Flood,
}

/// What the backend did with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Taken,
    Refused,
    /// Taken, but nobody is told so.
    Untold,
}

/// An item as it arrived, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) item: Arrived,
    pub(crate) verdict: Verdict,
    /// The number of its request, counted from 0, and when that came.
    pub(crate) request: usize,
    pub(crate) at: Instant,
    /// References that led nowhere, or to other bytes, at this moment.
    pub(crate) early: Vec<Digest>,
}

/// A running backend.
pub(crate) struct Verifying {
    pub(crate) address: SocketAddr,
    receipts: watch::Receiver<Vec<Receipt>>,
    backend: Backend,
}

impl Verifying {
    /// Accepts everything.
    pub(crate) async fn start(fetch: Fetch) -> Self {
        Self::reacting(fetch, |_| Reaction::Accept).await
    }

    /// Answers the request with the number that is given, counted from 0, as `script` says.
    pub(crate) async fn reacting(
        fetch: Fetch,
        script: impl Fn(usize) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        Self::reacting_at(Backend::ANYWHERE, fetch, script).await
    }

    /// The same at an address that another backend had.
    pub(crate) async fn reacting_at(
        address: SocketAddr,
        fetch: Fetch,
        script: impl Fn(usize) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let requests = AtomicUsize::new(0);
        let (book, receipts) = watch::channel(Vec::new());
        let backend = Backend::replying_at(address, move |received: Received| {
            let request = requests.fetch_add(1, Ordering::SeqCst);
            let reaction = script(request);
            let new = examine(&received, request, reaction, &fetch);
            book.send_modify(|book| book.extend(new));
            reply(reaction)
        })
        .await;
        Self {
            address: backend.address,
            receipts,
            backend,
        }
    }

    /// Ends it as `kill -9` would, and keeps its port; returns what it had taken by then.
    pub(crate) async fn kill(self) -> (Vec<Receipt>, Refusing) {
        self.backend.kill().await;
        let receipts = self.receipts.borrow().clone();
        (receipts, Refusing::at(self.address))
    }

    pub(crate) fn receipts(&self) -> Vec<Receipt> {
        self.receipts.borrow().clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn requests(&self, count: usize) {
        let mut receipts = self.receipts.clone();
        let come = |receipts: &Vec<Receipt>| {
            receipts
                .last()
                .is_some_and(|last| last.request + 1 >= count)
        };
        let come = receipts.wait_for(come);
        soon("the backend gets requests", come).await.unwrap();
    }

    /// Waits until all of these have arrived and were not refused: for as long as more arrives, within
    /// reason.
    pub(crate) async fn has_all(&self, mut ids: BTreeSet<ItemId>) {
        let mut receipts = self.receipts.clone();
        let mut seen = 0;
        let all = async {
            loop {
                let so_far = receipts.borrow_and_update();
                for receipt in &so_far[seen..] {
                    if receipt.verdict != Verdict::Refused {
                        ids.remove(&receipt.item.id);
                    }
                }
                seen = so_far.len();
                drop(so_far);
                if ids.is_empty() {
                    return;
                }
                let more = soon("what was acknowledged arrives", receipts.changed());
                more.await.unwrap();
            }
        };
        let all = tokio::time::timeout(5 * SOON, all).await;
        assert!(all.is_ok(), "what was acknowledged does not arrive");
    }
}

fn examine(received: &Received, request: usize, reaction: Reaction, fetch: &Fetch) -> Vec<Receipt> {
    let at = Instant::now();
    let items = arrived(received.signal, &received.message).into_iter();
    items
        .enumerate()
        .map(|(number, item)| Receipt {
            early: dangling(&item, fetch),
            item,
            request,
            at,
            verdict: match reaction {
                Reaction::Reject(rejected) if number < rejected => Verdict::Refused,
                Reaction::Accept | Reaction::Slow(_) | Reaction::Reject(_) | Reaction::Warn => {
                    Verdict::Taken
                }
                Reaction::Exhausted(_) | Reaction::Unavailable(_) => Verdict::Refused,
                Reaction::Hang | Reaction::Reset | Reaction::Garbage | Reaction::Flood => {
                    Verdict::Untold
                }
            },
        })
        .collect()
}

/// The references of an item behind which the right bytes are not.
pub(crate) fn dangling(item: &Arrived, fetch: &Fetch) -> Vec<Digest> {
    let moved = item.files.iter().filter_map(|file| match file {
        File::Moved(digest) => Some(*digest),
        File::Inline { .. } | File::Dropped(_) => None,
    });
    moved
        .filter(|digest| fetch(digest).is_none_or(|bytes| Digest::of(&bytes) != *digest))
        .collect()
}

async fn reply(reaction: Reaction) -> Reply {
    let exhausted = |delay| {
        let details = ErrorDetails::with_retry_info(delay);
        Status::with_error_details(Code::ResourceExhausted, "over quota", details)
    };
    Reply::Answer(match reaction {
        Reaction::Accept => Ok(Bytes::new()),
        Reaction::Slow(time) => {
            tokio::time::sleep(time).await;
            Ok(Bytes::new())
        }
        Reaction::Reject(rejected) => Ok(otlp::partial_success(
            rejected.try_into().unwrap(),
            "too old",
        )),
        Reaction::Warn => Ok(otlp::partial_success(0, "please upgrade")),
        Reaction::Exhausted(None) => Err(Status::resource_exhausted("too large")),
        Reaction::Exhausted(delay) => Err(exhausted(delay)),
        Reaction::Unavailable(delay) => Err(Status::with_error_details(
            Code::Unavailable,
            "busy",
            ErrorDetails::with_retry_info(Some(delay)),
        )),
        Reaction::Hang => std::future::pending().await,
        Reaction::Reset => {
            let broken = Err::<Frame<Bytes>, _>(Status::internal("reset"));
            return raw(Body::new(StreamBody::new(stream::iter([broken]))));
        }
        Reaction::Garbage => {
            return raw(Body::new(Full::from(&b"\x00\x00\x00\x01\x00garbage"[..])));
        }
        Reaction::Flood => {
            let mebibyte = Bytes::from(vec![0; 1 << 20]);
            let endless =
                stream::repeat_with(move || Ok::<_, Status>(Frame::data(mebibyte.clone())));
            return raw(Body::new(StreamBody::new(endless)));
        }
    })
}

fn raw(body: Body) -> Reply {
    let mut response = Response::new(body);
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    Reply::Raw(response)
}
