//! A backend that reads every request to its end, throws it away and says OK.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::grpc;

/// A backend on a thread of its own, which lives as long as this process.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    received: Arc<AtomicU64>,
}

impl Backend {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("backend")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let received = Arc::new(AtomicU64::new(0));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let counter = Arc::clone(&received);
        std::thread::spawn(move || runtime.block_on(serve(listener, counter)));
        Ok(Self { address, received })
    }

    /// The bytes that have come in, with everything that gRPC puts around messages but not HTTP/2.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

async fn serve(listener: std::net::TcpListener, received: Arc<AtomicU64>) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        let received = Arc::clone(&received);
        let answer = service_fn(move |request| answer(request, Arc::clone(&received)));
        let connection = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(grpc::STREAM_WINDOW)
            .initial_connection_window_size(grpc::CONNECTION_WINDOW)
            .max_frame_size(grpc::FRAME)
            .serve_connection(TokioIo::new(connection), answer);
        // How the connection ends is how the collector ends it.
        tokio::spawn(connection);
    }
}

async fn answer(
    request: Request<Incoming>,
    received: Arc<AtomicU64>,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, hyper::Error> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            received.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
    }
    let answer = Full::new(Bytes::from_static(&[0; grpc::PREFIX])).with_trailers(async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Some(Ok(trailers))
    });
    let mut response = Response::new(answer);
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    Ok(response)
}
