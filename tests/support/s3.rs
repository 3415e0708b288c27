//! An S3 server as far as a put goes, and what can be wrong with one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use slimspan_artifact::Digest;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::soon;

/// How the server answers a put.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Stores.
    Store,
    /// Stores when the semaphore has a permit for it.
    StoreWhen(Arc<Semaphore>),
    /// Reads the request and never answers.
    Hang,
    /// Stores, but goes no further while it is told to stop, as a process that is stopped.
    StoreUnlessStopped(watch::Receiver<bool>),
    /// Answers so and stores nothing.
    Answer(StatusCode),
    /// Never answers a put with that in its path, and stores the others.
    HangUnder(&'static str),
    /// Stores the first puts, so many, and answers so to the others.
    StoreFirst(usize, StatusCode),
    /// Answers so to the first puts, so many, and stores the others.
    AnswerFirst(StatusCode, usize),
}

/// A bucket in memory that lives as long as the test's runtime.
pub(crate) struct S3 {
    pub(crate) address: SocketAddr,
    begun: watch::Receiver<usize>,
    stored: watch::Receiver<Vec<Digest>>,
}

impl S3 {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (begun, seen) = watch::channel(0);
        let (store, stored) = watch::channel(Vec::new());
        let (begun, store) = (Arc::new(begun), Arc::new(store));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (behaviour, begun, store) =
                    (behaviour.clone(), Arc::clone(&begun), Arc::clone(&store));
                let service = service_fn(move |request| {
                    let (behaviour, begun, store) =
                        (behaviour.clone(), Arc::clone(&begun), Arc::clone(&store));
                    async move { put(request, behaviour, &begun, &store).await }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        Self {
            address,
            begun: seen,
            stored,
        }
    }

    /// How many puts have come in, repetitions included.
    pub(crate) fn puts(&self) -> usize {
        *self.begun.borrow()
    }

    /// Waits until as many puts have come in.
    pub(crate) async fn begun(&self, count: usize) {
        let mut begun = self.begun.clone();
        let begun = begun.wait_for(|begun| *begun >= count);
        soon("the store gets a put", begun).await.unwrap();
    }

    /// Digests of the bytes that are stored, each under its own name.
    pub(crate) fn stored(&self) -> Vec<Digest> {
        self.stored.borrow().clone()
    }

    /// The list of [`S3::stored`] for somebody who looks later.
    pub(crate) fn watch(&self) -> watch::Receiver<Vec<Digest>> {
        self.stored.clone()
    }
}

async fn put(
    request: Request<Incoming>,
    behaviour: Behaviour,
    begun: &watch::Sender<usize>,
    stored: &watch::Sender<Vec<Digest>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // At a start a bucket is asked for its rules, and for uploads that nobody has finished.
    if request.method() != Method::PUT {
        return Ok(only(StatusCode::NOT_IMPLEMENTED));
    }
    let path = request.uri().path().to_owned();
    let name = path.rsplit('/').next().unwrap();
    let bytes = request.into_body().collect().await.unwrap().to_bytes();
    begun.send_modify(|begun| *begun += 1);
    match behaviour {
        Behaviour::StoreWhen(gate) => gate.acquire().await.unwrap().forget(),
        Behaviour::Hang => std::future::pending().await,
        Behaviour::StoreUnlessStopped(mut stopped) => {
            stopped.wait_for(|stopped| !stopped).await.unwrap();
        }
        Behaviour::Answer(status) => return Ok(only(status)),
        Behaviour::HangUnder(part) if path.contains(part) => std::future::pending().await,
        Behaviour::AnswerFirst(status, count) if *begun.borrow() <= count => {
            return Ok(only(status));
        }
        Behaviour::StoreFirst(count, status) if *begun.borrow() > count => {
            return Ok(only(status));
        }
        Behaviour::Store
        | Behaviour::HangUnder(_)
        | Behaviour::AnswerFirst(..)
        | Behaviour::StoreFirst(..) => {}
    }
    let digest = Digest::of(&bytes);
    assert_eq!(digest.to_string(), name);
    stored.send_modify(|stored| stored.push(digest));
    let response = Response::builder().header("etag", "\"etag\"");
    Ok(response.body(Full::default()).unwrap())
}

fn only(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
